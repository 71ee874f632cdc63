// out = act(bilinear_x2(low)) + gate * skip, pixel centres at one half, edges replicated; 8 channels a thread.
//
// Constants: H, W (of out), C, SKIP, GATE, ACT.
#include "common.cuh"

DEVICE void mix(float (&sum)[8], const unsigned char* at, float weight) {
    const uint4 v = *(const uint4*)at;
    const unsigned words[4] = {v.x, v.y, v.z, v.w};
#pragma unroll
    for (int j = 0; j < 4; j++) {
        float a, b;
        half2_unpack(words[j], a, b);
        sum[j * 2] += a * weight, sum[j * 2 + 1] += b * weight;
    }
}

KERNEL(256)
upsample(const unsigned char* __restrict__ low, const unsigned char* __restrict__ skip, const float* __restrict__ gate,
         unsigned char* __restrict__ out, int frames) {
    const long long i = (long long)blockIdx.x * 256 + threadIdx.x;
    if (i >= (long long)frames * H * W * (C / 8)) return;
    const int group = i % (C / 8), x = i / (C / 8) % W, y = i / (C / 8) / W % H, frame = i / (C / 8) / W / H;
    // Output pixel 2k lies at low pixel k - 1/4, 2k + 1 at k + 1/4.
    const int y1 = y / 2, y0 = y % 2 ? (y1 + 1 < H / 2 ? y1 + 1 : y1) : (y1 > 0 ? y1 - 1 : 0);
    const int x1 = x / 2, x0 = x % 2 ? (x1 + 1 < W / 2 ? x1 + 1 : x1) : (x1 > 0 ? x1 - 1 : 0);
    const unsigned char* from = low + ((long long)frame * (H / 2) * (W / 2) * C + group * 8) * 2;
    float sum[8] = {0, 0, 0, 0, 0, 0, 0, 0};
    mix(sum, from + (y0 * (W / 2) + x0) * C * 2, 0.0625f);
    mix(sum, from + (y0 * (W / 2) + x1) * C * 2, 0.1875f);
    mix(sum, from + (y1 * (W / 2) + x0) * C * 2, 0.1875f);
    mix(sum, from + (y1 * (W / 2) + x1) * C * 2, 0.5625f);
#pragma unroll
    for (int j = 0; j < 8; j++) sum[j] = activate<ACT>(sum[j]);
    if (SKIP) {
        const uint4 v = *(const uint4*)(skip + i * 16);
        const unsigned words[4] = {v.x, v.y, v.z, v.w};
#pragma unroll
        for (int j = 0; j < 4; j++) {
            float a, b;
            half2_unpack(words[j], a, b);
            const float* scale = gate + (long long)frame * C + group * 8 + j * 2;
            sum[j * 2] += GATE ? a * scale[0] : a, sum[j * 2 + 1] += GATE ? b * scale[1] : b;
        }
    }
    *(uint4*)(out + i * 16) = make_uint4(half2_pack(sum[0], sum[1]), half2_pack(sum[2], sum[3]), half2_pack(sum[4], sum[5]), half2_pack(sum[6], sum[7]));
}
