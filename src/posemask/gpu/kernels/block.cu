// One inverted-residual or separable block: [expand 1x1 | stem 3x3] -> depthwise -> [gate] -> [project 1x1] -> [residual].
//
// A thread block owns TH x TW output pixels of FRAMES frames. The expanded tensor lives in shared memory only, CHUNK channels
// at a time:  rows of x (with halo) --matrix unit--> E --packed half FMA--> D --matrix unit--> accumulators.
// If the tile is the whole map (WHOLE) no halo is computed twice: E has a border of zeros.
//
// E and D hold CHUNK channels a pixel; the 16-byte groups of a pixel are permuted by its column (E) or row number (D) so
// that neighbouring threads hit different banks.
//
// With PRECISE everything between the products is float32 (x, E, the depthwise sums, the result), and a product's left factor
// is the sum of two halves, in two planes of x and D; the weights are halves in the file and lose nothing. The result is
// that of float32. Where the depthwise step ends in a clip to [0, 6], E (if clipped too) and D are kept a sixth as large,
// since a clip to [0, 1] costs no instruction; the depthwise weights and bias come scaled to match.
//
// SPLIT thread blocks may share a tile, each with every SPLIT-th chunk: where there are few tiles, that is how a picture's
// time is cut. They form a cluster and add their accumulators up through each other's shared memory.
//
// Constants (-D): SPLIT and CLUSTER (SPLIT where there is a projection, else 1), STEM, EXPAND, PROJECT, GATE, SHUFFLE; RESIDUAL (0, 1 = input added behind the projection, 2 = expanded
// tensor added behind the depthwise step); CIN, CE (padded to CHUNK), CE_REAL, COUT; H, W (map that the depthwise step
// reads), OH, OW, KS, STRIDE, PAD_T, PAD_L; IH, IW, STEM_T, STEM_L (stem: picture size and padding before); TH, TW, FRAMES, STRIP;
// CHUNK; WARPS, WARPS_N, MB; ACT_EXPAND, ACT_DEPTHWISE, ACT_PROJECT, ACT_OUT; SQUEEZED (width of the gate's bottleneck); OUT_FLOAT
// (float32 results, without residual); PRECISE (with neither gate, shuffle nor residual 2).
#include "common.cuh"

#define THREADS (WARPS * 32)
#define WHOLE (TH == OH && TW == OW)
#define EH ((TH - 1) * STRIDE + KS)
#define EW ((TW - 1) * STRIDE + KS)
#define EXPANDED (STEM || EXPAND)

#if PRECISE
typedef float4 Vector;
#else
typedef uint4 Vector;
#endif
constexpr int SIZE = PRECISE ? 4 : 2, LANES = 16 / SIZE;  // bytes of a number of x, E and out; numbers in a vector
constexpr bool SIXTHS_OF_D = PRECISE && ACT_DEPTHWISE == RELU6, SIXTHS_OF_E = SIXTHS_OF_D && ACT_EXPAND == RELU6;
constexpr int GROUPS = CHUNK / 8, CHUNKS = CE / CHUNK;
constexpr int VECTORS = CHUNK / LANES, LAST_VECTORS = (CE_REAL - (CHUNKS - 1) * CHUNK) / LANES;  // of a pixel in E, in all and the last chunk
// Rows of the first product: the part of the map that the tile reads.
constexpr int ROWS_Y = WHOLE && EXPANDED ? H : EH, ROWS_X = WHOLE && EXPANDED ? W : EW;
constexpr int ROWS = FRAMES * ROWS_Y * ROWS_X, ROW_TILES = (ROWS + 15) / 16;
constexpr int K1 = STEM ? 48 : (CIN + 15) / 16 * 16;
constexpr int X_STRIDE = K1 % 64 == 32 ? K1 * 2 : K1 % 64 == 0 ? K1 * 2 + 64 : K1 == 16 ? 32 : K1 * 2 + 16;
constexpr int PICTURE_H = 2 * EH + 1, PICTURE_W = 2 * EW + 2;  // stem: pixels (4 channels) under the tile's rows
constexpr int X_PLANE = STEM ? PICTURE_H * PICTURE_W * 8 : EXPAND ? ROW_TILES * 16 * X_STRIDE : 0;
constexpr int X_BYTES = X_PLANE * (PRECISE ? 2 : 1);
constexpr int E_BYTES = FRAMES * EH * EW * CHUNK * SIZE;
constexpr int PIXELS = FRAMES * TH * TW, PIXEL_TILES = (PIXELS + 15) / 16;
static_assert(FRAMES * EH * EW < 1 << 12, "a place in E has 12 bits");
static_assert(!PRECISE || (!GATE && !SHUFFLE && RESIDUAL != 2), "not in float32");
constexpr int D_PLANE = PIXEL_TILES * 16 * CHUNK * 2, D_BYTES = D_PLANE * (PRECISE ? 2 : 1);
constexpr int X_AT = 0, E_AT = (X_BYTES + 127) / 128 * 128, D_AT = E_AT + (E_BYTES + 127) / 128 * 128;
constexpr int PLACES_AT = D_AT + D_BYTES * (GATE ? CHUNKS : 1);  // places[ROW_TILES * 16], where a row of x lies in E
constexpr int GATE_AT = PLACES_AT + (EXPANDED ? ROW_TILES * 16 * 2 : 0);  // float sums[CE], float squeezed[SQUEEZED]
constexpr int WARPS_M = WARPS / WARPS_N;
constexpr int TILES = (COUT + 7) / 8 / WARPS_N;               // 8-column tiles of a warp
constexpr int MINE = (PIXEL_TILES + WARPS_M - 1) / WARPS_M;   // 16-row tiles of a warp

