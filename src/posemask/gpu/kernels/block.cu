// One inverted-residual or separable block: [expand 1x1 | stem 3x3] -> depthwise -> [gate] -> [project 1x1] -> [residual].
//
// A thread block owns TH x TW output pixels of FRAMES frames. The expanded tensor lives in shared memory only, CHUNK channels
// at a time:  rows of x (with halo) --matrix unit--> E --packed half FMA--> D --matrix unit--> accumulators.
// If the tile is the whole map (WHOLE) no halo is computed twice: E has a border of zeros.
//
// E and D hold CHUNK channels a pixel; the 16-byte groups of a pixel are permuted by its column (E) or row number (D) so
// that neighbouring threads hit different banks.
//
// SPLIT thread blocks may share a tile, each with every SPLIT-th chunk: where there are few tiles, that is how a picture's
// time is cut. They form a cluster and add their accumulators up through each other's shared memory.
//
// Constants (-D): SPLIT and CLUSTER (SPLIT where there is a projection, else 1), STEM, EXPAND, PROJECT, GATE, SHUFFLE; RESIDUAL (0, 1 = input added behind the projection, 2 = expanded
// tensor added behind the depthwise step); CIN, CE (padded to CHUNK), CE_REAL, COUT; H, W (map that the depthwise step
// reads), OH, OW, KS, STRIDE, PAD_T, PAD_L; IH, IW, STEM_T, STEM_L (stem: picture size and padding before); TH, TW, FRAMES, STRIP;
// CHUNK; WARPS, WARPS_N, MB; ACT_EXPAND, ACT_DEPTHWISE, ACT_PROJECT, ACT_OUT; SQUEEZED (width of the gate's bottleneck); OUT_FLOAT
// (float32 results, without residual).
#include "common.cuh"

#define THREADS (WARPS * 32)
#define WHOLE (TH == OH && TW == OW)
#define EH ((TH - 1) * STRIDE + KS)
#define EW ((TW - 1) * STRIDE + KS)
#define EXPANDED (STEM || EXPAND)

constexpr int GROUPS = CHUNK / 8, CHUNKS = CE / CHUNK;
// Rows of the first product: the part of the map that the tile reads.
constexpr int ROWS_Y = WHOLE && EXPANDED ? H : EH, ROWS_X = WHOLE && EXPANDED ? W : EW;
constexpr int ROWS = FRAMES * ROWS_Y * ROWS_X, ROW_TILES = (ROWS + 15) / 16;
constexpr int K1 = STEM ? 48 : (CIN + 15) / 16 * 16;
constexpr int X_STRIDE = K1 % 64 == 32 ? K1 * 2 : K1 % 64 == 0 ? K1 * 2 + 64 : K1 == 16 ? 32 : K1 * 2 + 16;
constexpr int PICTURE_H = 2 * EH + 1, PICTURE_W = 2 * EW + 2;  // stem: pixels (4 channels) under the tile's rows
constexpr int X_BYTES = STEM ? PICTURE_H * PICTURE_W * 8 : EXPAND ? ROW_TILES * 16 * X_STRIDE : 0;
constexpr int E_BYTES = FRAMES * EH * EW * CHUNK * 2;
constexpr int PIXELS = FRAMES * TH * TW, PIXEL_TILES = (PIXELS + 15) / 16;
static_assert(E_BYTES < 1 << 17, "a place in E has 12 bits");
constexpr int D_BYTES = PIXEL_TILES * 16 * CHUNK * 2;
constexpr int X_AT = 0, E_AT = (X_BYTES + 127) / 128 * 128, D_AT = E_AT + (E_BYTES + 127) / 128 * 128;
constexpr int PLACES_AT = D_AT + D_BYTES * (GATE ? CHUNKS : 1);  // places[ROW_TILES * 16], where a row of x lies in E
constexpr int GATE_AT = PLACES_AT + (EXPANDED ? ROW_TILES * 16 * 2 : 0);  // float sums[CE], float squeezed[SQUEEZED]
constexpr int WARPS_M = WARPS / WARPS_N;
constexpr int TILES = (COUT + 7) / 8 / WARPS_N;               // 8-column tiles of a warp
constexpr int MINE = (PIXEL_TILES + WARPS_M - 1) / WARPS_M;   // 16-row tiles of a warp

