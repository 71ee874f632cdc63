// What a kernel is: a function on plain pointers, with no Python and no allocation.
//
// All kernels of one instruction set stand in one table; dispatch.h hands out the table of the widest one that the
// machine has.
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

// What of a picture is blurred: all of it, or what its alpha calls background or foreground. A side's blur is
// blur(weight * picture) / blur(weight) with the weight 255 - alpha or alpha, so that nothing of the other side is in
// it.
enum class Side { both, background, foreground };

// A Gaussian blur: cells of factor x factor pixels (1, 2, 4, 8 or 16), then 2 * radius + 1 taps. weights[i] is that of
// each of the two taps i cells away, for i = 0 half of the centre's; all taps sum to 1. fixed_weights are the same in
// 1/32768.
constexpr int kMaxBlurFactor = 16, kMaxBlurRadius = 64;
struct BlurPlan {
    int factor, radius;
    float weights[kMaxBlurRadius + 1];
    std::int16_t fixed_weights[kMaxBlurRadius + 1];
};

// One axis of a picture resampled: pixel i is the sum of `count` pixels from first[i] on, with weights[i * count ...].
struct AxisTaps {
    int count;
    const int* first;
    const float* weights;
};

// A heat map (height, width, count) of `count` landmarks in a crop of crop_size x crop_size pixels; the window's side
// is odd.
constexpr int kMaxHeatmapWindow = 15;
struct HeatmapShape {
    int height, width, count, window;
    float crop_size, least_confidence;
};

// A person's bones, kBoneColumns floats each: `capsules` in posemask/numbers/parts.py says what they are.
constexpr int kMostBones = 16, kBoneColumns = 19;

struct Kernels {
    const char* name;

    // Sample image at matrix * (u, v, 1) for every pixel (u, v) of `out` (h, w, 3): uint8, or float32 as value * scale
    // + offset. The matrix is 3 x 3, as sampling_matrix() gives it. Needs an image at least 3 pixels wide and 2 high.
    void (*crop_u8)(Plane<const std::uint8_t> image, const double matrix[9], Border border, Plane<std::uint8_t> out);
    void (*crop_f32)(Plane<const std::uint8_t> image, const double matrix[9], Border border, float scale, float offset,
                     Plane<float> out);

    // Sample mask at map * (x, y, 1) for every pixel (x, y) of `out`; needs a mask of at least 2 x 2. uint8 is
    // round(255 * value), bool is value > 0.5.
    void (*paste_f32)(Plane<const float> mask, const double map[6], Border border, Plane<float> out);
    void (*paste_u8)(Plane<const float> mask, const double map[6], Border border, Plane<std::uint8_t> out);
    void (*paste_bool)(Plane<const float> mask, const double map[6], Border border, Plane<bool> out);

    // foreground * alpha + background * (255 - alpha), over 255 and rounded; `out` may be one of the two.
    void (*blend)(Plane<const std::uint8_t> foreground, Plane<const std::uint8_t> background,
                  Plane<const std::uint8_t> alpha, Plane<std::uint8_t> out);
    void (*join_alpha)(Plane<const std::uint8_t> image, Plane<const std::uint8_t> alpha, Plane<std::uint8_t> out);

    // `out` may be the input. `scratch` has as many bytes as blur_scratch() says.
    std::size_t (*blur_scratch)(int width, const BlurPlan& plan);
    void (*blur_u8)(Plane<const std::uint8_t> image, int channels, const BlurPlan& plan, Border border, void* scratch,
                    Plane<std::uint8_t> out);
    void (*blur_f32)(Plane<const float> plane, const BlurPlan& plan, Border border, void* scratch, Plane<float> out);
    // The image over its own blur, the same bits as blend(image, blur(image), alpha); or over the blur of one of its
    // sides.
    void (*blend_blurred)(Plane<const std::uint8_t> image, Plane<const std::uint8_t> alpha, Side side,
                          const BlurPlan& plan, void* scratch, Plane<std::uint8_t> out);

    // `scratch` has as many floats as a row of the image.
    void (*resize_u8)(Plane<const std::uint8_t> image, int channels, const AxisTaps& down, const AxisTaps& across,
                      float* scratch, Plane<std::uint8_t> out);
    void (*resize_f32)(Plane<const float> plane, const AxisTaps& down, const AxisTaps& across, float* scratch,
                       Plane<float> out);

    // Lines (x0, y0, x1, y1) with round ends, colours (r, g, b) and widths in pixels, each over those before.
    void (*draw_lines)(Plane<std::uint8_t> image, const float* xyxy, const std::uint8_t* colors, const float* widths,
                       int count);

    void (*to_bytes)(const float* values, std::size_t count, std::uint8_t* out);  // round(255 * value)
    void (*sigmoid)(const float* in, float* out, std::size_t count);
    // Landmarks (count, 5) with x, y first, in pixels of the crop; xy (count, 2).
    void (*refine)(const float* landmarks, const float* heatmap, const HeatmapShape& shape, float* xy);
    void (*blend_masks)(const float* current, const float* previous, float ratio, std::size_t count, float* out);
    // The part of the body that each pixel of `person` (not 0) is, `nobody` elsewhere; 1 to kMostBones bones.
    void (*label_parts)(Plane<const std::uint8_t> person, const float* bones, int count, std::uint8_t nobody,
                        Plane<std::uint8_t> out);
};

}  // namespace posemask
