// The background in cells of CELL x CELL pixels: sums of colour * (1 - opacity) and of (1 - opacity), float4 a cell.
//
// The grid of cells reaches MARGIN cells beyond the picture, where its edge is repeated. CELL threads make a cell, blockIdx.y
// is the stream; cells of a stream begin at n * cells_max. Constants: CELL, MARGIN, SIDE_H, SIDE_W, MATTE_REPLICATE, PEOPLE. low_bits, gain_bits: the opacity's ramp as float32.
#include "matte.cuh"
#include "pictures.cuh"

KERNEL(256)
shrink(const long long* __restrict__ table, const half_bits* __restrict__ masks, const double* __restrict__ crop_from_image,
       const int* __restrict__ found, float4* __restrict__ cells, int cells_max, unsigned low_bits, unsigned gain_bits) {
    const int n = blockIdx.y, lanes = CELL >= 4 ? CELL : 4;  // threads that share a cell: one a column
    const Picture p = picture_of(table, n);
    const int across = (p.width + CELL - 1) / CELL + 2 * MARGIN, down = (p.height + CELL - 1) / CELL + 2 * MARGIN;
    const int i = blockIdx.x * 256 + threadIdx.x, cell = i / lanes, column = i % lanes;
    const bool whole = cell < across * down;
    float sum[4] = {0, 0, 0, 0};
    if (whole) {
        const half_bits* mask = masks + (long long)n * PEOPLE * SIDE_H * SIDE_W;
        const double* map = crop_from_image + n * PEOPLE * 6;
        const unsigned present = present_in(found, n);
        const int x = clamp_int((cell % across - MARGIN) * CELL + column, 0, p.width - 1);
        for (int k = 0; k < CELL && column < CELL; k++) {
            const int y = clamp_int((cell / across - MARGIN) * CELL + k, 0, p.height - 1);
            int rgb[3];
            rgb_at(p, y, x, rgb);
            const float weight = 1.0f - opacity_at(mask, map, present, y, x, __uint_as_float(low_bits), __uint_as_float(gain_bits));
            sum[0] += rgb[0] * weight, sum[1] += rgb[1] * weight, sum[2] += rgb[2] * weight, sum[3] += weight;
        }
    }
#pragma unroll
    for (int j = 0; j < 4; j++)
        for (int step = 1; step < lanes; step *= 2) sum[j] += __shfl_xor_sync(0xffffffffu, sum[j], step);
    if (whole && column == 0) cells[(long long)n * cells_max + cell] = float4{sum[0], sum[1], sum[2], sum[3]};
}
