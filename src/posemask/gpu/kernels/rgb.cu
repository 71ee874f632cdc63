// Pictures of one table as RGB pictures of another: what a decoder gives, in colours that networks were trained on.
// One thread a pixel, blockIdx.y the row of both tables.
#include "pictures.cuh"

KERNEL(256)
rgb(const long long* __restrict__ table, const long long* __restrict__ outputs) {
    const Picture p = picture_of(table, blockIdx.y), o = picture_of(outputs, blockIdx.y);
    const int i = blockIdx.x * 256 + threadIdx.x;
    if (i >= p.height * p.width) return;
    const int x = i % p.width, y = i / p.width;
    int value[3];
    rgb_at(p, y, x, value);
    unsigned char* to = (unsigned char*)o.pixels + y * o.pitch + x * 3;
    to[0] = value[0], to[1] = value[1], to[2] = value[2];
}
