// Turned, scaled crops with the reference's fixed-point sampling (csrc/pixels/crop.cpp): coordinates rounded to 1/32 pixel,
// whole-number weights, values rounded to 8 bits; then value * scale + offset.
//
// One thread a crop pixel, blockIdx.y the crop; `rows` says which picture of the table a crop is of.
// Constants: CROP_H, CROP_W, REPLICATE; KIND of output: 0 uint8 x 3, 1 float32 x 3, 2 half x 4 (the fourth is zero).
// scale and offset arrive as the bits of float32.
#include "pictures.cuh"

DEVICE int tap_weight(int coordinate, int tap) {
    const int distance = coordinate > 32 * tap ? coordinate - 32 * tap : 32 * tap - coordinate;
    return distance > 32 ? 0 : 32 - distance;
}

DEVICE int round_coordinate(double v) {
    v = v < -1073741824.0 ? -1073741824.0 : v > 1073741824.0 ? 1073741824.0 : v;
    return __double2int_rn(v);
}

KERNEL(256)
crop(const long long* __restrict__ table, const int* __restrict__ rows, const double* __restrict__ matrices, unsigned char* __restrict__ out,
     unsigned scale_bits, unsigned offset_bits) {
    const int i = blockIdx.x * 256 + threadIdx.x, n = blockIdx.y;
    if (i >= CROP_H * CROP_W) return;
    const Picture p = picture_of(table, rows[n]);
    const double* m = matrices + n * 9;
    constexpr int BLOCK_H = CROP_H < 16 ? CROP_H : 16, BLOCK_W = 1024 / BLOCK_H < CROP_W ? 1024 / BLOCK_H : CROP_W;
    const int u = i % CROP_W, v = i / CROP_W, block = u / BLOCK_W * BLOCK_W, along = u - block;
    const double x = (m[0] * block + m[1] * v + m[2]) + m[0] * along;
    const double y = (m[3] * block + m[4] * v + m[5]) + m[3] * along;
    const double w = (m[6] * block + m[7] * v + m[8]) + m[6] * along;
    const double per = w != 0 ? 32.0 / w : 0.0;
    int sx = round_coordinate(x * per), sy = round_coordinate(y * per);
    if (REPLICATE) sx = clamp_int(sx, 0, 32 * (p.width - 1)), sy = clamp_int(sy, 0, 32 * (p.height - 1));
    // A picture of one column or row has no second one to read.
    const bool wide = p.width > 1, high = p.height > 1;
    const int tx = wide ? clamp_int(sx >> 5, 0, p.width - 2) : 0, next_x = tx + wide;
    const int ty = high ? clamp_int(sy >> 5, 0, p.height - 2) : 0, next_y = ty + high;
    const int left = tap_weight(sx, tx), right = wide ? tap_weight(sx, next_x) : 0;
    const int above = tap_weight(sy, ty), below = high ? tap_weight(sy, next_y) : 0;
    int value[3] = {0, 0, 0};
    if ((left | right) && (above | below)) {
        int a[3], b[3], c[3], d[3];
        rgb_at(p, ty, tx, a), rgb_at(p, ty, next_x, b), rgb_at(p, next_y, tx, c), rgb_at(p, next_y, next_x, d);
#pragma unroll
        for (int k = 0; k < 3; k++) value[k] = (above * (left * a[k] + right * b[k]) + below * (left * c[k] + right * d[k]) + 512) >> 10;
    }
    const long long at = (long long)n * CROP_H * CROP_W + i;
    if (KIND == 0) {
        for (int k = 0; k < 3; k++) out[at * 3 + k] = (unsigned char)value[k];
        return;
    }
    const float scale = __uint_as_float(scale_bits), offset = __uint_as_float(offset_bits);
    const float r = value[0] * scale + offset, g = value[1] * scale + offset, b = value[2] * scale + offset;
    if (KIND == 1) {
        float* to = (float*)out + at * 3;
        to[0] = r, to[1] = g, to[2] = b;
    } else {
        ((uint2*)out)[at] = make_uint2(half2_pack(r, g), half2_pack(b, 0.0f));
    }
}