DEVICE int e_at(int frame, int y, int x, int group) {
    return ((frame * EH + y) * EW + x) * (CHUNK * 2) + ((group ^ (x * GROUPS / 8)) & (GROUPS - 1)) * 16;
}
// A row's place in E in 16 bits: its pixel's offset in units of 32 bytes, whether it lies in the map (else it is a row of
// zeros), and the permutation of its groups.
constexpr int NOWHERE = 0xffff, IN_MAP = 4;
DEVICE int d_at(int row, int group) {
    return row * (CHUNK * 2) + ((group ^ (row * GROUPS / 8)) & (GROUPS - 1)) * 16;
}

KERNEL(THREADS)
block(const unsigned char* __restrict__ x, unsigned char* __restrict__ out, const uint2* __restrict__ w_expand,
      const float* __restrict__ b_expand, const uint4* __restrict__ w_depthwise, const uint4* __restrict__ b_depthwise,
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
            const int pixel = ((f * EH + E_Y + y) * EW + ex) * (CHUNK / 16);
            places[row] = held ? pixel << 3 | (inside ? IN_MAP : 0) | (ex * GROUPS / 8 & (GROUPS - 1)) : NOWHERE;
        }
    if (WHOLE && EXPANDED)
        for (int i = thread; i < E_BYTES / 16; i += THREADS) ((uint4*)es)[i] = make_uint4(0, 0, 0, 0);
    if (STEM) {
        const int top = 2 * map_y - STEM_T, left = 2 * map_x - STEM_L;
        const uint2* picture = (const uint2*)x + (long long)frame0 * IH * IW;
        for (int i = thread; i < PICTURE_H * PICTURE_W; i += THREADS) {
            const int y = top + i / PICTURE_W, px = left + i % PICTURE_W;
            const bool inside = y >= 0 && y < IH && px >= 0 && px < IW;
            ((uint2*)xs)[i] = inside ? picture[y * IW + px] : make_uint2(0, 0);
        }
    } else if (EXPAND) {
        constexpr int PIECES = K1 / 8;
        for (int i = thread; i < ROW_TILES * 16 * PIECES; i += THREADS) {
            const int row = i / PIECES, piece = i % PIECES, f = row / (ROWS_Y * ROWS_X);
            const int y = map_y + row / ROWS_X % ROWS_Y, px = map_x + row % ROWS_X;
            const bool inside = row < ROWS && frame0 + f < frames && y >= 0 && y < H && px >= 0 && px < W && piece < CIN / 8;
            const long long pixel = inside ? ((long long)(frame0 + f) * H + y) * W + px : 0;
            copy16_async(xs + row * X_STRIDE + piece * 16, x + (pixel * CIN + (inside ? piece * 8 : 0)) * 2, inside);
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
                            unsigned a0 = *(const unsigned*)u, a1 = *(const unsigned*)l;
                            unsigned a2 = *(const unsigned*)(u + 16), a3 = *(const unsigned*)(l + 16);
#pragma unroll
                            for (int t = 0; t < GROUPS; t++) {
                                const uint2 w = weights[(k * GROUPS + t) * 32];
                                mma(e[m][t], a0, a1, a2, a3, w.x, w.y);
                            }
                        }
                    } else {
                        multiply<K1, GROUPS>(e[m], xs + upper * X_STRIDE, xs + lower * X_STRIDE, weights, GROUPS);
                    }
                }
#pragma unroll
                for (int m = 0; m < MB; m++)
