// One picture over another.
#include "rows.h"

namespace posemask::POSEMASK_LEVEL {

void blend(Plane<const std::uint8_t> foreground, Plane<const std::uint8_t> background, Plane<const std::uint8_t> alpha,
           Plane<std::uint8_t> out) {
    for (int y = 0; y < out.height; y++) {
        blend_row(foreground.data + y * foreground.stride, background.data + y * background.stride,
                  alpha.data + y * alpha.stride, out.width, out.data + y * out.stride);
    }
}

// RGB and alpha as RGBA.
void join_alpha(Plane<const std::uint8_t> image, Plane<const std::uint8_t> alpha, Plane<std::uint8_t> out) {
    for (int y = 0; y < out.height; y++) {
        const std::uint8_t *colors = image.data + y * image.stride, *opacity = alpha.data + y * alpha.stride;
        std::uint8_t* row = out.data + y * out.stride;
        int x = 0;
#if defined(__SSSE3__) || defined(__AVX__)
        const __m128i spread = _mm_setr_epi8(0, 1, 2, -1, 3, 4, 5, -1, 6, 7, 8, -1, 9, 10, 11, -1);
        // 16 bytes are read where 12 are used: stop before the row's end.
        for (; x + 6 <= out.width; x += 4) {
            const __m128i rgb = _mm_loadu_si128(reinterpret_cast<const __m128i*>(colors + 3 * x));
            std::int32_t four;
            std::memcpy(&four, opacity + x, sizeof four);
            const __m128i a = _mm_slli_epi32(_mm_cvtepu8_epi32(_mm_cvtsi32_si128(four)), 24);
            _mm_storeu_si128(reinterpret_cast<__m128i*>(row + 4 * x), _mm_or_si128(_mm_shuffle_epi8(rgb, spread), a));
        }
#endif
        for (; x < out.width; x++) {
            std::memcpy(row + 4 * x, colors + 3 * x, 3);
            row[4 * x + 3] = opacity[x];
        }
    }
}

void to_bytes(const float* values, std::size_t count, std::uint8_t* out) {
    constexpr std::size_t kRun = 1 << 20;
    for (std::size_t i = 0; i < count; i += kRun) {
        to_bytes(values + i, static_cast<int>(count - i < kRun ? count - i : kRun), out + i);
    }
}

}  // namespace posemask::POSEMASK_LEVEL
