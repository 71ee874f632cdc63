// Which part of the body each pixel of a person is: the maths of posemask/numbers/parts.py, to the same bits.
//
// A pixel asks which of some 14 bones it belongs to. Most pixels need not: over a block of pixels each bone's score
// lies between two bounds, and a bone whose lowest score is above another's highest one wins nowhere in it. One or two
// bones are left of most blocks, and where one is left and shows one side, there is nothing to compute at all.
#include <cmath>

#include "rows.h"

namespace posemask::POSEMASK_LEVEL {
namespace {

constexpr int kBlock = 16;
constexpr float kMiddle = 0.5f * (kBlock - 1);     // of a block, and how far it reaches from there
constexpr float kOutside = 10.0f, kNearer = 0.1f;  // OUTSIDE and NEARER in numbers/parts.py
constexpr float kSlack = 1e-3f;                    // metres; far above what rounding does to a bound

// What the columns of a bone are.
enum Column {
    kAlongX,
    kAlongY,
    kAlong,
    kAcrossX,
    kAcrossY,
    kAcross,
    kLength,
    kRadius,
    kTaper,
    kBefore,
    kBehind,
    kDepth,
    kSlope,
    kThickness,
    kLooseness,
    kSide,
    kTurn,
    kFront,
    kBack
};
static_assert(kBack + 1 == kBoneColumns);

inline float lesser(float a, float b) { return a < b ? a : b; }
inline float greater(float a, float b) { return a < b ? b : a; }

// The bones column by column, so that the compiler takes several at once; the first one fills them up to kMostBones.
struct Bones {
    float column[kBoneColumns][kMostBones];

