// From the landmark network's outputs to people: decode, heat-map refinement, projection, filters, the next region.
// The rules are posemask.numbers' (landmarks, filters, tracking, geometry), which a test holds this against; here they are
// one kernel because a hundred small ones would take longer than the network. One thread block a person, in double; PEOPLE
// rows a stream, which share its dt.
//
// State of a row, read and written: roi[4], has_roi (somebody is followed, or was just detected), alive (the filters hold
// somebody), filters[3][68][3] (raw, smooth, slope), visibility[33].
// Results: found, score, xyz[33][3], world[33][3], visibility, presence, used_roi[4]; flags[n] = has_roi for the host.
// Constants: SMOOTH; PEOPLE; HEAT (values between neighbouring pixels of the heat map). rules: the numbers of
// posemask.numbers.tracking, double[9]: visibility's alpha, the least size of a person, its scale, then the filters' least
// cutoff and beta of keypoints, auxiliary points, metres. min_presence_bits: float32.
#include "common.cuh"

DEVICE double sigmoid64(double v) {
    v = v < -80.0 ? -80.0 : v > 80.0 ? 80.0 : v;
    return 1.0 / (1.0 + exp(-v));
}
DEVICE double alpha_of(double cutoff, double dt) {
    const double turn = 6.283185307179586 * cutoff * dt;
    return turn / (turn + 1.0);
}
DEVICE float half_at(const unsigned char* from, long long index) {
    float low, high;
    half2_unpack(((const half_bits*)from)[index], low, high);
    return low;
}

