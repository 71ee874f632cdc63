// What all kernels share: packed half arithmetic, the matrix unit, activations. No header of CUDA's is needed, so that
// NVRTC, which comes with torch, compiles this on a machine without a CUDA toolkit.
//
// Half numbers travel as `unsigned` words of two (the lower half is the lower channel). Under POSEMASK_EMULATE the same
// source is compiled for the CPU by the tests, which supply the intrinsics.
#ifndef POSEMASK_COMMON
#define POSEMASK_COMMON
#ifdef POSEMASK_EMULATE
#include "emulator.h"
#else
#define DEVICE __device__ __forceinline__
#ifndef MIN_BLOCKS
#define MIN_BLOCKS 1
#endif
#ifndef CLUSTER
#define CLUSTER 1
#endif
#if CLUSTER > 1
#define KERNEL(THREADS) extern "C" __global__ void __cluster_dims__(1, 1, CLUSTER) __launch_bounds__(THREADS, MIN_BLOCKS)
#else
#define KERNEL(THREADS) extern "C" __global__ void __launch_bounds__(THREADS, MIN_BLOCKS)
#endif
#define SHARED_BYTES(name) extern __shared__ __align__(128) unsigned char name[]
typedef unsigned short half_bits;

DEVICE unsigned half2_fma(unsigned a, unsigned b, unsigned c) {
    unsigned d;
    asm("fma.rn.f16x2 %0, %1, %2, %3;" : "=r"(d) : "r"(a), "r"(b), "r"(c));
    return d;
}
DEVICE unsigned half2_add(unsigned a, unsigned b) {
    unsigned d;
    asm("add.rn.f16x2 %0, %1, %2;" : "=r"(d) : "r"(a), "r"(b));
    return d;
}
DEVICE unsigned half2_max(unsigned a, unsigned b) {
    unsigned d;
    asm("max.f16x2 %0, %1, %2;" : "=r"(d) : "r"(a), "r"(b));
    return d;
}
DEVICE unsigned half2_min(unsigned a, unsigned b) {
    unsigned d;
    asm("min.f16x2 %0, %1, %2;" : "=r"(d) : "r"(a), "r"(b));
    return d;
}
DEVICE unsigned half2_pack(float low, float high) {
    unsigned d;
    asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(d) : "f"(high), "f"(low));
    return d;
}
DEVICE void half2_unpack(unsigned pair, float& low, float& high) {
    asm("{.reg .b16 l, h; mov.b32 {l, h}, %2; cvt.f32.f16 %0, l; cvt.f32.f16 %1, h;}" : "=f"(low), "=f"(high) : "r"(pair));
}
// d += a (16 x 16) * b (16 x 8), the matrix unit's smallest half product; one warp together.
DEVICE void mma(float (&d)[4], unsigned a0, unsigned a1, unsigned a2, unsigned a3, unsigned b0, unsigned b1) {
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                 : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b0), "r"(b1));
}
// Copies 16 bytes from device to shared memory without passing registers; zeros if `inside` is false.
DEVICE void copy16_async(void* to_shared, const void* from, bool inside) {
    unsigned to = (unsigned)__cvta_generic_to_shared(to_shared);
    int size = inside ? 16 : 0;
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to), "l"(from), "r"(size));
}
#if CLUSTER > 1
// All threads of a cluster of thread blocks meet; what one wrote to its shared memory the others then see.
DEVICE void cluster_sync() {
    asm volatile("barrier.cluster.arrive.release.aligned;\nbarrier.cluster.wait.acquire.aligned;" ::: "memory");
}
// The number at the same place of the shared memory of another thread block of the cluster.
DEVICE float cluster_load(const float* here, int rank) {
    unsigned at = (unsigned)__cvta_generic_to_shared(here), there;
    float v;
    asm volatile("mapa.shared::cluster.u32 %0, %1, %2;" : "=r"(there) : "r"(at), "r"(rank));
    asm volatile("ld.shared::cluster.f32 %0, [%1];" : "=f"(v) : "r"(there) : "memory");
    return v;
}
#else
DEVICE void cluster_sync() {}
DEVICE float cluster_load(const float* here, int) { return *here; }
#endif
DEVICE void copies_done() { asm volatile("cp.async.wait_all;" ::: "memory"); }
#endif

#define NONE 0
#define RELU 1
#define RELU6 2
#define HARD_SWISH 3
#define SIGMOID 4

template <int ACTIVATION>
DEVICE float activate(float v) {
    if (ACTIVATION == RELU) return fmaxf(v, 0.0f);
    if (ACTIVATION == RELU6) return fminf(fmaxf(v, 0.0f), 6.0f);
    if (ACTIVATION == HARD_SWISH) return v * fminf(fmaxf(v + 3.0f, 0.0f), 6.0f) * (1.0f / 6.0f);
    if (ACTIVATION == SIGMOID) return 1.0f / (1.0f + __expf(-v));
    return v;
}

template <int ACTIVATION>
DEVICE unsigned activate2(unsigned pair) {
    if (ACTIVATION == NONE) return pair;
    if (ACTIVATION == RELU) return half2_max(pair, 0u);
    if (ACTIVATION == RELU6) return half2_min(half2_max(pair, 0u), 0x46004600u);
    float low, high;
    half2_unpack(pair, low, high);
    return half2_pack(activate<ACTIVATION>(low), activate<ACTIVATION>(high));
}

