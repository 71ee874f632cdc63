// Thick lines with round ends, smooth at their rims. A disc is a line of no length.
//
// A pixel is covered by radius + 1/2 minus its centre's distance from the line, between nothing and all (or what a line
// thinner than a pixel covers). The distance is computed in double: a line may reach far beyond the picture.
#include <cmath>

#include "rows.h"

namespace posemask::POSEMASK_LEVEL {
namespace {

constexpr int kRun = 64;

void draw_line(Plane<std::uint8_t> image, const float ends[4], const std::uint8_t color[3], float width) {
    const double x0 = ends[0], y0 = ends[1], dx = ends[2] - x0, dy = ends[3] - y0;
    if (!std::isfinite(dx) || !std::isfinite(dy) || !(width > 0) || !std::isfinite(width)) {
        return;
    }
    const double length2 = dx * dx + dy * dy, inverse = length2 > 0 ? 1 / length2 : 0, length = std::sqrt(length2);
    const double reach = 0.5 * width + 0.5, most = width < 1 ? width : 1;
    const double top = (dy < 0 ? y0 + dy : y0) - reach, bottom = (dy < 0 ? y0 : y0 + dy) + reach;
    const double leftmost = (dx < 0 ? x0 + dx : x0) - reach, rightmost = (dx < 0 ? x0 : x0 + dx) + reach;
    const int first_row = static_cast<int>(clamp<double>(std::ceil(top), 0, image.height));
    const int last_row = static_cast<int>(clamp<double>(std::floor(bottom), -1, image.height - 1));
    for (int y = first_row; y <= last_row; y++) {
        double left = leftmost, right = rightmost;
        if (dy != 0 && length > 0) {
            // The row's part of the endless stripe along the line.
            const double middle = x0 + (y - y0) * dx / dy, half = reach * length / std::abs(dy);
            left = left > middle - half ? left : middle - half;
            right = right < middle + half ? right : middle + half;
        }
        const int begin = static_cast<int>(clamp<double>(std::ceil(left), 0, image.width));
        const int end = static_cast<int>(clamp<double>(std::floor(right) + 1, begin, image.width));
        for (int x = begin; x < end; x += kRun) {
            const int count = end - x < kRun ? end - x : kRun;
            float covered[kRun];
            std::uint8_t alpha[kRun], alphas[3 * kRun], colors[3 * kRun];
            for (int i = 0; i < count; i++) {
                const double px = x + i - x0, py = y - y0, along = clamp((px * dx + py * dy) * inverse, 0.0, 1.0);
                const double ex = px - along * dx, ey = py - along * dy;
                covered[i] = static_cast<float>(clamp(reach - std::sqrt(ex * ex + ey * ey), 0.0, most));
            }
            to_bytes(covered, count, alpha);
            thrice(alpha, count, alphas);
            for (int i = 0; i < count; i++) {
                std::memcpy(colors + 3 * i, color, 3);
            }
            std::uint8_t* pixels = image.data + y * image.stride + 3 * x;
            mix(colors, pixels, alphas, 3 * count, pixels);
        }
    }
}

}  // namespace

void draw_lines(Plane<std::uint8_t> image, const float* xyxy, const std::uint8_t* colors, const float* widths,
                int count) {
    for (int i = 0; i < count; i++) {
        draw_line(image, xyxy + 4 * i, colors + 3 * i, widths[i]);
    }
}

}  // namespace posemask::POSEMASK_LEVEL
