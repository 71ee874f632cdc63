// A mask back into the picture: exact bilinear sampling in float, only where the crop lies.
//
// Along a row of the picture the mask's coordinates are linear, so the span of pixels that can meet the mask is known
// before any is computed; outside it there is nothing to do but to write zeros. Coordinates are kept as a whole number
// and a small rest per block of 16 pixels, so that float32 loses nothing however large the picture is. A crop that is
// not turned is sampled in two passes, across and down; the products and sums are the same, so are the bits.
#include <cmath>

#include "rows.h"

namespace posemask::POSEMASK_LEVEL {
namespace {

constexpr int kBlock = 16;
constexpr int kBlocks = 16;
constexpr int kTile = kBlocks * kBlock;

// The part of [begin, end) where low < start + step * x < high, one pixel wider on either side than rounding could make
// it. Nowhere, where low >= high.
inline void clip_span(double start, double step, double low, double high, int& begin, int& end) {
    if (step == 0 || low >= high) {
        if (!(start > low && start < high)) {
            end = begin;
        }
        return;
    }
    const double a = (low - start) / step, b = (high - start) / step;
    const int first = static_cast<int>(clamp<double>(std::floor(a < b ? a : b) - 1, begin, end));
    const int last = static_cast<int>(clamp<double>(std::ceil(a < b ? b : a) + 2, begin, end));
    begin = first;
    end = last > first ? last : first;
}

inline void store(const float* values, int count, float* out) {
    std::memcpy(out, values, sizeof(float) * static_cast<std::size_t>(count));
}

inline void store(const float* values, int count, std::uint8_t* out) { to_bytes(values, count, out); }

inline void store(const float* values, int count, bool* out) {
    for (int i = 0; i < count; i++) {
        out[i] = values[i] > 0.5f;
    }
}

// How far a coordinate of the mask runs along a block of pixels, counted from `whole`, so that no value is negative.
struct Ramp {
    std::int32_t whole;
    float value[kBlock];
    explicit Ramp(double step)
        : whole(step < 0 ? static_cast<std::int32_t>(std::floor(clamp(step, -1e6, 0.0) * kBlock)) : 0) {
        for (int i = 0; i < kBlock; i++) {
            value[i] = static_cast<float>(clamp(step, -1e6, 1e6) * i - whole);
        }
    }
};

// Its values at the first pixels of a tile's blocks: a whole number and the rest in [0, 1). A million pixels outside
// the mask, where all is border, it stops.
struct Starts {
    std::int32_t whole[kBlocks];
    float rest[kBlocks];
    Starts(double first, double step, int blocks) {
        for (int b = 0; b < blocks; b++) {
            const double value = clamp(first + step * (b * kBlock), -1e6, 1e6);
            const std::int32_t nearer_0 = static_cast<std::int32_t>(value);
            whole[b] = nearer_0 - (nearer_0 > value);
            rest[b] = static_cast<float>(value - whole[b]);
        }
    }
};

// Index of the first of the two taps along one axis, and the weights of both, for the pixels of a block.
struct Taps {
    std::int32_t index[kBlock];
    float near[kBlock], far[kBlock];

    void find(std::int32_t start_whole, float start_rest, const Ramp& ramp) {
        for (int i = 0; i < kBlock; i++) {
            const float value = start_rest + ramp.value[i];
            const std::int32_t whole = static_cast<std::int32_t>(value);
            index[i] = start_whole + ramp.whole + whole;
            far[i] = value - static_cast<float>(whole);
            near[i] = 1.0f - far[i];
        }
    }

