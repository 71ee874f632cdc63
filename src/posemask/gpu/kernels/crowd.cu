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

KERNEL(128)
crowd(const double* __restrict__ values, const float* __restrict__ visibility, const double* __restrict__ next_roi, const int* __restrict__ alive_before,
      int* __restrict__ found, int* __restrict__ has_roi, int* __restrict__ alive, int* __restrict__ flags, double* __restrict__ middles,
      int* __restrict__ ids, int* __restrict__ next_id, const double* __restrict__ rules, const double* __restrict__ falloff,
      const int* __restrict__ joints, const int* __restrict__ torso) {
    const int n = blockIdx.x, thread = threadIdx.x, first = n * PEOPLE;
    SHARED_BYTES(shared);
    double* const middle = (double*)shared;    // [PEOPLE][2]
    double* const height = middle + 2 * PEOPLE;
    double* const area = height + PEOPLE;      // of the box around the keypoints that are seen
    double* const moved = area + PEOPLE;       // in heights
    int* const alike = (int*)(moved + PEOPLE);  // [PEOPLE][PEOPLE]
    for (int p = thread; p < PEOPLE; p += 128) {
        const double* v = values + (long long)(first + p) * ROW;
        double x = 0, y = 0, top = v[1], bottom = v[1];
        for (int k = 0; k < 4; k++) x += v[torso[k] * 3] * 0.25, y += v[torso[k] * 3 + 1] * 0.25;
        for (int k = 1; k < 33; k++) top = fmin(top, v[k * 3 + 1]), bottom = fmax(bottom, v[k * 3 + 1]);
        double low_x = 0, low_y = 0, high_x = 0, high_y = 0;
        bool any = false;
        for (int k = 0; k < JOINTS; k++) {
            const int joint = joints[k];
            if (!(visibility[(first + p) * 33 + joint] > rules[0])) continue;
            const double jx = v[joint * 3], jy = v[joint * 3 + 1];
            low_x = any ? fmin(low_x, jx) : jx, low_y = any ? fmin(low_y, jy) : jy;
            high_x = any ? fmax(high_x, jx) : jx, high_y = any ? fmax(high_y, jy) : jy;
            any = true;
        }
        const double dx = x - middles[(first + p) * 2], dy = y - middles[(first + p) * 2 + 1];
        middle[p * 2] = x, middle[p * 2 + 1] = y, height[p] = bottom - top;
        area[p] = (high_x - low_x) * (high_y - low_y) + 1e-6;
        moved[p] = sqrt(dx * dx + dy * dy) / fmax(bottom - top, 1e-6);
    }
    __syncthreads();

    for (int pair = thread; pair < PEOPLE * PEOPLE; pair += 128) {  // whether a is b, who comes before
        const int a = pair / PEOPLE, b = pair % PEOPLE;
        const double *va = values + (long long)(first + a) * ROW, *vb = values + (long long)(first + b) * ROW;
        double sum = 0;
        int count = 0;
        for (int k = 0; k < JOINTS; k++) {
            const int joint = joints[k];
            if (!(visibility[(first + a) * 33 + joint] >= rules[0] && visibility[(first + b) * 33 + joint] >= rules[0])) continue;
            const double dx = va[joint * 3] - vb[joint * 3], dy = va[joint * 3 + 1] - vb[joint * 3 + 1];
            sum += exp(-(dx * dx + dy * dy) * falloff[k] / area[b]), count++;
        }
        const bool same_keypoints = count >= (int)rules[1] && sum > rules[2] * count;
        const double *ra = next_roi + (first + a) * 4, *rb = next_roi + (first + b) * 4, ha = ra[2] * 0.5, hb = rb[2] * 0.5;
        const double wide = fmax(fmin(ra[0] + ha, rb[0] + hb) - fmax(ra[0] - ha, rb[0] - hb), 0.0);
        const double high = fmax(fmin(ra[1] + ha, rb[1] + hb) - fmax(ra[1] - ha, rb[1] - hb), 0.0);
        const double shared_area = wide * high, whole = ra[2] * ra[2] + rb[2] * rb[2] - shared_area;
        const bool same_region = shared_area > rules[3] * whole;
        const double dx = middle[a * 2] - middle[b * 2], dy = middle[a * 2 + 1] - middle[b * 2 + 1];
        const bool same_torso = !alive_before[first + a] && alive_before[first + b] &&
                                sqrt(dx * dx + dy * dy) < rules[4] * fmax(fmax(height[a], height[b]), 1e-6);
        alike[pair] = same_keypoints || same_region || same_torso;
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
    for (int p = 0; p < PEOPLE; p++) {
        const int row = first + p;
        if (!stays[p])
            found[row] = has_roi[row] = alive[row] = flags[row] = ids[row] = 0;
        else {
            if (!alive_before[row]) ids[row] = next_id[n] + staying++;
            middles[row * 2] = middle[p * 2], middles[row * 2 + 1] = middle[p * 2 + 1];
        }
    }
    next_id[n] += staying;
}
