#include "sampling.h"

#include <cfloat>
#include <cmath>
#include <utility>

namespace posemask {
namespace {

constexpr int kUnknowns = 8;

// Gaussian elimination with row pivots, as in OpenCV's LU; the solution replaces b. False if the matrix is singular.
bool solve(double (&a)[kUnknowns][kUnknowns], double (&b)[kUnknowns]) {
    for (int i = 0; i < kUnknowns; i++) {
        int pivot = i;
        for (int j = i + 1; j < kUnknowns; j++) {
            if (std::abs(a[j][i]) > std::abs(a[pivot][i])) {
                pivot = j;
            }
        }
        if (std::abs(a[pivot][i]) < 100 * DBL_EPSILON) {
            return false;
        }
        std::swap(a[i], a[pivot]);
        std::swap(b[i], b[pivot]);
        const double minus_inverse = -1 / a[i][i];
        for (int j = i + 1; j < kUnknowns; j++) {
            const double factor = a[j][i] * minus_inverse;
            for (int k = i + 1; k < kUnknowns; k++) {
                a[j][k] += factor * a[i][k];
            }
            b[j] += factor * b[i];
        }
    }
    for (int i = kUnknowns - 1; i >= 0; i--) {
        double sum = b[i];
        for (int k = i + 1; k < kUnknowns; k++) {
            sum -= a[i][k] * b[k];
        }
        b[i] = sum / a[i][i];
    }
    return true;
}

// By cofactors, in OpenCV's order. False if the determinant is 0.
bool invert(const double (&m)[9], std::array<double, 9>& inverse) {
    const double determinant =
        m[0] * (m[4] * m[8] - m[5] * m[7]) - m[1] * (m[3] * m[8] - m[5] * m[6]) + m[2] * (m[3] * m[7] - m[4] * m[6]);
    if (determinant == 0) {
        return false;
    }
    const double d = 1 / determinant;
    inverse = {(m[4] * m[8] - m[5] * m[7]) * d, (m[2] * m[7] - m[1] * m[8]) * d, (m[1] * m[5] - m[2] * m[4]) * d,
               (m[5] * m[6] - m[3] * m[8]) * d, (m[0] * m[8] - m[2] * m[6]) * d, (m[2] * m[3] - m[0] * m[5]) * d,
               (m[3] * m[7] - m[4] * m[6]) * d, (m[1] * m[6] - m[0] * m[7]) * d, (m[0] * m[4] - m[1] * m[3]) * d};
    return true;
}

}  // namespace

std::array<double, 9> sampling_matrix(const double image_from_crop[6], int height, int width) {
    const double* map = image_from_crop;
    const float crop_x[4] = {0, 0, static_cast<float>(width), static_cast<float>(width)};
    const float crop_y[4] = {static_cast<float>(height), 0, 0, static_cast<float>(height)};
    double a[kUnknowns][kUnknowns] = {}, b[kUnknowns];
    for (int i = 0; i < 4; i++) {
        const float x = static_cast<float>(map[0] * crop_x[i] + map[1] * crop_y[i] + map[2]);
        const float y = static_cast<float>(map[3] * crop_x[i] + map[4] * crop_y[i] + map[5]);
        a[i][0] = a[i + 4][3] = x;
        a[i][1] = a[i + 4][4] = y;
        a[i][2] = a[i + 4][5] = 1;
        // The products are float32, too.
        a[i][6] = -x * crop_x[i];
        a[i][7] = -y * crop_x[i];
        a[i + 4][6] = -x * crop_y[i];
        a[i + 4][7] = -y * crop_y[i];
        b[i] = crop_x[i];
        b[i + 4] = crop_y[i];
    }
    std::array<double, 9> matrix = {map[0], map[1], map[2], map[3], map[4], map[5], 0, 0, 1};
    if (solve(a, b)) {
        const double crop_from_image[9] = {b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7], 1};
        invert(crop_from_image, matrix);
    }
    return matrix;
}

}  // namespace posemask
