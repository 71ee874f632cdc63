// A stream's mask after a frame: sigmoid of the logits, mixed with the mask before where the new one is unsure
// (posemask.numbers.filters.blend_masks), the old one sampled in the new crop's pixels, zero outside.
//
// 256 x 256 halves a stream. maps: image_from_crop of this frame and of the frame before, (N, 2, 3) double.
// Constants: SIDE_H, SIDE_W, LOGITS (else probabilities), SMOOTH, MOVING (the crops of the two frames differ).
#include "common.cuh"

DEVICE float half_at(const unsigned char* from, long long index) {
    float low, high;
    half2_unpack(((const half_bits*)from)[index], low, high);
    return low;
}

KERNEL(256)
mask(const unsigned char* __restrict__ fresh, const unsigned char* __restrict__ before, unsigned char* __restrict__ out,
     const double* __restrict__ map, const double* __restrict__ map_before, const int* __restrict__ found, const int* __restrict__ alive_before) {
    const int i = blockIdx.x * 256 + threadIdx.x, n = blockIdx.y;
    if (i >= SIDE_H * SIDE_W) return;
    const long long first = (long long)n * SIDE_H * SIDE_W;
    float p = half_at(fresh, first + i);
    if (LOGITS) p = 1.0f / (1.0f + __expf(-p));
    if (found && !found[n]) p = 0.0f;
    if (SMOOTH && alive_before[n] && (!found || found[n])) {
        float old;
        if (MOVING) {
            // crop_before_from_crop = inverse(map_before) @ map
            const double *m = map + n * 6, *b = map_before + n * 6;
            const double u = i % SIDE_W, v = i / SIDE_W;
            const double x = m[0] * u + m[1] * v + m[2] - b[2], y = m[3] * u + m[4] * v + m[5] - b[5];
            const double determinant = b[0] * b[4] - b[1] * b[3];
            const double su = (b[4] * x - b[1] * y) / determinant, sv = (b[0] * y - b[3] * x) / determinant;
            old = 0.0f;
            if (su > -1 && su < SIDE_W && sv > -1 && sv < SIDE_H) {
                const int x0 = (int)floor(su), y0 = (int)floor(sv);
                const float fx = (float)(su - x0), fy = (float)(sv - y0);
                for (int k = 0; k < 4; k++) {
                    const int tx = x0 + k % 2, ty = y0 + k / 2;
                    if (tx < 0 || ty < 0 || tx >= SIDE_W || ty >= SIDE_H) continue;
                    old += (k % 2 ? fx : 1.0f - fx) * (k / 2 ? fy : 1.0f - fy) * half_at(before, first + ty * SIDE_W + tx);
                }
            }
        } else {
            old = half_at(before, first + i);
        }
        const float x = (p - 0.5f) * (p - 0.5f);
        const float certainty = x * (5.68842f + x * (-0.748699f + x * (-57.8051f + x * (291.309f + x * -624.717f))));
        p += (old - p) * (1.0f - fminf(certainty, 1.0f)) * 0.7f;
    }
    ((half_bits*)out)[first + i] = (half_bits)half2_pack(p, 0.0f);
}
