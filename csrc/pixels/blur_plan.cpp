#include "blur_plan.h"

#include <cmath>

namespace posemask {

BlurPlan plan_blur(double sigma) {
    // Below this many cells the linear interpolation between them can be seen in the result.
    constexpr double least_cells = 1.5;
    // Beyond this many sigmas the taps are left out: 2.7 in a thousand of the weight, shared among the others.
    constexpr double reach = 3;

    BlurPlan plan = {};
    plan.factor = 1;
    while (2 * plan.factor <= kMaxBlurFactor && sigma >= 2 * plan.factor * least_cells) {
        plan.factor *= 2;
    }
    const double cells = sigma / plan.factor;
    const double left = plan.factor == 1 ? sigma : std::sqrt(cells * cells - 0.25);  // blur.cpp says why
    plan.radius = static_cast<int>(std::ceil(reach * left));
    double weights[kMaxBlurRadius + 1], sum = 0;
    for (int i = 0; i <= plan.radius; i++) {
        weights[i] = (i == 0 ? 0.5 : 1.0) * std::exp(-0.5 * (i / left) * (i / left));
        sum += 2 * weights[i];
    }
    int centre = 1 << 14;
    for (int i = plan.radius; i >= 0; i--) {
        plan.weights[i] = static_cast<float>(weights[i] / sum);
        plan.fixed_weights[i] = static_cast<std::int16_t>(std::lround(weights[i] / sum * (1 << 15)));
        if (i > 0) {
            centre -= plan.fixed_weights[i];
        }
    }
    plan.fixed_weights[0] = static_cast<std::int16_t>(centre);  // a flat picture stays as it is
    return plan;
}

}  // namespace posemask
