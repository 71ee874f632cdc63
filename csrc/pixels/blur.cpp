// Gaussian blur in one pass down the picture, for blurs far wider than a pixel.
//
// The picture is averaged over cells of factor x factor pixels, the cells are convolved with a small Gaussian, and what comes out is
// interpolated linearly. Averaging over f pixels adds a variance of (f^2 - 1) / 12, interpolating between cells f^2 / 6 + 1 / 12 on
// average, f^2 / 4 together: the small Gaussian has sigma_cells^2 = (sigma / f)^2 - 1 / 4. plan_blur() chooses f.
//
// Rows flow: a row of cells is summed up, convolved across and kept in a ring; as soon as the ring holds the rows that a convolution
// down needs, it gives a row of blurred cells; two of those give factor rows of the picture. So a picture is read from memory once,
// and may be written over while it is read. The blurred cells reach one beyond the picture on every side, for the interpolation at
// its rim. Beyond the picture lie black cells, or cells of nothing but the picture's edge ("replicate").
//
// 8-bit pictures are interpolated in 16-bit whole numbers with 6 bits of fraction, and rounded once.
#include <type_traits>

#include "rows.h"

namespace posemask::POSEMASK_LEVEL {
namespace {

constexpr int kFractionBits = 6;
constexpr int kPadding = 64;  // values beyond a row that vector code may read or write

inline int floor_divide(int a, int b) { return a >= 0 ? a / b : -((-a + b - 1) / b); }

// A symmetric convolution of rows: sum of weight * (a + b), the pairs in their order, four at a time to spare the sums' ways to memory.
struct Pair {
    float weight;
    const float *a, *b;
};

inline void convolve(const Pair* pairs, int count, int values, float* sums) {
    for (int p = 0; p < count; p += 4) {
        const Pair none = {0.0f, pairs[p].a, pairs[p].b};
        const Pair p0 = pairs[p], p1 = p + 1 < count ? pairs[p + 1] : none, p2 = p + 2 < count ? pairs[p + 2] : none,
                   p3 = p + 3 < count ? pairs[p + 3] : none;
        if (p == 0) {
            for (int i = 0; i < values; i++) {
                sums[i] = p0.weight * (p0.a[i] + p0.b[i]) + p1.weight * (p1.a[i] + p1.b[i]) + p2.weight * (p2.a[i] + p2.b[i]) +
                          p3.weight * (p3.a[i] + p3.b[i]);
            }
        } else {
            for (int i = 0; i < values; i++) {
                sums[i] += p0.weight * (p0.a[i] + p0.b[i]) + p1.weight * (p1.a[i] + p1.b[i]) + p2.weight * (p2.a[i] + p2.b[i]) +
                           p3.weight * (p3.a[i] + p3.b[i]);
            }
        }
    }
}

// Takes memory apart in pieces that begin on cache lines; without memory, only counts.
struct Arena {
    unsigned char* memory;
    std::size_t used = 0;
    explicit Arena(void* where) : memory(static_cast<unsigned char*>(where)) {}

    template <class T>
    T* take(int count) {
        const std::size_t begin = used;
        used += (static_cast<std::size_t>(count) * sizeof(T) + 63) / 64 * 64;
        return memory == nullptr ? nullptr : reinterpret_cast<T*>(memory + begin);
    }
};

// A row of cells stretched to pixels, `channels` values each: out = near + (far - near) * weight between the two cells next to a
// pixel. `cells` begins one cell left of the picture; both rows have kPadding values more than are used.
class Stretch {
   public:
    Stretch(int factor, int channels) : channels_(channels) {
        period_ = kVector;
        while (period_ % (factor * channels) != 0) period_ += kVector;
        cells_ = period_ / (factor * channels);
        for (int k = 0; k < period_; k++) {
            const int pixel = k / channels, position = 2 * pixel + 1 - factor, cell = floor_divide(position, 2 * factor);
            index_[k] = static_cast<std::int16_t>((cell + 1) * channels + k % channels);
            weight_[k] = static_cast<std::int16_t>((position - cell * 2 * factor) * 32768 / (2 * factor));
        }
        for (int k = 0; k < period_; k += 8) {
            std::int16_t first = index_[k];
            for (int i = 0; i < 8; i++) first = index_[k + i] < first ? index_[k + i] : first;
            for (int i = 0; i < 8; i++) {
                shuffle_[2 * (k + i)] = static_cast<std::uint8_t>(2 * (index_[k + i] - first));
                shuffle_[2 * (k + i) + 1] = static_cast<std::uint8_t>(2 * (index_[k + i] - first) + 1);
            }
            first_[k / 8] = first;
        }
    }

