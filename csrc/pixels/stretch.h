// From blurred cells back to pixels.
#pragma once
#include "rows.h"

namespace posemask::POSEMASK_LEVEL {

constexpr int kFractionBits = 6;  // of a cell of an 8-bit picture
constexpr int kPadding = 64;      // values beyond a row that vector code may read or write

inline int floor_divide(int a, int b) { return a >= 0 ? a / b : -((-a + b - 1) / b); }

// A row of cells stretched to pixels, `channels` values each: out = near + (far - near) * weight between the two cells
// next to a pixel. `cells` begins one cell left of the picture; both rows have kPadding values more than are used.
class Stretch {
   public:
    Stretch(int factor, int channels) : channels_(channels) {
        period_ = kVector;
        while (period_ % (factor * channels) != 0) {
            period_ += kVector;
        }
        cells_ = period_ / (factor * channels);
        for (int k = 0; k < period_; k++) {
            const int pixel = k / channels, position = 2 * pixel + 1 - factor,
                      cell = floor_divide(position, 2 * factor);
            index_[k] = static_cast<std::int16_t>((cell + 1) * channels + k % channels);
            weight_[k] = static_cast<std::int16_t>((position - cell * 2 * factor) * 32768 / (2 * factor));
        }
        for (int k = 0; k < period_; k += 8) {
            std::int16_t first = index_[k];
            for (int i = 0; i < 8; i++) {
                first = index_[k + i] < first ? index_[k + i] : first;
            }
            for (int i = 0; i < 8; i++) {
                shuffle_[2 * (k + i)] = static_cast<std::uint8_t>(2 * (index_[k + i] - first));
                shuffle_[2 * (k + i) + 1] = static_cast<std::uint8_t>(2 * (index_[k + i] - first) + 1);
            }
            first_[k / 8] = first;
        }
    }

    // To 8 bits; count values, rounded up to a whole period.
    void run(const std::int16_t* cells, int count, std::uint8_t* out) const {
        for (int start = 0; start < count; start += period_) {
            const std::int16_t* from = cells + start / period_ * cells_ * channels_;
#if defined(__AVX2__)
            // Eight values of the lower half of a register, eight of the upper one: each half is shuffled out of 8
            // neighbouring cells.
            const auto halves = [](const std::int16_t* low, const std::int16_t* high) {
                const __m256i half = _mm256_castsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(low)));
                return _mm256_inserti128_si256(half, _mm_loadu_si128(reinterpret_cast<const __m128i*>(high)), 1);
            };
            for (int k = 0; k < period_; k += kVector) {
                const std::int16_t *low = from + first_[k / 8], *high = from + first_[k / 8 + 1];
                const __m256i order = _mm256_load_si256(reinterpret_cast<const __m256i*>(shuffle_ + 2 * k));
                const __m256i near = _mm256_shuffle_epi8(halves(low, high), order);
                const __m256i far = _mm256_shuffle_epi8(halves(low + channels_, high + channels_), order);
                const __m256i weight = _mm256_load_si256(reinterpret_cast<const __m256i*>(weight_ + k));
                __m256i value = _mm256_add_epi16(near, _mm256_mulhrs_epi16(_mm256_sub_epi16(far, near), weight));
                value = _mm256_srai_epi16(_mm256_add_epi16(value, _mm256_set1_epi16(1 << (kFractionBits - 1))),
                                          kFractionBits);
                const __m256i bytes =
                    _mm256_permute4x64_epi64(_mm256_packus_epi16(value, value), _MM_SHUFFLE(3, 1, 2, 0));
                _mm_storeu_si128(reinterpret_cast<__m128i*>(out + start + k), _mm256_castsi256_si128(bytes));
            }
#elif defined(__aarch64__) && defined(__ARM_NEON)
            for (int k = 0; k < period_; k += 8) {
                const uint8x16_t order = vld1q_u8(shuffle_ + 2 * k);
                const auto shuffled = [order](const std::int16_t* at) {
                    return vreinterpretq_s16_u8(vqtbl1q_u8(vreinterpretq_u8_s16(vld1q_s16(at)), order));
                };
                const int16x8_t near = shuffled(from + first_[k / 8]), far = shuffled(from + first_[k / 8] + channels_);
                const int16x8_t step = vqrdmulhq_s16(vsubq_s16(far, near), vld1q_s16(weight_ + k));
                vst1_u8(out + start + k, vqrshrun_n_s16(vaddq_s16(near, step), kFractionBits));
            }
#else
            for (int k = 0; k < period_; k++) {
                const std::int32_t near = from[index_[k]], far = from[index_[k] + channels_];
                const std::int32_t value = near + (((far - near) * weight_[k] + (1 << 14)) >> 15);
                out[start + k] = static_cast<std::uint8_t>((value + (1 << (kFractionBits - 1))) >> kFractionBits);
            }
#endif
        }
    }

    void run(const float* cells, int count, float* out) const {
        for (int start = 0; start < count; start += period_) {
            const float* from = cells + start / period_ * cells_ * channels_;
            for (int k = 0; k < period_; k++) {
                const float near = from[index_[k]], far = from[index_[k] + channels_];
                out[start + k] = near + (far - near) * (static_cast<float>(weight_[k]) * (1.0f / 32768.0f));
            }
        }
    }

   private:
    static constexpr int kVector = 16;
    static constexpr int kLongest =
        kMaxBlurFactor * 3;  // the longest period: 3 channels and any factor, or 1 and the largest
    int channels_, period_, cells_;
    alignas(32) std::int16_t weight_[kLongest];
    alignas(32) std::uint8_t shuffle_[2 * kLongest];
    std::int16_t index_[kLongest], first_[kLongest / 8];
};

}  // namespace posemask::POSEMASK_LEVEL