// Two numbers, rounded to half and activated; what is only a clip is clipped after rounding, two at a time.
template <int ACTIVATION>
DEVICE unsigned pack_active(float low, float high) {
    if (ACTIVATION == NONE || ACTIVATION == RELU || ACTIVATION == RELU6) return activate2<ACTIVATION>(half2_pack(low, high));
    return half2_pack(activate<ACTIVATION>(low), activate<ACTIVATION>(high));
}

// Two numbers rounded to half, and what rounding took, rounded too: together 22 bits.
DEVICE unsigned half2_split(float low, float high, unsigned& rest) {
    const unsigned rounded = half2_pack(low, high);
    float a, b;
    half2_unpack(rounded, a, b);
    rest = half2_pack(low - a, high - b);
    return rounded;
}

// Sixteen bytes of channels: 8 halves or 4 numbers of float32.
DEVICE void vector_fma(uint4& sum, const uint4& v, const uint4& w) {
    sum.x = half2_fma(v.x, w.x, sum.x), sum.y = half2_fma(v.y, w.y, sum.y), sum.z = half2_fma(v.z, w.z, sum.z), sum.w = half2_fma(v.w, w.w, sum.w);
}
DEVICE void vector_fma(float4& sum, const float4& v, const float4& w) { sum.x += v.x * w.x, sum.y += v.y * w.y, sum.z += v.z * w.z, sum.w += v.w * w.w; }
DEVICE void vector_add(uint4& sum, const uint4& v) {
    sum.x = half2_add(sum.x, v.x), sum.y = half2_add(sum.y, v.y), sum.z = half2_add(sum.z, v.z), sum.w = half2_add(sum.w, v.w);
}
DEVICE void vector_add(float4& sum, const float4& v) { sum.x += v.x, sum.y += v.y, sum.z += v.z, sum.w += v.w; }
template <int ACTIVATION>
DEVICE uint4 vector_activate(const uint4& v) {
    return make_uint4(activate2<ACTIVATION>(v.x), activate2<ACTIVATION>(v.y), activate2<ACTIVATION>(v.z), activate2<ACTIVATION>(v.w));
}
template <int ACTIVATION>
DEVICE float4 vector_activate(const float4& v) {
    return float4{activate<ACTIVATION>(v.x), activate<ACTIVATION>(v.y), activate<ACTIVATION>(v.z), activate<ACTIVATION>(v.w)};
}
// Clipped to [0, 1], which the instruction before does for nothing.
DEVICE float4 vector_saturate(const float4& v) { return float4{__saturatef(v.x), __saturatef(v.y), __saturatef(v.z), __saturatef(v.w)}; }

// Matrix products read their left rows in the order in which memory holds them, 8 (or 4) channels to a lane, instead of
// the order in the matrix unit's books; the weights are packed to match (gpu/pack.py). In a group of 32 channels, lane
// q of a row's four lanes owns channels 8q ... 8q + 7; in a last group of 16, channels 4q ... 4q + 3.
// With REST the left factor is the sum of two matrices, the second REST bytes behind the first.
template <int DEPTH, int WIDTH, int REST = 0>
DEVICE void multiply(float (&acc)[WIDTH][4], const unsigned char* upper, const unsigned char* lower, const uint2* weights, int tile_stride) {
    // upper, lower: this lane's part of rows lane / 4 and lane / 4 + 8; weights: this lane's word of step 0, tile 0.
    const int q = (threadIdx.x & 3);
    const uint4 nothing = {0, 0, 0, 0};
#pragma unroll
    for (int k = 0; k + 32 <= DEPTH; k += 32) {
        const unsigned char *up = upper + k * 2 + q * 16, *low = lower + k * 2 + q * 16;
        const uint4 u = *(const uint4*)up, l = *(const uint4*)low;
        const uint4 ru = REST ? *(const uint4*)(up + REST) : nothing, rl = REST ? *(const uint4*)(low + REST) : nothing;
#pragma unroll
        for (int t = 0; t < WIDTH; t++) {
            uint2 w0 = weights[(k / 16 * tile_stride + t) * 32], w1 = weights[((k / 16 + 1) * tile_stride + t) * 32];
            mma(acc[t], u.x, l.x, u.y, l.y, w0.x, w0.y);
            mma(acc[t], u.z, l.z, u.w, l.w, w1.x, w1.y);
            if (REST) mma(acc[t], ru.x, rl.x, ru.y, rl.y, w0.x, w0.y);
            if (REST) mma(acc[t], ru.z, rl.z, ru.w, rl.w, w1.x, w1.y);
        }
    }
    if (DEPTH % 32) {
        const int k = DEPTH / 32 * 32;
        const unsigned char *up = upper + k * 2 + q * 8, *low = lower + k * 2 + q * 8;
        const uint2 u = *(const uint2*)up, l = *(const uint2*)low;
        const uint2 ru = *(const uint2*)(up + REST), rl = *(const uint2*)(low + REST);
#pragma unroll
        for (int t = 0; t < WIDTH; t++) {
            uint2 w = weights[(k / 16 * tile_stride + t) * 32];
            mma(acc[t], u.x, l.x, u.y, l.y, w.x, w.y);
            if (REST) mma(acc[t], ru.x, rl.x, ru.y, rl.y, w.x, w.y);
        }
    }
}

// A product's columns are packed so that a lane's results in four neighbouring 8-column tiles are 8 neighbouring
// channels (a last group of r < 4 tiles: 2 r channels). Offset of the lane's first channel in the group of tile `t`:
template <int WIDTH>
DEVICE int group_channel(int t, int q) {
    const int size = WIDTH - t / 4 * 4 < 4 ? WIDTH - t / 4 * 4 : 4;
    return t / 4 * 32 + q * 2 * size;
}
#endif
