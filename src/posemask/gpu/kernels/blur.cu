// Cells convolved with a small Gaussian, across and down in one go, and the weights divided out: the blurred background.
//
// 16 x 16 cells a thread block. The cells given reach RADIUS + 1 beyond the picture on every side, those made 1.
// Constants: CELL, RADIUS. weights: float[RADIUS + 1].
#include "pictures.cuh"

#define TILE 16
#define REACH (TILE + 2 * RADIUS)

KERNEL(256)
blur(const long long* __restrict__ table, const float4* __restrict__ cells, const float* __restrict__ weights, uint2* __restrict__ out, int cells_max) {
    SHARED_BYTES(shared);
    float4* const all = (float4*)shared;        // [REACH][REACH]
    float4* const rows = all + REACH * REACH;   // [REACH][TILE]
    const int n = blockIdx.y, thread = threadIdx.x;
    const Picture p = picture_of(table, n);
    const int across = (p.width + CELL - 1) / CELL + 2, down = (p.height + CELL - 1) / CELL + 2, tiles = (across + TILE - 1) / TILE;
    const int given_across = across + 2 * RADIUS, given_down = down + 2 * RADIUS;
    const int top = blockIdx.x / tiles * TILE, left = blockIdx.x % tiles * TILE;
    if (top >= down) return;
    cells += (long long)n * cells_max;
    for (int i = thread; i < REACH * REACH; i += 256) {
        const int y = top + i / REACH, x = left + i % REACH;
        all[i] = y < given_down && x < given_across ? cells[y * given_across + x] : float4{0, 0, 0, 0};
    }
    __syncthreads();
    for (int i = thread; i < REACH * TILE; i += 256) {
        const float4* from = all + i / TILE * REACH + i % TILE;
        float4 sum = {0, 0, 0, 0};
#pragma unroll
        for (int k = 0; k <= 2 * RADIUS; k++) {
            const float w = weights[k < RADIUS ? RADIUS - k : k - RADIUS];
            sum.x += w * from[k].x, sum.y += w * from[k].y, sum.z += w * from[k].z, sum.w += w * from[k].w;
        }
        rows[i] = sum;
    }
    __syncthreads();
    const int y = top + thread / TILE, x = left + thread % TILE;
    if (y >= down || x >= across) return;
    float4 sum = {0, 0, 0, 0};
#pragma unroll
    for (int k = 0; k <= 2 * RADIUS; k++) {
        const float w = weights[k < RADIUS ? RADIUS - k : k - RADIUS];
        const float4 v = rows[(thread / TILE + k) * TILE + thread % TILE];
        sum.x += w * v.x, sum.y += w * v.y, sum.z += w * v.z, sum.w += w * v.w;
    }
    const float scale = sum.w > 1e-6f ? 1.0f / sum.w : 0.0f;
    out[(long long)n * cells_max + y * across + x] = make_uint2(half2_pack(sum.x * scale, sum.y * scale), half2_pack(sum.z * scale, 0.0f));
}