    // To 8 bits; count values, rounded up to a whole period.
    void bytes(const std::int16_t* cells, int count, std::uint8_t* out) const {
        for (int start = 0; start < count; start += period_) {
            const std::int16_t* from = cells + start / period_ * cells_ * channels_;
#if defined(__AVX2__)
            // Eight values of the lower half of a register, eight of the upper one: each half is shuffled out of 8 neighbouring cells.
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
                value = _mm256_srai_epi16(_mm256_add_epi16(value, _mm256_set1_epi16(1 << (kFractionBits - 1))), kFractionBits);
                const __m256i bytes = _mm256_permute4x64_epi64(_mm256_packus_epi16(value, value), _MM_SHUFFLE(3, 1, 2, 0));
                _mm_storeu_si128(reinterpret_cast<__m128i*>(out + start + k), _mm256_castsi256_si128(bytes));
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

    void floats(const float* cells, int count, float* out) const {
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
    static constexpr int kLongest = kMaxBlurFactor * 3;  // the longest period: 3 channels and any factor, or 1 and the largest
    int channels_, period_, cells_;
    alignas(32) std::int16_t weight_[kLongest];
    alignas(32) std::uint8_t shuffle_[2 * kLongest];
    std::int16_t index_[kLongest], first_[kLongest / 8];
};

// How 8-bit and float pictures differ.
template <class T>
struct Format;

template <>
struct Format<std::uint8_t> {
    using Sum = std::uint16_t;
    using Cell = std::int16_t;
    static void to_cells(const float* values, int count, Cell* cells) {
        for (int i = 0; i < count; i++) cells[i] = static_cast<Cell>(values[i] * (1 << kFractionBits) + 0.5f);
    }
    static void to_pixels(const float* values, int count, std::uint8_t* pixels) {
        for (int i = 0; i < count; i++) pixels[i] = static_cast<std::uint8_t>(static_cast<std::int32_t>(values[i] + 0.5f));
    }
    static void between(const Cell* upper, const Cell* lower, int weight, int count, Cell* out) {
        for (int i = 0; i < count; i++) {
            out[i] = static_cast<Cell>(upper[i] + (((lower[i] - upper[i]) * weight + (1 << 14)) >> 15));
        }
    }
    static void stretch(const Stretch& stretch, const Cell* cells, int count, std::uint8_t* out) {
        stretch.bytes(cells, count, out);
    }
};

template <>
struct Format<float> {
    using Sum = float;
    using Cell = float;
    static void to_cells(const float* values, int count, Cell* cells) {
        std::memcpy(cells, values, sizeof(float) * static_cast<std::size_t>(count));
    }
    static void to_pixels(const float* values, int count, float* pixels) { to_cells(values, count, pixels); }
    static void between(const Cell* upper, const Cell* lower, int weight, int count, Cell* out) {
        const float share = static_cast<float>(weight) * (1.0f / 32768.0f);
        for (int i = 0; i < count; i++) out[i] = upper[i] + (lower[i] - upper[i]) * share;
    }
    static void stretch(const Stretch& stretch, const Cell* cells, int count, float* out) { stretch.floats(cells, count, out); }
};

// The rows of a blurred picture of C channels, from the top down.
//
// With an alpha plane the picture is weighted with how transparent it is, so that nothing of the foreground bleeds into its
// surroundings: blur(weight * picture) / blur(weight), with the weight as one channel more.
template <class T, int C, bool Weighted>
class BlurredRows {
    using Format = POSEMASK_LEVEL::Format<T>;
    using Sum = std::conditional_t<Weighted, float, typename Format::Sum>;
    using Cell = typename Format::Cell;
    static constexpr int K = Weighted ? C + 1 : C;

   public:
    BlurredRows(Plane<const T> image, Plane<const std::uint8_t> alpha, const BlurPlan& plan, Border border, Arena& arena)
        : image_(image), alpha_(alpha), plan_(plan), replicate_(border == Border::replicate), stretch_(plan.factor, C) {
        height_ = (image.height + plan.factor - 1) / plan.factor;
        width_ = (image.width + plan.factor - 1) / plan.factor;
        across_ = width_ + 2;
        next_ = first_ = replicate_ ? -1 : 0;
        last_ = replicate_ ? height_ : height_ - 1;
        sums_ = arena.take<Sum>(width_ * plan.factor * K + kPadding);
        weights_ = sums_ + width_ * plan.factor * C;
        cells_ = arena.take<float>((across_ + 2 * plan.radius) * K + kPadding);
        ring_rows_ = 2 * plan.radius + 1;
        ring_ = arena.take<float>(ring_rows_ * across_ * K + kPadding);
        column_ = arena.take<float>(across_ * K + kPadding);
        for (Cell*& line : lines_) line = arena.take<Cell>(across_ * C + kPadding);
        level_ = arena.take<Cell>(across_ * C + kPadding);
    }

    // Row y into `out`, which has room for kPadding + 3 * kMaxBlurFactor values more than the picture is wide.
    void row(int y, T* out) {
        const int factor = plan_.factor;
        if (factor == 1) {
            convolve_down(y);
            Format::to_pixels(finished() + C, image_.width * C, out);
            return;
        }
        const int position = 2 * y + 1 - factor, first = floor_divide(position, 2 * factor);
        const Cell *upper = line(first), *lower = line(first + 1);
        Format::between(upper, lower, (position - first * 2 * factor) * 32768 / (2 * factor), across_ * C, level_);
        Format::stretch(stretch_, level_, image_.width * C, out);
    }

   private:
    // A row of blurred cells, from -1 to height_; the last two are kept.
    const Cell* line(int row) {
        const int slot = (row + 1) % 2;
        if (held_[slot] != row) {
            convolve_down(row);
            Format::to_cells(finished(), across_ * C, lines_[slot]);
            held_[slot] = row;
        }
        return lines_[slot];
    }

    float* ring_row(int row) const { return ring_ + static_cast<std::size_t>((row + 1) % ring_rows_) * across_ * K; }

    void convolve_down(int row) {
        for (; next_ <= row + plan_.radius && next_ <= last_; next_++) convolve_across(next_);
        Pair pairs[kMaxBlurRadius + 1];
        int count = 0;
        for (int step = 0; step <= plan_.radius; step++) {
            int above = row - step, below = row + step;
            float weight = step == 0 ? 0.5f * plan_.weights[0] : plan_.weights[step];
            if (replicate_) {
                above = clamp(above, first_, last_);
                below = clamp(below, first_, last_);
            } else {
                const bool upper = above >= first_ && above <= last_, lower = below >= first_ && below <= last_;
                if (!upper && !lower) continue;
                if (!upper || !lower) {
                    weight *= 0.5f;  // one row, twice
                    above = below = upper ? above : below;
                }
            }
            pairs[count++] = {weight, ring_row(above), ring_row(below)};
        }
        convolve(pairs, count, across_ * K, column_);
    }

    // The convolved row with the weight divided out.
    const float* finished() {
        if (Weighted) {
            for (int i = 0; i < across_; i++) {
                const float inverse = 1.0f / column_[K * i + C];
                for (int c = 0; c < C; c++) column_[C * i + c] = column_[K * i + c] * inverse;
            }
        }
        return column_;
    }

    void convolve_across(int row) {
        float* inner = cells_ + (plan_.radius + 1) * K;
        sum_cells(row, inner);
        for (int c = 0; c < K; c++) {
            const float share = replicate_ ? 1.0f / static_cast<float>(plan_.factor) : 0.0f;
            const float left = share * static_cast<float>(sum_at(0, c));
            const float right = share * static_cast<float>(sum_at(image_.width - 1, c));
            for (int i = 1; i <= plan_.radius + 1; i++) {
                inner[c - i * K] = left;
                inner[(width_ - 1 + i) * K + c] = right;
            }
        }
        const float* centre = inner - K;
        Pair pairs[kMaxBlurRadius + 1] = {{0.5f * plan_.weights[0], centre, centre}};
        for (int step = 1; step <= plan_.radius; step++) pairs[step] = {plan_.weights[step], centre - step * K, centre + step * K};
        convolve(pairs, plan_.radius + 1, across_ * K, ring_row(row));
    }

    // The means over the cells of a row; where the picture ends within a cell, it goes on as the border says.
    void sum_cells(int row, float* cells) {
        const int factor = plan_.factor, padded = width_ * factor;
        std::memset(sums_, 0, sizeof(Sum) * static_cast<std::size_t>(padded * K));
        for (int i = 0; i < factor; i++) {
            const int place = row * factor + i, y = clamp(place, 0, image_.height - 1);
            if (y != place && !replicate_) break;
            add_row(image_.data + y * image_.stride, Weighted ? alpha_.data + y * alpha_.stride : nullptr);
        }
        for (int x = image_.width; replicate_ && x < padded; x++) {
            for (int c = 0; c < C; c++) sums_[x * C + c] = sums_[(image_.width - 1) * C + c];
            if (Weighted) weights_[x] = weights_[image_.width - 1];
        }
        switch (factor) {
            case 1: return sum_across<1>(cells);
            case 2: return sum_across<2>(cells);
            case 4: return sum_across<4>(cells);
            case 8: return sum_across<8>(cells);
            default: return sum_across<16>(cells);
        }
    }

    void add_row(const T* row, const std::uint8_t* alpha) {
        const int values = image_.width * C;
        if constexpr (Weighted) {
            constexpr int kRun = 64;
            std::uint8_t opaque[C * kRun];
            for (int x = 0; x < image_.width; x += kRun) {
                const int count = image_.width - x < kRun ? image_.width - x : kRun;
                thrice(alpha + x, count, opaque);
                for (int i = 0; i < C * count; i++) {
                    sums_[C * x + i] += (kMostWeight - static_cast<float>(opaque[i])) * static_cast<float>(row[C * x + i]);
                }
                for (int i = 0; i < count; i++) weights_[x + i] += kMostWeight - static_cast<float>(alpha[x + i]);
            }
        } else {
            for (int i = 0; i < values; i++) sums_[i] = static_cast<Sum>(sums_[i] + row[i]);
        }
    }

    // Sum of channel c of the pixels in column x: the weights are the last channel, and lie behind the others.
    Sum& sum_at(int x, int c) const { return c < C ? sums_[x * C + c] : weights_[x]; }

    template <int Factor>
    void sum_across(float* cells) const {
        using Total = std::conditional_t<std::is_same_v<Sum, float>, float, std::int32_t>;
        for (int i = 0; i < width_; i++) {
            for (int c = 0; c < K; c++) {
                Total total = 0;
                for (int x = 0; x < Factor; x++) total += sum_at(i * Factor + x, c);
                cells[i * K + c] = static_cast<float>(total) * (1.0f / (Factor * Factor));
            }
        }
    }

    // A pixel weighs kMostWeight - alpha: an opaque one almost nothing, but deep inside the foreground there must be something.
    static constexpr float kMostWeight = 255.0f + 1.0f / 64;

    const Plane<const T> image_;
    const Plane<const std::uint8_t> alpha_;
    const BlurPlan& plan_;
    const bool replicate_;
    const Stretch stretch_;
    int height_, width_, across_, ring_rows_;
    int first_, last_, next_;  // rows of cells that are not black, and the next one to be summed up
    int held_[2] = {-2, -2};
    Sum *sums_, *weights_;
    float *cells_, *ring_, *column_;
    Cell *lines_[2], *level_;
};

template <class T, int C>
void blur(Plane<const T> image, const BlurPlan& plan, Border border, void* scratch, Plane<T> out) {
    Arena arena(scratch);
    T* blurred = arena.take<T>(image.width * C + kPadding + 3 * kMaxBlurFactor);
    BlurredRows<T, C, false> rows(image, {}, plan, border, arena);
    for (int y = 0; y < image.height; y++) {
        rows.row(y, blurred);
        std::memcpy(out.data + y * out.stride, blurred, sizeof(T) * static_cast<std::size_t>(image.width * C));
    }
}

template <bool Weighted>
void blend_blurred(Plane<const std::uint8_t> image, Plane<const std::uint8_t> alpha, const BlurPlan& plan, void* scratch,
                   Plane<std::uint8_t> out) {
    Arena arena(scratch);
    std::uint8_t* blurred = arena.take<std::uint8_t>(image.width * 3 + kPadding + 3 * kMaxBlurFactor);
    BlurredRows<std::uint8_t, 3, Weighted> rows(image, alpha, plan, Border::replicate, arena);
    for (int y = 0; y < image.height; y++) {
        rows.row(y, blurred);
        blend_row(image.data + y * image.stride, blurred, alpha.data + y * alpha.stride, image.width, out.data + y * out.stride);
    }
}

}  // namespace

std::size_t blur_scratch(int width, const BlurPlan& plan) {
    // The largest case: four channels of float.
    const int cells = (width + plan.factor - 1) / plan.factor + 2;
    Arena arena(nullptr);
    arena.take<float>(width * 3 + kPadding + 3 * kMaxBlurFactor);
    arena.take<float>((width + plan.factor) * 4 + kPadding);
    arena.take<float>((cells + 2 * plan.radius) * 4 + kPadding);
    arena.take<float>((2 * plan.radius + 1) * cells * 4 + kPadding);
    for (int i = 0; i < 4; i++) arena.take<float>(cells * 4 + kPadding);
    return arena.used;
}

void blur_u8(Plane<const std::uint8_t> image, int channels, const BlurPlan& plan, Border border, void* scratch,
             Plane<std::uint8_t> out) {
    if (channels == 3) {
        blur<std::uint8_t, 3>(image, plan, border, scratch, out);
    } else {
        blur<std::uint8_t, 1>(image, plan, border, scratch, out);
    }
}

void blur_f32(Plane<const float> plane, const BlurPlan& plan, Border border, void* scratch, Plane<float> out) {
    blur<float, 1>(plane, plan, border, scratch, out);
}

void blend_blurred(Plane<const std::uint8_t> image, Plane<const std::uint8_t> alpha, bool masked, const BlurPlan& plan, void* scratch,
                   Plane<std::uint8_t> out) {
    if (masked) {
        blend_blurred<true>(image, alpha, plan, scratch, out);
    } else {
        blend_blurred<false>(image, alpha, plan, scratch, out);
    }
}

}  // namespace posemask::POSEMASK_LEVEL