#pragma unroll
                    for (int side = 0; side < 2; side++) {
                        if (MB > 1 && first + m >= ROW_TILES) break;
                        const int place = places[(first + m) * 16 + g + side * 8];
                        if (place == NOWHERE) continue;
                        unsigned v[GROUPS];
#pragma unroll
                        for (int t = 0; t < GROUPS; t++)
                            v[t] = place & IN_MAP ? pack_active<ACT_EXPAND>(e[m][t][side * 2], e[m][t][side * 2 + 1]) : 0u;
                        unsigned char* const pixel = es + (place >> 3) * 32;
                        if (GROUPS == 4)
                            *(uint4*)(pixel + ((q ^ place) & 3) * 16) = make_uint4(v[0], v[1], v[2], v[3]);
                        else
                            *(uint2*)(pixel + ((q / 2 ^ place) & 1) * 16 + q % 2 * 8) = make_uint2(v[0], v[1]);
                    }
            }
        } else {
            for (int i = thread; i < FRAMES * EH * EW * GROUPS; i += THREADS) {
                const int group = i % GROUPS, px = i / GROUPS % EW, y = i / GROUPS / EW % EH, f = i / GROUPS / EW / EH;
                const int channel = chunk * CHUNK + group * 8, my = map_y + y, mx = map_x + px;
                const bool inside = frame0 + f < frames && my >= 0 && my < H && mx >= 0 && mx < W && channel < CIN;
                const long long pixel = inside ? ((long long)(frame0 + f) * H + my) * W + mx : 0;
                copy16_async(es + e_at(f, y, px, group), x + (pixel * CIN + (inside ? channel : 0)) * 2, inside);
            }
            copies_done();
        }
        __syncthreads();

        // Depthwise: a thread makes STRIP pixels below each other of 8 channels.
        for (int i = thread; i < FRAMES * (TH / STRIP) * TW * GROUPS; i += THREADS) {
            const int group = i % GROUPS, px = i / GROUPS % TW, strip = i / GROUPS / TW % (TH / STRIP), f = i / GROUPS / TW / (TH / STRIP);
            uint4 sum[STRIP];
            const uint4 bias = b_depthwise[chunk * GROUPS + group];
#pragma unroll
            for (int r = 0; r < STRIP; r++) sum[r] = bias;
#pragma unroll
            for (int kx = 0; kx < KS; kx++) {
                uint4 w[KS];
#pragma unroll
                for (int ky = 0; ky < KS; ky++) w[ky] = w_depthwise[(chunk * KS * KS + ky * KS + kx) * GROUPS + group];
                const unsigned char* column = es + e_at(f, strip * STRIP * STRIDE, px * STRIDE + kx, group);
#pragma unroll
                for (int row = 0; row < (STRIP - 1) * STRIDE + KS; row++) {
                    const uint4 v = *(const uint4*)(column + row * EW * CHUNK * 2);
#pragma unroll
                    for (int ky = 0; ky < KS; ky++)
                        if ((row - ky) % STRIDE == 0 && row - ky >= 0 && (row - ky) / STRIDE < STRIP) {
                            uint4& s = sum[(row - ky) / STRIDE];
                            s.x = half2_fma(v.x, w[ky].x, s.x);
                            s.y = half2_fma(v.y, w[ky].y, s.y);
                            s.z = half2_fma(v.z, w[ky].z, s.z);
                            s.w = half2_fma(v.w, w[ky].w, s.w);
                        }
                }
            }
#pragma unroll
            for (int r = 0; r < STRIP; r++) {
                const int y = strip * STRIP + r, row = (f * TH + y) * TW + px;
                uint4 v = sum[r];
                v.x = activate2<ACT_DEPTHWISE>(v.x), v.y = activate2<ACT_DEPTHWISE>(v.y);
                v.z = activate2<ACT_DEPTHWISE>(v.z), v.w = activate2<ACT_DEPTHWISE>(v.w);
                if (RESIDUAL == 2) {
                    const uint4 c = *(const uint4*)(es + e_at(f, y + PAD_T, px + PAD_L, group));
                    v.x = half2_add(v.x, c.x), v.y = half2_add(v.y, c.y), v.z = half2_add(v.z, c.z), v.w = half2_add(v.w, c.w);
                }
                if (PROJECT) {
                    *(uint4*)(ds + (GATE ? chunk * D_BYTES : 0) + d_at(row, group)) = v;
                } else if (frame0 + f < frames && tile_y + y < OH && tile_x + px < OW && chunk * CHUNK + group * 8 < CE_REAL) {
                    const long long pixel = ((long long)(frame0 + f) * OH + tile_y + y) * OW + tile_x + px;
                    *(uint4*)(out + (pixel * CE_REAL + chunk * CHUNK + group * 8) * 2) = v;
                }
            }
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
                    multiply<32, TILES>(acc[i], ds + d_at(upper, q) - q * 16, ds + d_at(lower, q) - q * 16, weights, TILES * WARPS_N);
                else
                    multiply<16, TILES>(acc[i], ds + d_at(upper, q / 2) - q / 2 * 16, ds + d_at(lower, q / 2) - q / 2 * 16, weights, TILES * WARPS_N);
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
                    const float a = activate<ACT_PROJECT>(acc[i][t + j][side * 2] + bias.x);
                    const float b = activate<ACT_PROJECT>(acc[i][t + j][side * 2 + 1] + bias.y);
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
