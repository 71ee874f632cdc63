// The opacity of people at a pixel of the picture: the mask, smoothed over one of its own pixels (1 2 1), sampled
// bilinearly, and a ramp from probability to opacity; posemask.effects' soft matte. PEOPLE: rows of masks a stream.
#ifndef POSEMASK_MATTE
#define POSEMASK_MATTE
#include "common.cuh"

// Probabilities (SIDE_H, SIDE_W) half, already smoothed; crop_from_image: double[6]; zero or the edge's value outside.
DEVICE float matte_at(const half_bits* mask, const double* m, int y, int x, float low, float gain) {
    const float u = (float)(m[0] * x + m[1] * y + m[2]), v = (float)(m[3] * x + m[4] * y + m[5]);
    if (!MATTE_REPLICATE && !(u > -1.0f && u < SIDE_W && v > -1.0f && v < SIDE_H)) return 0.0f;
    const float fu = floorf(u), fv = floorf(v), du = u - fu, dv = v - fv;
    float p = 0.0f;
#pragma unroll
    for (int k = 0; k < 4; k++) {
        int tx = (int)fu + k % 2, ty = (int)fv + k / 2;
        const float weight = (k % 2 ? du : 1.0f - du) * (k / 2 ? dv : 1.0f - dv);
        if (MATTE_REPLICATE) {
            tx = tx < 0 ? 0 : tx >= SIDE_W ? SIDE_W - 1 : tx, ty = ty < 0 ? 0 : ty >= SIDE_H ? SIDE_H - 1 : ty;
        } else if (tx < 0 || ty < 0 || tx >= SIDE_W || ty >= SIDE_H) {
            continue;
        }
        float a, b;
        half2_unpack(mask[ty * SIDE_W + tx], a, b);
        p += weight * a;
    }
    return fminf(fmaxf((p - low) * gain, 0.0f), 1.0f);
}

// Which of a stream's PEOPLE rows, at most 32, show somebody, a bit each; found null: all.
DEVICE unsigned present_in(const int* found, int n) {
    unsigned present = 0;
#pragma unroll
    for (int k = 0; k < PEOPLE; k++) present |= (unsigned)(!found || found[n * PEOPLE + k]) << k;
    return present;
}

// The most that any of them covers of the pixel; masks and maps of the stream.
DEVICE float opacity_at(const half_bits* masks, const double* maps, unsigned present, int y, int x, float low, float gain) {
    float most = 0.0f;
#pragma unroll
    for (int k = 0; k < PEOPLE; k++)
        if (present >> k & 1) most = fmaxf(most, matte_at(masks + k * SIDE_H * SIDE_W, maps + k * 6, y, x, low, gain));
    return most;
}
#endif
