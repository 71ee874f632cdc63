// A mask back into the picture: exact bilinear sampling in float, only where the crop lies.
//
// Along a row of the picture the mask's coordinates are linear, so the span of pixels that can meet the mask is known before any is
// computed; outside it there is nothing to do but to write zeros. Coordinates are kept as a whole number and a small rest per block
// of 16 pixels, so that float32 loses nothing however large the picture is.
#include <cmath>
#include <cstring>

#include "kernels.h"

namespace posemask::POSEMASK_LEVEL {
namespace {

constexpr int kBlock = 16;

template <class T>
inline T clamp(T value, T low, T high) {
    value = value < low ? low : value;
    return value > high ? high : value;
}


// floor() that is vectorised everywhere; |value| < 2^31.
inline std::int32_t floor_to_int(float value) {
    const std::int32_t whole = static_cast<std::int32_t>(value);
    return whole - (static_cast<float>(whole) > value);
}

// The part of [begin, end) where low < start + step * x < high, one pixel wider on either side than rounding could make it.
inline void clip_span(double start, double step, double low, double high, int& begin, int& end) {
    if (step == 0) {
        if (!(start > low && start < high)) end = begin;
        return;
    }
    double from = (low - start) / step, to = (high - start) / step;
    if (from > to) {
        const double swap = from;
        from = to;
        to = swap;
    }
    const int first = static_cast<int>(clamp<double>(std::floor(from) - 1, begin, end));
    const int last = static_cast<int>(clamp<double>(std::ceil(to) + 2, begin, end));
    begin = first;
    end = last > first ? last : first;
}

inline void store(const float* values, int count, float* out) { std::memcpy(out, values, sizeof(float) * static_cast<std::size_t>(count)); }

inline void store(const float* values, int count, std::uint8_t* out) {
    for (int i = 0; i < count; i++) out[i] = static_cast<std::uint8_t>(clamp(values[i] * 255.0f + 0.5f, 0.0f, 255.0f));
}

// A whole coordinate and the rest in [0, 1). Far outside the mask, where nothing is exact and all is border, it stops.
struct Coordinate {
    std::int32_t whole;
    float rest;
    explicit Coordinate(double value) {
        value = clamp(value, -1e6, 1e6);
        const double below = std::floor(value);
        whole = static_cast<std::int32_t>(below);
        rest = static_cast<float>(value - below);
    }
};

struct Ramp {
    float value[kBlock];
    explicit Ramp(double step) {
        for (int i = 0; i < kBlock; i++) value[i] = static_cast<float>(step * i);
    }
};

// Index of the first of two taps and the weights of both.
inline void split(const Coordinate& start, float ramp, bool replicate, std::int32_t size, std::int32_t& tap, float& near, float& far) {
    const float rest = start.rest + ramp;
    const std::int32_t whole = floor_to_int(rest);
    const std::int32_t at = start.whole + whole;
    float fraction = rest - static_cast<float>(whole);
    tap = clamp(at, 0, size - 2);
    if (replicate) {
        fraction = at < 0 ? 0.0f : at > size - 2 ? 1.0f : fraction;
        near = 1.0f - fraction;
        far = fraction;
    } else {
        // At -1 only the right tap lies in the mask, at the last column only the left one does.
        near = at == tap ? 1.0f - fraction : at == tap - 1 ? fraction : 0.0f;
        far = at == tap ? fraction : at == tap + 1 ? 1.0f - fraction : 0.0f;
    }
}

template <class T>
void paste(Plane<const float> mask, const double map[6], Border border, Plane<T> out) {
    const bool replicate = border == Border::replicate;
    const Ramp across(map[0]), down(map[3]);
    for (int y = 0; y < out.height; y++) {
        T* row = out.data + y * out.stride;
        const double u0 = map[1] * y + map[2], v0 = map[4] * y + map[5];
        int begin = 0, end = out.width;
        if (!replicate) {
            clip_span(u0, map[0], -1, mask.width, begin, end);
            clip_span(v0, map[3], -1, mask.height, begin, end);
            std::memset(row, 0, sizeof(T) * static_cast<std::size_t>(begin));
            std::memset(row + end, 0, sizeof(T) * static_cast<std::size_t>(out.width - end));
        }
        for (int x = begin; x < end; x += kBlock) {
            const Coordinate u(u0 + map[0] * x), v(v0 + map[3] * x);
            std::int32_t column[kBlock], line[kBlock];
            float left[kBlock], right[kBlock], above[kBlock], below[kBlock], value[kBlock];
            for (int i = 0; i < kBlock; i++) split(u, across.value[i], replicate, mask.width, column[i], left[i], right[i]);
            for (int i = 0; i < kBlock; i++) split(v, down.value[i], replicate, mask.height, line[i], above[i], below[i]);
            for (int i = 0; i < kBlock; i++) {
                const float* upper = mask.data + line[i] * mask.stride + column[i];
                const float* lower = upper + mask.stride;
                value[i] = above[i] * (left[i] * upper[0] + right[i] * upper[1]) + below[i] * (left[i] * lower[0] + right[i] * lower[1]);
            }
            store(value, end - x < kBlock ? end - x : kBlock, row + x);
        }
    }
}

}  // namespace

void paste_f32(Plane<const float> mask, const double map[6], Border border, Plane<float> out) { paste(mask, map, border, out); }

void paste_u8(Plane<const float> mask, const double map[6], Border border, Plane<std::uint8_t> out) { paste(mask, map, border, out); }

// 1 / (1 + exp(-x)), off by at most 2e-7: exp as 2^n * polynomial, the same bits on every machine.
void sigmoid(const float* in, float* out, std::size_t count) {
    for (std::size_t i = 0; i < count; i++) {
        const float x = clamp(-in[i], -87.0f, 87.0f);
        const std::int32_t n = floor_to_int(x * 1.44269504f + 0.5f);
        const float r = (x - static_cast<float>(n) * 0.693359375f) + static_cast<float>(n) * 2.12194440e-4f;
        float p = 1.9875691500e-4f;
        p = p * r + 1.3981999507e-3f;
        p = p * r + 8.3334519073e-3f;
        p = p * r + 4.1665795894e-2f;
        p = p * r + 1.6666665459e-1f;
        p = p * r + 5.0000001201e-1f;
        p = p * r * r + r + 1.0f;
        const std::int32_t bits = (n + 127) << 23;
        float power;
        std::memcpy(&power, &bits, sizeof power);
        out[i] = 1.0f / (1.0f + p * power);
    }
}

}  // namespace posemask::POSEMASK_LEVEL
