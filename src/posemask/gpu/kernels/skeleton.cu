// Draws skeletons into finished RGB frames: lines of constant width between keypoints, discs on the keypoints.
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
    const int width = right - left, count = width * (bottom - top);
    const unsigned color = colors[part];
    for (int i = threadIdx.x; i < count; i += 128) {
        const int x = left + i % width, y = top + i / width;
        const float px = x - ax, py = y - ay, along = length > 0 ? fminf(fmaxf((px * bx + py * by) / length, 0.0f), 1.0f) : 0.0f;
        const float dx = px - along * bx, dy = py - along * by, cover = fminf(fmaxf(radius + 0.5f - sqrtf(dx * dx + dy * dy), 0.0f), 1.0f);
        if (cover <= 0.0f) continue;
        unsigned char* to = (unsigned char*)o.pixels + y * o.pitch + x * 3;
        for (int c = 0; c < 3; c++) to[c] = to_byte(to[c] + ((int)(color >> 8 * c & 255) - to[c]) * cover);
    }
}
