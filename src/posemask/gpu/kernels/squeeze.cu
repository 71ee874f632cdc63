// Mean over a map, then one or two small dense layers and a sigmoid: the gate of a squeeze-and-excite step. One thread
// block a frame.
//   gate = sigmoid([excite @ relu](squeeze @ mean(x [+ low enlarged 2x])))
//
// Constants: H, W, C, LOW (add bilinear_x2(low)), SQUEEZED, EXCITED (0: only the first layer), THREADS.
#include "common.cuh"

KERNEL(THREADS)
squeeze(const unsigned char* __restrict__ x, const unsigned char* __restrict__ low, const float* __restrict__ w_squeeze,
        const float* __restrict__ b_squeeze, const float* __restrict__ w_excite, const float* __restrict__ b_excite, float* __restrict__ gate) {
    SHARED_BYTES(shared);
    float* const sums = (float*)shared;
    float* const squeezed = sums + C;
    const int thread = threadIdx.x;
    for (int c = thread; c < C; c += THREADS) sums[c] = 0.0f;
    __syncthreads();
    constexpr int GROUPS = C / 8, PARTS = THREADS / GROUPS;
    const int group = thread % GROUPS, part = thread / GROUPS;
    if (part < PARTS) {
        float s[8] = {0, 0, 0, 0, 0, 0, 0, 0};
        const uint4* from = (const uint4*)x + (long long)blockIdx.x * H * W * GROUPS + group;
#pragma unroll 4
        for (int i = part; i < H * W; i += PARTS) {
            const uint4 v = from[i * GROUPS];
            const unsigned words[4] = {v.x, v.y, v.z, v.w};
#pragma unroll
            for (int j = 0; j < 4; j++) {
                float a, b;
                half2_unpack(words[j], a, b);
                s[j * 2] += a, s[j * 2 + 1] += b;
            }
        }
        if (LOW) {
            // Enlarging 2x with half-pixel centres and replicated edges gives every low pixel the total weight 4.
            from = (const uint4*)low + (long long)blockIdx.x * (H / 2) * (W / 2) * GROUPS + group;
#pragma unroll 4
            for (int i = part; i < H / 2 * (W / 2); i += PARTS) {
                const uint4 v = from[i * GROUPS];
                const unsigned words[4] = {v.x, v.y, v.z, v.w};
#pragma unroll
                for (int j = 0; j < 4; j++) {
                    float a, b;
                    half2_unpack(words[j], a, b);
                    s[j * 2] += a * 4.0f, s[j * 2 + 1] += b * 4.0f;
                }
            }
        }
#pragma unroll
        for (int j = 0; j < 8; j++) {
            // Lanes of a warp that hold the same channels are GROUPS apart where GROUPS divides the warp.
            if (32 % GROUPS == 0)
                for (int step = GROUPS; step < 32; step *= 2) s[j] += __shfl_xor_sync(0xffffffffu, s[j], step);
            if (32 % GROUPS != 0 || thread % 32 < GROUPS) atomicAdd(sums + group * 8 + j, s[j]);
        }
    }
    __syncthreads();
    for (int o = thread; o < SQUEEZED; o += THREADS) {
        float s = 0.0f;
#pragma unroll 8
        for (int c = 0; c < C; c++) s += sums[c] * w_squeeze[c * SQUEEZED + o];
        s = s * (1.0f / (H * W)) + b_squeeze[o];
        if (EXCITED)
            squeezed[o] = fmaxf(s, 0.0f);
        else
            gate[(long long)blockIdx.x * SQUEEZED + o] = activate<SIGMOID>(s);
    }
    if (!EXCITED) return;
    __syncthreads();
    for (int c = thread; c < EXCITED; c += THREADS) {
        float s = b_excite[c];
#pragma unroll 8
        for (int o = 0; o < SQUEEZED; o++) s += squeezed[o] * w_excite[o * EXCITED + c];
        gate[(long long)blockIdx.x * EXCITED + c] = activate<SIGMOID>(s);
    }
}
