// Resampling along the axes with any weights: down the picture first, a row at a time, then across.
#include "rows.h"

namespace posemask::POSEMASK_LEVEL {
namespace {

inline void store(float value, std::uint8_t* out) {
    *out = static_cast<std::uint8_t>(static_cast<std::int32_t>(value + 0.5f));
}
inline void store(float value, float* out) { *out = value; }

template <class T, int C>
void resize(Plane<const T> image, const AxisTaps& down, const AxisTaps& across, float* mixed, Plane<T> out) {
    const int values = image.width * C;
    for (int y = 0; y < out.height; y++) {
        for (int tap = 0; tap < down.count; tap++) {
            const float weight = down.weights[y * down.count + tap];
            if (weight == 0 && tap > 0) {
                continue;
            }
            const T* row = image.data + (down.first[y] + tap) * image.stride;
            if (tap == 0) {
                for (int i = 0; i < values; i++) {
                    mixed[i] = weight * static_cast<float>(row[i]);
                }
            } else {
                for (int i = 0; i < values; i++) {
                    mixed[i] += weight * static_cast<float>(row[i]);
                }
            }
        }
        T* row = out.data + y * out.stride;
        for (int x = 0; x < out.width; x++) {
            const float *weights = across.weights + x * across.count, *from = mixed + across.first[x] * C;
            float sums[C];
            for (int c = 0; c < C; c++) {
                sums[c] = weights[0] * from[c];
            }
            for (int tap = 1; tap < across.count; tap++) {
                if (weights[tap] == 0) {
                    continue;
                }
                for (int c = 0; c < C; c++) {
                    sums[c] += weights[tap] * from[tap * C + c];
                }
            }
            for (int c = 0; c < C; c++) {
                store(sums[c], row + x * C + c);
            }
        }
    }
}

}  // namespace

void resize_u8(Plane<const std::uint8_t> image, int channels, const AxisTaps& down, const AxisTaps& across,
               float* scratch, Plane<std::uint8_t> out) {
    switch (channels) {
        case 1: return resize<std::uint8_t, 1>(image, down, across, scratch, out);
        case 3: return resize<std::uint8_t, 3>(image, down, across, scratch, out);
        default: return resize<std::uint8_t, 4>(image, down, across, scratch, out);
    }
}

void resize_f32(Plane<const float> plane, const AxisTaps& down, const AxisTaps& across, float* scratch,
                Plane<float> out) {
    resize<float, 1>(plane, down, across, scratch, out);
}

}  // namespace posemask::POSEMASK_LEVEL
