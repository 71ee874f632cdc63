// The matrix with which the reference samples a crop.
#pragma once
#include <array>

namespace posemask {

// MediaPipe hands OpenCV the crop's corners in the picture as float32. OpenCV solves for the perspective matrix that
// maps them to the crop's corners and inverts it. What comes out is the affine map within rounding; but coordinates are
// then rounded to 1/32 pixel, and in crops that are not turned many lie on a tie, which those last bits decide. So the
// same steps are taken here, in the same order of operations.
//
// Returns the row-major 3 x 3 matrix for crop pixels (u, v, 1); the affine map itself where the corners do not span an
// area.
std::array<double, 9> sampling_matrix(const double image_from_crop[6], int height, int width);

}  // namespace posemask
