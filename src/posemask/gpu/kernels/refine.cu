// The mask decoder's last levels on 8 channels, all in shared memory:
//   x = bilinear_x2(low) [+ skip];  twice: x = act(x + dense(act(depthwise 3x3 (x))));  [mask = conv 3x3 (x), 1 channel]
//
// The weights here are large (up to 300) and their products cancel: in half precision the mask's edge moves by pixels. So
// everything between the input and the result is float32. A thread block makes TILE x TILE pixels; every step shrinks the
// halo by one. A pixel's channels 0-3 and 4-7 lie in two planes of 16 bytes a pixel, so that neighbours hit different banks.
// A thread makes TALL pixels below each other of what it reads.
//
// Where both activations are a clip to [0, 6], all values are kept a sixth as large: a clip to [0, 1] costs no instruction.
// Biases come divided and the last taps multiplied by SCALE, 6 or else 1.
//
// Constants: H, W (of the result), SKIP, LAST, ACT_DEPTHWISE, ACT_OUT, TILE, TALL (divides TILE), THREADS, SCALE, X_FLOAT, OUT_FLOAT
// (input and skip, result are float32 instead of half).
// GIVEN: the weights, which the multiplications then take from constant memory. Float32: of each of the two steps 9 taps and the bias of the depthwise step, 8 rows (input channel) and the bias
// of the dense matrix, 8 numbers each; then 9 taps and the bias of the last convolution.
#include "common.cuh"

constexpr int HALO = 2 + LAST, SIDE = TILE + 2 * HALO, PLANE = SIDE * SIDE;
constexpr int STEP = 19 * 2;  // float4 of a step's weights
__constant__ float4 weights[] = {GIVEN};
constexpr int LOW = SIDE / 2 + 3, LOW_PLANE = LOW * LOW;  // the part of the input that a tile enlarges

template <int ACTIVATION>
DEVICE float4 clipped(const float4& v) {
    if (SCALE == 1) return vector_activate<ACTIVATION>(v);
    return float4{__saturatef(v.x), __saturatef(v.y), __saturatef(v.z), __saturatef(v.w)};
}

DEVICE void fma1(float4& sum, float v, const float4& w) { sum.x += v * w.x, sum.y += v * w.y, sum.z += v * w.z, sum.w += v * w.w; }

// A pixel's channels 0-3 and 4-7.
DEVICE void load(float4& first, float4& second, const unsigned char* from, long long pixel) {
#if X_FLOAT
    first = ((const float4*)from)[pixel * 2], second = ((const float4*)from)[pixel * 2 + 1];
#else
    const uint4 v = ((const uint4*)from)[pixel];
    half2_unpack(v.x, first.x, first.y), half2_unpack(v.y, first.z, first.w);
    half2_unpack(v.z, second.x, second.y), half2_unpack(v.w, second.z, second.w);
#endif
}

// sums[r] += taps * the 3 x 3 pixels around row r of a strip, four channels; `corner` is the pixel above and left of it. The
// pixel itself is added to centre[r][plane] if CENTRE.
template <bool CENTRE>
DEVICE void depthwise(float4 (&sums)[TALL], const float4* corner, const float4* taps, float4 (&centre)[TALL][2], int plane) {
#pragma unroll
    for (int kx = 0; kx < 3; kx++) {
#pragma unroll
        for (int row = 0; row < TALL + 2; row++) {
            const float4 v = corner[row * SIDE + kx];
#pragma unroll
            for (int ky = 0; ky < 3; ky++)
                if (row - ky >= 0 && row - ky < TALL) vector_fma(sums[row - ky], v, taps[(ky * 3 + kx) * 2]);
            if (CENTRE && kx == 1 && row >= 1 && row <= TALL) vector_add(centre[row - 1][plane], v);
        }
    }
}

