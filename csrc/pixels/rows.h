// What several kernels do with a row of pixels. Everything lives in the namespace of one instruction set.
#pragma once
#include <cstring>

#include "kernels.h"
#if defined(__SSE2__) || defined(_M_X64)
#define POSEMASK_SSE2
#include <immintrin.h>
#endif
#if defined(__ARM_NEON)
#include <arm_neon.h>
#endif

namespace posemask::POSEMASK_LEVEL {

template <class T>
inline T clamp(T value, T low, T high) {
    value = value < low ? low : value;
    return value > high ? high : value;
}

// Ask for a cache line that will be read soon. Any address will do.
inline void prefetch(std::uintptr_t address) {
#if defined(__GNUC__)
    __builtin_prefetch(reinterpret_cast<const void*>(address));
#elif defined(POSEMASK_SSE2)
    _mm_prefetch(reinterpret_cast<const char*>(address), _MM_HINT_T0);
#else
    (void)address;
#endif
}

// floor() that is vectorised everywhere; |value| < 2^31.
inline std::int32_t floor_to_int(float value) {
    const std::int32_t whole = static_cast<std::int32_t>(value);
    return whole - (static_cast<float>(whole) > value);
}

// round(255 * value), halves up, clipped to 0 .. 255; not a number is 0.
inline std::uint8_t to_byte(float value) {
    value = value < 1.0f ? value : 1.0f;
    return value > 0.0f ? static_cast<std::uint8_t>(value * 255.0f + 0.5f) : std::uint8_t{0};
}

inline void to_bytes(const float* values, int count, std::uint8_t* out) {
    int i = 0;
#if defined(__AVX2__)
    const __m256 one8 = _mm256_set1_ps(1.0f), most8 = _mm256_set1_ps(255.0f), half8 = _mm256_set1_ps(0.5f);
    const auto eight = [&](int at) {
        const __m256 value = _mm256_min_ps(one8, _mm256_loadu_ps(values + at));
        return _mm256_cvttps_epi32(_mm256_add_ps(_mm256_mul_ps(value, most8), half8));
    };
    const __m256i in_order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);  // packing works within halves
    for (; i + 32 <= count; i += 32) {
        const __m256i low = _mm256_packs_epi32(eight(i), eight(i + 8)),
                      high = _mm256_packs_epi32(eight(i + 16), eight(i + 24));
        const __m256i bytes = _mm256_permutevar8x32_epi32(_mm256_packus_epi16(low, high), in_order);
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + i), bytes);
    }
#endif
#if defined(POSEMASK_SSE2)
    const __m128 one = _mm_set1_ps(1.0f), most = _mm_set1_ps(255.0f), half = _mm_set1_ps(0.5f);
    const auto four = [&](int at) {
        const __m128 value = _mm_min_ps(one, _mm_loadu_ps(values + at));
        return _mm_cvttps_epi32(_mm_add_ps(_mm_mul_ps(value, most), half));
    };
    for (; i + 16 <= count; i += 16) {
        const __m128i low = _mm_packs_epi32(four(i), four(i + 4)), high = _mm_packs_epi32(four(i + 8), four(i + 12));
        _mm_storeu_si128(reinterpret_cast<__m128i*>(out + i), _mm_packus_epi16(low, high));
    }
#endif
    for (; i < count; i++) {
        out[i] = to_byte(values[i]);
    }
}

// Every byte three times, for pictures of three channels.
inline void thrice(const std::uint8_t* bytes, int count, std::uint8_t* out) {
    int i = 0;
#if defined(__SSSE3__) || defined(__AVX__)
    const __m128i first = _mm_setr_epi8(0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4, 5);
    const __m128i second = _mm_setr_epi8(5, 5, 6, 6, 6, 7, 7, 7, 8, 8, 8, 9, 9, 9, 10, 10);
    const __m128i third = _mm_setr_epi8(10, 11, 11, 11, 12, 12, 12, 13, 13, 13, 14, 14, 14, 15, 15, 15);
    for (; i + 16 <= count; i += 16) {
        const __m128i sixteen = _mm_loadu_si128(reinterpret_cast<const __m128i*>(bytes + i));
        __m128i* to = reinterpret_cast<__m128i*>(out + 3 * i);
        _mm_storeu_si128(to, _mm_shuffle_epi8(sixteen, first));
        _mm_storeu_si128(to + 1, _mm_shuffle_epi8(sixteen, second));
        _mm_storeu_si128(to + 2, _mm_shuffle_epi8(sixteen, third));
    }
#elif defined(__ARM_NEON)
    for (; i + 16 <= count; i += 16) {
        const uint8x16_t sixteen = vld1q_u8(bytes + i);
        const uint8x16x3_t three = {{sixteen, sixteen, sixteen}};
        vst3q_u8(out + 3 * i, three);
    }
#endif
    for (; i < count; i++) {
        out[3 * i] = out[3 * i + 1] = out[3 * i + 2] = bytes[i];
    }
}

// round((foreground * alpha + background * (255 - alpha)) / 255), halves up: exact in 16 bits.
inline void mix(const std::uint8_t* foreground, const std::uint8_t* background, const std::uint8_t* alpha, int count,
                std::uint8_t* out) {
    for (int i = 0; i < count; i++) {
        const std::uint16_t opaque = alpha[i], clear = static_cast<std::uint16_t>(255 - opaque);
        const std::uint16_t front = static_cast<std::uint16_t>(foreground[i] * opaque);
        const std::uint16_t back = static_cast<std::uint16_t>(background[i] * clear);
        const std::uint16_t sum = static_cast<std::uint16_t>(front + back + 128);
        out[i] = static_cast<std::uint8_t>(static_cast<std::uint16_t>(sum + (sum >> 8)) >> 8);
    }
}

// A row of pixels of three channels over another one. Where alpha is 0 or 255 throughout, pixels are copied or, if they
// are there already, left alone.
inline void blend_row(const std::uint8_t* foreground, const std::uint8_t* background, const std::uint8_t* alpha,
                      int width, std::uint8_t* out) {
    constexpr int kRun = 64;
    std::uint8_t alphas[3 * kRun];
    for (int x = 0; x < width; x += kRun) {
        const int count = width - x < kRun ? width - x : kRun;
        std::uint8_t all = 255, any = 0;
        for (int i = 0; i < count; i++) {
            all &= alpha[x + i];
            any |= alpha[x + i];
        }
        if (any == 0 || all == 255) {
            const std::uint8_t* from = any == 0 ? background : foreground;
            if (from != out) {
                std::memcpy(out + 3 * x, from + 3 * x, static_cast<std::size_t>(3 * count));
            }
        } else {
            thrice(alpha + x, count, alphas);
            mix(foreground + 3 * x, background + 3 * x, alphas, 3 * count, out + 3 * x);
        }
    }
}

}  // namespace posemask::POSEMASK_LEVEL
