// The mask decoder's last levels on 8 channels, all in shared memory:
//   x = bilinear_x2(low) [+ skip];  twice: x = act(x + dense(act(depthwise 3x3 (x))));  [mask = conv 3x3 (x), 1 channel]
//
// The weights here are large (up to 300) and their products cancel: in half precision the mask's edge moves by pixels. So
// everything between the input and the result is float32. A thread block makes TILE x TILE pixels; every step shrinks the
// halo by one. A pixel's channels 0-3 and 4-7 lie in two planes of 16 bytes a pixel, so that neighbours hit different banks.
//
// Constants: H, W (of the result), SKIP, LAST, ACT_DEPTHWISE, ACT_OUT, TILE.
// Weights, float32: of each of the two steps 9 taps and the bias of the depthwise step, 8 rows (input channel) and the bias
// of the dense matrix, 8 numbers each; then 9 taps and the bias of the last convolution.
#include "common.cuh"

#define THREADS 256
constexpr int HALO = 2 + LAST, SIDE = TILE + 2 * HALO, PLANE = SIDE * SIDE;
constexpr int TALL = 4;             // pixels below each other that a thread makes
constexpr int STEP = 19 * 2;        // float4 of a step's weights

DEVICE void fma4(float4& sum, const float4& v, const float4& w) { sum.x += v.x * w.x, sum.y += v.y * w.y, sum.z += v.z * w.z, sum.w += v.w * w.w; }
DEVICE void fma1(float4& sum, float v, const float4& w) { sum.x += v * w.x, sum.y += v * w.y, sum.z += v * w.z, sum.w += v * w.w; }
template <int ACTIVATION>
DEVICE float4 activate4(const float4& v) {
    return float4{activate<ACTIVATION>(v.x), activate<ACTIVATION>(v.y), activate<ACTIVATION>(v.z), activate<ACTIVATION>(v.w)};
}
DEVICE void mix(float4& low, float4& high, const uint4& v, float weight) {
    float4 a, b;
    half2_unpack(v.x, a.x, a.y), half2_unpack(v.y, a.z, a.w), half2_unpack(v.z, b.x, b.y), half2_unpack(v.w, b.z, b.w);
    fma1(low, weight, a), fma1(high, weight, b);
}

// sums[r] += taps * the 3 x 3 pixels around row r of a strip, four channels; `corner` is the pixel above and left of it.
DEVICE void depthwise(float4 (&sums)[TALL], const float4* corner, const float4* taps) {
#pragma unroll
    for (int kx = 0; kx < 3; kx++) {
        const float4 w[3] = {taps[kx * 2], taps[(3 + kx) * 2], taps[(6 + kx) * 2]};
#pragma unroll
        for (int row = 0; row < TALL + 2; row++) {
            const float4 v = corner[row * SIDE + kx];
#pragma unroll
            for (int ky = 0; ky < 3; ky++)
                if (row - ky >= 0 && row - ky < TALL) fma4(sums[row - ky], v, w[ky]);
        }
    }
}

