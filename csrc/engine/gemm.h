// The matrix kernel: outputs of a convolution for a run of pixels.
//
// A tile of up to most_pixels pixels x 32 outputs is summed in registers; each input is broadcast from memory, weights
// come in panels that stay in the nearest cache. The address of an input is pixel * step + segment offset + k with
// a constant step, so that the whole tile needs one pointer.
#pragma once

#include "kernels.h"
#include "simd.h"

namespace {

using engine::Activation;
using engine::Curve;
using engine::Matrix;
using engine::Segment;

template <class V>
ENGINE_INLINE V activate(V x, const Activation& activation) {
  if (activation.curve == Curve::clamp) return min(max(x, V::all(activation.low)), V::all(activation.high));
  if (activation.curve == Curve::hard_swish) {
    const V gate = min(max(add(x, V::all(3.0f)), V::all(0.0f)), V::all(6.0f));
    return mul(mul(x, gate), V::all(1.0f / 6.0f));
  }
  return x;
}

template <class V, int N>
ENGINE_INLINE void activate_all(V (&x)[N], const Activation& activation) {
  if (activation.curve == Curve::clamp) {
    const V low = V::all(activation.low), high = V::all(activation.high);
    ENGINE_UNROLL for (int i = 0; i < N; ++i) x[i] = min(max(x[i], low), high);
  } else if (activation.curve == Curve::hard_swish) {
    ENGINE_UNROLL for (int i = 0; i < N; ++i) x[i] = activate(x[i], activation);
  }
}

// Where a tile goes: pixels `lanes` floats apart, blocks of channels `block` floats apart, residual laid out the same.
struct Target {
  float* data;
  ptrdiff_t block;
  int lanes;
  const float* residual;
  Activation activation, after;
};

template <class V>
ENGINE_INLINE void finish(V sum, float* out, const float* residual, const Target& target) {
  sum = activate(sum, target.activation);
  if (residual) sum = activate(add(sum, V::load(residual)), target.after);
  sum.store(out);
}

// Activates, adds the residual and stores: KEPT vectors for each pixel.
template <int KEPT, class V, int N>
ENGINE_INLINE void finish_all(V (&sums)[N], ptrdiff_t offset, const Target& target) {
  activate_all(sums, target.activation);
  if (target.residual) {
    ENGINE_UNROLL for (int i = 0; i < N; ++i) {
      const float* residual = target.residual + offset + i / KEPT * target.lanes + i % KEPT * target.block;
      sums[i] = add(sums[i], V::load(residual));
    }
    activate_all(sums, target.after);
  }
  ENGINE_UNROLL for (int i = 0; i < N; ++i)
    sums[i].store(target.data + offset + i / KEPT * target.lanes + i % KEPT * target.block);
}

// PIXELS x (VECTORS * 16 + HALF * 8) outputs. STEP: floats between pixels of the source, 0: given by `step`.
template <int PIXELS, int VECTORS, bool HALF, int STEP>
ENGINE_NOINLINE void multiply_tile(const float* source, int step, const Segment* segments, int segment_count,
                                   const float* weights, int panel_width, const float* bias, ptrdiff_t offset,
                                   const Target& target) {
  constexpr int KEPT = VECTORS > 0 ? VECTORS : 1;
  V16 sums[PIXELS * KEPT];
  V8 halves[PIXELS];
  ENGINE_UNROLL for (int p = 0; p < PIXELS; ++p) {
    ENGINE_UNROLL for (int v = 0; v < VECTORS; ++v) sums[p * KEPT + v] = V16::load(bias + 16 * v);
    if (HALF) halves[p] = V8::load(bias + 16 * VECTORS);
  }
  const ptrdiff_t pitch = STEP ? STEP : step;
  for (int s = 0; s < segment_count; ++s) {
    const float* a = source + segments[s].offset;
    for (const float* end = a + segments[s].length; a != end; ++a) {
      V16 w[KEPT];
      V8 half;
      ENGINE_UNROLL for (int v = 0; v < VECTORS; ++v) w[v] = V16::load(weights + 16 * v);
      if (HALF) half = V8::load(weights + 16 * VECTORS);
      weights += panel_width;
      ENGINE_UNROLL for (int p = 0; p < PIXELS; ++p) {
        const float x = a[p * pitch];
        ENGINE_UNROLL for (int v = 0; v < VECTORS; ++v) sums[p * KEPT + v] = fma(V16::all(x), w[v], sums[p * KEPT + v]);
        if (HALF) halves[p] = fma(V8::all(x), half, halves[p]);
      }
    }
  }
  if (VECTORS) finish_all<KEPT>(sums, offset, target);
  if (HALF) finish_all<1>(halves, offset + VECTORS * target.block, target);
}

using TileFunction = void (*)(const float*, int, const Segment*, int, const float*, int, const float*, ptrdiff_t,
                              const Target&);

template <int VECTORS, bool HALF, int STEP, int PIXELS>
struct TileTable {
  static constexpr void fill(TileFunction* table) {
    table[PIXELS] = multiply_tile<PIXELS, VECTORS, HALF, STEP>;
    TileTable<VECTORS, HALF, STEP, PIXELS - 1>::fill(table);
  }
};
template <int VECTORS, bool HALF, int STEP>
struct TileTable<VECTORS, HALF, STEP, 0> {
  static constexpr void fill(TileFunction* table) { table[0] = nullptr; }
};

template <int STEP>
constexpr void fill_shapes(TileFunction (*shapes)[most_pixels + 1]) {
  TileTable<0, true, STEP, most_pixels>::fill(shapes[0]);
  TileTable<1, false, STEP, most_pixels>::fill(shapes[1]);
  if constexpr (most_vectors > 1) {
    TileTable<1, true, STEP, most_pixels>::fill(shapes[2]);
    TileTable<2, false, STEP, most_pixels>::fill(shapes[3]);
  }
}

// tiles[step kind][shape][pixels]; step kinds: 16, 8, 6, any; shapes: 8, 16, 24, 32 outputs.
struct Tiles {
  TileFunction at[4][4][most_pixels + 1] = {};