    Bones(const float* rows, int count) {
        for (int b = 0; b < kMostBones; b++) {
            for (int i = 0; i < kBoneColumns; i++) {
                column[i][b] = rows[(b < count ? b : 0) * kBoneColumns + i];
            }
        }
    }
};

// The bones' scores in a block whose middle is (x, y): low <= score <= high.
void bound_scores(const Bones& bones, float x, float y, float* low, float* high) {
    const auto& of = bones.column;
    for (int b = 0; b < kMostBones; b++) {
        const float place = of[kAlongX][b] * x + of[kAlongY][b] * y + of[kAlong][b];
        const float across = of[kAcrossX][b] * x + of[kAcrossY][b] * y + of[kAcross][b];
        const float reach = (std::abs(of[kAlongX][b]) + std::abs(of[kAlongY][b])) * kMiddle,
                    width = (std::abs(of[kAcrossX][b]) + std::abs(of[kAcrossY][b])) * kMiddle;
        const float length = of[kLength][b], first = place - reach, last = place + reach;
        const float t0 = lesser(greater(first, 0.0f), length), t1 = lesser(greater(last, 0.0f), length);
        const float r0 = of[kRadius][b] + of[kTaper][b] * t0, r1 = of[kRadius][b] + of[kTaper][b] * t1;
        const float thin = 1.0f / lesser(r0, r1), thick = 1.0f / greater(r0, r1);
        const float near = greater(std::abs(across) - width, 0.0f) * thick, far = (std::abs(across) + width) * thin;
        const float before = of[kBefore][b], behind = of[kBehind][b];
        const float little = greater(greater(-last, 0.0f) * before, greater(first - length, 0.0f) * behind) * thick;
        const float much = greater(greater(-first, 0.0f) * before, greater(last - length, 0.0f) * behind) * thin;
        const float least = near * near + little * little, most = far * far + much * much;
        const float h0 = of[kDepth][b] + of[kSlope][b] * t0, h1 = of[kDepth][b] + of[kSlope][b] * t1;
        const float front = lesser(h0, h1), back = greater(h0, h1);
        const float gap0 = (std::sqrt(least) - 1.0f) * lesser(r0, r1) * of[kLooseness][b] + kNearer * front;
        const float gap1 = greater(std::sqrt(most) - 1.0f, 0.0f) * greater(r0, r1) * of[kLooseness][b] + kNearer * back;
        const float bulge0 = std::sqrt(greater(1.0f - least, 0.0f)), bulge1 = std::sqrt(greater(1.0f - most, 0.0f));
        const float inside0 = front - of[kThickness][b] * bulge0, inside1 = back - of[kThickness][b] * bulge1;
        const float outside0 = kOutside + gap0, outside1 = kOutside + gap1;
        low[b] = least >= 1.0f ? outside0 : lesser(inside0, kOutside + kNearer * front);
        high[b] = most < 1.0f ? inside1 : greater(back, outside1);
    }
}

// The parts of a run of pixels from (x, y) on, as the bones of `choice` say.
void label_run(const Bones& bones, const int* choice, int count, float x, float y, std::uint8_t* labels) {
    float best[kBlock], part[kBlock];
    for (int i = 0; i < kBlock; i++) {
        best[i] = 0;
        part[i] = 0;
    }
    for (int c = 0; c < count; c++) {
        float of[kBoneColumns];
        for (int i = 0; i < kBoneColumns; i++) {
            of[i] = bones.column[i][choice[c]];
        }
        const bool is_first = c == 0;
        for (int i = 0; i < kBlock; i++) {
            const float px = x + static_cast<float>(i);
            const float place = of[kAlongX] * px + of[kAlongY] * y + of[kAlong];
            const float metres = of[kAcrossX] * px + of[kAcrossY] * y + of[kAcross];
            const float along = lesser(greater(place, 0.0f), of[kLength]), radius = of[kRadius] + of[kTaper] * along;
            const float over = place - along, beyond = over * (over < 0 ? of[kBefore] : of[kBehind]) / radius;
            const float across = metres / radius, distance2 = across * across + beyond * beyond;
            const bool inside = distance2 < 1.0f;
            const float root = std::sqrt(inside ? 1.0f - distance2 : distance2);
            const float middle = of[kDepth] + of[kSlope] * along;
            const float surface = middle - of[kThickness] * root;
            const float gap = (root - 1.0f) * radius * of[kLooseness] + kNearer * middle;
            const float score = inside ? surface : kOutside + gap;
            const float v = clamp(across, -1.0f, 1.0f), shown = of[kSide] * v > of[kTurn] ? of[kFront] : of[kBack];
            const bool better = is_first || score < best[i];
            best[i] = better ? score : best[i];
            part[i] = better ? shown : part[i];
        }
    }
    for (int i = 0; i < kBlock; i++) {
        labels[i] = static_cast<std::uint8_t>(part[i]);
    }
}

// The bones that may win somewhere in a block whose middle is (x, y), in their order.
int choose(const Bones& bones, int count, float x, float y, int* choice) {
    float low[kMostBones], high[kMostBones];
    bound_scores(bones, x, y, low, high);
    float best = high[0];
    for (int b = 1; b < count; b++) {
        best = lesser(best, high[b]);
    }
    int chosen = 0;
    for (int b = 0; b < count; b++) {
        if (!(low[b] > best + kSlack)) {  // also what is not a number
            choice[chosen++] = b;
        }
    }
    return chosen;
}

// The one part that a bone shows all over a block, or -1.
int one_part(const Bones& bones, int bone, float x, float y) {
    const auto of = [&](int i) { return bones.column[i][bone]; };
    if (of(kFront) == of(kBack)) {
        return static_cast<int>(of(kFront));
    }
    const float place = of(kAlongX) * x + of(kAlongY) * y + of(kAlong);
    const float reach = (std::abs(of(kAlongX)) + std::abs(of(kAlongY))) * kMiddle;
    const float r0 = of(kRadius) + of(kTaper) * clamp(place - reach, 0.0f, of(kLength)),
                r1 = of(kRadius) + of(kTaper) * clamp(place + reach, 0.0f, of(kLength));
    const float thin = 1.0f / lesser(r0, r1), thick = 1.0f / greater(r0, r1);
    const float metres = of(kSide) * (of(kAcrossX) * x + of(kAcrossY) * y + of(kAcross));
    const float width = (std::abs(of(kAcrossX)) + std::abs(of(kAcrossY))) * kMiddle;
    const float left = metres - width, right = metres + width;
    const float v0 = clamp(left * (left < 0 ? thin : thick), -1.0f, 1.0f) - kSlack,
                v1 = clamp(right * (right < 0 ? thick : thin), -1.0f, 1.0f) + kSlack;
    return v0 > of(kTurn) ? static_cast<int>(of(kFront)) : v1 <= of(kTurn) ? static_cast<int>(of(kBack)) : -1;
}

// A row of a block: kBlock bytes, or fewer at the picture's right side.
inline void copy_row(const std::uint8_t* from, int width, std::uint8_t* to) {
    if (width == kBlock) {
        std::memcpy(to, from, kBlock);
    } else {
        std::memcpy(to, from, static_cast<std::size_t>(width));
    }
}

inline bool is_empty(const std::uint8_t* row) {
    std::uint64_t halves[2];
    std::memcpy(halves, row, sizeof halves);
    return (halves[0] | halves[1]) == 0;
}

struct Block {
    int x, y, width, height;
};

void label_block(const Bones& bones, int count, Plane<const std::uint8_t> person, std::uint8_t nobody, Block block,
                 Plane<std::uint8_t> out) {
    const float x = static_cast<float>(block.x), y = static_cast<float>(block.y);
    int choice[kMostBones];
    const int chosen = choose(bones, count, x + kMiddle, y + kMiddle, choice);
    const int only = chosen == 1 ? one_part(bones, choice[0], x + kMiddle, y + kMiddle) : -1;
    std::uint8_t labels[kBlock], here[kBlock] = {};
    std::memset(labels, only, sizeof labels);
    for (int i = 0; i < block.height; i++) {
        copy_row(person.data + (block.y + i) * person.stride + block.x, block.width, here);
        if (is_empty(here)) {
            continue;
        }
        if (only < 0) {
            label_run(bones, choice, chosen, x, y + static_cast<float>(i), labels);
        }
        std::uint8_t row[kBlock];
        for (int j = 0; j < kBlock; j++) {
            row[j] = here[j] ? labels[j] : nobody;
        }
        copy_row(row, block.width, out.data + (block.y + i) * out.stride + block.x);
    }
}

}  // namespace

void label_parts(Plane<const std::uint8_t> person, const float* rows, int count, std::uint8_t nobody,
                 Plane<std::uint8_t> out) {
    constexpr int kTile = 64 * kBlock;
    const Bones bones(rows, count);
    std::uint8_t somebody[kTile];
    for (int y = 0; y < out.height; y += kBlock) {
        const int height = out.height - y < kBlock ? out.height - y : kBlock;
        for (int tile = 0; tile < out.width; tile += kTile) {
            const int columns = out.width - tile < kTile ? out.width - tile : kTile;
            std::memset(somebody, 0, sizeof somebody);
            for (int i = 0; i < height; i++) {
                const std::uint8_t* row = person.data + (y + i) * person.stride + tile;
                for (int j = 0; j < columns; j++) {
                    somebody[j] |= row[j];
                }
                std::memset(out.data + (y + i) * out.stride + tile, nobody, static_cast<std::size_t>(columns));
            }
            for (int x = 0; x < columns; x += kBlock) {
                if (!is_empty(somebody + x)) {
                    const int width = columns - x < kBlock ? columns - x : kBlock;
                    label_block(bones, count, person, nobody, {tile + x, y, width, height}, out);
                }
            }
        }
    }
}

}  // namespace posemask::POSEMASK_LEVEL
