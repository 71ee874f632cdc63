// Runs a kernel of posemask on the CPU, one block after the other, each thread a small stack that is switched by hand.
// It stands in for the intrinsics of gpu/kernels/common.cuh; what the kernels compute is then checked without a GPU.
// x86-64 with F16C only. Arguments of kernels must be pointers or integers.
#pragma once
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define DEVICE inline
#define __constant__ static const
#define KERNEL(THREADS) extern "C" void
#ifndef CLUSTER
#define CLUSTER 1
#endif
#define SHARED_BYTES(name) unsigned char* const name = emulated.shared + emulated.current / (int)emulated.threads.x * emulated.shared_stride
#define __restrict__
typedef unsigned short half_bits;
struct uint2 { unsigned x, y; };
struct alignas(16) uint4 { unsigned x, y, z, w; };
struct float2 { float x, y; };
struct alignas(16) float4 { float x, y, z, w; };
static inline uint2 make_uint2(unsigned x, unsigned y) { return {x, y}; }
static inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) { return {x, y, z, w}; }
struct Index { unsigned x, y, z; };

struct Barrier { int count, generation; };
typedef float EightFloats __attribute__((vector_size(32)));
struct Warp { Barrier barrier; float a[16][16]; EightFloats b[16]; float* d[32]; double word[32]; };
static struct {
    unsigned char* shared;  // of all thread blocks of a cluster, shared_stride apart
    size_t shared_stride;
    Index block, grid, threads;
    int current, alive;
    void* stack[8192];
    char done[8192];
    Barrier barrier[16], cluster;
    Warp warp[256];
    void* caller;
} emulated;
#define threadIdx (Index{(unsigned)emulated.current % emulated.threads.x, 0, 0})
#define blockIdx (Index{emulated.block.x, emulated.block.y, emulated.block.z + (unsigned)emulated.current / emulated.threads.x})
#define gridDim emulated.grid
#define blockDim emulated.threads

extern "C" void switch_stack(void** from, void* to);
asm(".text\n.globl switch_stack\nswitch_stack:\n"
    "push %rbx\npush %rbp\npush %r12\npush %r13\npush %r14\npush %r15\n"
    "mov %rsp,(%rdi)\nmov %rsi,%rsp\n"
    "pop %r15\npop %r14\npop %r13\npop %r12\npop %rbp\npop %rbx\nret\n");

static __attribute__((noinline)) void go_to(int next) {
    const int self = emulated.current;
    if (next == self) return;
    emulated.current = next;
    switch_stack(&emulated.stack[self], emulated.stack[next]);
}
static void wait_at(volatile Barrier& b, int of, int first, int count) {
    const int generation = b.generation;
    if (++b.count == of) {
        b.count = 0, b.generation++;
        return;
    }
    while (b.generation == generation) {
        int next = emulated.current;
        do next = first + (next - first + 1) % count;
        while (emulated.done[next]);
        if (next == emulated.current) abort();  // the others have ended: they missed the barrier
        go_to(next);
    }
}
static inline void __syncthreads() {
    const int size = emulated.threads.x, block = emulated.current / size;
    wait_at(emulated.barrier[block], size, block * size, size);
}
static inline void cluster_sync() { wait_at(emulated.cluster, emulated.threads.x * CLUSTER, 0, emulated.threads.x * CLUSTER); }
static inline float cluster_load(const float* here, int rank) {
    const ptrdiff_t there = rank - emulated.current / (int)emulated.threads.x;
    return *(const float*)((const unsigned char*)here + there * (ptrdiff_t)emulated.shared_stride);
}
static inline void sync_warp() {
    const int warp = emulated.current / 32;
    wait_at(emulated.warp[warp].barrier, 32, warp * 32, 32);
}

