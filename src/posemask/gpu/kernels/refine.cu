// The mask decoder's last levels on 8 channels, all in shared memory:
//   x = bilinear_x2(low) [+ skip];  twice: x = act(x + dense(relu6(depthwise 3x3 (x))));  [mask = conv 3x3 (x), 1 channel]
//
// A thread block makes TILE x TILE pixels; every step shrinks the halo by one. 16 bytes are one pixel.
// Constants: H, W (of the result), SKIP, LAST, ACT_DEPTHWISE, ACT_OUT.
// Weights: of each of the two steps 9 taps, the depthwise bias, 8 rows (input channel) of the dense matrix and its bias,
// 19 words of 16 bytes; then 9 taps of the last convolution.
#include "common.cuh"

#define TILE 32
#define THREADS 256
constexpr int HALO = 2 + LAST;
constexpr int SIDE = TILE + 2 * HALO;
constexpr int TALL = 4;  // pixels below each other that a thread makes

DEVICE void half8_fma(uint4& sum, const uint4& v, const uint4& w) {
    sum.x = half2_fma(v.x, w.x, sum.x), sum.y = half2_fma(v.y, w.y, sum.y);
    sum.z = half2_fma(v.z, w.z, sum.z), sum.w = half2_fma(v.w, w.w, sum.w);
}
DEVICE unsigned both(unsigned pair, int high) { return high ? (pair >> 16) * 0x10001u : (pair & 0xffffu) * 0x10001u; }

// sums[r] = bias + taps * the 3 x 3 pixels around row r of a strip; `corner` is the pixel above and left of the strip.
DEVICE void depthwise(uint4 (&sums)[TALL], const uint4* corner, const uint4 (&taps)[9]) {
#pragma unroll
    for (int row = 0; row < TALL + 2; row++)
#pragma unroll
        for (int kx = 0; kx < 3; kx++) {
            const uint4 v = corner[row * SIDE + kx];
#pragma unroll
            for (int ky = 0; ky < 3; ky++)
                if (row - ky >= 0 && row - ky < TALL) half8_fma(sums[row - ky], v, taps[ky * 3 + kx]);
        }
}