DEVICE int e_at(int frame, int y, int x, int vector) {
    return ((frame * EH + y) * EW + x) * (CHUNK * SIZE) + ((vector ^ (x * VECTORS / 8)) & (VECTORS - 1)) * 16;
}
// A row's place in E in 16 bits: its pixel, whether it lies in the map (else it is a row of zeros), and the permutation of
// its vectors.
constexpr int NOWHERE = 0xffff, IN_MAP = 8;
DEVICE int d_at(int row, int group) {
    return row * (CHUNK * 2) + ((group ^ (row * GROUPS / 8)) & (GROUPS - 1)) * 16;
}

// A number of E.
DEVICE float expanded(float v) { return SIXTHS_OF_E ? __saturatef(v * (1.0f / 6.0f)) : activate<ACT_EXPAND>(v); }

// The depthwise step of a chunk, E to D (or, with nothing behind it, to the result): a thread makes STRIP pixels below each
// other of a vector of channels. Of the chunk's vectors the first REAL hold channels; of the others D becomes zero.
template <int REAL>
DEVICE void convolve(int chunk, const unsigned char* es, unsigned char* ds, unsigned char* out, const Vector* __restrict__ w_depthwise,
                     const Vector* __restrict__ b_depthwise, int frame0, int frames, int tile_y, int tile_x) {
    for (int i = threadIdx.x; i < FRAMES * (TH / STRIP) * TW * REAL; i += THREADS) {
        const int vector = i % REAL, px = i / REAL % TW, strip = i / REAL / TW % (TH / STRIP), f = i / REAL / TW / (TH / STRIP);
        Vector sum[STRIP];
        const Vector bias = b_depthwise[chunk * VECTORS + vector];
#pragma unroll
        for (int r = 0; r < STRIP; r++) sum[r] = bias;
#pragma unroll
        for (int kx = 0; kx < KS; kx++) {
            Vector w[KS];
#pragma unroll
            for (int ky = 0; ky < KS; ky++) w[ky] = w_depthwise[(chunk * KS * KS + ky * KS + kx) * VECTORS + vector];
            const unsigned char* column = es + e_at(f, strip * STRIP * STRIDE, px * STRIDE + kx, vector);
#pragma unroll
            for (int row = 0; row < (STRIP - 1) * STRIDE + KS; row++) {
                const Vector v = *(const Vector*)(column + row * EW * CHUNK * SIZE);
#pragma unroll
                for (int ky = 0; ky < KS; ky++)
                    if ((row - ky) % STRIDE == 0 && row - ky >= 0 && (row - ky) / STRIDE < STRIP) vector_fma(sum[(row - ky) / STRIDE], v, w[ky]);
            }
        }
#pragma unroll
        for (int r = 0; r < STRIP; r++) {
            const int y = strip * STRIP + r, row = (f * TH + y) * TW + px;
#if PRECISE
            Vector v = SIXTHS_OF_D ? vector_saturate(sum[r]) : vector_activate<ACT_DEPTHWISE>(sum[r]);
            if (!PROJECT && SIXTHS_OF_D) v.x *= 6.0f, v.y *= 6.0f, v.z *= 6.0f, v.w *= 6.0f;
#else
            Vector v = vector_activate<ACT_DEPTHWISE>(sum[r]);
#endif
            if (RESIDUAL == 2) vector_add(v, *(const Vector*)(es + e_at(f, y + PAD_T, px + PAD_L, vector)));
            if (PROJECT) {
                unsigned char* const row_of_d = ds + (GATE ? chunk * D_BYTES : 0);
#if PRECISE
                uint2 rounded, rest;
                rounded.x = half2_split(v.x, v.y, rest.x), rounded.y = half2_split(v.z, v.w, rest.y);
                unsigned char* const at = row_of_d + d_at(row, vector / 2) + vector % 2 * 8;
                *(uint2*)at = rounded, *(uint2*)(at + D_PLANE) = rest;
#else
                *(Vector*)(row_of_d + d_at(row, vector)) = v;
#endif
            } else if (frame0 + f < frames && tile_y + y < OH && tile_x + px < OW) {
                const long long pixel = ((long long)(frame0 + f) * OH + tile_y + y) * OW + tile_x + px;
                *(Vector*)(out + (pixel * CE_REAL + chunk * CHUNK + vector * LANES) * SIZE) = v;
            }
        }
    }
    constexpr int FIRST = REAL * LANES / 8, EMPTY = GROUPS - FIRST;
    if constexpr (PROJECT && EMPTY > 0)
        for (int i = threadIdx.x; i < PIXELS * EMPTY; i += THREADS) {
            unsigned char* const at = ds + (GATE ? chunk * D_BYTES : 0) + d_at(i / EMPTY, FIRST + i % EMPTY);
            *(uint4*)at = make_uint4(0, 0, 0, 0);
            if (PRECISE) *(uint4*)(at + D_PLANE) = make_uint4(0, 0, 0, 0);
        }
}

