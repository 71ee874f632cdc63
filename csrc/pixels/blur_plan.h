// How a blur of a given strength is done.
#pragma once
#include "kernels.h"

namespace posemask {

// sigma in pixels, greater than 0 and at most kMaxBlurSigma.
constexpr double kMaxBlurSigma = 300;
BlurPlan plan_blur(double sigma);

}  // namespace posemask
