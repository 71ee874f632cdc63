// 1x1 convolutions most of whose weights are zero.
//
// Here a vector holds 16 pixels of one channel ("planar" rows), a weight is one number for all of them, and every output
// walks over the list of its non-zero weights. Inputs are taken in chunks that fit into the nearest cache. Maps are turned
// from blocks of channels to planar rows and back 16 x 16 at a time, which costs about a tenth of the multiplication.
#pragma once

#include "block.h"

namespace {

using engine::Sparse;

#if defined(__AVX512F__)
ENGINE_INLINE void transpose16(const float* in, ptrdiff_t in_pitch, float* out, ptrdiff_t out_pitch) {
  __m512 a[16], b[16];
  ENGINE_UNROLL for (int i = 0; i < 16; ++i) a[i] = _mm512_loadu_ps(in + i * in_pitch);
  ENGINE_UNROLL for (int i = 0; i < 16; i += 2) {
    b[i] = _mm512_unpacklo_ps(a[i], a[i + 1]);
    b[i + 1] = _mm512_unpackhi_ps(a[i], a[i + 1]);
  }
  ENGINE_UNROLL for (int i = 0; i < 16; i += 4) {
    a[i] = _mm512_shuffle_ps(b[i], b[i + 2], 0x44);
    a[i + 1] = _mm512_shuffle_ps(b[i], b[i + 2], 0xee);
    a[i + 2] = _mm512_shuffle_ps(b[i + 1], b[i + 3], 0x44);
    a[i + 3] = _mm512_shuffle_ps(b[i + 1], b[i + 3], 0xee);
  }
  ENGINE_UNROLL for (int i = 0; i < 4; ++i) {
    b[i] = _mm512_shuffle_f32x4(a[i], a[i + 4], 0x88);
    b[i + 4] = _mm512_shuffle_f32x4(a[i], a[i + 4], 0xdd);
    b[i + 8] = _mm512_shuffle_f32x4(a[i + 8], a[i + 12], 0x88);
    b[i + 12] = _mm512_shuffle_f32x4(a[i + 8], a[i + 12], 0xdd);
  }
  ENGINE_UNROLL for (int i = 0; i < 4; ++i) {
    _mm512_storeu_ps(out + i * out_pitch, _mm512_shuffle_f32x4(b[i], b[i + 8], 0x88));
    _mm512_storeu_ps(out + (i + 8) * out_pitch, _mm512_shuffle_f32x4(b[i], b[i + 8], 0xdd));
    _mm512_storeu_ps(out + (i + 4) * out_pitch, _mm512_shuffle_f32x4(b[i + 4], b[i + 12], 0x88));
    _mm512_storeu_ps(out + (i + 12) * out_pitch, _mm512_shuffle_f32x4(b[i + 4], b[i + 12], 0xdd));
  }
}
#else
ENGINE_INLINE void transpose16(const float* in, ptrdiff_t in_pitch, float* out, ptrdiff_t out_pitch) {
  for (int i = 0; i < 16; ++i)
    for (int j = 0; j < 16; ++j) out[i * out_pitch + j] = in[j * in_pitch + i];
}
#endif

// Block k of a map (its pixels `lanes` apart) to planar rows of `pitch` floats, at least as many as pixels.
inline void to_planar(const float* block, int lanes, int active, int pixels, float* planar, ptrdiff_t pitch) {
  for (int p = 0; p < pixels; p += 16) {
    if (lanes == 16 && active == 16 && p + 16 <= pixels) {
      transpose16(block + ptrdiff_t(p) * 16, 16, planar + p, pitch);
      continue;
    }
    for (int c = 0; c < active; ++c)
      for (int i = p; i < p + 16; ++i) planar[c * pitch + i] = i < pixels ? block[ptrdiff_t(i) * lanes + c] : 0.0f;
  }
}

// outputs [first, last) of VECTORS * 16 pixels, into rows of a tile.
template <int VECTORS>
ENGINE_NOINLINE void multiply_sparse(const Sparse& s, const float* planar, int first, int last, float* tile) {
  for (int chunk = 0; chunk < s.chunks; ++chunk) {
    const int32_t* starts = s.starts + ptrdiff_t(chunk) * (s.outputs + 1);
    float* row = tile;
    for (int n = first; n < last; ++n, row += VECTORS * 16) {
      V16 sums[VECTORS];
      ENGINE_UNROLL for (int v = 0; v < VECTORS; ++v) sums[v] = chunk ? V16::load(row + 16 * v) : V16::all(s.bias[n]);
      for (int i = starts[n]; i < starts[n + 1]; ++i) {
        const V16 w = V16::all(s.values[i]);
        const float* in = planar + s.offsets[i];
        ENGINE_UNROLL for (int v = 0; v < VECTORS; ++v) sums[v] = fma(V16::load(in + 16 * v), w, sums[v]);
      }
      ENGINE_UNROLL for (int v = 0; v < VECTORS; ++v) sums[v].store(row + 16 * v);
    }
  }
}

constexpr int most_sparse_vectors = 5;

// Outputs [first, last) (first a multiple of 16) for the `vectors` x 16 pixels from `begin` on, into the target, whose
// data is where pixel 0 of block 0 goes. `pixels`: of the whole map; those of the last vector beyond it are dropped.
inline void multiply_group(const Sparse& s, const float* planar, int first, int last, int begin, int vectors, int pixels,
                           float* tile, const Target& target) {
  using Function = void (*)(const Sparse&, const float*, int, int, float*);
  static constexpr Function functions[] = {multiply_sparse<1>, multiply_sparse<2>, multiply_sparse<3>,
                                           multiply_sparse<4>, multiply_sparse<5>};
  functions[vectors - 1](s, planar + begin, first, last, tile);
  const ptrdiff_t pitch = ptrdiff_t(vectors) * 16;
  for (int n = last - first; n % 16; ++n) std::memset(tile + n * pitch, 0, size_t(pitch) * sizeof(float));
  for (int n = first; n < last; n += 16) {
    const bool whole = last - n > 8 && target.lanes == 16;
    for (int v = 0; v < vectors; ++v) {
      float turned[256];
      transpose16(tile + (n - first) * pitch + v * 16, pitch, turned, 16);
      const int count = pixels - begin - v * 16 < 16 ? pixels - begin - v * 16 : 16;
      const ptrdiff_t at = n / 16 * target.block + ptrdiff_t(begin + v * 16) * target.lanes;
      for (int i = 0; i < count; ++i) {
        float* out = target.data + at + i * target.lanes;
        const float* residual = target.residual ? target.residual + at + i * target.lanes : nullptr;
        whole ? finish(V16::load(turned + i * 16), out, residual, target)
              : finish(V8::load(turned + i * 16), out, residual, target);
      }
    }
  }
}

// The part's share of a whole map: of its pixels, or of the outputs where there are few pixels.
inline void multiply_sparse_shared(const Sparse& s, const float* planar, int pixels, float* tile, const Target& target,
                                   const Frame& frame) {
  const int vectors = (pixels + 15) / 16, blocks = (s.outputs + 15) / 16;
  const bool by_pixels = frame.parts == 1 || vectors >= 4 * frame.parts;
  int parts = (vectors + most_sparse_vectors - 1) / most_sparse_vectors;
  if (by_pixels) parts = (parts + frame.parts - 1) / frame.parts * frame.parts;
  const int first_part = by_pixels ? share(parts, frame.part, frame.parts) : 0;
  const int last_part = by_pixels ? share(parts, frame.part + 1, frame.parts) : parts;
  const int first = by_pixels ? 0 : 16 * share(blocks, frame.part, frame.parts);
  int last = by_pixels ? s.outputs : 16 * share(blocks, frame.part + 1, frame.parts);
  if (last > s.outputs) last = s.outputs;
  if (first >= last) return;
  for (int part = first_part; part < last_part; ++part) {
    const int begin = share(vectors, part, parts), count = share(vectors, part + 1, parts) - begin;
    if (count) multiply_group(s, planar, first, last, begin * 16, count, pixels, tile, target);
  }
}

ENGINE_INLINE ptrdiff_t planar_pitch(int pixels) { return (pixels + 15) / 16 * 16; }

// The part's share of a map as planar rows.
inline void share_to_planar(const View& view, float* planar, const Frame& frame) {
  const int pixels = view.h * view.w;
  const ptrdiff_t pitch = planar_pitch(pixels);
  for (int k = frame.part; k < view.blocks(); k += frame.parts)
    to_planar(frame.at(view) + k * view.block(), view.lanes, view.active(k), pixels,
              planar + ptrdiff_t(k) * view.lanes * pitch, pitch);
}

// Phase 0: the input planar; phase 1: the product.
void run_sparse_pointwise(const engine::SparsePointwise& p, const Frame& frame) {
  if (frame.phase == 0) return share_to_planar(p.input, frame.at(p.planar), frame);
  Target target = target_of(frame.at(p.output), p.output, p.sparse.activation);
  if (p.residual) target.residual = frame.at(p.residual);
  target.after = p.after;
  multiply_sparse_shared(p.sparse, frame.at(p.planar), p.input.h * p.input.w, frame.scratch, target, frame);
}

// As run_block_by_channels, 16 channels at a time; the depthwise output is kept planar. Phase 0: the input planar (nothing
// without expansion); phase 1: expansion and depthwise; phase 2: projection.
void run_sparse_block(const engine::SparseBlock& s, const Frame& frame) {
  const Block& b = s.block;
  const Depthwise& d = b.depthwise;
  const int width = b.wide.w, pixels = b.wide.h * width, out_pixels = b.output.h * b.output.w;
  const ptrdiff_t pitch = planar_pitch(pixels), out_pitch = planar_pitch(out_pixels);
  float* wide = frame.scratch;
  float* thin = wide + pitch * 16;       // depthwise output of 16 channels
  float* tile = thin + out_pitch * 16;   // of the sparse kernels
  float* middle = frame.at(s.middle);    // [channels][out_pitch]
  float* planar = b.expands ? frame.at(s.planar) : nullptr;
  if (frame.phase == 0) {
    if (b.expands) share_to_planar(b.input, planar, frame);
    return;
  }
  if (frame.phase == 2) {
    Target target = block_target(b, frame);
    target.activation = s.project.activation;
    multiply_sparse_shared(s.project, middle, out_pixels, tile, target, frame);
    return;
  }
  const int first = share(b.wide.blocks(), frame.part, frame.parts);
  const int last = share(b.wide.blocks(), frame.part + 1, frame.parts);
  for (int k = first; k < last; ++k) {
    const float* base = b.expands ? wide : frame.at(b.input) + k * b.input.block();
    if (b.expands) {
      const Target target{wide, 0, 16, nullptr, s.expand.activation, Activation{}};
      const int end = 16 * k + 16 < s.expand.outputs ? 16 * k + 16 : s.expand.outputs;
      const int vectors = (pixels + 15) / 16, parts = (vectors + most_sparse_vectors - 1) / most_sparse_vectors;
      for (int part = 0; part < parts; ++part) {
        const int begin = share(vectors, part, parts);
        multiply_group(s.expand, planar, 16 * k, end, begin * 16, share(vectors, part + 1, parts) - begin, pixels, tile,
                       target);
      }
    }
    const Rows in{base, 0, ptrdiff_t(width) * 16, b.wide.h, b.wide.h};
    for (int y = 0; y < b.output.h; ++y) {
      const float* rows[engine::most_kernel_rows];
      point_at_rows(d, in, 0, y, rows);
      depthwise_row(d, rows, k, 16, b.wide.active(k), thin + ptrdiff_t(y) * b.output.w * 16, b.output.w, width);
    }
    to_planar(thin, 16, b.wide.active(k), out_pixels, middle + 16 * k * out_pitch, out_pitch);
  }
}

}  // namespace
