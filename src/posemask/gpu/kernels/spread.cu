// Depth to space: block (dy, dx) of a pixel's channels becomes pixel (dy, dx) of a BLOCK x BLOCK square; 16
// bytes of channels a thread. Constants: H, W (of the result), VECTORS (of 16 bytes, of the result's pixel), BLOCK.
#include "common.cuh"

KERNEL(256)
spread(const uint4* __restrict__ x, uint4* __restrict__ out, int frames) {
    const long long i = (long long)blockIdx.x * 256 + threadIdx.x;
    if (i >= (long long)frames * H * W * VECTORS) return;
    const int vector = i % VECTORS, px = i / VECTORS % W, y = i / VECTORS / W % H;
    const long long frame = i / VECTORS / W / H, from = (frame * (H / BLOCK) + y / BLOCK) * (W / BLOCK) + px / BLOCK;
    out[i] = x[from * VECTORS * BLOCK * BLOCK + (y % BLOCK * BLOCK + px % BLOCK) * VECTORS + vector];
}
