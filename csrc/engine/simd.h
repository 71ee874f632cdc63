// Vectors of 16 and of 8 floats, and the few operations that the kernels need, for the instruction set that the
// including file is compiled for: AVX-512, AVX2 with FMA, or anything else in groups of four floats, which compilers
// turn into NEON or SSE (and into plain loops where they know no vectors).
#pragma once

#include <cstddef>

#if defined(__AVX2__) || defined(__AVX512F__)
#include <immintrin.h>
#endif

#if defined(_MSC_VER) && !defined(__clang__)
#define ENGINE_INLINE __forceinline
#define ENGINE_UNROLL
#define ENGINE_NOINLINE __declspec(noinline)
#else
#define ENGINE_INLINE inline __attribute__((always_inline))
#define ENGINE_UNROLL _Pragma("GCC unroll 32")
#define ENGINE_NOINLINE __attribute__((noinline))
#endif

namespace {

#if defined(__AVX2__)
struct Native8 {
  __m256 v;
  static constexpr int width = 8;
  static ENGINE_INLINE Native8 load(const float* p) { return {_mm256_loadu_ps(p)}; }
  static ENGINE_INLINE Native8 all(float x) { return {_mm256_set1_ps(x)}; }
  ENGINE_INLINE void store(float* p) const { _mm256_storeu_ps(p, v); }
};
ENGINE_INLINE Native8 fma(Native8 a, Native8 b, Native8 c) { return {_mm256_fmadd_ps(a.v, b.v, c.v)}; }
ENGINE_INLINE Native8 add(Native8 a, Native8 b) { return {_mm256_add_ps(a.v, b.v)}; }
ENGINE_INLINE Native8 sub(Native8 a, Native8 b) { return {_mm256_sub_ps(a.v, b.v)}; }
ENGINE_INLINE Native8 mul(Native8 a, Native8 b) { return {_mm256_mul_ps(a.v, b.v)}; }
ENGINE_INLINE Native8 min(Native8 a, Native8 b) { return {_mm256_min_ps(a.v, b.v)}; }
ENGINE_INLINE Native8 max(Native8 a, Native8 b) { return {_mm256_max_ps(a.v, b.v)}; }
#endif

#if defined(__AVX512F__)
struct Native16 {
  __m512 v;
  static constexpr int width = 16;
  static ENGINE_INLINE Native16 load(const float* p) { return {_mm512_loadu_ps(p)}; }
  static ENGINE_INLINE Native16 all(float x) { return {_mm512_set1_ps(x)}; }
  ENGINE_INLINE void store(float* p) const { _mm512_storeu_ps(p, v); }
};
ENGINE_INLINE Native16 fma(Native16 a, Native16 b, Native16 c) { return {_mm512_fmadd_ps(a.v, b.v, c.v)}; }
ENGINE_INLINE Native16 add(Native16 a, Native16 b) { return {_mm512_add_ps(a.v, b.v)}; }
ENGINE_INLINE Native16 sub(Native16 a, Native16 b) { return {_mm512_sub_ps(a.v, b.v)}; }
ENGINE_INLINE Native16 mul(Native16 a, Native16 b) { return {_mm512_mul_ps(a.v, b.v)}; }
ENGINE_INLINE Native16 min(Native16 a, Native16 b) { return {_mm512_min_ps(a.v, b.v)}; }
ENGINE_INLINE Native16 max(Native16 a, Native16 b) { return {_mm512_max_ps(a.v, b.v)}; }
#endif

#if !defined(__AVX2__)
#if defined(__GNUC__) || defined(__clang__)
typedef float Four __attribute__((vector_size(16), aligned(4), may_alias));
ENGINE_INLINE Four four_of(float x) { return Four{x, x, x, x}; }
ENGINE_INLINE Four four_min(Four a, Four b) { return a < b ? a : b; }
ENGINE_INLINE Four four_max(Four a, Four b) { return a > b ? a : b; }
#else
struct Four {
  float v[4];
};
ENGINE_INLINE Four four_of(float x) { return {{x, x, x, x}}; }
#define ENGINE_FOUR(name, expression)                \
  ENGINE_INLINE Four name(Four a, Four b) {          \
    Four r;                                          \
    for (int i = 0; i < 4; ++i) r.v[i] = expression; \
    return r;                                        \
  }
ENGINE_FOUR(operator+, a.v[i] + b.v[i])
ENGINE_FOUR(operator-, a.v[i] - b.v[i])
ENGINE_FOUR(operator*, a.v[i] * b.v[i])
ENGINE_FOUR(four_min, a.v[i] < b.v[i] ? a.v[i] : b.v[i])
ENGINE_FOUR(four_max, a.v[i] > b.v[i] ? a.v[i] : b.v[i])
#undef ENGINE_FOUR
#endif
struct Native4 {
  Four v;
  static constexpr int width = 4;
  static ENGINE_INLINE Native4 load(const float* p) { return {*reinterpret_cast<const Four*>(p)}; }
  static ENGINE_INLINE Native4 all(float x) { return {four_of(x)}; }
  ENGINE_INLINE void store(float* p) const { *reinterpret_cast<Four*>(p) = v; }
};
ENGINE_INLINE Native4 fma(Native4 a, Native4 b, Native4 c) { return {a.v * b.v + c.v}; }
ENGINE_INLINE Native4 add(Native4 a, Native4 b) { return {a.v + b.v}; }
ENGINE_INLINE Native4 sub(Native4 a, Native4 b) { return {a.v - b.v}; }
ENGINE_INLINE Native4 mul(Native4 a, Native4 b) { return {a.v * b.v}; }
ENGINE_INLINE Native4 min(Native4 a, Native4 b) { return {four_min(a.v, b.v)}; }
ENGINE_INLINE Native4 max(Native4 a, Native4 b) { return {four_max(a.v, b.v)}; }
#endif

// N native vectors side by side.
template <class Native, int N>
struct Joined {
  Native part[N];
  static constexpr int width = N * Native::width;
  static ENGINE_INLINE Joined load(const float* p) {
    Joined r;
    ENGINE_UNROLL for (int i = 0; i < N; ++i) r.part[i] = Native::load(p + i * Native::width);
    return r;
  }
  static ENGINE_INLINE Joined all(float x) {
    Joined r;
    ENGINE_UNROLL for (int i = 0; i < N; ++i) r.part[i] = Native::all(x);
    return r;
  }
  ENGINE_INLINE void store(float* p) const {
    ENGINE_UNROLL for (int i = 0; i < N; ++i) part[i].store(p + i * Native::width);
  }
};
template <class V, int N>
ENGINE_INLINE Joined<V, N> fma(const Joined<V, N>& a, const Joined<V, N>& b, const Joined<V, N>& c) {
  Joined<V, N> r;
  ENGINE_UNROLL for (int i = 0; i < N; ++i) r.part[i] = fma(a.part[i], b.part[i], c.part[i]);
  return r;
}
#define ENGINE_JOINED(name)                                                                   \
  template <class V, int N>                                                                   \
  ENGINE_INLINE Joined<V, N> name(const Joined<V, N>& a, const Joined<V, N>& b) {             \
    Joined<V, N> r;                                                                           \
    ENGINE_UNROLL for (int i = 0; i < N; ++i) r.part[i] = name(a.part[i], b.part[i]);         \
    return r;                                                                                 \
  }
ENGINE_JOINED(add)
ENGINE_JOINED(sub)
ENGINE_JOINED(mul)
ENGINE_JOINED(min)
ENGINE_JOINED(max)
#undef ENGINE_JOINED

// The sums over the lanes of eight vectors.
#if defined(__AVX2__)
ENGINE_INLINE Native8 lane_sums(const Native8* v) {
  const __m256 ab = _mm256_hadd_ps(v[0].v, v[1].v), cd = _mm256_hadd_ps(v[2].v, v[3].v);
  const __m256 ef = _mm256_hadd_ps(v[4].v, v[5].v), gh = _mm256_hadd_ps(v[6].v, v[7].v);
  const __m256 abcd = _mm256_hadd_ps(ab, cd), efgh = _mm256_hadd_ps(ef, gh);
  const __m256 low = _mm256_permute2f128_ps(abcd, efgh, 0x20), high = _mm256_permute2f128_ps(abcd, efgh, 0x31);
  return {_mm256_add_ps(low, high)};
}
#else
ENGINE_INLINE Joined<Native4, 2> lane_sums(const Joined<Native4, 2>* v) {
  float sums[8];
  for (int i = 0; i < 8; ++i) {
    float lanes[8];
    v[i].store(lanes);
    sums[i] = ((lanes[0] + lanes[4]) + (lanes[1] + lanes[5])) + ((lanes[2] + lanes[6]) + (lanes[3] + lanes[7]));
  }
  return Joined<Native4, 2>::load(sums);
}
#endif

// What fits into the registers: the matrix kernel keeps most_pixels x most_vectors vectors of 16 as sums; the
// depthwise kernel walks over tile pixels with vectors of type Lane.
#if defined(__AVX512F__)
using V16 = Native16;
using V8 = Native8;
using Lane = V16;
constexpr int most_pixels = 14, most_vectors = 2, tile = 8;
#elif defined(__AVX2__)
using V16 = Joined<Native8, 2>;
using V8 = Native8;
using Lane = V8;
constexpr int most_pixels = 6, most_vectors = 1, tile = 4;
#elif defined(__aarch64__)
using V16 = Joined<Native4, 4>;
using V8 = Joined<Native4, 2>;
using Lane = V8;
constexpr int most_pixels = 6, most_vectors = 1, tile = 4;
#else
using V16 = Joined<Native4, 4>;
using V8 = Joined<Native4, 2>;
using Lane = V8;
constexpr int most_pixels = 2, most_vectors = 1, tile = 2;
#endif

}  // namespace
