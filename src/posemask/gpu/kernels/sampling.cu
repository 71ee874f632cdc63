// The matrix with which the reference samples a crop: csrc/pixels/sampling.h says why it is not the affine map itself.
// One thread a crop, the same steps in the same order, without fused multiplication and addition.
//
// maps: (N, 2, 3) double, image_from_crop; matrices: (N, 3, 3) double. Constants: CROP_H, CROP_W; FROM_ROIS: the maps are
// made here, of regions (N, 4): centre x, y, size, rotation (posemask.numbers.geometry.image_from_crop).
#include "common.cuh"

KERNEL(32)
sampling(const double* __restrict__ rois, double* __restrict__ maps, double* __restrict__ matrices, int count) {
    const int n = blockIdx.x * 32 + threadIdx.x;
    if (n >= count) return;
    double* map = maps + n * 6;
    if (FROM_ROIS) {
        const double* roi = rois + n * 4;
        const double step = roi[2] / CROP_W, half = 0.5 * roi[2], cosine = cos(roi[3]), sine = sin(roi[3]);
        map[0] = step * cosine, map[1] = -step * sine, map[2] = roi[0] - half * (cosine - sine);
        map[3] = step * sine, map[4] = step * cosine, map[5] = roi[1] - half * (sine + cosine);
    }
    double* out = matrices + n * 9;
    const float crop_x[4] = {0.0f, 0.0f, (float)CROP_W, (float)CROP_W}, crop_y[4] = {(float)CROP_H, 0.0f, 0.0f, (float)CROP_H};
    double a[8][9];
    for (int i = 0; i < 8; i++)
        for (int j = 0; j < 9; j++) a[i][j] = 0.0;
    for (int i = 0; i < 4; i++) {
        const float x = (float)(map[0] * crop_x[i] + map[1] * crop_y[i] + map[2]);
        const float y = (float)(map[3] * crop_x[i] + map[4] * crop_y[i] + map[5]);
        a[i][0] = a[i + 4][3] = x;
        a[i][1] = a[i + 4][4] = y;
        a[i][2] = a[i + 4][5] = 1.0;
        a[i][6] = -x * crop_x[i], a[i][7] = -y * crop_x[i];
        a[i + 4][6] = -x * crop_y[i], a[i + 4][7] = -y * crop_y[i];
        a[i][8] = crop_x[i], a[i + 4][8] = crop_y[i];
    }
    bool solved = true;
    for (int i = 0; i < 8 && solved; i++) {
        int pivot = i;
        for (int j = i + 1; j < 8; j++)
            if (fabs(a[j][i]) > fabs(a[pivot][i])) pivot = j;
        solved = !(fabs(a[pivot][i]) < 100 * 2.220446049250313e-16);
        for (int j = 0; j < 9; j++) {
            const double swap = a[i][j];
            a[i][j] = a[pivot][j], a[pivot][j] = swap;
        }
        const double minus_inverse = -1 / a[i][i];
        for (int j = i + 1; j < 8; j++) {
            const double factor = a[j][i] * minus_inverse;
            for (int k = i + 1; k < 9; k++) a[j][k] += factor * a[i][k];
        }
    }
    for (int i = 0; i < 6; i++) out[i] = map[i];
    out[6] = out[7] = 0.0, out[8] = 1.0;
    if (!solved) return;
    double m[9];
    for (int i = 7; i >= 0; i--) {
        double sum = a[i][8];
        for (int k = i + 1; k < 8; k++) sum -= a[i][k] * m[k];
        m[i] = sum / a[i][i];
    }
    m[8] = 1.0;
    const double determinant = m[0] * (m[4] * m[8] - m[5] * m[7]) - m[1] * (m[3] * m[8] - m[5] * m[6]) + m[2] * (m[3] * m[7] - m[4] * m[6]);
    if (determinant == 0) return;
    const double d = 1 / determinant;
    out[0] = (m[4] * m[8] - m[5] * m[7]) * d, out[1] = (m[2] * m[7] - m[1] * m[8]) * d, out[2] = (m[1] * m[5] - m[2] * m[4]) * d;
    out[3] = (m[5] * m[6] - m[3] * m[8]) * d, out[4] = (m[0] * m[8] - m[2] * m[6]) * d, out[5] = (m[2] * m[3] - m[0] * m[5]) * d;
    out[6] = (m[3] * m[7] - m[4] * m[6]) * d, out[7] = (m[1] * m[6] - m[0] * m[7]) * d, out[8] = (m[0] * m[4] - m[1] * m[3]) * d;
}
