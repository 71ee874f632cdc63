// Gaussian blur in one pass down the picture, for blurs far wider than a pixel.
//
// The picture is averaged over cells of factor x factor pixels, the cells are convolved with a small Gaussian, and what
// comes out is interpolated linearly. Averaging over f pixels adds a variance of (f^2 - 1) / 12, interpolating between
// cells f^2 / 6 + 1 / 12 on average, f^2 / 4 together: the small Gaussian has sigma_cells^2 = (sigma / f)^2 - 1 / 4.
// plan_blur() chooses f.
//
// Rows flow: a row of cells is summed up, convolved across and kept in a ring; as soon as the ring holds the rows that
// a convolution down needs, it gives a row of blurred cells; two of those give factor rows of the picture. So a picture
// is read from memory once, and may be written over while it is read. The blurred cells reach one beyond the picture on
// every side, for the interpolation at its rim. Beyond the picture lie black cells, or cells of nothing but the
// picture's edge ("replicate").
//
// 8-bit pictures are computed in 16-bit whole numbers with 6 bits of fraction; each step rounds to 1/64 of a level.
#include <type_traits>

#include "stretch.h"

namespace posemask::POSEMASK_LEVEL {
namespace {

using Fixed = std::int16_t;

// (a * b) / 2^15, rounded: one instruction on most processors, in the form in which compilers know it.
inline Fixed scaled(Fixed a, Fixed b) { return static_cast<Fixed>((((std::int32_t{a} * b) >> 14) + 1) >> 1); }
inline float scaled(float a, float b) { return a * b; }

// A symmetric convolution of rows: the sum of weight * (a + b).
template <class Value>
struct Pair {
    Value weight;
    const Value *a, *b;
};

// sums (+)= four pairs. The sums are none of the rows: the compiler need not look.
template <bool First, class Value>
void add_four(const Pair<Value> (&four)[4], int values, Value* __restrict sums) {
    const Value *a0 = four[0].a, *a1 = four[1].a, *a2 = four[2].a, *a3 = four[3].a;
    const Value *b0 = four[0].b, *b1 = four[1].b, *b2 = four[2].b, *b3 = four[3].b;
    const Value w0 = four[0].weight, w1 = four[1].weight, w2 = four[2].weight, w3 = four[3].weight;
    for (int i = 0; i < values; i++) {
        const Value before = First ? Value{0} : sums[i];
        sums[i] = static_cast<Value>(
            before + scaled(static_cast<Value>(a0[i] + b0[i]), w0) + scaled(static_cast<Value>(a1[i] + b1[i]), w1) +
            scaled(static_cast<Value>(a2[i] + b2[i]), w2) + scaled(static_cast<Value>(a3[i] + b3[i]), w3));
    }
}

// The pairs in their order, four at a time to spare the sums' ways to memory; the last four are filled up with weights
// of 0.
template <class Value>
void convolve(const Pair<Value>* pairs, int count, int values, Value* sums) {
    for (int p = 0; p < count; p += 4) {
        Pair<Value> four[4];
        for (int i = 0; i < 4; i++) {
            four[i] = p + i < count ? pairs[p + i] : Pair<Value>{0, pairs[p].a, pairs[p].b};
        }
        if (p == 0) {
            add_four<true>(four, values, sums);
        } else {
            add_four<false>(four, values, sums);
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

// What the pixels of a picture become: the sums over a cell's rows, what is convolved, and the cells that are
// interpolated.
template <class T, bool Weighted>
struct Types {
    using Sum = float;
    using Value = float;
    using Cell = float;
};

template <>
struct Types<std::uint8_t, false> {
    using Sum = std::uint16_t;
    using Value = Fixed;
    using Cell = Fixed;
};

template <>
struct Types<std::uint8_t, true> {
    using Sum = float;
    using Value = float;
    using Cell = Fixed;
};

inline const float* weights_of(const BlurPlan& plan, float) { return plan.weights; }
inline const Fixed* weights_of(const BlurPlan& plan, Fixed) { return plan.fixed_weights; }

// The mean of Area pixels from their sum.
template <int Area>
inline float mean_of(float sum, float) {
    return sum * (1.0f / Area);
}
template <int Area>
inline Fixed mean_of(std::int32_t sum, Fixed) {
    return static_cast<Fixed>(((sum << kFractionBits) + Area / 2) / Area);
}

inline void to_pixels(const Fixed* cells, int count, std::uint8_t* pixels) {
    constexpr int half = 1 << (kFractionBits - 1);
    for (int i = 0; i < count; i++) {
        pixels[i] = static_cast<std::uint8_t>((cells[i] + half) >> kFractionBits);
    }
}
inline void to_pixels(const float* cells, int count, float* pixels) {
    std::memcpy(pixels, cells, sizeof(float) * static_cast<std::size_t>(count));
}

// upper + (lower - upper) * weight / 2^15
inline void between(const Fixed* upper, const Fixed* lower, int weight, int count, Fixed* out) {
    const Fixed share = static_cast<Fixed>(weight);
    for (int i = 0; i < count; i++) {
        out[i] = static_cast<Fixed>(upper[i] + scaled(static_cast<Fixed>(lower[i] - upper[i]), share));
    }
}
inline void between(const float* upper, const float* lower, int weight, int count, float* out) {
    const float share = static_cast<float>(weight) * (1.0f / 32768.0f);
    for (int i = 0; i < count; i++) {
        out[i] = upper[i] + (lower[i] - upper[i]) * share;
    }
}

// The rows of a blurred picture of C channels, from the top down.
//
// Weighted rows are the blur of one side of the picture, with the weight as one channel more.
template <class T, int C, bool Weighted>
class BlurredRows {
    using Sum = typename Types<T, Weighted>::Sum;
    using Value = typename Types<T, Weighted>::Value;
    using Cell = typename Types<T, Weighted>::Cell;
    static constexpr int K = Weighted ? C + 1 : C;

   public:
    BlurredRows(Plane<const T> image, Plane<const std::uint8_t> alpha, Side side, const BlurPlan& plan, Border border,
                Arena& arena)
        : image_(image),
          alpha_(alpha),
          weight_of_clear_(side == Side::foreground ? kLeastWeight : 255.0f + kLeastWeight),
          weight_per_alpha_(side == Side::foreground ? 1.0f : -1.0f),
          plan_(plan),
          weights_(weights_of(plan, Value{})),
          replicate_(border == Border::replicate),
          stretch_(plan.factor, C) {
        height_ = (image.height + plan.factor - 1) / plan.factor;
        width_ = (image.width + plan.factor - 1) / plan.factor;
        across_ = width_ + 2;
        next_ = first_ = replicate_ ? -1 : 0;
        last_ = replicate_ ? height_ : height_ - 1;
        ring_rows_ = 2 * plan.radius + 1;
        sums_ = arena.take<Sum>(width_ * plan.factor * K + kPadding);
        total_weights_ = sums_ + width_ * plan.factor * C;
        cells_ = arena.take<Value>((across_ + 2 * plan.radius) * K + kPadding);
        ring_ = arena.take<Value>(ring_rows_ * across_ * K + kPadding);
        black_ = arena.take<Value>(across_ * K + kPadding);
        std::memset(black_, 0, sizeof(Value) * static_cast<std::size_t>(across_ * K));
        column_ = arena.take<Value>(across_ * K + kPadding);
        for (Cell*& line : lines_) {
            line = arena.take<Cell>(across_ * C + kPadding);
        }
        level_ = arena.take<Cell>(across_ * C + kPadding);
    }

    // Row y into `out`, which has room for kPadding + 3 * kMaxBlurFactor values more than the picture is wide.
    void row(int y, T* out) {
        const int factor = plan_.factor, position = 2 * y + 1 - factor, first = floor_divide(position, 2 * factor);
        if (factor == 1) {
            return to_pixels(line(y) + C, image_.width * C, out);
        }
        const Cell *upper = line(first), *lower = line(first + 1);
        between(upper, lower, (position - first * 2 * factor) * 32768 / (2 * factor), across_ * C, level_);
        stretch_.run(level_, image_.width * C, out);
    }

   private:
    // A row of blurred cells, from -1 to height_; the last two are kept.
    const Cell* line(int row) {
        const int slot = (row + 1) % 2;
        if (held_[slot] == row) {
            return lines_[slot];
        }
        held_[slot] = row;
        if constexpr (Weighted) {
            convolve_down(row, column_);
            divide(column_, lines_[slot]);
        } else {
            convolve_down(row, lines_[slot]);
        }
        return lines_[slot];
    }

    // Convolved colours over convolved weights.
    void divide(const Value* column, Cell* cells) const {
        for (int i = 0; i < across_; i++) {
            const float scale = (1 << kFractionBits) / column[K * i + C];
            for (int c = 0; c < C; c++) {
                cells[C * i + c] = static_cast<Cell>(column[K * i + c] * scale + 0.5f);
            }
        }
    }

    Value* ring_row(int row) const { return ring_ + static_cast<std::size_t>((row + 1) % ring_rows_) * across_ * K; }

    void convolve_down(int row, Value* out) {
        for (; next_ <= row + plan_.radius && next_ <= last_; next_++) {
            convolve_across(next_);
        }
        const auto at = [this](int place) {
            const int nearest = clamp(place, first_, last_);
            return nearest == place || replicate_ ? ring_row(nearest) : black_;
        };
        Pair<Value> pairs[kMaxBlurRadius + 1];
        for (int step = 0; step <= plan_.radius; step++) {
            pairs[step] = {weights_[step], at(row - step), at(row + step)};
        }
        convolve(pairs, plan_.radius + 1, across_ * K, out);
    }

    void convolve_across(int row) {
        Value* inner = cells_ + (plan_.radius + 1) * K;
        switch (plan_.factor) {
            case 1: average<1>(row, inner); break;
            case 2: average<2>(row, inner); break;
            case 4: average<4>(row, inner); break;
            case 8: average<8>(row, inner); break;
            default: average<16>(row, inner); break;
        }
        const Value* centre = inner - K;
        Pair<Value> pairs[kMaxBlurRadius + 1];
        for (int step = 0; step <= plan_.radius; step++) {
            pairs[step] = {weights_[step], centre - step * K, centre + step * K};
        }
        convolve(pairs, plan_.radius + 1, across_ * K, ring_row(row));
    }

    // The means over the cells of a row, and radius + 1 cells more on either side.
    template <int Factor>
    void average(int row, Value* cells) {
        using Total = std::conditional_t<std::is_same_v<Sum, float>, float, std::int32_t>;
        sum_rows(row);
        for (int i = 0; i < width_; i++) {
            for (int c = 0; c < K; c++) {
                Total total = 0;
                for (int x = 0; x < Factor; x++) {
                    total += sum_at(i * Factor + x, c);
                }
                cells[i * K + c] = mean_of<Factor * Factor>(total, Value{});
            }
        }
        for (int c = 0; c < K; c++) {
            const Value left = mean_of<Factor>(Total{sum_at(0, c)}, Value{});
            const Value right = mean_of<Factor>(Total{sum_at(image_.width - 1, c)}, Value{});
            for (int i = 1; i <= plan_.radius + 1; i++) {
                cells[c - i * K] = replicate_ ? left : Value{0};
                cells[(width_ - 1 + i) * K + c] = replicate_ ? right : Value{0};
            }
        }
    }

    // The sums down the cells of a row; where the picture ends within a cell, it goes on as the border says.
    void sum_rows(int row) {
        const int padded = width_ * plan_.factor;
        std::memset(sums_, 0, sizeof(Sum) * static_cast<std::size_t>(padded * K));
        for (int i = 0; i < plan_.factor; i++) {
            const int place = row * plan_.factor + i, y = clamp(place, 0, image_.height - 1);
            if (y != place && !replicate_) {
                break;
            }
            add_row(image_.data + y * image_.stride, Weighted ? alpha_.data + y * alpha_.stride : nullptr);
        }
        for (int x = image_.width; replicate_ && x < padded; x++) {
            for (int c = 0; c < K; c++) {
                sum_at(x, c) = sum_at(image_.width - 1, c);
            }
        }
    }

    void add_row(const T* row, const std::uint8_t* alpha) {
        if constexpr (Weighted) {
            constexpr int kRun = 64;
            std::uint8_t opaque[C * kRun];
            for (int x = 0; x < image_.width; x += kRun) {
                const int count = image_.width - x < kRun ? image_.width - x : kRun;
                thrice(alpha + x, count, opaque);
                for (int i = 0; i < C * count; i++) {
                    sums_[C * x + i] += weight_of(opaque[i]) * static_cast<float>(row[C * x + i]);
                }
                for (int i = 0; i < count; i++) {
                    total_weights_[x + i] += weight_of(alpha[x + i]);
                }
            }
        } else {
            for (int i = 0; i < image_.width * C; i++) {
                sums_[i] = static_cast<Sum>(sums_[i] + row[i]);
            }
        }
    }

    // Sum of channel c in column x; the weights are the last channel, and lie behind the others.
    Sum& sum_at(int x, int c) const { return c < C ? sums_[x * C + c] : total_weights_[x]; }

    float weight_of(std::uint8_t alpha) const {
        return weight_of_clear_ + weight_per_alpha_ * static_cast<float>(alpha);
    }

    // What a pixel of the other side weighs: almost nothing, but deep inside it there must be something.
    static constexpr float kLeastWeight = 1.0f / 64;

    const Plane<const T> image_;
    const Plane<const std::uint8_t> alpha_;
    const float weight_of_clear_, weight_per_alpha_;
    const BlurPlan& plan_;
    const Value* const weights_;
    const bool replicate_;
    const Stretch stretch_;
    int height_, width_, across_, ring_rows_;
    int first_, last_, next_;  // rows of cells that are not black, and the next one to be summed up
    int held_[2] = {-2, -2};
    Sum *sums_, *total_weights_;
    Value *cells_, *ring_, *black_, *column_;
    Cell *lines_[2], *level_;
};

template <class T, int C>
void blur(Plane<const T> image, const BlurPlan& plan, Border border, void* scratch, Plane<T> out) {
    Arena arena(scratch);
    T* blurred = arena.take<T>(image.width * C + kPadding + 3 * kMaxBlurFactor);
    BlurredRows<T, C, false> rows(image, {}, Side::both, plan, border, arena);
    for (int y = 0; y < image.height; y++) {
        rows.row(y, blurred);
        std::memcpy(out.data + y * out.stride, blurred, sizeof(T) * static_cast<std::size_t>(image.width * C));
    }
}

template <bool Weighted>
void blend_blurred(Plane<const std::uint8_t> image, Plane<const std::uint8_t> alpha, Side side, const BlurPlan& plan,
                   void* scratch, Plane<std::uint8_t> out) {
    Arena arena(scratch);
    std::uint8_t* blurred = arena.take<std::uint8_t>(image.width * 3 + kPadding + 3 * kMaxBlurFactor);
    BlurredRows<std::uint8_t, 3, Weighted> rows(image, alpha, side, plan, Border::replicate, arena);
    for (int y = 0; y < image.height; y++) {
        rows.row(y, blurred);
        blend_row(image.data + y * image.stride, blurred, alpha.data + y * alpha.stride, image.width,
                  out.data + y * out.stride);
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
    for (int i = 0; i < 5; i++) {
        arena.take<float>(cells * 4 + kPadding);
    }
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

void blend_blurred(Plane<const std::uint8_t> image, Plane<const std::uint8_t> alpha, Side side, const BlurPlan& plan,
                   void* scratch, Plane<std::uint8_t> out) {
    if (side == Side::both) {
        blend_blurred<false>(image, alpha, side, plan, scratch, out);
    } else {
        blend_blurred<true>(image, alpha, side, plan, scratch, out);
    }
}

}  // namespace posemask::POSEMASK_LEVEL