KERNEL(THREADS)
refine(const unsigned char* __restrict__ low, const unsigned char* __restrict__ skip, unsigned char* __restrict__ out) {
    SHARED_BYTES(shared);
    float4* const pixels[2] = {(float4*)shared, (float4*)shared + 2 * PLANE};
    const int thread = threadIdx.x, frame = blockIdx.y;
    const int top = blockIdx.x / ((W + TILE - 1) / TILE) * TILE - HALO, left = blockIdx.x % ((W + TILE - 1) / TILE) * TILE - HALO;

    // The input first lies where the first step's result will.
    float4* const lows = pixels[1];
    constexpr float PART = 1.0f / SCALE;
    const int low_top = (top >> 1) - 1, low_left = (left >> 1) - 1;
#pragma unroll 2
    for (int i = thread; i < LOW_PLANE; i += THREADS) {
        const int y = low_top + i / LOW, x = low_left + i % LOW;
        float4 a = {0, 0, 0, 0}, b = {0, 0, 0, 0};
        if (y >= 0 && y < H / 2 && x >= 0 && x < W / 2) load(a, b, low, ((long long)frame * (H / 2) + y) * (W / 2) + x);
        lows[i] = a, lows[LOW_PLANE + i] = b;
    }
    __syncthreads();
#pragma unroll 2
    for (int i = thread; i < PLANE; i += THREADS) {
        const int y = top + i / SIDE, x = left + i % SIDE;
        float4 a = {0, 0, 0, 0}, b = {0, 0, 0, 0};
        if (y >= 0 && y < H && x >= 0 && x < W) {
            if (SKIP) {
                float4 c, d;
                load(c, d, skip, ((long long)frame * H + y) * W + x);
                fma1(a, PART, c), fma1(b, PART, d);
            }
            const int y1 = y / 2, y0 = y % 2 ? (y1 + 1 < H / 2 ? y1 + 1 : y1) : (y1 > 0 ? y1 - 1 : 0);
            const int x1 = x / 2, x0 = x % 2 ? (x1 + 1 < W / 2 ? x1 + 1 : x1) : (x1 > 0 ? x1 - 1 : 0);
            const float4 *near = lows + (y1 - low_top) * LOW - low_left, *far = lows + (y0 - low_top) * LOW - low_left;
            fma1(a, 0.0625f * PART, far[x0]), fma1(a, 0.1875f * PART, far[x1]), fma1(a, 0.1875f * PART, near[x0]), fma1(a, 0.5625f * PART, near[x1]);
            near += LOW_PLANE, far += LOW_PLANE;
            fma1(b, 0.0625f * PART, far[x0]), fma1(b, 0.1875f * PART, far[x1]), fma1(b, 0.1875f * PART, near[x0]), fma1(b, 0.5625f * PART, near[x1]);
        }
        pixels[0][i] = a, pixels[0][PLANE + i] = b;
    }
    __syncthreads();

#pragma unroll
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
            for (int plane = 0; plane < 2; plane++) {
                float4 sums[TALL];
#pragma unroll
                for (int r = 0; r < TALL; r++) sums[r] = w[18 + plane];
                depthwise<true>(sums, from + plane * PLANE + (y - 1) * SIDE + x - 1, w + plane, made, plane);
#pragma unroll
                for (int r = 0; r < TALL; r++) sums[r] = clipped<ACT_DEPTHWISE>(sums[r]);
#pragma unroll
                for (int c = 0; c < 4; c++) {
#pragma unroll
                    for (int r = 0; r < TALL; r++) {
                        const float v = c == 0 ? sums[r].x : c == 1 ? sums[r].y : c == 2 ? sums[r].z : sums[r].w;
                        fma1(made[r][0], v, w[20 + (plane * 4 + c) * 2]), fma1(made[r][1], v, w[21 + (plane * 4 + c) * 2]);
                    }
                }
            }
#pragma unroll
            for (int r = 0; r < TALL; r++) {
                const int at = (y + r) * SIDE + x, my = top + y + r, mx = left + x;
                const bool inside = my >= 0 && my < H && mx >= 0 && mx < W;
                float4 a = clipped<ACT_OUT>(made[r][0]), b = clipped<ACT_OUT>(made[r][1]);
                const float4 nothing = {0, 0, 0, 0};
                if (!LAST && step == 1) {
                    if (!inside) continue;
                    a.x *= SCALE, a.y *= SCALE, a.z *= SCALE, a.w *= SCALE, b.x *= SCALE, b.y *= SCALE, b.z *= SCALE, b.w *= SCALE;
                    const long long pixel = ((long long)frame * H + my) * W + mx;
                    if (OUT_FLOAT)
                        ((float4*)out)[pixel * 2] = a, ((float4*)out)[pixel * 2 + 1] = b;
                    else
                        ((uint4*)out)[pixel] = make_uint4(half2_pack(a.x, a.y), half2_pack(a.z, a.w), half2_pack(b.x, b.y), half2_pack(b.z, b.w));
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
            float4 sums[TALL], unused[TALL][2];
#pragma unroll
            for (int r = 0; r < TALL; r++) sums[r] = taps[18];
            depthwise<false>(sums, pixels[0] + (y - 1) * SIDE + x - 1, taps, unused, 0);
            depthwise<false>(sums, pixels[0] + PLANE + (y - 1) * SIDE + x - 1, taps + 1, unused, 1);
#pragma unroll
            for (int r = 0; r < TALL; r++) {
                const int my = top + y + r, mx = left + x;
                const float total = (sums[r].x + sums[r].y) + (sums[r].z + sums[r].w);
                if (my >= H || mx >= W) continue;
                const long long pixel = ((long long)frame * H + my) * W + mx;
                if (OUT_FLOAT)
                    ((float*)out)[pixel] = total;
                else
                    ((half_bits*)out)[pixel] = (half_bits)half2_pack(total, 0.0f);
            }
        }
    }
}
