// Smooths masks over their own pixels: 1 2 1 across and down; zero or the edge outside. Also inverts the maps.
// Constants: SIDE_H, SIDE_W, MATTE_REPLICATE.
#include "common.cuh"

KERNEL(256)
soften(const half_bits* __restrict__ masks, half_bits* __restrict__ out, const double* __restrict__ maps, double* __restrict__ inverses) {
    const int i = blockIdx.x * 256 + threadIdx.x, n = blockIdx.y;
    if (i == 0) {
        const double* m = maps + n * 6;
        const double d = m[0] * m[4] - m[1] * m[3], r = d != 0 ? 1 / d : 0.0;
        double* o = inverses + n * 6;
        o[0] = m[4] * r, o[1] = -m[1] * r, o[2] = (m[1] * m[5] - m[2] * m[4]) * r;
        o[3] = -m[3] * r, o[4] = m[0] * r, o[5] = (m[2] * m[3] - m[0] * m[5]) * r;
    }
    if (i >= SIDE_H * SIDE_W) return;
    masks += (long long)n * SIDE_H * SIDE_W;
    const int x = i % SIDE_W, y = i / SIDE_W;
    float sum = 0.0f;
#pragma unroll
    for (int k = 0; k < 9; k++) {
        int tx = x + k % 3 - 1, ty = y + k / 3 - 1;
        if (MATTE_REPLICATE)
            tx = tx < 0 ? 0 : tx >= SIDE_W ? SIDE_W - 1 : tx, ty = ty < 0 ? 0 : ty >= SIDE_H ? SIDE_H - 1 : ty;
        else if (tx < 0 || ty < 0 || tx >= SIDE_W || ty >= SIDE_H)
            continue;
        float a, b;
        half2_unpack(masks[ty * SIDE_W + tx], a, b);
        sum += a * (k % 3 == 1 ? 2 : 1) * (k / 3 == 1 ? 2 : 1);
    }
    out[(long long)n * SIDE_H * SIDE_W + i] = (half_bits)half2_pack(sum * (1.0f / 16), 0.0f);
}