KERNEL(THREADS)
block(const unsigned char* __restrict__ x, unsigned char* __restrict__ out, const uint2* __restrict__ w_expand,
      const float* __restrict__ b_expand, const Vector* __restrict__ w_depthwise, const Vector* __restrict__ b_depthwise,
      const uint2* __restrict__ w_project, const float* __restrict__ b_project, const float* __restrict__ w_squeeze,
      const float* __restrict__ b_squeeze, const float* __restrict__ w_excite, const float* __restrict__ b_excite, int frames) {
    SHARED_BYTES(shared);
    unsigned char* const xs = shared + X_AT;
    unsigned char* const es = shared + E_AT;
    unsigned char* const ds = shared + D_AT;
    const int thread = threadIdx.x, lane = thread & 31, warp = thread >> 5, q = lane & 3, g = lane >> 2;
    constexpr int TILES_X = (OW + TW - 1) / TW;
    const int rank = SPLIT > 1 ? blockIdx.z : 0;
    const int tile_y = blockIdx.x / TILES_X * TH, tile_x = blockIdx.x % TILES_X * TW, frame0 = blockIdx.y * FRAMES;
    // The map's pixel at row (0, 0) of the first product, and where that row lies in E.
    const int map_y = WHOLE && EXPANDED ? 0 : tile_y * STRIDE - PAD_T, map_x = WHOLE && EXPANDED ? 0 : tile_x * STRIDE - PAD_L;
    constexpr int E_Y = WHOLE && EXPANDED ? PAD_T : 0, E_X = WHOLE && EXPANDED ? PAD_L : 0;

    half_bits* const places = (half_bits*)(shared + PLACES_AT);
    if (EXPANDED)
        for (int row = thread; row < ROW_TILES * 16; row += THREADS) {
            const int f = row / (ROWS_Y * ROWS_X), y = row / ROWS_X % ROWS_Y, px = row % ROWS_X, ex = E_X + px;
            const bool inside = WHOLE || (map_y + y >= 0 && map_y + y < H && map_x + px >= 0 && map_x + px < W);
            const bool held = row < ROWS && E_Y + y < EH && ex < EW;
            const int pixel = (f * EH + E_Y + y) * EW + ex;
            places[row] = held ? pixel << 4 | (inside ? IN_MAP : 0) | (ex * VECTORS / 8 & (VECTORS - 1)) : NOWHERE;
        }
    if (WHOLE && EXPANDED)
        for (int i = thread; i < E_BYTES / 16; i += THREADS) ((uint4*)es)[i] = make_uint4(0, 0, 0, 0);
    if (STEM) {
        const int top = 2 * map_y - STEM_T, left = 2 * map_x - STEM_L;
        const long long picture = (long long)frame0 * IH * IW;
#pragma unroll 4
        for (int i = thread; i < PICTURE_H * PICTURE_W; i += THREADS) {
            const int y = top + i / PICTURE_W, px = left + i % PICTURE_W;
            const bool inside = y >= 0 && y < IH && px >= 0 && px < IW;
            if (PRECISE) {  // three numbers a pixel
                const float* rgb = (const float*)x + (picture + (inside ? y * IW + px : 0)) * 3;
                uint2 rounded = {0, 0}, rest = {0, 0};
                if (inside) rounded.x = half2_split(rgb[0], rgb[1], rest.x), rounded.y = half2_split(rgb[2], 0.0f, rest.y);
                ((uint2*)xs)[i] = rounded, ((uint2*)(xs + X_PLANE))[i] = rest;
            } else {
                ((uint2*)xs)[i] = inside ? ((const uint2*)x)[picture + y * IW + px] : make_uint2(0, 0);
            }
        }
    } else if (EXPAND) {
        constexpr int PIECES = K1 / 8;
#if PRECISE
#pragma unroll 4  // several loads on their way; halves are copied without passing registers
#endif
        for (int i = thread; i < ROW_TILES * 16 * PIECES; i += THREADS) {
            const int row = i / PIECES, piece = i % PIECES, f = row / (ROWS_Y * ROWS_X);
            const int y = map_y + row / ROWS_X % ROWS_Y, px = map_x + row % ROWS_X;
            const bool inside = row < ROWS && frame0 + f < frames && y >= 0 && y < H && px >= 0 && px < W && piece < CIN / 8;
            const long long pixel = inside ? ((long long)(frame0 + f) * H + y) * W + px : 0;
            if (PRECISE) {
                const float4* from = (const float4*)x + (pixel * CIN + (inside ? piece * 8 : 0)) / 4;
                float4 a = {0, 0, 0, 0}, b = {0, 0, 0, 0};
                if (inside) a = from[0], b = from[1];
                uint4 rounded, rest;
                rounded.x = half2_split(a.x, a.y, rest.x), rounded.y = half2_split(a.z, a.w, rest.y);
                rounded.z = half2_split(b.x, b.y, rest.z), rounded.w = half2_split(b.z, b.w, rest.w);
                *(uint4*)(xs + row * X_STRIDE + piece * 16) = rounded, *(uint4*)(xs + X_PLANE + row * X_STRIDE + piece * 16) = rest;
            } else {
                copy16_async(xs + row * X_STRIDE + piece * 16, x + (pixel * CIN + (inside ? piece * 8 : 0)) * 2, inside);
            }
        }
    }

    float acc[MINE][TILES][4];
#pragma unroll
    for (int i = 0; i < MINE; i++)
#pragma unroll
        for (int t = 0; t < TILES; t++)
#pragma unroll
            for (int j = 0; j < 4; j++) acc[i][t][j] = 0.0f;
    const int warp_m = warp / WARPS_N, warp_n = warp % WARPS_N;

    for (int chunk = rank; chunk < CHUNKS; chunk += SPLIT) {
        if (EXPANDED) {
            if (chunk == rank) {
                copies_done();
                __syncthreads();
            }
            for (int first = warp * MB; first < ROW_TILES; first += WARPS * MB) {
                float e[MB][GROUPS][4];
#pragma unroll
                for (int t = 0; t < GROUPS; t++) {
                    const float2 bias = ((const float2*)b_expand)[(chunk * GROUPS + t) * 4 + q];
#pragma unroll
                    for (int m = 0; m < MB; m++) e[m][t][0] = e[m][t][2] = bias.x, e[m][t][1] = e[m][t][3] = bias.y;
                }
                const uint2* weights = w_expand + (long long)chunk * (K1 / 16) * GROUPS * 32 + lane;
#pragma unroll
                for (int m = 0; m < MB; m++) {
                    if (MB > 1 && first + m >= ROW_TILES) break;
                    const int upper = (first + m) * 16 + g, lower = upper + 8;
                    if (STEM) {
                        const int at_u = (upper < ROWS ? upper / ROWS_X * 2 * PICTURE_W + upper % ROWS_X * 2 : 0) * 8 + q * 4;
                        const int at_l = (lower < ROWS ? lower / ROWS_X * 2 * PICTURE_W + lower % ROWS_X * 2 : 0) * 8 + q * 4;
#pragma unroll
                        for (int k = 0; k < 3; k++) {
                            const unsigned char *u = xs + at_u + k * PICTURE_W * 8, *l = xs + at_l + k * PICTURE_W * 8;
#pragma unroll
                            for (int plane = 0; plane < X_BYTES; plane += X_PLANE) {
                                unsigned a0 = *(const unsigned*)(u + plane), a1 = *(const unsigned*)(l + plane);
                                unsigned a2 = *(const unsigned*)(u + plane + 16), a3 = *(const unsigned*)(l + plane + 16);
#pragma unroll
                                for (int t = 0; t < GROUPS; t++) {
                                    const uint2 w = weights[(k * GROUPS + t) * 32];
                                    mma(e[m][t], a0, a1, a2, a3, w.x, w.y);
                                }
                            }
                        }
                    } else {
                        multiply<K1, GROUPS, PRECISE ? X_PLANE : 0>(e[m], xs + upper * X_STRIDE, xs + lower * X_STRIDE, weights, GROUPS);
                    }
                }
#pragma unroll
                for (int m = 0; m < MB; m++)
#pragma unroll
                    for (int side = 0; side < 2; side++) {
                        if (MB > 1 && first + m >= ROW_TILES) break;
                        const int place = places[(first + m) * 16 + g + side * 8];
                        if (place == NOWHERE) continue;
                        unsigned char* const pixel = es + (place >> 4) * (CHUNK * SIZE);
                        if (PRECISE) {
#pragma unroll
                            for (int t = 0; t < GROUPS; t += 2) {
                                float4 v = {0, 0, 0, 0};
                                if (place & IN_MAP) {
                                    v.x = expanded(e[m][t][side * 2]), v.y = expanded(e[m][t][side * 2 + 1]);
                                    v.z = expanded(e[m][t + 1][side * 2]), v.w = expanded(e[m][t + 1][side * 2 + 1]);
                                }
                                *(float4*)(pixel + (((q * GROUPS + t) / 2 ^ place) & (VECTORS - 1)) * 16) = v;
                            }
                            continue;
                        }
                        unsigned v[GROUPS];
#pragma unroll
                        for (int t = 0; t < GROUPS; t++)
                            v[t] = place & IN_MAP ? pack_active<ACT_EXPAND>(e[m][t][side * 2], e[m][t][side * 2 + 1]) : 0u;
                        if (GROUPS == 4)
                            *(uint4*)(pixel + ((q ^ place) & 3) * 16) = make_uint4(v[0], v[1], v[2], v[3]);
                        else
                            *(uint2*)(pixel + ((q / 2 ^ place) & 1) * 16 + q % 2 * 8) = make_uint2(v[0], v[1]);
                    }
            }
        } else {
            for (int i = thread; i < FRAMES * EH * EW * VECTORS; i += THREADS) {
                const int vector = i % VECTORS, px = i / VECTORS % EW, y = i / VECTORS / EW % EH, f = i / VECTORS / EW / EH;
                const int channel = chunk * CHUNK + vector * LANES, my = map_y + y, mx = map_x + px;
                const bool inside = frame0 + f < frames && my >= 0 && my < H && mx >= 0 && mx < W && channel < CIN;
                const long long pixel = inside ? ((long long)(frame0 + f) * H + my) * W + mx : 0;
                copy16_async(es + e_at(f, y, px, vector), x + (pixel * CIN + (inside ? channel : 0)) * SIZE, inside);
            }
            copies_done();
        }
        __syncthreads();

        if constexpr (LAST_VECTORS < VECTORS) {
            if (chunk == CHUNKS - 1)
                convolve<LAST_VECTORS>(chunk, es, ds, out, w_depthwise, b_depthwise, frame0, frames, tile_y, tile_x);
            else
                convolve<VECTORS>(chunk, es, ds, out, w_depthwise, b_depthwise, frame0, frames, tile_y, tile_x);
        } else {
            convolve<VECTORS>(chunk, es, ds, out, w_depthwise, b_depthwise, frame0, frames, tile_y, tile_x);
        }
        __syncthreads();

        if (PROJECT && !GATE) {
#pragma unroll
            for (int i = 0; i < MINE; i++) {
                const int tile = warp_m + i * WARPS_M;
                if (tile >= PIXEL_TILES) break;
                const int upper = tile * 16 + g, lower = upper + 8;
                const uint2* weights = w_project + ((long long)chunk * (CHUNK / 16) * TILES * WARPS_N + warp_n * TILES) * 32 + lane;
                if (GROUPS == 4)
                    multiply<32, TILES, PRECISE ? D_PLANE : 0>(acc[i], ds + d_at(upper, q) - q * 16, ds + d_at(lower, q) - q * 16, weights, TILES * WARPS_N);
                else
                    multiply<16, TILES, PRECISE ? D_PLANE : 0>(acc[i], ds + d_at(upper, q / 2) - q / 2 * 16, ds + d_at(lower, q / 2) - q / 2 * 16, weights, TILES * WARPS_N);
            }
        }
    }

#if GATE
    {
        float* const sums = (float*)(shared + GATE_AT);
        float* const squeezed = sums + CE;
        for (int i = thread; i < CE; i += THREADS) sums[i] = 0.0f;
        __syncthreads();
        for (int i = thread; i < CHUNKS * GROUPS * (THREADS / 32); i += THREADS) {
            const int part = i / (CHUNKS * GROUPS), chunk = i / GROUPS % CHUNKS, group = i % GROUPS;
            float s[8] = {0, 0, 0, 0, 0, 0, 0, 0};
            for (int row = part; row < PIXELS; row += THREADS / 32) {
                const uint4 v = *(const uint4*)(ds + chunk * D_BYTES + d_at(row, group));
                float a, b;
                half2_unpack(v.x, a, b), s[0] += a, s[1] += b;
                half2_unpack(v.y, a, b), s[2] += a, s[3] += b;
                half2_unpack(v.z, a, b), s[4] += a, s[5] += b;
                half2_unpack(v.w, a, b), s[6] += a, s[7] += b;
            }
#pragma unroll
            for (int j = 0; j < 8; j++) atomicAdd(sums + chunk * CHUNK + group * 8 + j, s[j]);
        }
        __syncthreads();
        for (int o = thread; o < SQUEEZED; o += THREADS) {
            float s = 0.0f;
#pragma unroll 8
            for (int c = 0; c < CE_REAL; c++) s += sums[c] * w_squeeze[c * SQUEEZED + o];
            squeezed[o] = fmaxf(s * (1.0f / (TH * TW)) + b_squeeze[o], 0.0f);
        }
        __syncthreads();
        for (int c = thread; c < CE; c += THREADS) {
            float s = 0.0f;
            if (c < CE_REAL) {
                s = b_excite[c];
#pragma unroll 8
                for (int o = 0; o < SQUEEZED; o++) s += squeezed[o] * w_excite[o * CE_REAL + c];
            }
            sums[c] = activate<SIGMOID>(s);
        }
        __syncthreads();
        for (int i = thread; i < PIXELS * CHUNKS * GROUPS; i += THREADS) {
            const int group = i % GROUPS, chunk = i / GROUPS % CHUNKS, row = i / GROUPS / CHUNKS;
            uint4* const at = (uint4*)(ds + chunk * D_BYTES + d_at(row, group));
            const float* gate = sums + chunk * CHUNK + group * 8;
            uint4 v = *at;
            v.x = half2_fma(v.x, half2_pack(gate[0], gate[1]), 0u), v.y = half2_fma(v.y, half2_pack(gate[2], gate[3]), 0u);
            v.z = half2_fma(v.z, half2_pack(gate[4], gate[5]), 0u), v.w = half2_fma(v.w, half2_pack(gate[6], gate[7]), 0u);
            *at = v;
        }
        __syncthreads();
        for (int chunk = 0; chunk < CHUNKS; chunk++)
#pragma unroll
            for (int i = 0; i < MINE; i++) {
                const int tile = warp_m + i * WARPS_M;
                if (tile >= PIXEL_TILES) break;
                const int upper = tile * 16 + g, lower = upper + 8;
                const unsigned char* d = ds + chunk * D_BYTES;
                const uint2* weights = w_project + ((long long)chunk * 2 * TILES * WARPS_N + warp_n * TILES) * 32 + lane;
                multiply<32, TILES>(acc[i], d + d_at(upper, q) - q * 16, d + d_at(lower, q) - q * 16, weights, TILES * WARPS_N);
            }
    }
#endif

    if (!PROJECT) return;
    constexpr float D_UNIT = SIXTHS_OF_D ? 6.0f : 1.0f;
    constexpr int FOURS = (TILES + 3) / 4;  // groups of tiles that are stored together
    if (SPLIT > 1) {
        float* const sums = (float*)shared;
        __syncthreads();
#pragma unroll
        for (int i = 0; i < MINE; i++)
#pragma unroll
            for (int t = 0; t < TILES; t++)
#pragma unroll
                for (int j = 0; j < 4; j++) sums[((i * TILES + t) * 4 + j) * THREADS + thread] = acc[i][t][j];
        cluster_sync();
#pragma unroll
        for (int i = 0; i < MINE; i++)
#pragma unroll
            for (int t = 0; t < TILES; t++) {
                if ((i * FOURS + t / 4) % SPLIT != rank) continue;
#pragma unroll
                for (int j = 0; j < 4; j++) {
                    float sum = 0.0f;
#pragma unroll
                    for (int other = 0; other < SPLIT; other++) sum += cluster_load(sums + ((i * TILES + t) * 4 + j) * THREADS + thread, other);
                    acc[i][t][j] = sum;
                }
            }
        cluster_sync();  // nobody may leave while others read from it
    }
#pragma unroll
    for (int i = 0; i < MINE; i++)
#pragma unroll
        for (int side = 0; side < 2; side++) {
            const int row = (warp_m + i * WARPS_M) * 16 + g + side * 8;
            const int f = row / (TH * TW), y = tile_y + row / TW % TH, px = tile_x + row % TW;
            if (row >= PIXELS || frame0 + f >= frames || y >= OH || px >= OW) continue;
            if (SHUFFLE) {  // a 2 x 2 transposed convolution of one channel: column 2 dy + dx is that sub-pixel
                if (q >= 2) continue;
                const float a = activate<ACT_PROJECT>(acc[i][0][side * 2] + b_project[q * 2]);
                const float b = activate<ACT_PROJECT>(acc[i][0][side * 2 + 1] + b_project[q * 2 + 1]);
                ((unsigned*)out)[((long long)(frame0 + f) * OH * 2 + y * 2 + q) * OW + px] = half2_pack(a, b);
                continue;
            }
            const long long first = (((long long)(frame0 + f) * OH + y) * OW + px) * COUT + warp_n * TILES * 8, at = first * 2;
#pragma unroll
            for (int t = 0; t < TILES; t += 4) {
                if (SPLIT > 1 && (i * FOURS + t / 4) % SPLIT != rank) continue;
                const int size = TILES - t < 4 ? TILES - t : 4, channel = group_channel<TILES>(t, q);
                unsigned v[4];
#pragma unroll
                for (int j = 0; j < 4; j++) {
                    if (j >= size) break;
                    const float2 bias = *(const float2*)(b_project + warp_n * TILES * 8 + channel + j * 2);
                    float a = activate<ACT_PROJECT>(acc[i][t + j][side * 2] * D_UNIT + bias.x);
                    float b = activate<ACT_PROJECT>(acc[i][t + j][side * 2 + 1] * D_UNIT + bias.y);
                    if (PRECISE) {
                        const float2 skip = RESIDUAL == 1 ? ((const float2*)x)[(first + channel) / 2 + j] : float2{0, 0};
                        a = activate<ACT_OUT>(a + skip.x), b = activate<ACT_OUT>(b + skip.y);
                    }
                    if (OUT_FLOAT) ((float2*)out)[(first + channel) / 2 + j] = float2{a, b};
                    v[j] = half2_pack(a, b);
                }
                if (OUT_FLOAT) continue;
                unsigned* const to = (unsigned*)(out + at + channel * 2);
                const unsigned* const add = (const unsigned*)(x + at + channel * 2);
#pragma unroll
                for (int j = 0; j < 4; j++) {
                    if (j >= size) break;
                    if (RESIDUAL == 1) v[j] = half2_add(v[j], add[j]);
                    v[j] = activate2<ACT_OUT>(v[j]);
                }
                if (size == 4) {
                    *(uint4*)to = make_uint4(v[0], v[1], v[2], v[3]);
                } else {
#pragma unroll
                    for (int j = 0; j < size; j++) to[j] = v[j];
                }
            }
        }
}
