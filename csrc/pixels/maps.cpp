// Small float maps: probabilities, heat maps, masks.
#include "rows.h"

namespace posemask::POSEMASK_LEVEL {
namespace {

// exp as 2^n * polynomial, |x| <= 87, off by at most 2e-7 of its value: the same bits on every machine.
inline float exp_of(float x) {
    const std::int32_t n = floor_to_int(x * 1.44269504f + 0.5f);
    const float r = (x - static_cast<float>(n) * 0.693359375f) + static_cast<float>(n) * 2.12194440e-4f;
    float p = 1.9875691500e-4f;
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * r * r + r + 1.0f;
    const std::int32_t bits = (n + 127) * (1 << 23);
    float power;
    std::memcpy(&power, &bits, sizeof power);
    return p * power;
}

}  // namespace

void sigmoid(const float* in, float* out, std::size_t count) {
    for (std::size_t i = 0; i < count; i++) {
        out[i] = 1.0f / (1.0f + exp_of(clamp(-in[i], -87.0f, 87.0f)));
    }
}

void refine(const float* landmarks, const float* heatmap, const HeatmapShape& shape, float* xy) {
    constexpr int kMostCells = kMaxHeatmapWindow * kMaxHeatmapWindow;
    const float width = static_cast<float>(shape.width), height = static_cast<float>(shape.height);
    const float across = width / shape.crop_size, down = height / shape.crop_size;
    const int reach = shape.window / 2;
    for (int k = 0; k < shape.count; k++) {
        const float x = landmarks[5 * k], y = landmarks[5 * k + 1];
        xy[2 * k] = x;
        xy[2 * k + 1] = y;
        // A conversion to int drops the fraction: a landmark just left of the map (-1 < column < 0) counts as in column
        // 0.
        if (!(x * across > -1 && x * across < width && y * down > -1 && y * down < height)) {
            continue;
        }
        const int column = static_cast<int>(x * across), row = static_cast<int>(y * down);
        const int left = column > reach ? column - reach : 0, top = row > reach ? row - reach : 0;
        const int right = column + reach < shape.width ? column + reach + 1 : shape.width;
        const int bottom = row + reach < shape.height ? row + reach + 1 : shape.height;
        float cells[kMostCells];
        int count = 0;
        for (int v = top; v < bottom; v++) {
            for (int u = left; u < right; u++) {
                cells[count++] = heatmap[(v * shape.width + u) * shape.count + k];
            }
        }
        sigmoid(cells, cells, static_cast<std::size_t>(count));
        float sum = 0, sum_x = 0, sum_y = 0, most = 0;
        const float* cell = cells;
        for (int v = top; v < bottom; v++) {
            for (int u = left; u < right; u++, cell++) {
                sum += *cell;
                sum_x += *cell * static_cast<float>(u);
                sum_y += *cell * static_cast<float>(v);
                most = *cell > most ? *cell : most;
            }
        }
        if (most < shape.least_confidence || sum <= 0) {
            continue;
        }
        xy[2 * k] = sum_x / sum / across;
        xy[2 * k + 1] = sum_y / sum / down;
    }
}

void blend_masks(const float* current, const float* previous, float ratio, std::size_t count, float* out) {
    for (std::size_t i = 0; i < count; i++) {
        const float t = current[i] - 0.5f, x = t * t;
        // A polynomial that follows 1 - entropy of the probability; the coefficients are MediaPipe's.
        const float certainty = x * (5.68842f + x * (-0.748699f + x * (-57.8051f + x * (291.309f + x * -624.717f))));
        const float uncertainty = 1.0f - (certainty < 1.0f ? certainty : 1.0f);
        out[i] = current[i] + (previous[i] - current[i]) * (uncertainty * ratio);
    }
}

}  // namespace posemask::POSEMASK_LEVEL
