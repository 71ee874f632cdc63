// Depth to space: block (dy, dx) of a pixel's channels becomes pixel (dy, dx) of a BLOCK x BLOCK square; 8 channels a thread.
// Constants: H, W, C (of the result), BLOCK.
#include "common.cuh"

KERNEL(256)
spread(const uint4* __restrict__ x, uint4* __restrict__ out, int frames) {
    const long long i = (long long)blockIdx.x * 256 + threadIdx.x;
    if (i >= (long long)frames * H * W * (C / 8)) return;
    const int group = i % (C / 8), px = i / (C / 8) % W, y = i / (C / 8) / W % H;
    const long long frame = i / (C / 8) / W / H, from = (frame * (H / BLOCK) + y / BLOCK) * (W / BLOCK) + px / BLOCK;
    out[i] = x[from * (C / 8) * BLOCK * BLOCK + (y % BLOCK * BLOCK + px % BLOCK) * (C / 8) + group];
}
