// The kernels of one instruction set.
#include "kernels.h"

#define POSEMASK_TEXT_OF(name) #name
#define POSEMASK_TEXT(name) POSEMASK_TEXT_OF(name)

namespace posemask::POSEMASK_LEVEL {

void crop_u8(Plane<const std::uint8_t>, const double[9], Border, Plane<std::uint8_t>);
void crop_f32(Plane<const std::uint8_t>, const double[9], Border, float, float, Plane<float>);
void paste_f32(Plane<const float>, const double[6], Border, Plane<float>);
void paste_u8(Plane<const float>, const double[6], Border, Plane<std::uint8_t>);
void sigmoid(const float*, float*, std::size_t);

extern const Kernels kernels;
const Kernels kernels = {POSEMASK_TEXT(POSEMASK_LEVEL), crop_u8, crop_f32, paste_f32, paste_u8, sigmoid};

}  // namespace posemask::POSEMASK_LEVEL
