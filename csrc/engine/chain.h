// A chain of thin operations, row by row.
//
// Every stage keeps its last three rows. Whoever needs a row asks the stage before for the rows that it needs itself,
// so the rows stay in the nearest cache and the threads share nothing: each makes its part of the last stage's rows
// and, twice, the few rows around the seam.
#pragma once

#include "block.h"
#include "maps.h"

namespace {

using engine::Chain;
using engine::ChainStage;
using engine::Link;

struct Streams {
  const Chain& chain;
  const Frame& frame;
  float* rings[engine::most_stages];
  int next[engine::most_stages];  // row that the stage makes next
  int begin[engine::most_stages], end[engine::most_stages];  // its columns
  const float* zeros;
  float* spare;  // one row
};

ENGINE_INLINE int height_before(const Streams& s, int stage) {
  return stage ? s.chain.stages[stage - 1].h : s.chain.input.h;
}

ENGINE_INLINE int width_before(const Streams& s, int stage) {
  return stage ? s.chain.stages[stage - 1].w : s.chain.input.w;
}

// Row r of what the stage reads.
ENGINE_INLINE const float* row_before(const Streams& s, int stage, int r) {
  const ptrdiff_t row = ptrdiff_t(width_before(s, stage)) * 8;
  if (r < 0 || r >= height_before(s, stage)) return s.zeros;
  return stage ? s.rings[stage - 1] + r % 3 * row : s.frame.at(s.chain.input) + r * row;
}

ENGINE_INLINE void last_convolution(const ChainStage& stage, const float* const* rows, float* out, int begin, int end) {
  for (int x = begin; x < end; x += 8) {
    V8 sums[8];
    ENGINE_UNROLL for (int t = 0; t < 8; ++t) sums[t] = V8::all(0.0f);
    const bool inside = x > 0 && x + 9 <= stage.w;
    for (int ky = 0; ky < 3; ++ky) {
      V8 in[10];
      ENGINE_UNROLL for (int i = 0; i < 10; ++i) {
        const int column = x - 1 + i;
        in[i] = inside || (column >= 0 && column < stage.w) ? V8::load(rows[ky] + ptrdiff_t(column) * 8) : V8::all(0.0f);
      }
      ENGINE_UNROLL for (int kx = 0; kx < 3; ++kx) {
        const V8 w = V8::load(stage.taps + (ky * 3 + kx) * 8);
        ENGINE_UNROLL for (int t = 0; t < 8; ++t) sums[t] = fma(in[t + kx], w, sums[t]);
      }
    }
    const V8 done = activate(add(lane_sums(sums), V8::all(stage.bias)), stage.after);
    if (x + 8 <= stage.w) {
      done.store(out + x);
    } else {
      float rest[8];
      done.store(rest);
      for (int i = x; i < stage.w; ++i) out[i] = rest[i - x];
    }
  }
}

// 1x1 from 8 to 8 channels, all in registers: the general matrix kernel's calls would cost more than its work here.
template <bool RESIDUAL>
ENGINE_INLINE void mix_pixels(const ChainStage& stage, const float* in, const float* residual, float* out, int count) {
  constexpr int TILE = 8;
  for (int x = 0; x < count; x += TILE) {
    const int left = count - x < TILE ? count - x : TILE;
    const ptrdiff_t at = ptrdiff_t(x - (TILE - left)) * 8;  // the last tile overlaps the one before
    V8 sums[TILE];
    ENGINE_UNROLL for (int t = 0; t < TILE; ++t) sums[t] = V8::load(stage.project.bias);
    ENGINE_UNROLL for (int k = 0; k < 8; ++k) {
      const V8 w = V8::load(stage.project.weights + 8 * k);
      ENGINE_UNROLL for (int t = 0; t < TILE; ++t) sums[t] = fma(V8::all(in[at + t * 8 + k]), w, sums[t]);
    }
    activate_all(sums, stage.project.activation);
    if (RESIDUAL) {
      ENGINE_UNROLL for (int t = 0; t < TILE; ++t) sums[t] = add(sums[t], V8::load(residual + at + t * 8));
      activate_all(sums, stage.after);
    }
    ENGINE_UNROLL for (int t = 0; t < TILE; ++t) sums[t].store(out + at + t * 8);
  }
}

// `count` pixels of a row. Where they are fewer than a tile, pixels before them that nobody wants are overwritten.
ENGINE_NOINLINE void mix_row(const ChainStage& stage, const float* in, const float* residual, float* out, int count) {
  if (stage.project.inputs == 8 && stage.w >= 8) {
    residual ? mix_pixels<true>(stage, in, residual, out, count) : mix_pixels<false>(stage, in, residual, out, count);
  } else {
    multiply_panel(stage.project, in, 8, 0, count,
                   Target{out, 0, 8, residual, stage.project.activation, stage.after});
  }
}

// Makes the stage's rows up to and including `last`.
void make_rows(Streams& s, int stage_index, int last) {
  if (stage_index < 0) return;
  const ChainStage& stage = s.chain.stages[stage_index];
  const bool ends = stage_index + 1 == s.chain.count;
  const int lanes = ends && !s.chain.output.lanes ? 1 : 8;
  const ptrdiff_t row = ptrdiff_t(stage.w) * lanes;
  const int begin = s.begin[stage_index], end = s.end[stage_index];
  for (int& r = s.next[stage_index]; r <= last && r < stage.h; ++r) {
    float* out = ends ? s.frame.at(s.chain.output) + r * row : s.rings[stage_index] + r % 3 * row;
    if (stage.link == Link::resize) {
      const int top = stage.resize.rows[2 * r], bottom = stage.resize.rows[2 * r + 1];
      make_rows(s, stage_index - 1, bottom);
      const float* plus = stage.resize.plus ? s.frame.at(stage.resize.plus) + r * row : nullptr;
      resize_row<V8>(stage.resize, row_before(s, stage_index, top), row_before(s, stage_index, bottom),
                     stage.resize.fractions[r], s.spare, plus, out, begin, end);
      continue;
    }
    make_rows(s, stage_index - 1, r + 1);
    const float* rows[3];
    for (int ky = 0; ky < 3; ++ky) rows[ky] = row_before(s, stage_index, r - 1 + ky);
    if (stage.link == Link::last) {
      last_convolution(stage, rows, out, begin, end);
      continue;
    }
    depthwise_vector<V8, 8>(stage.depthwise, rows, stage.depthwise.weights, stage.depthwise.bias, s.spare, begin, end,
                            stage.w);
    const ptrdiff_t at = ptrdiff_t(begin) * 8;
    mix_row(stage, s.spare + at, stage.residual ? rows[1] + at : nullptr, out + at, end - begin);
  }
}

void run_chain(const Chain& chain, const Frame& frame) {
  Streams s{chain, frame, {}, {}, {}, {}, nullptr, nullptr};
  int widest = chain.input.w;
  float* memory = frame.scratch;
  for (int i = 0; i < chain.count; ++i) {
    s.rings[i] = memory;
    memory += ptrdiff_t(3) * chain.stages[i].w * 8;
    if (chain.stages[i].w > widest) widest = chain.stages[i].w;
  }
  std::memset(memory, 0, size_t(widest) * 8 * sizeof(float));
  s.zeros = memory;
  s.spare = memory + ptrdiff_t(widest) * 8;

  engine::Window wanted{0, chain.output.h, 0, chain.output.w};
  if (!chain.output.lanes) {
    if (frame.window.top > wanted.top) wanted.top = frame.window.top;
    if (frame.window.bottom < wanted.bottom) wanted.bottom = frame.window.bottom;
    if (frame.window.left > wanted.left) wanted.left = frame.window.left;
    if (frame.window.right < wanted.right) wanted.right = frame.window.right;
  }
  if (wanted.top >= wanted.bottom || wanted.left >= wanted.right) return;
  const int begin = wanted.top + share(wanted.bottom - wanted.top, frame.part, frame.parts);
  const int end = wanted.top + share(wanted.bottom - wanted.top, frame.part + 1, frame.parts);
  if (begin == end) return;
  int first = begin, left = wanted.left, right = wanted.right;
  for (int i = chain.count - 1; i >= 0; --i) {
    const ChainStage& stage = chain.stages[i];
    s.next[i] = first;
    s.begin[i] = left - left % 8;  // whole tiles
    s.end[i] = right + 7 < stage.w ? (right + 7) / 8 * 8 : stage.w;
    if (stage.link == Link::resize) {
      const int* columns = stage.resize.rows + 2 * stage.h;
      first = stage.resize.rows[2 * first];
      left = columns[2 * s.begin[i]];
      right = columns[2 * s.end[i] - 1] + 1;
    } else {
      const int before = width_before(s, i);
      first = first > 0 ? first - 1 : 0;
      left = s.begin[i] > 0 ? s.begin[i] - 1 : 0;
      right = s.end[i] < before ? s.end[i] + 1 : before;
    }
  }
  make_rows(s, chain.count - 1, end - 1);
}

}  // namespace
