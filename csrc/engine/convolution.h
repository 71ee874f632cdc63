// Dense convolutions: 1x1 straight from the feature map, others from rows copied with their padding.
#pragma once

#include <cstring>

#include "gemm.h"
#include "kernels.h"

namespace {

using engine::Convolution;
using engine::Frame;
using engine::Pointwise;
using engine::View;

ENGINE_INLINE Target target_of(float* data, const View& view, const Activation& activation) {
  return {data, view.block(), view.lanes, nullptr, activation, Activation{}};
}

// The part's share of the pixels, or of the panels where there are few pixels.
inline void multiply_shared(const Matrix& matrix, const float* source, int step, int pixels, const Target& target,
                            const Frame& frame) {
  const int panels = matrix.panels();
  if (frame.parts == 1) {
    multiply(matrix, source, step, 0, panels, pixels, target);
  } else if (pixels >= 4 * frame.parts * most_pixels || panels < frame.parts) {
    const int begin = share(pixels, frame.part, frame.parts), end = share(pixels, frame.part + 1, frame.parts);
    Target moved = target;
    moved.data += ptrdiff_t(begin) * target.lanes;
    if (moved.residual) moved.residual += ptrdiff_t(begin) * target.lanes;
    multiply(matrix, source + ptrdiff_t(begin) * step, step, 0, panels, end - begin, moved);
  } else {
    multiply(matrix, source, step, share(panels, frame.part, frame.parts),
             share(panels, frame.part + 1, frame.parts), pixels, target);
  }
}

void run_pointwise(const Pointwise& p, const Frame& frame) {
  Target target = target_of(frame.at(p.output), p.output, p.matrix.activation);
  if (p.residual) target.residual = frame.at(p.residual);
  target.after = p.after;
  Matrix matrix = p.matrix;
  if (p.scale) {  // scaling the weights costs less than scaling the map
    const float* scale = frame.at(p.scale);
    float* scaled = frame.scratch;
    const float* weights = matrix.weights;
    for (int panel = 0; panel < matrix.panels(); ++panel) {
      const int width = matrix.panel_width(panel);
      for (int k = 0; k < matrix.inputs; ++k, weights += width, scaled += width)
        for (int n = 0; n < width; ++n) scaled[n] = weights[n] * scale[k];  // one pixel: channels lie in a row
    }
    matrix.weights = frame.scratch;
  }
  multiply_shared(matrix, frame.at(p.input), p.input.lanes, p.output.h * p.output.w, target, frame);
}

// Copies the input rows that output row y needs, with zeros around them. A plain map has one "block" of all channels.
inline void gather_rows(const Convolution& c, const float* input, int y, float* rows) {
  const int lanes = c.input.lanes ? c.input.lanes : c.input.c, blocks = c.input.blocks();
  const ptrdiff_t row = ptrdiff_t(c.input.w) * lanes, padded = ptrdiff_t(c.padded_width) * lanes;
  const ptrdiff_t left = ptrdiff_t(c.pad_left) * lanes;
  const ptrdiff_t kept = row < padded - left ? row : padded - left;
  for (int ky = 0; ky < c.kernel_h; ++ky, rows += c.row_floats) {
    const int source = y * c.stride_h - c.pad_top + ky * c.dilation_h;
    if (source < 0 || source >= c.input.h) {
      std::memset(rows, 0, size_t(c.row_floats) * sizeof(float));
      continue;
    }
    for (int b = 0; b < blocks; ++b) {
      float* to = rows + b * padded;
      std::memset(to, 0, size_t(left) * sizeof(float));
      std::memcpy(to + left, input + (ptrdiff_t(b) * c.input.h + source) * row, size_t(kept) * sizeof(float));
      std::memset(to + left + kept, 0, size_t(padded - left - kept) * sizeof(float));
    }
  }
}

void run_convolution(const Convolution& c, const Frame& frame) {
  const bool by_rows = c.output.h >= 4 * frame.parts;
  const int panels = c.matrix.panels();
  const int first = by_rows ? share(c.output.h, frame.part, frame.parts) : 0;
  const int last = by_rows ? share(c.output.h, frame.part + 1, frame.parts) : c.output.h;
  const int first_panel = by_rows ? 0 : share(panels, frame.part, frame.parts);
  const int last_panel = by_rows ? panels : share(panels, frame.part + 1, frame.parts);
  Target target = target_of(frame.at(c.output), c.output, c.matrix.activation);
  float* const output = target.data;
  for (int y = first; y < last; ++y) {
    gather_rows(c, frame.at(c.input), y, frame.scratch);
    target.data = output + ptrdiff_t(y) * c.output.w * c.output.lanes;
    multiply(c.matrix, frame.scratch, c.step, first_panel, last_panel, c.output.w, target);
  }
}

}  // namespace
