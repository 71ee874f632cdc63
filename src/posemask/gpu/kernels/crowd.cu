// Who is who among the people that a stream follows: nobody twice, and an id for everybody. The rules are
// posemask.models.blazepose's and blazepose_stream's (distinct_people, _each_once, _believed), which a test holds this
// against. Of two who show one body and were followed both, the one stays who moved less (the CPU expects them where their
// speed would have brought them). One thread block a stream; PEOPLE rows a stream, of which found says who was seen.
//
// Read and written: found, has_roi, alive, flags (0 where somebody is dropped), middles[row][2] of the torsos (where they were
// last), ids (0 for nobody), next_id[n]. Read: values[row][68][3] pixels (rows ROW numbers apart), visibility[row][33], next_roi[row][4],
// alive_before[row]. Constants: PEOPLE, ROW, JOINTS (compared keypoints). rules: double[8]: the least score and number of compared
// keypoints, similarity and overlap above which two are one, distance of torsos in heights below which a new one is an old one;
// then falloff: double[JOINTS]. joints: int[JOINTS], torso: int[4].
#include "common.cuh"

DEVICE double sum_of(double value) {  // over a warp
    for (int step = 16; step; step /= 2) value += __shfl_xor_sync(0xffffffffu, value, step);
    return value;
}
DEVICE double most_of(double value) {
    for (int step = 16; step; step /= 2) value = fmax(value, __shfl_xor_sync(0xffffffffu, value, step));
    return value;
}

KERNEL(128)
crowd(const double* __restrict__ values, const float* __restrict__ visibility, const double* __restrict__ next_roi, const int* __restrict__ alive_before,
      int* __restrict__ found, int* __restrict__ has_roi, int* __restrict__ alive, int* __restrict__ flags, double* __restrict__ middles,
      int* __restrict__ ids, int* __restrict__ next_id, const double* __restrict__ rules, const double* __restrict__ falloff,
      const int* __restrict__ joints, const int* __restrict__ torso) {
    const int n = blockIdx.x, thread = threadIdx.x, first = n * PEOPLE;
#if PEOPLE > 1
    const int lane = thread & 31, warp = thread >> 5;
    SHARED_BYTES(shared);
    double* const middle = (double*)shared;     // [PEOPLE][2]
    double* const height = middle + 2 * PEOPLE;
    double* const area = height + PEOPLE;       // of the box around the keypoints that are seen
    double* const moved = area + PEOPLE;        // in heights
    int* const alike = (int*)(moved + PEOPLE);  // [PEOPLE][PEOPLE]
    for (int p = warp; p < PEOPLE; p += 4) {    // a warp each, a lane a keypoint
        const double* v = values + (long long)(first + p) * ROW;
        const bool torsos = lane < 4;
        const double x = sum_of(torsos ? v[torso[lane & 3] * 3] : 0.0) * 0.25, y = sum_of(torsos ? v[torso[lane & 3] * 3 + 1] : 0.0) * 0.25;
        const double last = v[32 * 3 + 1], here = v[lane * 3 + 1];
        const double tall = most_of(fmax(here, last)) + most_of(-fmin(here, last));
        const int joint = joints[lane < JOINTS ? lane : 0];
        const bool seen = lane < JOINTS && visibility[(first + p) * 33 + joint] > rules[0];
        const double jx = v[joint * 3], jy = v[joint * 3 + 1], far = 1e300;
        const double wide = most_of(seen ? jx : -far) + most_of(seen ? -jx : -far), high = most_of(seen ? jy : -far) + most_of(seen ? -jy : -far);
        const double dx = x - middles[(first + p) * 2], dy = y - middles[(first + p) * 2 + 1];
        if (lane == 0) {
            middle[p * 2] = x, middle[p * 2 + 1] = y, height[p] = tall;
            area[p] = (wide > 0 && high > 0 ? wide * high : 0.0) + 1e-6;
            moved[p] = sqrt(dx * dx + dy * dy) / fmax(tall, 1e-6);
        }
    }
    __syncthreads();

    for (int pair = warp; pair < PEOPLE * PEOPLE; pair += 4) {  // whether a is b, who comes before
        const int a = pair / PEOPLE, b = pair % PEOPLE;
        if (a == b || !found[first + a] || !found[first + b]) continue;
        const double *va = values + (long long)(first + a) * ROW, *vb = values + (long long)(first + b) * ROW;
        const int k = lane < JOINTS ? lane : 0, joint = joints[k];
        const bool both = lane < JOINTS && visibility[(first + a) * 33 + joint] >= rules[0] && visibility[(first + b) * 33 + joint] >= rules[0];
        const double kx = va[joint * 3] - vb[joint * 3], ky = va[joint * 3 + 1] - vb[joint * 3 + 1];
        const double sum = sum_of(both ? exp(-(kx * kx + ky * ky) * falloff[k] / area[b]) : 0.0), count = sum_of(both ? 1.0 : 0.0);
        const bool same_keypoints = count >= rules[1] && sum > rules[2] * count;
        const double *ra = next_roi + (first + a) * 4, *rb = next_roi + (first + b) * 4, ha = ra[2] * 0.5, hb = rb[2] * 0.5;
        const double wide = fmax(fmin(ra[0] + ha, rb[0] + hb) - fmax(ra[0] - ha, rb[0] - hb), 0.0);
        const double high = fmax(fmin(ra[1] + ha, rb[1] + hb) - fmax(ra[1] - ha, rb[1] - hb), 0.0);
        const double shared_area = wide * high, whole = ra[2] * ra[2] + rb[2] * rb[2] - shared_area;
        const bool same_region = shared_area > rules[3] * whole;
        const double dx = middle[a * 2] - middle[b * 2], dy = middle[a * 2 + 1] - middle[b * 2 + 1];
        const bool same_torso = !alive_before[first + a] && alive_before[first + b] &&
                                sqrt(dx * dx + dy * dy) < rules[4] * fmax(fmax(height[a], height[b]), 1e-6);
        if (lane == 0) alike[pair] = same_keypoints || same_region || same_torso;
    }
    __syncthreads();
    if (thread != 0) return;

    int order[PEOPLE], people = 0, staying = 0;
    for (int p = 0; p < PEOPLE; p++) {
        if (!found[first + p]) continue;
        int place = people++;
        for (; place > 0; place--) {  // those who were followed first, and of them who moved least
            const int q = order[place - 1];
            const bool before_q = alive_before[first + p] && (!alive_before[first + q] || moved[p] < moved[q]);
            if (!before_q) break;
            order[place] = q;
        }
        order[place] = p;
    }
    bool stays[PEOPLE];
    for (int p = 0; p < PEOPLE; p++) stays[p] = false;
    for (int i = 0; i < people; i++) {
        const int p = order[i];
        bool new_here = true;
        for (int j = 0; j < i; j++) new_here = new_here && !(stays[order[j]] && alike[p * PEOPLE + order[j]]);
        stays[p] = new_here;
    }
#else
    if (thread != 0) return;
    const bool stays[1] = {found[first] != 0};
    int staying = 0;
#endif
    for (int p = 0; p < PEOPLE; p++) {
        const int row = first + p;
        if (!stays[p])
            found[row] = has_roi[row] = alive[row] = flags[row] = ids[row] = 0;
        else {
            if (!alive_before[row]) ids[row] = next_id[n] + staying++;
#if PEOPLE > 1
            middles[row * 2] = middle[p * 2], middles[row * 2 + 1] = middle[p * 2 + 1];
#endif
        }
    }
    next_id[n] += staying;
}
