// Depthwise convolution of one row of one block of channels.
//
// A tile of neighbouring output pixels is summed in registers, so that an input vector is loaded once for all the taps of
// a row that use it. Tiles that touch the border load zeros for the pixels outside.
#pragma once

#include "gemm.h"
#include "kernels.h"
#include "simd.h"

namespace {

using engine::Depthwise;

template <class V, int LANES, int KERNEL, int STRIDE, int TILE, bool CHECKED>
ENGINE_INLINE void depthwise_tile(const float* const* rows, const float* weights, const float* bias, float* out, int x,
                                  int count, int input_width, int pad_left, const Activation& activation) {
  constexpr int COLUMNS = (TILE - 1) * STRIDE + KERNEL;
  const int first = x * STRIDE - pad_left;
  V sums[TILE];
  const V start = V::load(bias);
  ENGINE_UNROLL for (int t = 0; t < TILE; ++t) sums[t] = start;
  for (int ky = 0; ky < KERNEL; ++ky) {
    const float* row = rows[ky] + ptrdiff_t(first) * LANES;
    V in[COLUMNS];
    ENGINE_UNROLL for (int i = 0; i < COLUMNS; ++i) {
      if (!CHECKED || (first + i >= 0 && first + i < input_width))
        in[i] = V::load(row + i * LANES);
      else
        in[i] = V::all(0.0f);
    }
    ENGINE_UNROLL for (int kx = 0; kx < KERNEL; ++kx) {
      const V w = V::load(weights + (ky * KERNEL + kx) * LANES);
      ENGINE_UNROLL for (int t = 0; t < TILE; ++t) sums[t] = fma(in[t * STRIDE + kx], w, sums[t]);
    }
  }
  activate_all(sums, activation);
  ENGINE_UNROLL for (int t = 0; t < TILE; ++t) {
    if (!CHECKED || t < count) sums[t].store(out + ptrdiff_t(x + t) * LANES);
  }
}

template <class V, int LANES, int KERNEL, int STRIDE, int TILE>
ENGINE_NOINLINE void depthwise_tiles(const float* const* rows, const float* weights, const float* bias, float* out,
                                     int width, int input_width, int pad_left, const Activation& activation) {
  for (int x = 0; x < width; x += TILE) {
    const int first = x * STRIDE - pad_left, last = first + (TILE - 1) * STRIDE + KERNEL;
    if (first >= 0 && last <= input_width && x + TILE <= width)
      depthwise_tile<V, LANES, KERNEL, STRIDE, TILE, false>(rows, weights, bias, out, x, TILE, input_width, pad_left,
                                                            activation);
    else
      depthwise_tile<V, LANES, KERNEL, STRIDE, TILE, true>(rows, weights, bias, out, x, width - x, input_width,
                                                           pad_left, activation);
  }
}

// Any kernel, stride and dilation.
template <class V, int LANES>
ENGINE_NOINLINE void depthwise_any(const Depthwise& d, const float* const* rows, const float* weights,
                                   const float* bias, float* out, int width, int input_width) {
  for (int x = 0; x < width; ++x) {
    V sum = V::load(bias);
    for (int ky = 0; ky < d.kernel_h; ++ky) {
      for (int kx = 0; kx < d.kernel_w; ++kx) {
        const int column = x * d.stride_w - d.pad_left + kx * d.dilation_w;
        if (column < 0 || column >= input_width) continue;
        sum = fma(V::load(rows[ky] + ptrdiff_t(column) * LANES), V::load(weights + (ky * d.kernel_w + kx) * LANES), sum);
      }
    }
    activate(sum, d.activation).store(out + ptrdiff_t(x) * LANES);
  }
}

template <class V, int LANES>
ENGINE_INLINE void depthwise_vector(const Depthwise& d, const float* const* rows, const float* weights,
                                    const float* bias, float* out, int width, int input_width) {
  const bool square = d.kernel_h == d.kernel_w && d.stride_h == d.stride_w && d.dilation_h == 1 && d.dilation_w == 1;
  constexpr int SEVEN = tile == 8 ? 7 : tile;  // 7 and 14 are common widths
  const bool sevens = width % 7 == 0 && width % 8 != 0;
#define ENGINE_DEPTHWISE(K, S, T) \
  depthwise_tiles<V, LANES, K, S, T>(rows, weights, bias, out, width, input_width, d.pad_left, d.activation)
  if (square && d.kernel_h == 3 && d.stride_h == 1)
    sevens ? ENGINE_DEPTHWISE(3, 1, SEVEN) : width < tile ? ENGINE_DEPTHWISE(3, 1, tile / 2) : ENGINE_DEPTHWISE(3, 1, tile);
  else if (square && d.kernel_h == 5 && d.stride_h == 1)
    sevens ? ENGINE_DEPTHWISE(5, 1, SEVEN) : ENGINE_DEPTHWISE(5, 1, tile);
  else if (square && d.kernel_h == 3 && d.stride_h == 2)
    sevens ? ENGINE_DEPTHWISE(3, 2, SEVEN) : width < tile ? ENGINE_DEPTHWISE(3, 2, tile / 2) : ENGINE_DEPTHWISE(3, 2, tile);
  else if (square && d.kernel_h == 5 && d.stride_h == 2)
    sevens ? ENGINE_DEPTHWISE(5, 2, SEVEN) : ENGINE_DEPTHWISE(5, 2, tile);
  else
    depthwise_any<V, LANES>(d, rows, weights, bias, out, width, input_width);
#undef ENGINE_DEPTHWISE
}

// One output row of one block: rows[kernel_h] are the input rows (zeros for those outside the map), `active` lanes.
inline void depthwise_row(const Depthwise& d, const float* const* rows, int block, int lanes, int active, float* out,
                          int width, int input_width) {
  const float* weights = d.weights + ptrdiff_t(block) * d.kernel_h * d.kernel_w * lanes;
  const float* bias = d.bias + ptrdiff_t(block) * lanes;
  if (lanes == 8) {
    depthwise_vector<V8, 8>(d, rows, weights, bias, out, width, input_width);
  } else if (active == 16 && Lane::width == 16) {
    depthwise_vector<Lane, 16>(d, rows, weights, bias, out, width, input_width);
  } else {
    const float* shifted[64];
    for (int half = 0; half < active; half += 8) {
      for (int ky = 0; ky < d.kernel_h; ++ky) shifted[ky] = rows[ky] + half;
      depthwise_vector<V8, 16>(d, shifted, weights + half, bias + half, out + half, width, input_width);
    }
  }
}

}  // namespace