    // Moves taps into the mask of `size` pixels; those that were moved weigh nothing, or stand for the edge
    // ("replicate").
    void confine(std::int32_t size, bool replicate) {
        const auto lies_inside = [size](std::int32_t at) { return at >= 0 && at <= size - 2; };
        if (lies_inside(index[0]) && lies_inside(index[kBlock - 1])) {
            return;
        }
        for (int i = 0; i < kBlock; i++) {
            const std::int32_t at = index[i], tap = clamp(at, 0, size - 2);
            const float fraction = far[i];
            index[i] = tap;
            if (replicate) {
                far[i] = at < 0 ? 0.0f : at > size - 2 ? 1.0f : fraction;
                near[i] = 1.0f - far[i];
            } else {
                // At -1 only the right tap lies in the mask, at the last column only the left one does.
                near[i] = at == tap ? 1.0f - fraction : at == tap - 1 ? fraction : 0.0f;
                far[i] = at == tap ? fraction : at == tap + 1 ? 1.0f - fraction : 0.0f;
            }
        }
    }
};

#if defined(POSEMASK_SSE2)
// Two taps of one pixel and two of another. Two neighbours are one load of 8 bytes; a gather instruction is slower on
// the processors that have one.
inline __m128 pair(const float* first, const float* second) {
    const __m128 low = _mm_castsi128_ps(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(first)));
    return _mm_loadh_pi(low, reinterpret_cast<const __m64*>(second));
}
#endif

// values = above * (left * p00 + right * p01) + below * (left * p10 + right * p11), the four taps from `offset` on.
inline void blend(const float* mask, std::ptrdiff_t stride, const std::int32_t* offset, const Taps& across,
                  const Taps& down, float* values) {
#if defined(POSEMASK_SSE2)
    for (int i = 0; i < kBlock; i += 4) {
        const float *p0 = mask + offset[i], *p1 = mask + offset[i + 1], *p2 = mask + offset[i + 2],
                    *p3 = mask + offset[i + 3];
        const __m128 upper01 = pair(p0, p1), upper23 = pair(p2, p3);
        const __m128 lower01 = pair(p0 + stride, p1 + stride), lower23 = pair(p2 + stride, p3 + stride);
        const __m128 left = _mm_loadu_ps(across.near + i), right = _mm_loadu_ps(across.far + i);
        const __m128 upper = _mm_add_ps(_mm_mul_ps(left, _mm_shuffle_ps(upper01, upper23, _MM_SHUFFLE(2, 0, 2, 0))),
                                        _mm_mul_ps(right, _mm_shuffle_ps(upper01, upper23, _MM_SHUFFLE(3, 1, 3, 1))));
        const __m128 lower = _mm_add_ps(_mm_mul_ps(left, _mm_shuffle_ps(lower01, lower23, _MM_SHUFFLE(2, 0, 2, 0))),
                                        _mm_mul_ps(right, _mm_shuffle_ps(lower01, lower23, _MM_SHUFFLE(3, 1, 3, 1))));
        _mm_storeu_ps(values + i, _mm_add_ps(_mm_mul_ps(_mm_loadu_ps(down.near + i), upper),
                                             _mm_mul_ps(_mm_loadu_ps(down.far + i), lower)));
    }
#else
    for (int i = 0; i < kBlock; i++) {
        const float* upper = mask + offset[i];
        const float* lower = upper + stride;
        values[i] = down.near[i] * (across.near[i] * upper[0] + across.far[i] * upper[1]) +
                    down.far[i] * (across.near[i] * lower[0] + across.far[i] * lower[1]);
    }
#endif
}

#if defined(__AVX512F__)
// The same out of registers: where a mask is enlarged, the taps of 16 pixels lie within 8 columns and 4 rows, which two
// registers hold. False where they do not.
inline bool blend_near(const Plane<const float>& mask, const Taps& across, const Taps& down, float* values) {
    constexpr int kColumns = 8, kRows = 4, kLast = kBlock - 1;
    const auto ends = [](const std::int32_t* index, std::int32_t& first, std::int32_t& last) {
        first = index[0] < index[kLast] ? index[0] : index[kLast];
        last = index[0] < index[kLast] ? index[kLast] : index[0];
    };
    std::int32_t left, right, top, bottom;
    ends(across.index, left, right);
    ends(down.index, top, bottom);
    if (right - left > kColumns - 2 || bottom - top > kRows - 2 || mask.width < kColumns || mask.height < kRows) {
        return false;
    }
    left = left < mask.width - kColumns ? left : mask.width - kColumns;
    top = top < mask.height - kRows ? top : mask.height - kRows;
    const float* from = mask.data + top * mask.stride + left;
    const auto rows = [&](int row) {
        const __m512d first =
            _mm512_castpd256_pd512(_mm256_loadu_pd(reinterpret_cast<const double*>(from + row * mask.stride)));
        const __m256d second = _mm256_loadu_pd(reinterpret_cast<const double*>(from + (row + 1) * mask.stride));
        return _mm512_castpd_ps(_mm512_insertf64x4(first, second, 1));
    };
    const __m512 upper_rows = rows(0), lower_rows = rows(2);
    const __m512i column = _mm512_sub_epi32(_mm512_loadu_si512(across.index), _mm512_set1_epi32(left));
    const __m512i row = _mm512_sub_epi32(_mm512_loadu_si512(down.index), _mm512_set1_epi32(top));
    const __m512i place = _mm512_add_epi32(_mm512_slli_epi32(row, 3), column);
    const auto tap = [&](int step) {
        return _mm512_permutex2var_ps(upper_rows, _mm512_add_epi32(place, _mm512_set1_epi32(step)), lower_rows);
    };
    const __m512 near = _mm512_loadu_ps(across.near), far = _mm512_loadu_ps(across.far);
    const __m512 upper = _mm512_add_ps(_mm512_mul_ps(near, tap(0)), _mm512_mul_ps(far, tap(1)));
    const __m512 lower = _mm512_add_ps(_mm512_mul_ps(near, tap(kColumns)), _mm512_mul_ps(far, tap(kColumns + 1)));
    _mm512_storeu_ps(values, _mm512_add_ps(_mm512_mul_ps(_mm512_loadu_ps(down.near), upper),
                                           _mm512_mul_ps(_mm512_loadu_ps(down.far), lower)));
    return true;
}
#else
inline bool blend_near(const Plane<const float>&, const Taps&, const Taps&, float*) { return false; }
#endif

// The part of a mask that gives anything but 0, up to but without `right` and `bottom`; where there is none, these come
// first.
struct Box {
    int left, top, right, bottom;
};

template <class T>
Box box_of(Plane<const float> mask) {
    return {0, 0, mask.width, mask.height};
}

// Nothing above one half comes of values that are all well below it. Most of a person's crop is such.
template <>
Box box_of<bool>(Plane<const float> mask) {
    constexpr float kLow = 0.499f;
    Box box = {mask.width, mask.height, 0, 0};
    for (int y = 0; y < mask.height; y++) {
        const float* row = mask.data + y * mask.stride;
        std::uint32_t above = 0;
        for (int x = 0; x < mask.width; x++) {
            above += row[x] > kLow;
        }
        if (above == 0) {
            continue;
        }
        int left = 0, right = mask.width;
        while (!(row[left] > kLow)) {
            left++;
        }
        while (!(row[right - 1] > kLow)) {
            right--;
        }
        box = {left < box.left ? left : box.left, y < box.top ? y : box.top, right > box.right ? right : box.right,
               y + 1};
    }
    return box;
}

template <class T>
void paste_turned(Plane<const float> mask, const double map[6], bool replicate, Plane<T> out) {
    const Box box = box_of<T>(mask);
    const Ramp ramp_u(map[0]), ramp_v(map[3]);
    const std::int32_t stride = static_cast<std::int32_t>(mask.stride);
    // Two passes over a tile, where and how much, then the taps: so that the compiler keeps the first one in vectors.
    Taps across[kBlocks], down[kBlocks];
    std::int32_t offset[kTile];
    float values[kBlock];
    for (int y = 0; y < out.height; y++) {
        T* row = out.data + y * out.stride;
        const double u0 = map[1] * y + map[2], v0 = map[4] * y + map[5];
        int begin = 0, end = out.width, from = 0, to = end;
        if (!replicate) {
            clip_span(u0, map[0], -1, mask.width, begin, end);
            clip_span(v0, map[3], -1, mask.height, begin, end);
            from = begin;
            to = end;
            clip_span(u0, map[0], box.left - 1, box.right, from, to);
            clip_span(v0, map[3], box.top - 1, box.bottom, from, to);
            // Whole blocks, and the same ones whatever the box is: so are their bits.
            from = begin + (from - begin) / kBlock * kBlock;
            to = to > from ? begin + (to - begin + kBlock - 1) / kBlock * kBlock : from;
            to = to < end ? to : end;
            std::memset(row, 0, sizeof(T) * static_cast<std::size_t>(from));
            std::memset(row + to, 0, sizeof(T) * static_cast<std::size_t>(out.width - to));
        }
        for (int tile = begin + (from - begin) / kTile * kTile; tile < to; tile += kTile) {
            const int columns = to - tile < kTile ? to - tile : kTile;
            const int first = from > tile ? (from - tile) / kBlock : 0;
            const int blocks = (columns + kBlock - 1) / kBlock;
            const Starts u(u0 + map[0] * tile, map[0], blocks), v(v0 + map[3] * tile, map[3], blocks);
            for (int b = first; b < blocks; b++) {
                across[b].find(u.whole[b], u.rest[b], ramp_u);
                across[b].confine(mask.width, replicate);
                down[b].find(v.whole[b], v.rest[b], ramp_v);
                down[b].confine(mask.height, replicate);
                for (int i = 0; i < kBlock; i++) {
                    offset[b * kBlock + i] = down[b].index[i] * stride + across[b].index[i];
                }
            }
            for (int b = first; b < blocks; b++) {
                if (!blend_near(mask, across[b], down[b], values)) {
                    blend(mask.data, mask.stride, offset + b * kBlock, across[b], down[b], values);
                }
                const int left = columns - b * kBlock;
                if (left >= kBlock) {
                    store(values, kBlock, row + tile + b * kBlock);
                } else {
                    store(values, left, row + tile + b * kBlock);
                }
            }
        }
    }
}

// A block of one row of the mask, stretched to the picture's columns.
inline void stretch(const float* row, const Taps& across, float* stretched) {
#if defined(POSEMASK_SSE2)
    for (int i = 0; i < kBlock; i += 4) {
        const std::int32_t* index = across.index + i;
        const __m128 taps01 = pair(row + index[0], row + index[1]), taps23 = pair(row + index[2], row + index[3]);
        const __m128 left =
            _mm_mul_ps(_mm_loadu_ps(across.near + i), _mm_shuffle_ps(taps01, taps23, _MM_SHUFFLE(2, 0, 2, 0)));
        const __m128 right =
            _mm_mul_ps(_mm_loadu_ps(across.far + i), _mm_shuffle_ps(taps01, taps23, _MM_SHUFFLE(3, 1, 3, 1)));
        _mm_storeu_ps(stretched + i, _mm_add_ps(left, right));
    }
#else
    for (int i = 0; i < kBlock; i++) {
        stretched[i] = across.near[i] * row[across.index[i]] + across.far[i] * row[across.index[i] + 1];
    }
#endif
}

inline void mix_rows(const float* upper, const float* lower, float above, float below, int count, float* out) {
    for (int i = 0; i < count; i++) {
        out[i] = above * upper[i] + below * lower[i];
    }
}

template <class T>
inline void mix_rows(const float* upper, const float* lower, float above, float below, int count, T* out) {
    constexpr int kRun = 64;
    float values[kRun];
    for (int i = 0; i < count; i += kRun) {
        if (count - i >= kRun) {
            mix_rows(upper + i, lower + i, above, below, kRun, values);
            store(values, kRun, out + i);
        } else {
            mix_rows(upper + i, lower + i, above, below, count - i, values);
            store(values, count - i, out + i);
        }
    }
}

template <class T>
void paste_straight(Plane<const float> mask, const double map[6], bool replicate, Plane<T> out) {
    const Ramp ramp(map[0]), level(0);
    int begin = 0, end = out.width;
    if (!replicate) {
        clip_span(map[2], map[0], -1, mask.width, begin, end);
    }
    for (int tile = begin; tile < end; tile += kTile) {
        const int columns = end - tile < kTile ? end - tile : kTile;
        Taps across[kBlocks], down;
        float rows[2][kTile];
        int held[2] = {-1, -1};  // which rows of the mask are stretched
        const Starts u(map[0] * tile + map[2], map[0], kBlocks);
        for (int b = 0; b < kBlocks; b++) {
            across[b].find(u.whole[b], u.rest[b], ramp);
            across[b].confine(mask.width, replicate);
        }
        for (int y = 0; y < out.height; y++) {
            T* row = out.data + y * out.stride + tile;
            const Starts v(map[4] * y + map[5], 0, 1);
            down.find(v.whole[0], v.rest[0], level);
            down.confine(mask.height, replicate);
            const float above = down.near[0], below = down.far[0];
            if (above == 0 && below == 0) {
                std::memset(row, 0, sizeof(T) * static_cast<std::size_t>(columns));
                continue;
            }
            // Row n of the mask is held in place n % 2, so that the next pair of rows finds one of its two there.
            for (int line = down.index[0]; line < down.index[0] + 2; line++) {
                if (held[line % 2] == line) {
                    continue;
                }
                const float* taps = mask.data + line * mask.stride;
                for (int b = 0; b * kBlock < columns; b++) {
                    stretch(taps, across[b], rows[line % 2] + b * kBlock);
                }
                held[line % 2] = line;
            }
            const float *upper = rows[down.index[0] % 2], *lower = rows[1 - down.index[0] % 2];
            mix_rows(upper, lower, above, below, columns, row);
        }
    }
    for (int y = 0; y < out.height; y++) {
        T* row = out.data + y * out.stride;
        std::memset(row, 0, sizeof(T) * static_cast<std::size_t>(begin));
        std::memset(row + end, 0, sizeof(T) * static_cast<std::size_t>(out.width - end));
    }
}

template <class T>
void paste(Plane<const float> mask, const double map[6], Border border, Plane<T> out) {
    const bool replicate = border == Border::replicate;
    if (map[1] == 0 && map[3] == 0) {
        paste_straight(mask, map, replicate, out);
    } else {
        paste_turned(mask, map, replicate, out);
    }
}

}  // namespace

void paste_f32(Plane<const float> mask, const double map[6], Border border, Plane<float> out) {
    paste(mask, map, border, out);
}

void paste_u8(Plane<const float> mask, const double map[6], Border border, Plane<std::uint8_t> out) {
    paste(mask, map, border, out);
}

void paste_bool(Plane<const float> mask, const double map[6], Border border, Plane<bool> out) {
    paste(mask, map, border, out);
}

}  // namespace posemask::POSEMASK_LEVEL
