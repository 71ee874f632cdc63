// [expand] -> depthwise -> [project], fused.
//
// By rows (large maps): a few output rows at a time; the expanded rows live in a ring as high as the depthwise kernel
// needs. By channels (small maps): 32 expanded channels of the whole map at a time, then all of the projection.
#pragma once

#include "convolution.h"
#include "depthwise.h"

namespace {

using engine::Block;

struct Rows {
  const float* base;  // row 0 of slot 0, block 0
  ptrdiff_t block, row;
  int height, slots;
};

// Pointers to the input rows of output row y; null for rows outside the map.
ENGINE_INLINE void point_at_rows(const Depthwise& d, const Rows& in, int block, int y, const float** rows) {
  for (int ky = 0; ky < d.kernel_h; ++ky) {
    const int r = y * d.stride_h - d.pad_top + ky * d.dilation_h;
    rows[ky] = r < 0 || r >= in.height ? nullptr : in.base + block * in.block + (r % in.slots) * in.row;
  }
}

ENGINE_INLINE void expand_rows(const Block& b, const Frame& frame, int panel, int first, int last, float* ring,
                               ptrdiff_t ring_block, int slots, float* stem_rows) {
  const int width = b.wide.w, lanes = b.wide.lanes;
  Target target{ring + 2 * panel * ring_block, ring_block, lanes, nullptr, b.expand.activation, Activation{}};
  float* const base = target.data;
  for (int r = first; r < last;) {
    const int slot = r % slots;
    const int run = b.stem ? 1 : last - r < slots - slot ? last - r : slots - slot;
    target.data = base + ptrdiff_t(slot) * width * lanes;
    if (b.stem) {
      gather_rows(b.stem_convolution, frame.at(b.input), r, stem_rows);
      multiply_panel(b.expand, stem_rows, b.stem_convolution.step, panel, width, target);
    } else {
      multiply_panel(b.expand, frame.at(b.input) + ptrdiff_t(r) * width * b.input.lanes, b.input.lanes, panel,
                     run * width, target);
    }
    r += run;
  }
}

ENGINE_INLINE Target block_target(const Block& b, const Frame& frame) {
  Target target = target_of(frame.at(b.output), b.output, b.project.activation);
  if (b.residual) target.residual = frame.at(b.residual);
  target.after = b.after;
  return target;
}

// Without projection the residual is added to the depthwise output.
template <class V>
ENGINE_INLINE void add_residual_row(float* out, const float* residual, int width, int lanes, const Activation& after) {
  for (int x = 0; x < width; ++x, out += lanes, residual += lanes)
    activate(add(V::load(out), V::load(residual)), after).store(out);
}

ENGINE_INLINE void depthwise_output_row(const Block& b, const float* const* rows, int block, const float* residual,
                                        float* out, int width) {
  const int lanes = b.wide.lanes, active = b.wide.active(block);
  depthwise_row(b.depthwise, rows, block, lanes, active, out, width, b.wide.w);
  if (!residual) return;
  active == 16 ? add_residual_row<V16>(out, residual, width, lanes, b.after)
               : add_residual_row<V8>(out, residual, width, lanes, b.after);
}

void run_block_by_rows(const Block& b, const Frame& frame) {
  const Depthwise& d = b.depthwise;
  const int lanes = b.wide.lanes, blocks = b.wide.blocks(), width = b.wide.w, out_width = b.output.w;
  const int reach = (d.kernel_h - 1) * d.dilation_h + 1, slots = (b.rows - 1) * d.stride_h + reach;
  const int begin = share(b.output.h, frame.part, frame.parts);
  const int end = share(b.output.h, frame.part + 1, frame.parts);
  const int panels = (blocks + 1) / 2;

  // Scratch: ring | depthwise rows | rows of the stem's input.
  float* ring = frame.scratch;
  const ptrdiff_t ring_block = ptrdiff_t(slots) * width * lanes;
  float* thin = ring + (b.expands ? ring_block * blocks : 0);
  const ptrdiff_t thin_block = ptrdiff_t(b.rows) * out_width * lanes;
  float* stem_rows = thin + (b.projects ? thin_block * blocks : 0);

  const Rows in = b.expands ? Rows{ring, ring_block, ptrdiff_t(width) * lanes, b.wide.h, slots}
                            : Rows{frame.at(b.input), b.input.block(), ptrdiff_t(width) * lanes, b.wide.h, b.wide.h};
  Target target = block_target(b, frame);
  float* const output = target.data;
  const float* const residual = target.residual;
  int expanded = 0;
  for (int y = begin; y < end; y += b.rows) {
    const int count = end - y < b.rows ? end - y : b.rows;
    int first = y * d.stride_h - d.pad_top, last = (y + count - 1) * d.stride_h - d.pad_top + reach;
    if (first < expanded) first = expanded;
    if (last > b.wide.h) last = b.wide.h;
    for (int panel = 0; panel < panels; ++panel) {
      if (b.expands) expand_rows(b, frame, panel, first, last, ring, ring_block, slots, stem_rows);
      for (int k = 2 * panel; k < 2 * panel + 2 && k < blocks; ++k) {
        for (int i = 0; i < count; ++i) {
          const float* rows[engine::most_kernel_rows];
          point_at_rows(d, in, k, y + i, rows);
          const ptrdiff_t at = k * target.block + ptrdiff_t(y + i) * out_width * lanes;
          float* out = b.projects ? thin + k * thin_block + ptrdiff_t(i) * out_width * lanes : output + at;
          depthwise_output_row(b, rows, k, b.projects || !residual ? nullptr : residual + at, out, out_width);
        }
      }
    }
    if (last > expanded) expanded = last;
    if (b.projects) {
      const ptrdiff_t at = ptrdiff_t(y) * out_width * b.output.lanes;
      target.data = output + at;
      if (residual) target.residual = residual + at;
      multiply(b.project, thin, lanes, 0, b.project.panels(), count * out_width, target);
    }
  }
}

// Phase 0: expansion and depthwise; phase 1: projection.
void run_block_by_channels(const Block& b, const Frame& frame) {
  const Depthwise& d = b.depthwise;
  const int lanes = b.wide.lanes, blocks = b.wide.blocks(), width = b.wide.w;
  const int panels = (blocks + 1) / 2;
  const ptrdiff_t wide_block = b.wide.block();
  const View& middle = b.projects ? b.middle : b.output;
  if (frame.phase == 1) {
    multiply_shared(b.project, frame.at(middle), lanes, middle.h * middle.w, block_target(b, frame), frame);
    return;
  }
  float* wide = frame.scratch;

  const int first_panel = share(panels, frame.part, frame.parts);
  const int last_panel = share(panels, frame.part + 1, frame.parts);
  for (int panel = first_panel; panel < last_panel; ++panel) {
    const float* base = b.expands ? wide : frame.at(b.input) + 2 * panel * wide_block;
    if (b.expands) {
      const Target target{wide, wide_block, lanes, nullptr, b.expand.activation, Activation{}};
      multiply_panel(b.expand, frame.at(b.input), b.input.lanes, panel, b.wide.h * width, target);
    }
    const Rows in{base, wide_block, ptrdiff_t(width) * lanes, b.wide.h, b.wide.h};
    for (int k = 2 * panel; k < 2 * panel + 2 && k < blocks; ++k) {
      for (int y = 0; y < middle.h; ++y) {
        const float* rows[engine::most_kernel_rows];
        point_at_rows(d, in, k - 2 * panel, y, rows);
        const ptrdiff_t at = k * middle.block() + ptrdiff_t(y) * middle.w * lanes;
        const float* residual = b.projects || !b.residual ? nullptr : frame.at(b.residual) + at;
        depthwise_output_row(b, rows, k, residual, frame.at(middle) + at, middle.w);
      }
    }
  }
}

void run_block(const Block& b, const Frame& frame) {
  b.rows ? run_block_by_rows(b, frame) : run_block_by_channels(b, frame);
}

}  // namespace
