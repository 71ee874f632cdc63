// What a kernel is: a function on plain pointers, with no Python and no allocation.
//
// All kernels of one instruction set stand in one table; dispatch.h hands out the table of the widest one that the machine has.
#pragma once
#include <cstddef>
#include <cstdint>

namespace posemask {

// Rows of `width` elements (pixels of 3 bytes for pictures), `stride` elements of T apart. Strides may be negative.
template <class T>
struct Plane {
    T* data;
    std::ptrdiff_t stride;
    int height, width;
};

enum class Border { zero, replicate };

struct Kernels {
    const char* name;

    // Sample image at matrix * (u, v, 1) for every pixel (u, v) of `out` (h, w, 3): uint8, or float32 as value * scale + offset.
    // The matrix is 3 x 3, as sampling_matrix() gives it. Needs an image at least 3 pixels wide and 2 high.
    void (*crop_u8)(Plane<const std::uint8_t> image, const double matrix[9], Border border, Plane<std::uint8_t> out);
    void (*crop_f32)(Plane<const std::uint8_t> image, const double matrix[9], Border border, float scale, float offset,
                     Plane<float> out);

    // Sample mask at map * (x, y, 1) for every pixel (x, y) of `out`; needs a mask of at least 2 x 2. uint8 is round(255 * value).
    void (*paste_f32)(Plane<const float> mask, const double map[6], Border border, Plane<float> out);
    void (*paste_u8)(Plane<const float> mask, const double map[6], Border border, Plane<std::uint8_t> out);
    void (*sigmoid)(const float* in, float* out, std::size_t count);
};

}  // namespace posemask
