// out = act(bilinear_x2(low)) + gate * skip, pixel centres at one half, edges replicated; 16 bytes of channels a thread.
//
// Constants: H, W (of out), C, SKIP, GATE, ACT, PRECISE (values are float32 instead of half).
#include "common.cuh"

constexpr int LANES = PRECISE ? 4 : 8;

// Numbers of vector `i`.
DEVICE void load(float (&v)[LANES], const unsigned char* from, long long i) {
#if PRECISE
    const float4 w = ((const float4*)from)[i];
    v[0] = w.x, v[1] = w.y, v[2] = w.z, v[3] = w.w;
#else
    const uint4 w = ((const uint4*)from)[i];
    half2_unpack(w.x, v[0], v[1]), half2_unpack(w.y, v[2], v[3]), half2_unpack(w.z, v[4], v[5]), half2_unpack(w.w, v[6], v[7]);
#endif
}

DEVICE void mix(float (&sum)[LANES], const unsigned char* from, long long i, float weight) {
    float v[LANES];
    load(v, from, i);
#pragma unroll
    for (int j = 0; j < LANES; j++) sum[j] += v[j] * weight;
}

KERNEL(256)
upsample(const unsigned char* __restrict__ low, const unsigned char* __restrict__ skip, const float* __restrict__ gate,
         unsigned char* __restrict__ out, int frames) {
    constexpr int VECTORS = C / LANES;
    const long long i = (long long)blockIdx.x * 256 + threadIdx.x;
    if (i >= (long long)frames * H * W * VECTORS) return;
    const int vector = i % VECTORS, x = i / VECTORS % W, y = i / VECTORS / W % H, frame = i / VECTORS / W / H;
    // Output pixel 2k lies at low pixel k - 1/4, 2k + 1 at k + 1/4.
    const int y1 = y / 2, y0 = y % 2 ? (y1 + 1 < H / 2 ? y1 + 1 : y1) : (y1 > 0 ? y1 - 1 : 0);
    const int x1 = x / 2, x0 = x % 2 ? (x1 + 1 < W / 2 ? x1 + 1 : x1) : (x1 > 0 ? x1 - 1 : 0);
    const long long from = (long long)frame * (H / 2) * (W / 2) * VECTORS + vector;
    float sum[LANES] = {};
    mix(sum, low, from + (y0 * (W / 2) + x0) * VECTORS, 0.0625f);
    mix(sum, low, from + (y0 * (W / 2) + x1) * VECTORS, 0.1875f);
    mix(sum, low, from + (y1 * (W / 2) + x0) * VECTORS, 0.1875f);
    mix(sum, low, from + (y1 * (W / 2) + x1) * VECTORS, 0.5625f);
#pragma unroll
    for (int j = 0; j < LANES; j++) sum[j] = activate<ACT>(sum[j]);
    if (SKIP) {
        float v[LANES];
        load(v, skip, i);
#pragma unroll
        for (int j = 0; j < LANES; j++) sum[j] += GATE ? v[j] * gate[(long long)frame * C + vector * LANES + j] : v[j];
    }
#if PRECISE
    ((float4*)out)[i] = float4{sum[0], sum[1], sum[2], sum[3]};
#else
    ((uint4*)out)[i] = make_uint4(half2_pack(sum[0], sum[1]), half2_pack(sum[2], sum[3]), half2_pack(sum[4], sum[5]), half2_pack(sum[6], sum[7]));
#endif
}