KERNEL(THREADS)
refine(const uint4* __restrict__ low, const uint4* __restrict__ skip, const float4* __restrict__ given, unsigned char* __restrict__ out) {
    SHARED_BYTES(shared);
    float4* const pixels[2] = {(float4*)shared, (float4*)shared + 2 * PLANE};
    float4* const weights = (float4*)shared + 4 * PLANE;
    const int thread = threadIdx.x, frame = blockIdx.y;
    const int top = blockIdx.x / ((W + TILE - 1) / TILE) * TILE - HALO, left = blockIdx.x % ((W + TILE - 1) / TILE) * TILE - HALO;

    for (int i = thread; i < 2 * STEP + (LAST ? 20 : 0); i += THREADS) weights[i] = given[i];
    low += (long long)frame * (H / 2) * (W / 2);
    for (int i = thread; i < PLANE; i += THREADS) {
        const int y = top + i / SIDE, x = left + i % SIDE;
        float4 a = {0, 0, 0, 0}, b = {0, 0, 0, 0};
        if (y >= 0 && y < H && x >= 0 && x < W) {
            const int y1 = y / 2, y0 = y % 2 ? (y1 + 1 < H / 2 ? y1 + 1 : y1) : (y1 > 0 ? y1 - 1 : 0);
            const int x1 = x / 2, x0 = x % 2 ? (x1 + 1 < W / 2 ? x1 + 1 : x1) : (x1 > 0 ? x1 - 1 : 0);
            if (SKIP) mix(a, b, skip[((long long)frame * H + y) * W + x], 1.0f);
            mix(a, b, low[y0 * (W / 2) + x0], 0.0625f), mix(a, b, low[y0 * (W / 2) + x1], 0.1875f);
            mix(a, b, low[y1 * (W / 2) + x0], 0.1875f), mix(a, b, low[y1 * (W / 2) + x1], 0.5625f);
        }
        pixels[0][i] = a, pixels[0][PLANE + i] = b;
    }
    __syncthreads();

    for (int step = 0; step < 2; step++) {
        const float4* const from = pixels[step];
        float4* const to = pixels[1 - step];
        const float4* const w = weights + step * STEP;
        const int edge = step + 1, side = SIDE - 2 * edge;
        for (int i = thread; i < side * ((side + TALL - 1) / TALL); i += THREADS) {
            // The last strip reaches up over its neighbour, so that all strips are whole.
            const int x = edge + i % side, strip = i / side * TALL, y = edge + (strip + TALL <= side ? strip : side - TALL);
            float4 made[TALL][2];
#pragma unroll
            for (int r = 0; r < TALL; r++) made[r][0] = w[36], made[r][1] = w[37];
#pragma unroll
            for (int half = 0; half < 2; half++) {
                float4 sums[TALL];
#pragma unroll
                for (int r = 0; r < TALL; r++) sums[r] = w[18 + half];
                depthwise(sums, from + half * PLANE + (y - 1) * SIDE + x - 1, w + half);
#pragma unroll
                for (int r = 0; r < TALL; r++) sums[r] = activate4<ACT_DEPTHWISE>(sums[r]);
#pragma unroll
                for (int c = 0; c < 4; c++) {
                    const float4 d0 = w[20 + (half * 4 + c) * 2], d1 = w[21 + (half * 4 + c) * 2];
#pragma unroll
                    for (int r = 0; r < TALL; r++) {
                        const float v = c == 0 ? sums[r].x : c == 1 ? sums[r].y : c == 2 ? sums[r].z : sums[r].w;
                        fma1(made[r][0], v, d0), fma1(made[r][1], v, d1);
                    }
                }
            }
#pragma unroll
            for (int r = 0; r < TALL; r++) {
                const int at = (y + r) * SIDE + x, my = top + y + r, mx = left + x;
                const bool inside = my >= 0 && my < H && mx >= 0 && mx < W;
                fma1(made[r][0], 1.0f, from[at]), fma1(made[r][1], 1.0f, from[PLANE + at]);
                const float4 a = activate4<ACT_OUT>(made[r][0]), b = activate4<ACT_OUT>(made[r][1]), nothing = {0, 0, 0, 0};
                if (!LAST && step == 1) {
                    if (inside)
                        ((uint4*)out)[((long long)frame * H + my) * W + mx] =
                            make_uint4(half2_pack(a.x, a.y), half2_pack(a.z, a.w), half2_pack(b.x, b.y), half2_pack(b.z, b.w));
                } else {
                    to[at] = inside ? a : nothing, to[PLANE + at] = inside ? b : nothing;
                }
            }
        }
        __syncthreads();
    }

    if (LAST) {
        const float4* const taps = weights + 2 * STEP;
        for (int i = thread; i < TILE * TILE / TALL; i += THREADS) {
            const int x = HALO + i % TILE, y = HALO + i / TILE * TALL;
            float4 sums[TALL];
#pragma unroll
            for (int r = 0; r < TALL; r++) sums[r] = taps[18];
            depthwise(sums, pixels[0] + (y - 1) * SIDE + x - 1, taps);
            depthwise(sums, pixels[0] + PLANE + (y - 1) * SIDE + x - 1, taps + 1);
#pragma unroll
            for (int r = 0; r < TALL; r++) {
                const int my = top + y + r, mx = left + x;
                const float total = (sums[r].x + sums[r].y) + (sums[r].z + sums[r].w);
                if (my < H && mx < W) ((half_bits*)out)[((long long)frame * H + my) * W + mx] = (half_bits)half2_pack(total, 0.0f);
            }
        }
    }
}
