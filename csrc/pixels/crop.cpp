// The reference's picture sampling: OpenCV 4's warpPerspective for uint8 and INTER_LINEAR.
//
// Source coordinates are rounded to 1/32 pixel, ties to even. A tap's weight is the product of two whole numbers out of
// 32, so a value is (sum of weight * tap + 512) >> 10: what OpenCV's 15-bit table gives, whose weights are all
// multiples of 32 (the one that does not fit 15 bits, 32768, is split in a way that cannot be seen in the result).
//
// Borders need no branches. A tap k of coordinate X (in 1/32) weighs max(0, 32 - |X - 32k|); the two taps read are
// clamped into the picture and those that were moved weigh nothing. "replicate" first clamps X itself.
#include <cmath>

#include "rows.h"

namespace posemask::POSEMASK_LEVEL {
namespace {

constexpr int kChunk = 64;

// Where the four taps of each pixel of a chunk lie and what they weigh.
struct Taps {
    std::int32_t row[kChunk];        // upper row; the lower one is the next
    std::int32_t offset[kChunk];     // first of 8 readable bytes in a row
    std::int32_t shift[kChunk];      // bits from there to the left tap, non-zero only at the right end of a row
    std::uint32_t weight_x[kChunk];  // left | right << 8
    std::uint32_t weight_y[kChunk];  // upper | lower << 16
};

inline std::int32_t tap_weight(std::int32_t coordinate, std::int32_t tap) {
    std::int32_t distance = coordinate - 32 * tap;
    distance = distance < 0 ? -distance : distance;
    return distance > 32 ? 0 : 32 - distance;
}

// Nearest integer, ties to even, by the addition of 1.5 * 2^52: exact, and every compiler vectorises it.
inline std::int32_t round_to_int(double value) {
    constexpr double limit = 1 << 30;
    value = value < -limit ? -limit : value;
    value = value > limit ? limit : value;
    value += 6755399441055744.0;
    std::int64_t bits;
    std::memcpy(&bits, &value, sizeof bits);
    return static_cast<std::int32_t>(bits);
}

// A row of crop pixels in the picture: (x, y, w) + n * step, to be divided by w.
struct Line {
    double x, y, w, step_x, step_y, step_w;
};

// Pixels first .. first + count - 1 of a line.
inline void find_taps(const Line& line, int first, int count, int height, int width, bool replicate, Taps& taps) {
    const std::int32_t right = 32 * (width - 1), bottom = 32 * (height - 1);
    const std::int32_t reach = 3 * width - 8;
    std::int32_t xs[kChunk], ys[kChunk];
    for (int i = 0; i < count; i++) {
        const double w = line.w + line.step_w * (first + i);
        const double scale = w != 0 ? 32.0 / w : 0.0;
        xs[i] = round_to_int((line.x + line.step_x * (first + i)) * scale);
        ys[i] = round_to_int((line.y + line.step_y * (first + i)) * scale);
    }
    if (replicate) {
        for (int i = 0; i < count; i++) {
            xs[i] = clamp(xs[i], 0, right);
            ys[i] = clamp(ys[i], 0, bottom);
        }
    }
    for (int i = 0; i < count; i++) {
        const std::int32_t x = clamp(xs[i] >> 5, 0, width - 2), y = clamp(ys[i] >> 5, 0, height - 2);
        const std::int32_t offset = 3 * x < reach ? 3 * x : reach;
        taps.row[i] = y;
        taps.offset[i] = offset;
        taps.shift[i] = 8 * (3 * x - offset);
        taps.weight_x[i] = static_cast<std::uint32_t>(tap_weight(xs[i], x) | tap_weight(xs[i], x + 1) << 8);
        taps.weight_y[i] = static_cast<std::uint32_t>(tap_weight(ys[i], y) | tap_weight(ys[i], y + 1) << 16);
    }
}

#if defined(__AVX2__)

inline std::uint64_t load_pair(const std::uint8_t* from, std::int32_t shift) {
    std::uint64_t bytes;
    std::memcpy(&bytes, from, sizeof bytes);
    return bytes >> shift;
}

inline __m128i load_quad(const Plane<const std::uint8_t>& image, const Taps& taps, int i) {
    const std::uint8_t* from = image.data + taps.row[i] * image.stride + taps.offset[i];
    const std::uint64_t upper = load_pair(from, taps.shift[i]), lower = load_pair(from + image.stride, taps.shift[i]);
    return _mm_set_epi64x(static_cast<long long>(lower), static_cast<long long>(upper));
}

// Two pixels at a time. `out` has room for one byte more than 3 * count; taps beyond count (if count is odd) must be
// readable.
inline void blend_taps(const Plane<const std::uint8_t>& image, const Taps& taps, int count, std::uint8_t* out) {
    // r00 r01 r10 r11, then g, then b: one multiplication across, one down.
    const __m256i order =
        _mm256_broadcastsi128_si256(_mm_setr_epi8(0, 3, 8, 11, 1, 4, 9, 12, 2, 5, 10, 13, -1, -1, -1, -1));
    const __m256i spread_x = _mm256_setr_epi8(0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1,  //
                                              4, 5, 4, 5, 4, 5, 4, 5, 4, 5, 4, 5, 4, 5, 4, 5);
    const __m256i spread_y = _mm256_setr_epi8(0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3,  //
                                              4, 5, 6, 7, 4, 5, 6, 7, 4, 5, 6, 7, 4, 5, 6, 7);
    const __m256i half = _mm256_set1_epi32(512);
    const __m256i pack =
        _mm256_broadcastsi128_si256(_mm_setr_epi8(0, 4, 8, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1));
    for (int i = 0; i < count; i += 2) {
        const __m256i quads = _mm256_inserti128_si256(_mm256_castsi128_si256(load_quad(image, taps, i)),
                                                      load_quad(image, taps, i + 1), 1);
        long long weights;
        std::memcpy(&weights, taps.weight_x + i, sizeof weights);
        const __m256i across = _mm256_shuffle_epi8(_mm256_set1_epi64x(weights), spread_x);
        std::memcpy(&weights, taps.weight_y + i, sizeof weights);
        const __m256i down = _mm256_shuffle_epi8(_mm256_set1_epi64x(weights), spread_y);
        const __m256i rows = _mm256_maddubs_epi16(_mm256_shuffle_epi8(quads, order), across);
        const __m256i sums = _mm256_srli_epi32(_mm256_add_epi32(_mm256_madd_epi16(rows, down), half), 10);
        const __m256i bytes = _mm256_shuffle_epi8(sums, pack);
        const int left = _mm256_cvtsi256_si32(bytes), right = _mm_cvtsi128_si32(_mm256_extracti128_si256(bytes, 1));
        std::memcpy(out + 3 * i, &left, 4);
        std::memcpy(out + 3 * i + 3, &right, 4);
    }
}

#else

inline void blend_taps(const Plane<const std::uint8_t>& image, const Taps& taps, int count, std::uint8_t* out) {
    for (int i = 0; i < count; i++) {
        const std::uint8_t* upper = image.data + taps.row[i] * image.stride + taps.offset[i] + taps.shift[i] / 8;
        const std::uint8_t* lower = upper + image.stride;
        const int left = static_cast<int>(taps.weight_x[i] & 255), right = static_cast<int>(taps.weight_x[i] >> 8);
        const int above = static_cast<int>(taps.weight_y[i] & 255), below = static_cast<int>(taps.weight_y[i] >> 16);
        for (int c = 0; c < 3; c++) {
            const int sum =
                above * (left * upper[c] + right * upper[c + 3]) + below * (left * lower[c] + right * lower[c + 3]);
            out[3 * i + c] = static_cast<std::uint8_t>((sum + 512) >> 10);
        }
    }
}

#endif

// A frame that was just decoded, or comes from a camera, is in no near cache, and across a turned crop the processor
// sees no pattern. The same taps some rows of the crop further on: a guess that is good enough.
inline void prefetch_ahead(const Plane<const std::uint8_t>& image, const Taps& taps, int count, std::ptrdiff_t ahead) {
    const std::uintptr_t origin = reinterpret_cast<std::uintptr_t>(image.data) + static_cast<std::uintptr_t>(ahead);
    for (int i = 0; i < count; i++) {
        prefetch(origin + static_cast<std::uintptr_t>(taps.row[i] * image.stride + taps.offset[i]));
    }
}

inline void store(const std::uint8_t* bytes, int count, float, float, std::uint8_t* out) {
    std::memcpy(out, bytes, static_cast<std::size_t>(count));
}

inline void store(const std::uint8_t* bytes, int count, float scale, float offset, float* out) {
    for (int i = 0; i < count; i++) {
        out[i] = static_cast<float>(bytes[i]) * scale + offset;
    }
}

template <class T>
void crop(Plane<const std::uint8_t> image, const double matrix[9], Border border, float scale, float offset,
          Plane<T> out) {
    // OpenCV adds up coordinates from the left end of blocks; the last bit of the sum depends on where they begin.
    const int block_height = out.height < 16 ? out.height : 16;
    const int block_width = 1024 / block_height < out.width ? 1024 / block_height : out.width;
    constexpr int kRowsAhead = 4;
    const auto step = [&](double pixels) {
        return std::abs(pixels) < 1e4 ? static_cast<std::ptrdiff_t>(pixels * kRowsAhead) : 0;
    };
    const std::ptrdiff_t ahead = step(matrix[4]) * image.stride + 3 * step(matrix[1]);
    Taps taps = {};
    std::uint8_t bytes[3 * kChunk + 4];
    for (int y = 0; y < out.height; y++) {
        T* row = out.data + y * out.stride;
        for (int block = 0; block < out.width; block += block_width) {
            const Line line = {matrix[0] * block + matrix[1] * y + matrix[2],
                               matrix[3] * block + matrix[4] * y + matrix[5],
                               matrix[6] * block + matrix[7] * y + matrix[8],
                               matrix[0],
                               matrix[3],
                               matrix[6]};
            const int end = block + block_width < out.width ? block + block_width : out.width;
            for (int x = block; x < end; x += kChunk) {
                const int count = x + kChunk < end ? kChunk : end - x;
                find_taps(line, x - block, count, image.height, image.width, border == Border::replicate, taps);
                prefetch_ahead(image, taps, count, ahead);
                blend_taps(image, taps, count, bytes);
                store(bytes, 3 * count, scale, offset, row + 3 * x);
            }
        }
    }
}

}  // namespace

void crop_u8(Plane<const std::uint8_t> image, const double matrix[9], Border border, Plane<std::uint8_t> out) {
    crop(image, matrix, border, 1.0f, 0.0f, out);
}

void crop_f32(Plane<const std::uint8_t> image, const double matrix[9], Border border, float scale, float offset,
              Plane<float> out) {
    crop(image, matrix, border, scale, offset, out);
}

}  // namespace posemask::POSEMASK_LEVEL