KERNEL(THREADS)
refine(const uint4* __restrict__ low, const uint4* __restrict__ skip, const uint4* __restrict__ weights,
       const float* __restrict__ last_bias, unsigned char* __restrict__ out) {
    SHARED_BYTES(shared);
    uint4* const pixels[2] = {(uint4*)shared, (uint4*)shared + SIDE * SIDE};
    const int thread = threadIdx.x, frame = blockIdx.y;
    const int top = blockIdx.x / ((W + TILE - 1) / TILE) * TILE - HALO, left = blockIdx.x % ((W + TILE - 1) / TILE) * TILE - HALO;

    low += (long long)frame * (H / 2) * (W / 2);
    for (int i = thread; i < SIDE * SIDE; i += THREADS) {
        const int y = top + i / SIDE, x = left + i % SIDE;
        uint4 v = make_uint4(0, 0, 0, 0);
        if (y >= 0 && y < H && x >= 0 && x < W) {
            const int y1 = y / 2, y0 = y % 2 ? (y1 + 1 < H / 2 ? y1 + 1 : y1) : (y1 > 0 ? y1 - 1 : 0);
            const int x1 = x / 2, x0 = x % 2 ? (x1 + 1 < W / 2 ? x1 + 1 : x1) : (x1 > 0 ? x1 - 1 : 0);
            const unsigned far2 = 0x2c002c00u, near_far = 0x32003200u, near2 = 0x38803880u;  // 1/16, 3/16, 9/16
            if (SKIP) v = skip[((long long)frame * H + y) * W + x];
            half8_fma(v, low[y0 * (W / 2) + x0], make_uint4(far2, far2, far2, far2));
            half8_fma(v, low[y0 * (W / 2) + x1], make_uint4(near_far, near_far, near_far, near_far));
            half8_fma(v, low[y1 * (W / 2) + x0], make_uint4(near_far, near_far, near_far, near_far));
            half8_fma(v, low[y1 * (W / 2) + x1], make_uint4(near2, near2, near2, near2));
        }
        pixels[0][i] = v;
    }
    __syncthreads();

    for (int step = 0; step < 2; step++) {
        const uint4* const from = pixels[step];
        uint4* const to = pixels[1 - step];
        const uint4* const w = weights + step * 19;
        uint4 taps[9], dense[8];
#pragma unroll
        for (int i = 0; i < 9; i++) taps[i] = w[i];
#pragma unroll
        for (int i = 0; i < 8; i++) dense[i] = w[10 + i];
        const uint4 bias = w[9], dense_bias = w[18];
        const int edge = step + 1, side = SIDE - 2 * edge;
        for (int i = thread; i < side * ((side + TALL - 1) / TALL); i += THREADS) {
            // The last strip reaches up over its neighbour, so that all strips are whole.
            const int x = edge + i % side, strip = i / side * TALL, y = edge + (strip + TALL <= side ? strip : side - TALL);
            uint4 sums[TALL];
#pragma unroll
            for (int r = 0; r < TALL; r++) sums[r] = bias;
            depthwise(sums, from + (y - 1) * SIDE + x - 1, taps);
#pragma unroll
            for (int r = 0; r < TALL; r++) {
                const unsigned v[4] = {activate2<ACT_DEPTHWISE>(sums[r].x), activate2<ACT_DEPTHWISE>(sums[r].y),
                                       activate2<ACT_DEPTHWISE>(sums[r].z), activate2<ACT_DEPTHWISE>(sums[r].w)};
                uint4 y8 = dense_bias;
#pragma unroll
                for (int c = 0; c < 8; c++) {
                    const unsigned one = both(v[c / 2], c % 2);
                    half8_fma(y8, make_uint4(one, one, one, one), dense[c]);
                }
                const uint4 x8 = from[(y + r) * SIDE + x];
                y8 = make_uint4(activate2<ACT_OUT>(half2_add(y8.x, x8.x)), activate2<ACT_OUT>(half2_add(y8.y, x8.y)),
                                activate2<ACT_OUT>(half2_add(y8.z, x8.z)), activate2<ACT_OUT>(half2_add(y8.w, x8.w)));
                const int my = top + y + r, mx = left + x;
                const bool inside = my >= 0 && my < H && mx >= 0 && mx < W;
                if (!LAST && step == 1) {
                    if (inside) ((uint4*)out)[((long long)frame * H + my) * W + mx] = y8;
                } else {
                    to[(y + r) * SIDE + x] = inside ? y8 : make_uint4(0, 0, 0, 0);
                }
            }
        }
        __syncthreads();
    }

    if (LAST) {
        uint4 taps[9];
#pragma unroll
        for (int i = 0; i < 9; i++) taps[i] = weights[38 + i];
        for (int i = thread; i < TILE * TILE / TALL; i += THREADS) {
            const int x = HALO + i % TILE, y = HALO + i / TILE * TALL;
            uint4 sums[TALL];
#pragma unroll
            for (int r = 0; r < TALL; r++) sums[r] = make_uint4(0, 0, 0, 0);
            depthwise(sums, pixels[0] + (y - 1) * SIDE + x - 1, taps);
#pragma unroll
            for (int r = 0; r < TALL; r++) {
                float total = last_bias[0];
                const unsigned words[4] = {sums[r].x, sums[r].y, sums[r].z, sums[r].w};
#pragma unroll
                for (int j = 0; j < 4; j++) {
                    float a, b;
                    half2_unpack(words[j], a, b);
                    total += a + b;
                }
                const int my = top + y + r, mx = left + x;
                if (my < H && mx < W) ((half_bits*)out)[((long long)frame * H + my) * W + mx] = (half_bits)half2_pack(total, 0.0f);
            }
        }
    }
}
