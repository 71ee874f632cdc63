// The first convolution alone: 3x3, stride 2, from a picture of 4 channels (the last one zero).
//
// A warp makes 16 pixels of a row. Constants: IH, IW (picture), OH, OW (OW a multiple of 16), TOP, LEFT (padding before),
// TILES (output channels / 8), ACT.
#include "common.cuh"

KERNEL(256)
stem(const uint2* __restrict__ picture, unsigned char* __restrict__ out, const uint2* __restrict__ weights, const float* __restrict__ bias, int frames) {
    const int lane = threadIdx.x & 31, q = lane & 3, g = lane >> 2;
    const long long tile = (long long)blockIdx.x * 8 + (threadIdx.x >> 5);
    if (tile >= (long long)frames * OH * (OW / 16)) return;
    const int px = tile % (OW / 16) * 16, y = tile / (OW / 16) % OH, frame = tile / (OW / 16) / OH;
    float acc[TILES][4];
#pragma unroll
    for (int t = 0; t < TILES; t++) acc[t][0] = acc[t][1] = acc[t][2] = acc[t][3] = 0.0f;
#pragma unroll
    for (int k = 0; k < 3; k++) {
        const int row = 2 * y - TOP + k;
        unsigned a[2][2];
#pragma unroll
        for (int side = 0; side < 2; side++)
#pragma unroll
            for (int half = 0; half < 2; half++) {
                // Of a row's 4 pixels (the fourth has weight zero) lane q holds channels 2 (q % 2) ... of pixel q / 2 + 2 half.
                const int column = 2 * (px + g + side * 8) - LEFT + q / 2 + half * 2;
                const bool inside = row >= 0 && row < IH && column >= 0 && column < IW;
                a[side][half] = inside ? ((const unsigned*)(picture + ((long long)frame * IH + row) * IW + column))[q & 1] : 0u;
            }
#pragma unroll
        for (int t = 0; t < TILES; t++) {
            const uint2 w = weights[(k * TILES + t) * 32 + lane];
            mma(acc[t], a[0][0], a[1][0], a[0][1], a[1][1], w.x, w.y);
        }
    }
#pragma unroll
    for (int side = 0; side < 2; side++)
#pragma unroll
        for (int t = 0; t < TILES; t++) {
            const int channel = group_channel<TILES>(t, q) + t % 4 * 2;
            const float a = activate<ACT>(acc[t][side * 2] + bias[channel]), b = activate<ACT>(acc[t][side * 2 + 1] + bias[channel + 1]);
            *(unsigned*)(out + ((((long long)frame * OH + y) * OW + px + g + side * 8) * TILES * 8 + channel) * 2) = half2_pack(a, b);
        }
}
