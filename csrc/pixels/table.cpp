// The kernels of one instruction set.
#include "kernels.h"

#define POSEMASK_TEXT_OF(name) #name
#define POSEMASK_TEXT(name) POSEMASK_TEXT_OF(name)

namespace posemask::POSEMASK_LEVEL {

using Bytes = Plane<std::uint8_t>;
using ConstBytes = Plane<const std::uint8_t>;
using Floats = Plane<float>;
using ConstFloats = Plane<const float>;

void crop_u8(ConstBytes, const double[9], Border, Bytes);
void crop_f32(ConstBytes, const double[9], Border, float, float, Floats);
void paste_f32(ConstFloats, const double[6], Border, Floats);
void paste_u8(ConstFloats, const double[6], Border, Bytes);
void paste_bool(ConstFloats, const double[6], Border, Plane<bool>);
void blend(ConstBytes, ConstBytes, ConstBytes, Bytes);
void join_alpha(ConstBytes, ConstBytes, Bytes);
std::size_t blur_scratch(int, const BlurPlan&);
void blur_u8(ConstBytes, int, const BlurPlan&, Border, void*, Bytes);
void blur_f32(ConstFloats, const BlurPlan&, Border, void*, Floats);
void blend_blurred(ConstBytes, ConstBytes, Side, const BlurPlan&, void*, Bytes);
void resize_u8(ConstBytes, int, const AxisTaps&, const AxisTaps&, float*, Bytes);
void resize_f32(ConstFloats, const AxisTaps&, const AxisTaps&, float*, Floats);
void draw_lines(Bytes, const float*, const std::uint8_t*, const float*, int);
void to_bytes(const float*, std::size_t, std::uint8_t*);
void sigmoid(const float*, float*, std::size_t);
void refine(const float*, const float*, const HeatmapShape&, float*);
void blend_masks(const float*, const float*, float, std::size_t, float*);
void label_parts(ConstBytes, const float*, int, std::uint8_t, Bytes);

extern const Kernels kernels;
const Kernels kernels = {POSEMASK_TEXT(POSEMASK_LEVEL),
                         crop_u8,
                         crop_f32,
                         paste_f32,
                         paste_u8,
                         paste_bool,
                         blend,
                         join_alpha,
                         blur_scratch,
                         blur_u8,
                         blur_f32,
                         blend_blurred,
                         resize_u8,
                         resize_f32,
                         draw_lines,
                         to_bytes,
                         sigmoid,
                         refine,
                         blend_masks,
                         label_parts};

}  // namespace posemask::POSEMASK_LEVEL