KERNEL(128)
people(const float* __restrict__ raw, const float* __restrict__ score, const unsigned char* __restrict__ heatmap, const float* __restrict__ metres,
       const double* __restrict__ dt, double* __restrict__ roi, int* __restrict__ has_roi, int* __restrict__ alive, double* __restrict__ filters,
       double* __restrict__ seen, int* __restrict__ found, float* __restrict__ out_score, float* __restrict__ out_xyz, float* __restrict__ out_world,
       float* __restrict__ out_visibility, float* __restrict__ out_presence, double* __restrict__ used_roi, int* __restrict__ flags,
       const double* __restrict__ rules, unsigned min_presence_bits) {
    const int n = blockIdx.x, thread = threadIdx.x, lane = thread & 31, warp = thread >> 5;
    SHARED_BYTES(shared);
    double* const xy = (double*)shared;            // [35][2] pixels of the crop
    double* const points = xy + 70;                // [68][3] in the image and in metres
    double* const region = points + 204;           // [4]
    double* const next = region + 4;               // [2][2] smoothed auxiliary points
    raw += n * 195, metres += n * 117, heatmap += (long long)n * 64 * 64 * HEAT * 2;
    const bool present = has_roi[n] && score[n] >= __uint_as_float(min_presence_bits);
    const bool restart = !alive[n];
    if (thread < 4) region[thread] = roi[n * 4 + thread];
    __syncthreads();

    for (int point = warp; point < 35; point += 4) {
        const double x = raw[point * 5], y = raw[point * 5 + 1];
        const double column = trunc(x * 0.25), row = trunc(y * 0.25);
        const bool inside = column >= 0 && column < 64 && row >= 0 && row < 64;
        float total = 0, sum_x = 0, sum_y = 0, largest = 0;
        for (int tap = lane; tap < 49; tap += 32) {
            const int cx = (inside ? (int)column : 0) + tap % 7 - 3, cy = (inside ? (int)row : 0) + tap / 7 - 3;
            if (cx < 0 || cx >= 64 || cy < 0 || cy >= 64) continue;
            const float logit = half_at(heatmap, (cy * 64 + cx) * HEAT + point);
            const float c = 1.0f / (1.0f + expf(-fminf(fmaxf(logit, -80.0f), 80.0f)));
            total += c, sum_x += c * cx, sum_y += c * cy, largest = fmaxf(largest, c);
        }
        for (int step = 16; step; step /= 2) {
            total += __shfl_xor_sync(0xffffffffu, total, step), sum_x += __shfl_xor_sync(0xffffffffu, sum_x, step);
            sum_y += __shfl_xor_sync(0xffffffffu, sum_y, step), largest = fmaxf(largest, __shfl_xor_sync(0xffffffffu, largest, step));
        }
        if (lane == 0) {
            const bool use = inside && largest >= 0.5f && total > 0;
            xy[point * 2] = use ? (double)(sum_x / total) * 4.0 : x;
            xy[point * 2 + 1] = use ? (double)(sum_y / total) * 4.0 : y;
        }
    }
    __syncthreads();

    const double size = region[2], rate = size / 256, half = 0.5 * size, cosine = cos(region[3]), sine = sin(region[3]);
    for (int i = thread; i < 68; i += 128) {
        double* p = points + i * 3;
        if (i < 35) {
            const double x = xy[i * 2], y = xy[i * 2 + 1];
            p[0] = rate * cosine * x - rate * sine * y + (region[0] - half * (cosine - sine));
            p[1] = rate * sine * x + rate * cosine * y + (region[1] - half * (sine + cosine));
            p[2] = i < 33 ? raw[i * 5 + 2] * rate : 0.0;
        } else {
            const float* m = metres + (i - 35) * 3;
            p[0] = cosine * m[0] - sine * m[1], p[1] = sine * m[0] + cosine * m[1], p[2] = m[2];
        }
    }
    __syncthreads();

    const double ax = points[34 * 3] - points[33 * 3], ay = points[34 * 3 + 1] - points[33 * 3 + 1];
    const double person = fmax(2.0 * rules[2] * sqrt(ax * ax + ay * ay), rules[1]);
    for (int i = thread; i < 204; i += 128) {
        const int point = i / 3;
        const double* filter = rules + (point < 33 ? 3 : point < 35 ? 5 : 7);
        const double scale = point < 35 ? 1.0 / person : 1.0, value = points[i], t = dt[n / PEOPLE];
        double* const state = filters + (long long)n * 612 + i;
        double slope = state[408] + alpha_of(1.0, t) * ((value - state[0]) * (scale / t) - state[408]);
        double smooth = state[204] + alpha_of(filter[0] + filter[1] * fabs(slope), t) * (value - state[204]);
        if (restart) slope = 0.0, smooth = value;
        if (present) state[0] = value, state[204] = smooth, state[408] = slope;
        const double result = SMOOTH ? smooth : value;
        if (point < 33)
            out_xyz[n * 99 + i] = (float)result;
        else if (point >= 35)
            out_world[n * 99 + i - 105] = (float)result;
        else if (i % 3 < 2)
            next[(point - 33) * 2 + i % 3] = smooth;
    }
    for (int i = thread; i < 33; i += 128) {
        const double v = sigmoid64(raw[i * 5 + 3]), before = seen[n * 33 + i];
        const double smooth = restart ? v : before + rules[0] * (v - before);
        if (present) seen[n * 33 + i] = smooth;
        out_visibility[n * 33 + i] = (float)(SMOOTH ? smooth : v);
        out_presence[n * 33 + i] = (float)sigmoid64(raw[i * 5 + 4]);
    }
    __syncthreads();

    if (thread == 0) {
        found[n] = present;
        flags[n] = present;
        has_roi[n] = present;
        alive[n] = present;
        out_score[n] = has_roi[n] || present ? score[n] : 0.0f;
        for (int k = 0; k < 4; k++) used_roi[n * 4 + k] = region[k];
        if (present) {
            const double dx = next[2] - next[0], dy = next[3] - next[1];
            double turn = 1.5707963267948966 - atan2(-dy, dx);
            turn -= 6.283185307179586 * floor((turn + 3.141592653589793) / 6.283185307179586);
            roi[n * 4] = next[0], roi[n * 4 + 1] = next[1], roi[n * 4 + 2] = 2.5 * sqrt(dx * dx + dy * dy), roi[n * 4 + 3] = turn;
        }
    }
}
