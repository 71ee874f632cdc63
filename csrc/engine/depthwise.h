// Depthwise convolution of one row of one block of channels.
//
// A tile of neighbouring output pixels is summed in registers, so that an input vector is loaded once for all the taps of
// a row that use it. What lies outside the map is left out: rows at run time, columns by tiles for the usual paddings.
#pragma once

#include "gemm.h"
#include "kernels.h"
#include "simd.h"

namespace {

using engine::Depthwise;

// The rows of a kernel that lie inside the map: [first, last).
struct KernelRows {
  int first, last;
};

// TILE outputs from x on. Of the input columns that they need, the first LEFT and the last RIGHT lie outside the map;
// LEFT < 0: which ones do is found out at run time, and only `count` outputs are stored.
template <class V, int LANES, int KERNEL, int STRIDE, int TILE, int LEFT, int RIGHT>
ENGINE_INLINE void depthwise_tile(const float* const* rows, KernelRows inside, const float* weights, const float* bias,
                                  float* out, int x, int count, int input_width, int pad_left,
                                  const Activation& activation) {
  constexpr int COLUMNS = (TILE - 1) * STRIDE + KERNEL;
  const int first = x * STRIDE - pad_left;
  V sums[TILE];
  const V start = V::load(bias);
  ENGINE_UNROLL for (int t = 0; t < TILE; ++t) sums[t] = start;
  for (int ky = inside.first; ky < inside.last; ++ky) {
    const float* row = rows[ky] + ptrdiff_t(first) * LANES;
    V in[COLUMNS];
    ENGINE_UNROLL for (int i = 0; i < COLUMNS; ++i) {
      const bool there = LEFT < 0 ? first + i >= 0 && first + i < input_width : i >= LEFT && i < COLUMNS - RIGHT;
      if (there)
        in[i] = V::load(row + i * LANES);
      else
        in[i] = V::all(0.0f);
    }
    ENGINE_UNROLL for (int kx = 0; kx < KERNEL; ++kx) {
      const V w = V::load(weights + (ky * KERNEL + kx) * LANES);
      ENGINE_UNROLL for (int t = 0; t < TILE; ++t) {
        const int i = t * STRIDE + kx;
        if (LEFT < 0 || (i >= LEFT && i < COLUMNS - RIGHT)) sums[t] = fma(in[i], w, sums[t]);
      }
    }
  }
  activate_all(sums, activation);
  ENGINE_UNROLL for (int t = 0; t < TILE; ++t) {
    if (LEFT >= 0 || t < count) sums[t].store(out + ptrdiff_t(x + t) * LANES);
  }
}

template <class V, int LANES, int KERNEL, int STRIDE, int TILE>
ENGINE_NOINLINE void depthwise_tiles(const float* const* rows, KernelRows inside, const float* weights,
                                     const float* bias, float* out, int begin, int width, int input_width, int pad_left,
                                     const Activation& activation) {
  constexpr int LEFT = KERNEL / 2, RIGHT = STRIDE == 1 ? KERNEL / 2 : KERNEL / 2 - 1;  // with the usual padding
  for (int x = begin; x < width; x += TILE) {
    const int first = x * STRIDE - pad_left, last = first + (TILE - 1) * STRIDE + KERNEL;
    const int left = first < 0 ? -first : 0, right = last > input_width ? last - input_width : 0;
    const bool whole = x + TILE <= width;
#define ENGINE_TILE(L, R)                                                                                       \
  depthwise_tile<V, LANES, KERNEL, STRIDE, TILE, L, R>(rows, inside, weights, bias, out, x, width - x, input_width, \
                                                       pad_left, activation)
    if (whole && left == 0 && right == 0)
      ENGINE_TILE(0, 0);
    else if (whole && left == LEFT && right == 0)
      ENGINE_TILE(LEFT, 0);
    else if (whole && left == 0 && right == RIGHT)
      ENGINE_TILE(0, RIGHT);
    else if (whole && left == LEFT && right == RIGHT)
      ENGINE_TILE(LEFT, RIGHT);
    else
      ENGINE_TILE(-1, -1);
#undef ENGINE_TILE
  }
}

// Any kernel, stride and dilation.
template <class V, int LANES>
ENGINE_NOINLINE void depthwise_any(const Depthwise& d, const float* const* rows, const float* weights,
                                   const float* bias, float* out, int begin, int width, int input_width) {
  for (int x = begin; x < width; ++x) {
    V sum = V::load(bias);
    for (int ky = 0; ky < d.kernel_h; ++ky) {
      for (int kx = 0; rows[ky] && kx < d.kernel_w; ++kx) {
        const int column = x * d.stride_w - d.pad_left + kx * d.dilation_w;
        if (column < 0 || column >= input_width) continue;
        sum = fma(V::load(rows[ky] + ptrdiff_t(column) * LANES), V::load(weights + (ky * d.kernel_w + kx) * LANES), sum);
      }
    }
    activate(sum, d.activation).store(out + ptrdiff_t(x) * LANES);
  }
}

// The outputs [begin, width) of a row.
template <class V, int LANES>
ENGINE_INLINE void depthwise_vector(const Depthwise& d, const float* const* rows, const float* weights,
                                    const float* bias, float* out, int begin, int width, int input_width) {
  const bool square = d.kernel_h == d.kernel_w && d.stride_h == d.stride_w && d.dilation_h == 1 && d.dilation_w == 1;
  constexpr int SEVEN = tile == 8 ? 7 : tile;  // 7 and 14 are common widths
  const bool sevens = width % 7 == 0 && width % 8 != 0;
  KernelRows inside{0, d.kernel_h};
  while (inside.first < inside.last && !rows[inside.first]) ++inside.first;
  while (inside.first < inside.last && !rows[inside.last - 1]) --inside.last;
#define ENGINE_DEPTHWISE(K, S, T) \
  depthwise_tiles<V, LANES, K, S, T>(rows, inside, weights, bias, out, begin, width, input_width, d.pad_left, d.activation)
  if (square && d.kernel_h == 3 && d.stride_h == 1)
    sevens ? ENGINE_DEPTHWISE(3, 1, SEVEN) : width < tile ? ENGINE_DEPTHWISE(3, 1, tile / 2) : ENGINE_DEPTHWISE(3, 1, tile);
  else if (square && d.kernel_h == 5 && d.stride_h == 1)
    sevens ? ENGINE_DEPTHWISE(5, 1, SEVEN) : ENGINE_DEPTHWISE(5, 1, tile);
  else if (square && d.kernel_h == 3 && d.stride_h == 2)
    sevens ? ENGINE_DEPTHWISE(3, 2, SEVEN) : width < tile ? ENGINE_DEPTHWISE(3, 2, tile / 2) : ENGINE_DEPTHWISE(3, 2, tile);
  else if (square && d.kernel_h == 5 && d.stride_h == 2)
    sevens ? ENGINE_DEPTHWISE(5, 2, SEVEN) : ENGINE_DEPTHWISE(5, 2, tile);
  else
    depthwise_any<V, LANES>(d, rows, weights, bias, out, begin, width, input_width);
#undef ENGINE_DEPTHWISE
}

// One output row of one block: rows[kernel_h] are the input rows (null: outside the map), `active` lanes.
inline void depthwise_row(const Depthwise& d, const float* const* rows, int block, int lanes, int active, float* out,
                          int width, int input_width) {
  const float* weights = d.weights + ptrdiff_t(block) * d.kernel_h * d.kernel_w * lanes;
  const float* bias = d.bias + ptrdiff_t(block) * lanes;
  if (lanes == 8) {
    depthwise_vector<V8, 8>(d, rows, weights, bias, out, 0, width, input_width);
  } else if (active == 16 && Lane::width == 16) {
    depthwise_vector<Lane, 16>(d, rows, weights, bias, out, 0, width, input_width);
  } else {
    const float* shifted[engine::most_kernel_rows];
    for (int half = 0; half < active; half += 8) {
      for (int ky = 0; ky < d.kernel_h; ++ky) shifted[ky] = rows[ky] ? rows[ky] + half : nullptr;
      depthwise_vector<V8, 16>(d, shifted, weights + half, bias + half, out + half, 0, width, input_width);
    }
  }
}

}  // namespace
