// Draws skeletons into finished frames, RGB or NV12: lines of constant width between keypoints, discs on the keypoints.
//
// A thread block has a tile of 32 x 16 pixels, a thread a square of 2 x 2, which share their chroma. It finds out which
// parts meet the tile and draws those in their order, so that a picture does not depend on which block comes first.
// blockIdx.x the tile, blockIdx.y the stream, of whose PEOPLE one is drawn after the other. Constants: EDGES, POINTS, PEOPLE. edges: int[EDGES][2]; colors: 0xBBGGRR for each
// edge, then each point; least_bits, radius_bits: float32.
#include "pictures.cuh"

#define PARTS (EDGES + POINTS)
struct Line {
    float x, y, along_x, along_y, per_length, radius;  // per_length 0: a disc
};

KERNEL(128)
skeleton(const long long* __restrict__ outputs, const float* __restrict__ xyz, const float* __restrict__ visibility, const int* __restrict__ found,
         const int* __restrict__ edges, const unsigned* __restrict__ colors, unsigned least_bits, unsigned radius_bits) {
    SHARED_BYTES(shared);
    Line* const lines = (Line*)shared;       // [PARTS], radius 0 where nothing is to be drawn
    int* const any = (int*)(lines + PARTS);
    const int stream = blockIdx.y, thread = threadIdx.x;
    const Picture o = picture_of(outputs, stream);
    const int across = (o.width + 31) / 32, left = blockIdx.x % across * 32, top = blockIdx.x / across * 16;
    if (top >= o.height) return;
    const int x0 = left + thread % 16 * 2, y0 = top + thread / 16 * 2;
    for (int n = stream * PEOPLE; n < (stream + 1) * PEOPLE; n++) {
        if (!found[n]) continue;
        __syncthreads();  // nobody draws the one before any more
        if (thread == 0) *any = 0;
        __syncthreads();
        for (int part = thread; part < PARTS; part += 128) {
            const int first = part < EDGES ? edges[part * 2] : part - EDGES, second = part < EDGES ? edges[part * 2 + 1] : first;
            const float least = __uint_as_float(least_bits), radius = __uint_as_float(radius_bits) * (part < EDGES ? 1.0f : 1.6f);
            const float ax = xyz[(n * POINTS + first) * 3], ay = xyz[(n * POINTS + first) * 3 + 1];
            const float bx = xyz[(n * POINTS + second) * 3] - ax, by = xyz[(n * POINTS + second) * 3 + 1] - ay, length = bx * bx + by * by;
            const float reach = radius + 1.0f;
            const bool meets = fminf(ax, ax + bx) - reach < left + 32 && fmaxf(ax, ax + bx) + reach > left && fminf(ay, ay + by) - reach < top + 16 &&
                               fmaxf(ay, ay + by) + reach > top && visibility[n * POINTS + first] >= least && visibility[n * POINTS + second] >= least;
            lines[part] = Line{ax, ay, bx, by, length > 0 ? 1.0f / length : 0.0f, meets ? radius : 0.0f};
            if (meets) *any = 1;
        }
        __syncthreads();
        if (!*any || x0 >= o.width || y0 >= o.height) continue;

        for (int part = 0; part < PARTS; part++) {
            const Line line = lines[part];
            if (line.radius == 0.0f) continue;
            const int color[3] = {(int)(colors[part] & 255), (int)(colors[part] >> 8 & 255), (int)(colors[part] >> 16 & 255)};
            float yuv[3], covered = 0.0f;
            yuv_of(matrix_of(o.format), color, yuv);
            for (int k = 0; k < 4; k++) {
                const int x = x0 + k % 2, y = y0 + k / 2;
                if (x >= o.width || y >= o.height) continue;
                const float px = x - line.x, py = y - line.y;
                const float along = fminf(fmaxf((px * line.along_x + py * line.along_y) * line.per_length, 0.0f), 1.0f);
                const float dx = px - along * line.along_x, dy = py - along * line.along_y;
                const float cover = fminf(fmaxf(line.radius + 0.5f - sqrtf(dx * dx + dy * dy), 0.0f), 1.0f);
                if (cover <= 0.0f) continue;
                unsigned char* to = (unsigned char*)o.pixels + y * o.pitch + (o.format == 0 ? x * 3 : x);
                if (o.format == 0)
                    for (int c = 0; c < 3; c++) to[c] = to_byte(to[c] + (color[c] - to[c]) * cover);
                else
                    to[0] = to_byte(to[0] + (luma_byte(o.format, yuv[0]) - to[0]) * cover), covered += 0.25f * cover;
            }
            if (covered > 0.0f) {
                unsigned char* to = (unsigned char*)o.chroma + y0 / 2 * o.pitch + x0;
                for (int c = 0; c < 2; c++) to[c] = to_byte(to[c] + (chroma_byte(o.format, yuv[1 + c]) - to[c]) * covered);
            }
        }
    }
}
