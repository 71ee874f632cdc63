// Draws skeletons into finished frames, RGB or NV12: lines of constant width between keypoints, discs on the keypoints.
//
// One thread a pixel of the box around the person would need the box on the host; instead one thread block draws one edge
// or one point (blockIdx.x) of one stream (blockIdx.y), walking over its own bounding box.
// Constants: EDGES, POINTS. edges: int[EDGES][2]; colors: 0xBBGGRR for each edge, then each point; radius_bits: float32.
#include "pictures.cuh"

KERNEL(128)
skeleton(const long long* __restrict__ outputs, const float* __restrict__ xyz, const float* __restrict__ visibility, const int* __restrict__ found,
         const int* __restrict__ edges, const unsigned* __restrict__ colors, unsigned least_bits, unsigned radius_bits) {
    const int n = blockIdx.y, part = blockIdx.x;
    if (!found[n]) return;
    const Picture o = picture_of(outputs, n);
    const int first = part < EDGES ? edges[part * 2] : part - EDGES, second = part < EDGES ? edges[part * 2 + 1] : first;
    const float least = __uint_as_float(least_bits);
    if (visibility[n * POINTS + first] < least || visibility[n * POINTS + second] < least) return;
    const float radius = __uint_as_float(radius_bits) * (part < EDGES ? 1.0f : 1.6f);
    const float ax = xyz[(n * POINTS + first) * 3], ay = xyz[(n * POINTS + first) * 3 + 1];
    const float bx = xyz[(n * POINTS + second) * 3] - ax, by = xyz[(n * POINTS + second) * 3 + 1] - ay, length = bx * bx + by * by;
    const int left = clamp_int((int)floorf(fminf(ax, ax + bx) - radius - 1), 0, o.width), right = clamp_int((int)ceilf(fmaxf(ax, ax + bx) + radius + 1), 0, o.width);
    const int top = clamp_int((int)floorf(fminf(ay, ay + by) - radius - 1), 0, o.height), bottom = clamp_int((int)ceilf(fmaxf(ay, ay + by) + radius + 1), 0, o.height);
    const int color[3] = {(int)(colors[part] & 255), (int)(colors[part] >> 8 & 255), (int)(colors[part] >> 16 & 255)};
    float yuv[3];
    yuv_of(matrix_of(o.format), color, yuv);
    const int luma = luma_byte(o.format, yuv[0]), chroma[2] = {chroma_byte(o.format, yuv[1]), chroma_byte(o.format, yuv[2])};
    const int first_x = left / 2, first_y = top / 2, across = (right + 1) / 2 - first_x, down = (bottom + 1) / 2 - first_y;
    for (int i = threadIdx.x; i < across * down; i += 128) {  // a square of 2 x 2 pixels, which share their chroma
        const int x0 = (first_x + i % across) * 2, y0 = (first_y + i / across) * 2;
        float covered = 0.0f;
        for (int k = 0; k < 4; k++) {
            const int x = x0 + k % 2, y = y0 + k / 2;
            if (x >= o.width || y >= o.height) continue;
            const float px = x - ax, py = y - ay, along = length > 0 ? fminf(fmaxf((px * bx + py * by) / length, 0.0f), 1.0f) : 0.0f;
            const float dx = px - along * bx, dy = py - along * by;
            const float cover = fminf(fmaxf(radius + 0.5f - sqrtf(dx * dx + dy * dy), 0.0f), 1.0f);
            if (cover <= 0.0f) continue;
            unsigned char* to = (unsigned char*)o.pixels + y * o.pitch + (o.format == 0 ? x * 3 : x);
            if (o.format == 0)
                for (int c = 0; c < 3; c++) to[c] = to_byte(to[c] + (color[c] - to[c]) * cover);
            else
                to[0] = to_byte(to[0] + (luma - to[0]) * cover), covered += 0.25f * cover;
        }
        if (covered > 0.0f) {
            unsigned char* to = (unsigned char*)o.chroma + y0 / 2 * o.pitch + x0;
            for (int c = 0; c < 2; c++) to[c] = to_byte(to[c] + (chroma[c] - to[c]) * covered);
        }
    }
}
