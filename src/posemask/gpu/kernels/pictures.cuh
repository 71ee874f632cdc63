// Pictures of any size and format side by side: a table with one row a stream, on the device.
//
// Row: address of the first byte, height, width, bytes a row, format (0 RGB, 1 NV12), address of NV12's second plane.
#ifndef POSEMASK_PICTURES
#define POSEMASK_PICTURES
#include "common.cuh"

struct Picture {
    const unsigned char* pixels;
    int height, width;
    long long pitch;
    int format;
    const unsigned char* chroma;
};

DEVICE Picture picture_of(const long long* table, int row) {
    const long long* r = table + row * 6;
    return Picture{(const unsigned char*)r[0], (int)r[1], (int)r[2], r[3], (int)r[4], (const unsigned char*)r[5]};
}

DEVICE int clamp_int(int v, int low, int high) { return v < low ? low : v > high ? high : v; }
DEVICE int to_byte(float v) { return (int)fminf(fmaxf(v + 0.5f, 0.0f), 255.0f); }

// NV12 is BT.709, limited range, the chroma of a 2 x 2 square taken for all its pixels.
DEVICE void rgb_at(const Picture& p, int y, int x, int (&rgb)[3]) {
    if (p.format == 0) {
        const unsigned char* at = p.pixels + y * p.pitch + x * 3;
        rgb[0] = at[0], rgb[1] = at[1], rgb[2] = at[2];
        return;
    }
    const float luma = (p.pixels[y * p.pitch + x] - 16) * (255.0f / 219.0f);
    const unsigned char* at = p.chroma + y / 2 * p.pitch + x / 2 * 2;
    const float u = (at[0] - 128) * (255.0f / 224.0f), v = (at[1] - 128) * (255.0f / 224.0f);
    rgb[0] = to_byte(luma + 1.5748f * v);
    rgb[1] = to_byte(luma - 0.18732f * u - 0.46812f * v);
    rgb[2] = to_byte(luma + 1.8556f * u);
}
#endif
