// The finished frame in one pass: people over a blurred, a given or a plain background, in RGB or NV12.
//
// A thread makes 2 x 2 pixels. Constants: BACKGROUND (0 blurred cells, 1 picture of a second table, 2 colour), CELL, SIDE_H,
// SIDE_W, MATTE_REPLICATE, PEOPLE. low_bits, gain_bits: the opacity's ramp; color: 0xBBGGRR.
#include "matte.cuh"
#include "pictures.cuh"

// The cells begin one cell left of and above the picture.
DEVICE void blurred_at(const uint2* cells, int across, int y, int x, float (&rgb)[3]) {
    const float cy = (y + 0.5f) * (1.0f / CELL) + 0.5f, cx = (x + 0.5f) * (1.0f / CELL) + 0.5f;
    const float fy = floorf(cy), fx = floorf(cx);
    rgb[0] = rgb[1] = rgb[2] = 0.0f;
#pragma unroll
    for (int k = 0; k < 4; k++) {
        const int ty = (int)fy + k / 2, tx = (int)fx + k % 2;
        const float w = (k / 2 ? cy - fy : 1.0f - cy + fy) * (k % 2 ? cx - fx : 1.0f - cx + fx);
        const uint2 v = cells[ty * across + tx];
        float r, g, b, none;
        half2_unpack(v.x, r, g), half2_unpack(v.y, b, none);
        rgb[0] += w * r, rgb[1] += w * g, rgb[2] += w * b;
    }
}

KERNEL(256)
composite(const long long* __restrict__ table, const long long* __restrict__ outputs, const long long* __restrict__ backgrounds,
          const half_bits* __restrict__ masks, const double* __restrict__ crop_from_image, const int* __restrict__ found,
          const uint2* __restrict__ cells, int cells_max, unsigned low_bits, unsigned gain_bits, unsigned color) {
    const int n = blockIdx.y;
    const Picture p = picture_of(table, n), o = picture_of(outputs, n);
    const int squares = (p.width + 1) / 2, i = blockIdx.x * 256 + threadIdx.x, y0 = i / squares * 2, x0 = i % squares * 2;
    if (y0 >= p.height) return;
    const half_bits* mask = masks + (long long)n * PEOPLE * SIDE_H * SIDE_W;
    const double* map = crop_from_image + n * PEOPLE * 6;
    const unsigned present = present_in(found, n);
    const int across = (p.width + CELL - 1) / CELL + 2;
    const Matrix matrix = matrix_of(o.format);
    float chroma_u = 0, chroma_v = 0;
    int count = 0;
    for (int k = 0; k < 4; k++) {
        const int y = y0 + k / 2, x = x0 + k % 2;
        if (y >= p.height || x >= p.width) continue;
        const float alpha = opacity_at(mask, map, present, y, x, __uint_as_float(low_bits), __uint_as_float(gain_bits));
        float behind[3] = {0, 0, 0};
        int front[3] = {0, 0, 0};
        if (alpha < 1.0f) {
            if (BACKGROUND == 0) {
                blurred_at(cells + (long long)n * cells_max, across, y, x, behind);
            } else if (BACKGROUND == 1) {
                const Picture b = picture_of(backgrounds, n);
                int rgb[3];
                rgb_at(b, y < b.height ? y : b.height - 1, x < b.width ? x : b.width - 1, rgb);
                for (int c = 0; c < 3; c++) behind[c] = rgb[c];
            } else {
                for (int c = 0; c < 3; c++) behind[c] = color >> 8 * c & 255;
            }
        }
        if (alpha > 0.0f) rgb_at(p, y, x, front);
        int value[3];
        for (int c = 0; c < 3; c++) value[c] = to_byte(behind[c] + (front[c] - behind[c]) * alpha);
        if (o.format == 0) {
            unsigned char* to = (unsigned char*)o.pixels + y * o.pitch + x * 3;
            to[0] = value[0], to[1] = value[1], to[2] = value[2];
        } else {
            float yuv[3];
            yuv_of(matrix, value, yuv);
            ((unsigned char*)o.pixels)[y * o.pitch + x] = luma_byte(o.format, yuv[0]);
            chroma_u += yuv[1], chroma_v += yuv[2], count++;
        }
    }
    if (o.format != 0) {
        unsigned char* to = (unsigned char*)o.chroma + y0 / 2 * o.pitch + x0;
        to[0] = chroma_byte(o.format, chroma_u / count), to[1] = chroma_byte(o.format, chroma_v / count);
    }
}