  constexpr Tiles() {
    fill_shapes<16>(at[0]);
    fill_shapes<8>(at[1]);
    fill_shapes<6>(at[2]);
    fill_shapes<0>(at[3]);
  }

  static int kind(int step) { return step == 16 ? 0 : step == 8 ? 1 : step == 6 ? 2 : 3; }
};

constexpr Tiles tiles;

// Even shares: where part `index` of `parts` of `total` things begins.
ENGINE_INLINE int share(int total, int index, int parts) { return int(int64_t(total) * index / parts); }

// One panel for `pixels` pixels of source; target.data is where the panel's first block goes.
ENGINE_INLINE void multiply_panel(const Matrix& matrix, const float* source, int step, int panel, int pixels,
                                  const Target& target) {
  const int width = matrix.panel_width(panel), kind = Tiles::kind(step);
  const float* weights = matrix.weights + ptrdiff_t(panel) * 32 * matrix.inputs;
  const float* bias = matrix.bias + panel * 32;
  const auto& shapes = tiles.at[kind];
  const int parts = (pixels + most_pixels - 1) / most_pixels;
  for (int part = 0; part < parts; ++part) {
    const int begin = share(pixels, part, parts), count = share(pixels, part + 1, parts) - begin;
    const float* a = source + ptrdiff_t(begin) * step;
    const ptrdiff_t out = ptrdiff_t(begin) * target.lanes;
    if constexpr (most_vectors > 1) {
      shapes[width / 8 - 1][count](a, step, matrix.segments, matrix.segment_count, weights, width, bias, out, target);
    } else {
      for (int done = 0; done < width; done += 16)
        shapes[width - done >= 16 ? 1 : 0][count](a, step, matrix.segments, matrix.segment_count, weights + done, width,
                                                  bias + done, out + done / 16 * target.block, target);
    }
  }
}

// Panels [first, last) for `pixels` pixels. Narrow matrices keep a panel and walk over the pixels; deep ones keep the
// pixels of a tile and walk over the panels.
inline void multiply(const Matrix& matrix, const float* source, int step, int first, int last, int pixels,
                     const Target& target) {
  if (pixels == 0) return;
  const bool keep_panel = matrix.inputs * 32 * int(sizeof(float)) <= 20 * 1024;
  const int chunk = keep_panel ? pixels : most_pixels;
  const int parts = (pixels + chunk - 1) / chunk;
  for (int part = 0; part < parts; ++part) {
    const int begin = share(pixels, part, parts), count = share(pixels, part + 1, parts) - begin;
    for (int panel = first; panel < last; ++panel) {
      const ptrdiff_t offset = ptrdiff_t(begin) * target.lanes + ptrdiff_t(2 * panel) * target.block;
      Target moved = target;
      moved.data += offset;
      if (moved.residual) moved.residual += offset;
      multiply_panel(matrix, source + ptrdiff_t(begin) * step, step, panel, count, moved);
    }
  }
}

}  // namespace