// The compiler's own functions: reading <immintrin.h> takes longer than compiling a kernel.
typedef short Halves __attribute__((vector_size(16)));
typedef float Floats __attribute__((vector_size(16)));
static inline float half_to_float(unsigned short h) { return __builtin_ia32_vcvtph2ps(Halves{(short)h})[0]; }
static inline unsigned half_of(double v) { return (unsigned short)__builtin_ia32_vcvtps2ph(Floats{(float)v}, 0)[0]; }
template <class Function> static inline unsigned half2_map(unsigned a, unsigned b, unsigned c, Function f) {
    return half_of(f(half_to_float(a & 0xffff), half_to_float(b & 0xffff), half_to_float(c & 0xffff))) |
           half_of(f(half_to_float(a >> 16), half_to_float(b >> 16), half_to_float(c >> 16))) << 16;
}
static inline unsigned half2_fma(unsigned a, unsigned b, unsigned c) { return half2_map(a, b, c, [](double x, double y, double z) { return x * y + z; }); }
static inline unsigned half2_add(unsigned a, unsigned b) { return half2_map(a, b, 0, [](double x, double y, double) { return x + y; }); }
static inline unsigned half2_max(unsigned a, unsigned b) { return half2_map(a, b, 0, [](double x, double y, double) { return x > y ? x : y; }); }
static inline unsigned half2_min(unsigned a, unsigned b) { return half2_map(a, b, 0, [](double x, double y, double) { return x < y ? x : y; }); }
static inline unsigned half2_pack(float low, float high) { return half_of(low) | half_of(high) << 16; }
static inline void half2_unpack(unsigned pair, float& low, float& high) { low = half_to_float(pair & 0xffff), high = half_to_float(pair >> 16); }
static __attribute__((noinline)) void multiply_all(Warp& w) {
    for (int row = 0; row < 16; row++) {
        EightFloats sums;
        for (int column = 0; column < 8; column++) sums[column] = w.d[row % 8 * 4 + column / 2][row / 8 * 2 + column % 2];
        for (int k = 0; k < 16; k++) sums += w.a[row][k] * w.b[k];
        for (int column = 0; column < 8; column++) w.d[row % 8 * 4 + column / 2][row / 8 * 2 + column % 2] = sums[column];
    }
}
static inline void mma(float (&d)[4], unsigned a0, unsigned a1, unsigned a2, unsigned a3, unsigned b0, unsigned b1) {
    const int lane = emulated.current % 32, g = lane / 4, q = lane % 4;
    Warp& w = emulated.warp[emulated.current / 32];
    const unsigned a[4] = {a0, a1, a2, a3}, b[2] = {b0, b1};
    for (int i = 0; i < 4; i++) half2_unpack(a[i], w.a[g + i % 2 * 8][i / 2 * 8 + q * 2], w.a[g + i % 2 * 8][i / 2 * 8 + q * 2 + 1]);
    for (int i = 0; i < 2; i++) {
        float first, second;
        half2_unpack(b[i], first, second);
        w.b[i * 8 + q * 2][g] = first, w.b[i * 8 + q * 2 + 1][g] = second;
    }
    w.d[lane] = d;
    if (w.barrier.count == 31) multiply_all(w);  // the last lane to come works for all
    sync_warp();
}
template <class T> static inline T __shfl_xor_sync(unsigned, T v, int mask) {
    static_assert(sizeof(T) <= sizeof(Warp::word[0]), "no register is larger");
    Warp& w = emulated.warp[emulated.current / 32];
    memcpy(&w.word[emulated.current % 32], &v, sizeof(T));
    sync_warp();
    memcpy(&v, &w.word[emulated.current % 32 ^ mask], sizeof(T));
    sync_warp();
    return v;
}
static inline void copy16_async(void* to, const void* from, bool inside) { inside ? memcpy(to, from, 16) : memset(to, 0, 16); }
static inline void copies_done() {}
template <class T> static inline T atomicAdd(T* at, T v) { T old = *at; *at += v; return old; }
#define __expf expf
static inline float __saturatef(float v) { return v < 0 ? 0 : v > 1 ? 1 : v; }
static inline float __uint_as_float(unsigned bits) { float v; memcpy(&v, &bits, 4); return v; }
#define __float2int_rn(v) ((int)nearbyintf(v))
#define __double2int_rn(v) ((int)nearbyint(v))

typedef void (*Kernel)(...);
static struct { Kernel kernel; uint64_t a[24]; } call;

static void thread_main() {
    uint64_t* a = call.a;
    ((void (*)(uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t,
               uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t))call.kernel)(
        a[0], a[1], a[2], a[3], a[4], a[5], a[6], a[7], a[8], a[9], a[10], a[11], a[12], a[13], a[14], a[15], a[16], a[17], a[18], a[19],
        a[20], a[21], a[22], a[23]);
    const int self = emulated.current;
    emulated.done[self] = 1;
    if (--emulated.alive == 0) {
        void* unused;
        switch_stack(&unused, emulated.caller);
    }
    int next = self;
    do next = (next + 1) % ((int)emulated.threads.x * CLUSTER);
    while (emulated.done[next]);
    emulated.current = next;
    switch_stack(&emulated.stack[self], emulated.stack[next]);
    abort();
}

static void run_kernel(Kernel kernel, const unsigned* grid, int threads, int shared_bytes, const uint64_t* arguments, int count) {
    const size_t size = 64 << 10;
    const int all = threads * CLUSTER;
    char* stacks = (char*)aligned_alloc(64, size * all);
    emulated.shared_stride = (shared_bytes + 255) / 128 * 128;
    emulated.shared = (unsigned char*)aligned_alloc(128, emulated.shared_stride * CLUSTER);
    call.kernel = kernel;
    memcpy(call.a, arguments, count * 8);
    emulated.grid = {grid[0], grid[1], grid[2]};
    emulated.threads = {(unsigned)threads, 1, 1};
    for (unsigned z = 0; z < grid[2]; z += CLUSTER)
        for (unsigned y = 0; y < grid[1]; y++)
            for (unsigned x = 0; x < grid[0]; x++) {
                memset(emulated.shared, 0xff, emulated.shared_stride * CLUSTER);  // NaNs: what nobody wrote must not be read
                emulated.block = {x, y, z};
                emulated.alive = all, emulated.current = 0, emulated.cluster = {};
                memset(emulated.barrier, 0, sizeof emulated.barrier);
                memset(emulated.warp, 0, sizeof emulated.warp);
                for (int t = 0; t < all; t++) {
                    void** top = (void**)(stacks + size * (t + 1)) - 2;
                    *top = (void*)thread_main;
                    emulated.stack[t] = top - 6;
                    emulated.done[t] = 0;
                }
                switch_stack(&emulated.caller, emulated.stack[0]);
            }
    free(stacks), free(emulated.shared);
}
