// out = act_out(act(gate * x @ weights + bias) + residual): a 1x1 convolution, rows straight from device memory.
//
// A warp makes MB x 16 rows by TILES x 8 columns; blockIdx.y counts groups of TILES columns.
// Constants: K, N (stored columns; the packed weights have a multiple of 8), TILES, MB, WARPS, GATE, MAP (rows that share
// a gate), RESIDUAL, ACT, ACT_OUT, OUT_FLOAT (float32 instead of half), X_FLOAT
// (x is float32 and enters as the sum of two halves; without gate).
#include "common.cuh"

KERNEL(WARPS * 32)
pointwise(const unsigned char* __restrict__ x, unsigned char* __restrict__ out, const unsigned char* __restrict__ residual,
          const uint2* __restrict__ weights, const float* __restrict__ bias, const float* __restrict__ gate, int rows) {
    const int lane = threadIdx.x & 31, warp = threadIdx.x >> 5, q = lane & 3, g = lane >> 2;
    const int first = (blockIdx.x * WARPS + warp) * MB * 16;
    constexpr int ALL_TILES = (N + 8 * TILES - 1) / (8 * TILES) * TILES;
    weights += blockIdx.y * TILES * 32 + lane;
    float acc[MB][TILES][4];
#pragma unroll
    for (int m = 0; m < MB; m++)
#pragma unroll
        for (int t = 0; t < TILES; t++)
#pragma unroll
            for (int j = 0; j < 4; j++) acc[m][t][j] = 0.0f;

#pragma unroll(TILES <= 2 ? 6 : 2)
    for (int k = 0; k < K; k += 32) {
        constexpr bool TAIL16 = K % 32 != 0 && K % 32 <= 16;
        const bool narrow = TAIL16 && k + 32 > K;  // a last group of 16 channels: 4 to a lane
        const int channel = k + (narrow ? q * 4 : q * 8);
        unsigned a[MB][2][4], rest[MB][2][4] = {};
#pragma unroll
        for (int m = 0; m < MB; m++)
#pragma unroll
            for (int side = 0; side < 2; side++) {
                const int row = first + m * 16 + g + side * 8;
                unsigned* v = a[m][side];
                v[0] = v[1] = v[2] = v[3] = 0u;
                if (X_FLOAT) {
                    if (row >= rows || channel >= K) continue;
                    const float4* from = (const float4*)x + ((long long)row * K + channel) / 4;
                    const float4 w0 = from[0];
                    v[0] = half2_split(w0.x, w0.y, rest[m][side][0]), v[1] = half2_split(w0.z, w0.w, rest[m][side][1]);
                    if (narrow) continue;
                    const float4 w1 = from[1];
                    v[2] = half2_split(w1.x, w1.y, rest[m][side][2]), v[3] = half2_split(w1.z, w1.w, rest[m][side][3]);
                } else if (row < rows && channel < K) {
                    const unsigned char* from = x + ((long long)row * K + channel) * 2;
                    if (narrow) {
                        const uint2 w = *(const uint2*)from;
                        v[0] = w.x, v[1] = w.y;
                    } else {
                        const uint4 w = *(const uint4*)from;
                        v[0] = w.x, v[1] = w.y, v[2] = w.z, v[3] = w.w;
                    }
                    if (GATE) {
                        const float* scale = gate + row / MAP * K + channel;
#pragma unroll
                        for (int j = 0; j < 4; j++)
                            if (j < 2 || !narrow) v[j] = half2_fma(v[j], half2_pack(scale[j * 2], scale[j * 2 + 1]), 0u);
                    }
                }
            }
#pragma unroll
        for (int s = 0; s < 2; s++) {
            if (s == 1 && narrow) break;
#pragma unroll
            for (int t = 0; t < TILES; t++) {
                const uint2 w = weights[((k / 16 + s) * ALL_TILES + t) * 32];
#pragma unroll
                for (int m = 0; m < MB; m++) {
                    mma(acc[m][t], a[m][0][s * 2], a[m][1][s * 2], a[m][0][s * 2 + 1], a[m][1][s * 2 + 1], w.x, w.y);
                    if (X_FLOAT) mma(acc[m][t], rest[m][0][s * 2], rest[m][1][s * 2], rest[m][0][s * 2 + 1], rest[m][1][s * 2 + 1], w.x, w.y);
                }
            }
        }
    }

#pragma unroll
    for (int m = 0; m < MB; m++)
#pragma unroll
        for (int side = 0; side < 2; side++) {
            const int row = first + m * 16 + g + side * 8;
            if (row >= rows) continue;
#pragma unroll
            for (int t = 0; t < TILES; t++) {
                const int column = blockIdx.y * TILES * 8 + group_channel<TILES>(t, q) + t % 4 * 2;
                float v[2];
#pragma unroll
                for (int j = 0; j < 2; j++) v[j] = activate<ACT>(acc[m][t][side * 2 + j] + bias[column + j]);
                const long long at = (long long)row * N + column;
                if (N % 2 == 0) {
                    if (column >= N) continue;
                    unsigned pair = half2_pack(v[0], v[1]);
                    if (RESIDUAL) {
                        pair = half2_add(pair, *(const unsigned*)(residual + at * 2));
                    }
                    pair = activate2<ACT_OUT>(pair);
                    if (OUT_FLOAT) {
                        ((float*)out)[at] = v[0];
                        ((float*)out)[at + 1] = v[1];
                    } else {
                        *(unsigned*)(out + at * 2) = pair;
                    }
                } else {
#pragma unroll
                    for (int j = 0; j < 2; j++)
                        if (column + j < N) {
                            if (OUT_FLOAT)
                                ((float*)out)[at + j] = v[j];
                            else
                                ((half_bits*)out)[at + j] = (half_bits)half2_pack(v[j], 0.0f);
                        }
                }
            }
        }
}
