// The weights with which one axis of a picture is resampled.
#pragma once
#include <vector>

#include "kernels.h"

namespace posemask {

// Pixel i of the result is the sum of count pixels from first[i] on, with weights[i * count ...].
struct Axis {
    int count;
    std::vector<int> first;
    std::vector<float> weights;
    AxisTaps taps() const { return {count, first.data(), weights.data()}; }
};

// Both grids cover the same stretch (pixel centres at + 0.5). Linear: between the two nearest pixels, the edge
// repeated. Area: the mean over what a pixel of the result covers; where the axis is enlarged, linear.
Axis make_axis(int size, int new_size, bool area);

}  // namespace posemask
