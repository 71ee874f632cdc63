#include "axis.h"

#include <algorithm>
#include <cmath>

namespace posemask {
namespace {

Axis linear_axis(int size, int new_size) {
    Axis axis;
    axis.count = std::min(2, size);
    const double scale = static_cast<double>(size) / new_size;
    for (int i = 0; i < new_size; i++) {
        const double position = std::clamp((i + 0.5) * scale - 0.5, 0.0, size - 1.0);
        const int first = std::max(0, std::min(static_cast<int>(position), size - 2));
        const float far = static_cast<float>(position - first);
        axis.first.push_back(first);
        axis.weights.push_back(size == 1 ? 1.0f : 1.0f - far);
        if (size > 1) {
            axis.weights.push_back(far);
        }
    }
    return axis;
}

Axis area_axis(int size, int new_size) {
    Axis axis;
    const double scale = static_cast<double>(size) / new_size;
    axis.count = std::min(static_cast<int>(std::ceil(scale)) + 1, size);
    for (int i = 0; i < new_size; i++) {
        const double begin = i * scale, end = (i + 1) * scale;
        const int first = std::min(static_cast<int>(begin), size - axis.count);
        axis.first.push_back(first);
        for (int tap = 0; tap < axis.count; tap++) {
            const double covered = std::min<double>(first + tap + 1, end) - std::max<double>(first + tap, begin);
            // What rounding leaves of a pixel is not worth reading.
            axis.weights.push_back(covered > 1e-9 * scale ? static_cast<float>(covered / scale) : 0.0f);
        }
    }
    return axis;
}

}  // namespace

Axis make_axis(int size, int new_size, bool area) {
    return area && new_size < size ? area_axis(size, new_size) : linear_axis(size, new_size);
}

}  // namespace posemask
