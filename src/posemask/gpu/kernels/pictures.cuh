// Pictures of any size and format side by side: a table with one row a stream, on the device.
//
// Row: address of the first byte, height, width, bytes a row, format, address of NV12's second plane.
// Format: 0 RGB; NV12 is 1 + 2 * matrix (0 BT.601, 1 BT.709, 2 BT.2020) + 1 for the full range.
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

// How luma is made of red and blue, and what the chroma of a pixel adds to its luma: pixels/torch.py has the same numbers.
struct Matrix {
    float red, blue, red_v, green_u, green_v, blue_u;
};

DEVICE Matrix matrix_of(int format) {
    const int which = (format - 1) >> 1;
    return which == 0   ? Matrix{0.299f, 0.114f, 1.402f, 0.344136f, 0.714136f, 1.772f}
           : which == 1 ? Matrix{0.2126f, 0.0722f, 1.5748f, 0.18732f, 0.46812f, 1.8556f}
                        : Matrix{0.2627f, 0.0593f, 1.4746f, 0.16455f, 0.57135f, 1.8814f};
}
DEVICE bool full_range(int format) { return (format - 1) & 1; }

// The chroma of a 2 x 2 square is taken for all its pixels.
DEVICE void rgb_at(const Picture& p, int y, int x, int (&rgb)[3]) {
    if (p.format == 0) {
        const unsigned char* at = p.pixels + y * p.pitch + x * 3;
        rgb[0] = at[0], rgb[1] = at[1], rgb[2] = at[2];
        return;
    }
    const Matrix m = matrix_of(p.format);
    const bool full = full_range(p.format);
    const float luma = (p.pixels[y * p.pitch + x] - (full ? 0 : 16)) * (full ? 1.0f : 255.0f / 219.0f);
    const unsigned char* at = p.chroma + y / 2 * p.pitch + x / 2 * 2;
    const float wide = full ? 1.0f : 255.0f / 224.0f, u = (at[0] - 128) * wide, v = (at[1] - 128) * wide;
    rgb[0] = to_byte(luma + m.red_v * v);
    rgb[1] = to_byte(luma - m.green_u * u - m.green_v * v);
    rgb[2] = to_byte(luma + m.blue_u * u);
}

// The luma of a colour, [0, 255], and its chroma around 0; then as bytes of NV12.
DEVICE void yuv_of(const Matrix& m, const int (&rgb)[3], float (&yuv)[3]) {
    yuv[0] = m.red * rgb[0] + (1.0f - m.red - m.blue) * rgb[1] + m.blue * rgb[2];
    yuv[1] = (rgb[2] - yuv[0]) / m.blue_u, yuv[2] = (rgb[0] - yuv[0]) / m.red_v;
}
DEVICE int luma_byte(int format, float luma) { return full_range(format) ? to_byte(luma) : to_byte(luma * (219.0f / 255.0f) + 16); }
DEVICE int chroma_byte(int format, float c) { return to_byte(c * (full_range(format) ? 1.0f : 224.0f / 255.0f) + 128); }
#endif
