// The landmark head: separable residual layers on the smallest maps, one thread block a picture, nothing leaves the chip.
//
//   x = relu6(dense(relu6(depthwise 3x3 (x))) + x)              with stride 2 the last x is max_pool 2x2 (x)
//
// Rounding here goes straight into the coordinates, so the map stays in float32 and the product's left factor is the sum
// of two halves. Weights are halves in the file and lose nothing.
// Constants: C (a multiple of 32), H, W (map before the first layer; all later ones have at most 16 pixels), LAYERS,
// STRIDED (bit i: layer i has stride 2), WARPS, X_FLOAT (the input is float32 instead of half).
#include "common.cuh"

#define THREADS (WARPS * 32)
constexpr int TILES = C / 8, MINE = (TILES + WARPS - 1) / WARPS, ROW = C * 2 + 16;
constexpr int TAPS = 10 * C;                 // floats: 9 taps and the bias of the depthwise step
constexpr int WORDS = C / 32 * TILES * 32;   // 16-byte words of a layer's packed dense weights

KERNEL(THREADS)
tower(const unsigned char* __restrict__ input, const float* __restrict__ taps, const uint4* __restrict__ dense, const float* __restrict__ bias,
      float* __restrict__ out) {
    SHARED_BYTES(shared);
    unsigned char* const high = shared;               // 16 rows of the depthwise result, rounded to half
    unsigned char* const low = high + 16 * ROW;       // and what rounding took
    float* x = (float*)(low + 16 * ROW);              // the map
    float* y = x + H * W * C;                         // the next one
    const int thread = threadIdx.x, lane = thread & 31, warp = thread >> 5, q = lane & 3, g = lane >> 2;

    const long long first = (long long)blockIdx.x * H * W * C;
    for (int i = thread; X_FLOAT && i < H * W * C / 4; i += THREADS) ((float4*)x)[i] = ((const float4*)input)[first / 4 + i];
    for (int i = thread; !X_FLOAT && i < H * W * C / 8; i += THREADS) {
        const uint4 v = ((const uint4*)input)[first / 8 + i];
        half2_unpack(v.x, x[i * 8], x[i * 8 + 1]), half2_unpack(v.y, x[i * 8 + 2], x[i * 8 + 3]);
        half2_unpack(v.z, x[i * 8 + 4], x[i * 8 + 5]), half2_unpack(v.w, x[i * 8 + 6], x[i * 8 + 7]);
    }
    for (int i = thread; i < 2 * 16 * ROW / 16; i += THREADS) ((uint4*)high)[i] = make_uint4(0, 0, 0, 0);
    __syncthreads();

    int h = H, w = W;
    for (int layer = 0; layer < LAYERS; layer++) {
        const int stride = STRIDED >> layer & 1 ? 2 : 1, before = 2 - stride, oh = h / stride, ow = w / stride;
        for (int i = thread; i < oh * ow * (C / 2); i += THREADS) {
            const int c = i % (C / 2) * 2, px = i / (C / 2) % ow, py = i / (C / 2) / ow;
            float2 sum = *(const float2*)(taps + 9 * C + c);
#pragma unroll
            for (int k = 0; k < 9; k++) {
                const int iy = py * stride - before + k / 3, ix = px * stride - before + k % 3;
                if (iy < 0 || iy >= h || ix < 0 || ix >= w) continue;
                const float2 v = *(const float2*)(x + (iy * w + ix) * C + c), t = *(const float2*)(taps + k * C + c);
                sum.x += v.x * t.x, sum.y += v.y * t.y;
            }
            sum.x = activate<RELU6>(sum.x), sum.y = activate<RELU6>(sum.y);
            const unsigned rounded = half2_pack(sum.x, sum.y);
            float a, b;
            half2_unpack(rounded, a, b);
            *(unsigned*)(high + (py * ow + px) * ROW + c * 2) = rounded;
            *(unsigned*)(low + (py * ow + px) * ROW + c * 2) = half2_pack(sum.x - a, sum.y - b);
        }
        __syncthreads();

        float acc[MINE][4];
#pragma unroll
        for (int m = 0; m < MINE; m++) acc[m][0] = acc[m][1] = acc[m][2] = acc[m][3] = 0.0f;
#pragma unroll 3
        for (int k = 0; k < C / 32; k++) {
            const int at = k * 64 + q * 16;
            const uint4 hu = *(const uint4*)(high + g * ROW + at), hl = *(const uint4*)(high + (g + 8) * ROW + at);
            const uint4 lu = *(const uint4*)(low + g * ROW + at), ll = *(const uint4*)(low + (g + 8) * ROW + at);
#pragma unroll
            for (int m = 0; m < MINE; m++) {
                const int tile = warp + m * WARPS;
                if (TILES % WARPS && tile >= TILES) break;
                const uint4 b = dense[(k * TILES + tile) * 32 + lane];
                mma(acc[m], hu.x, hl.x, hu.y, hl.y, b.x, b.y);
                mma(acc[m], hu.z, hl.z, hu.w, hl.w, b.z, b.w);
                mma(acc[m], lu.x, ll.x, lu.y, ll.y, b.x, b.y);
                mma(acc[m], lu.z, ll.z, lu.w, ll.w, b.z, b.w);
            }
        }
#pragma unroll
        for (int m = 0; m < MINE; m++)
#pragma unroll
            for (int j = 0; j < 4; j++) {
                const int tile = warp + m * WARPS, pixel = g + j / 2 * 8, c = tile * 8 + q * 2 + j % 2;
                if (tile >= TILES || pixel >= oh * ow) continue;
                const int py = pixel / ow, px = pixel % ow;
                float skip = x[pixel * C + c];
                if (stride == 2) {
                    const float* corner = x + (py * 2 * w + px * 2) * C + c;
                    skip = fmaxf(fmaxf(corner[0], corner[C]), fmaxf(corner[w * C], corner[w * C + C]));
                }
                y[pixel * C + c] = activate<RELU6>(acc[m][j] + bias[c] + skip);
            }
        __syncthreads();
        float* const swap = x;
        x = y, y = swap;
        h = oh, w = ow;
        taps += TAPS, dense += WORDS, bias += C;
    }
    for (int i = thread; i < h * w * C; i += THREADS) out[(long long)blockIdx.x * h * w * C + i] = x[i];
}
