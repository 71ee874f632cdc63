// Everything that is not a convolution: arithmetic, pooling, resizing, changes of layout.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

#include "gemm.h"
#include "kernels.h"

namespace {

using engine::Arithmetic;
using engine::Frame;
using engine::View;

// The part's share of the rows of all blocks of a map.
struct Share {
  int first, last;
};
ENGINE_INLINE Share rows_of(const View& view, const Frame& frame) {
  const int rows = view.h * view.blocks();
  return {share(rows, frame.part, frame.parts), share(rows, frame.part + 1, frame.parts)};
}

// Calls body(block, row) for them.
template <class Body>
ENGINE_INLINE void each_row(const View& view, const Frame& frame, const Body& body) {
  const Share mine = rows_of(view, frame);
  for (int i = mine.first; i < mine.last; ++i) body(i / view.h, i % view.h);
}

template <class V>
ENGINE_INLINE V combine(V a, V b, Arithmetic operation) {
  switch (operation) {
    case Arithmetic::add: return add(a, b);
    case Arithmetic::sub: return sub(a, b);
    case Arithmetic::mul: return mul(a, b);
    case Arithmetic::maximum: return max(a, b);
    default: return min(a, b);
  }
}

template <class V>
ENGINE_INLINE void binary_row(const engine::Binary& p, const float* a, const float* b, ptrdiff_t b_step,
                              const float* plus, float* out, int width, int lanes) {
  for (int x = 0; x < width; ++x, a += lanes, b += b_step, out += lanes) {
    V value = combine(V::load(a), V::load(b), p.operation);
    if (plus) value = add(value, V::load(plus + ptrdiff_t(x) * lanes));
    activate(value, p.after).store(out);
  }
}

void run_binary(const engine::Binary& p, const Frame& frame) {
  const View& v = p.output;
  const bool one = p.b.h == 1 && p.b.w == 1;
  each_row(v, frame, [&](int k, int y) {
    const ptrdiff_t at = k * v.block() + ptrdiff_t(y) * v.w * v.lanes;
    const float* a = frame.at(p.a) + at;
    const float* b = frame.at(p.b) + (one ? ptrdiff_t(k) * v.lanes : at);
    const float* plus = p.plus ? frame.at(p.plus) + at : nullptr;
    const ptrdiff_t step = one ? 0 : v.lanes;
    v.active(k) == 16 ? binary_row<V16>(p, a, b, step, plus, frame.at(v) + at, v.w, v.lanes)
                      : binary_row<V8>(p, a, b, step, plus, frame.at(v) + at, v.w, v.lanes);
  });
}

// 1 / (1 + exp(-x)) of n floats, relative error below 1e-6; a plain loop that compilers turn into vectors.
inline void sigmoid_row(const float* in, float* out, ptrdiff_t n) {
  for (ptrdiff_t i = 0; i < n; ++i) {
    float x = -in[i];
    x = x < -87.0f ? -87.0f : x > 87.0f ? 87.0f : x;
    // exp(x) = 2^whole * exp(rest), |rest| <= ln(2) / 2
    const float whole = (x * 1.44269504f + 12582912.0f) - 12582912.0f;  // rounds to an integer
    float rest = x - whole * 0.693359375f;
    rest = rest + whole * 2.12194440e-4f;
    float e = 1.0f / 5040.0f;
    e = e * rest + 1.0f / 720.0f;
    e = e * rest + 1.0f / 120.0f;
    e = e * rest + 1.0f / 24.0f;
    e = e * rest + 1.0f / 6.0f;
    e = e * rest + 0.5f;
    e = e * rest + 1.0f;
    e = e * rest + 1.0f;
    const int32_t bits = (int32_t(whole) + 127) << 23;
    float scale;
    std::memcpy(&scale, &bits, sizeof scale);
    out[i] = 1.0f / (1.0f + e * scale);
  }
}

template <class V>
ENGINE_INLINE void activate_row(const Activation& activation, const float* in, float* out, int width, int lanes) {
  for (int x = 0; x < width; ++x, in += lanes, out += lanes) activate(V::load(in), activation).store(out);
}

void run_unary(const engine::Unary& p, const Frame& frame) {
  const View& v = p.output;
  if (!v.lanes) {  // plain
    const ptrdiff_t size = ptrdiff_t(v.size());
    const ptrdiff_t first = size * frame.part / frame.parts, last = size * (frame.part + 1) / frame.parts;
    const float* in = frame.at(p.input);
    float* out = frame.at(p.output);
    if (p.function == engine::Function::sigmoid) return sigmoid_row(in + first, out + first, last - first);
    for (ptrdiff_t i = first; i < last; ++i) {
      float x[8] = {in[i]};
      activate(V8::load(x), p.activation).store(x);
      out[i] = x[0];
    }
    return;
  }
  each_row(v, frame, [&](int k, int y) {
    const ptrdiff_t at = k * v.block() + ptrdiff_t(y) * v.w * v.lanes;
    const float* in = frame.at(p.input) + at;
    float* out = frame.at(p.output) + at;
    const int active = v.active(k), real = v.c - k * v.lanes < active ? v.c - k * v.lanes : active;
    if (p.function == engine::Function::sigmoid) {
      for (int x = 0; x < v.w; ++x) {  // sigmoid(0) is not 0: lanes beyond c are written back as zeros
        sigmoid_row(in + x * v.lanes, out + x * v.lanes, active);
        for (int c = real; c < active; ++c) out[x * v.lanes + c] = 0.0f;
      }
    } else if (active == 16) {
      activate_row<V16>(p.activation, in, out, v.w, v.lanes);
    } else {
      activate_row<V8>(p.activation, in, out, v.w, v.lanes);
    }
  });
}

template <class V>
ENGINE_INLINE void pool_row(const engine::Pool& p, const float* block, float* out, int y) {
  const View& in = p.input;
  for (int x = 0; x < p.output.w; ++x, out += in.lanes) {
    const int y0 = y * p.stride_h - p.pad_top, x0 = x * p.stride_w - p.pad_left;
    const int top = y0 < 0 ? 0 : y0, bottom = y0 + p.window_h > in.h ? in.h : y0 + p.window_h;
    const int left = x0 < 0 ? 0 : x0, right = x0 + p.window_w > in.w ? in.w : x0 + p.window_w;
    V value = V::all(p.average ? 0.0f : -INFINITY);
    for (int j = top; j < bottom; ++j)
      for (int i = left; i < right; ++i) {
        const V next = V::load(block + (ptrdiff_t(j) * in.w + i) * in.lanes);
        value = p.average ? add(value, next) : max(value, next);
      }
    if (p.average) value = mul(value, V::all(1.0f / float((bottom - top) * (right - left))));
    activate(value, p.after).store(out);
  }
}

void run_pool(const engine::Pool& p, const Frame& frame) {
  const View& v = p.output;
  each_row(v, frame, [&](int k, int y) {
    const float* block = frame.at(p.input) + k * p.input.block();
    float* out = frame.at(p.output) + k * v.block() + ptrdiff_t(y) * v.w * v.lanes;
    v.active(k) == 16 ? pool_row<V16>(p, block, out, y) : pool_row<V8>(p, block, out, y);
  });
}

template <class V>
ENGINE_INLINE void mean_block(const float* in, const float* plus, ptrdiff_t pixels, int lanes, float* out) {
  V sums[4];
  ENGINE_UNROLL for (int i = 0; i < 4; ++i) sums[i] = V::all(0.0f);
  ptrdiff_t p = 0;
  for (; p + 4 <= pixels; p += 4)
    ENGINE_UNROLL for (int i = 0; i < 4; ++i) {
      V x = V::load(in + (p + i) * lanes);
      if (plus) x = add(x, V::load(plus + (p + i) * lanes));
      sums[i] = add(sums[i], x);
    }
  for (; p < pixels; ++p) {
    sums[0] = add(sums[0], V::load(in + p * lanes));
    if (plus) sums[0] = add(sums[0], V::load(plus + p * lanes));
  }
  mul(add(add(sums[0], sums[1]), add(sums[2], sums[3])), V::all(1.0f / float(pixels))).store(out);
}

void run_mean(const engine::Mean& p, const Frame& frame) {
  const View& v = p.input;
  const ptrdiff_t pixels = ptrdiff_t(v.h) * v.w;
  for (int k = frame.part; k < v.blocks(); k += frame.parts) {
    const float* in = frame.at(v) + k * v.block();
    const float* plus = p.plus ? frame.at(p.plus) + k * v.block() : nullptr;
    float* out = frame.at(p.output) + ptrdiff_t(k) * p.output.lanes;
    v.active(k) == 16 ? mean_block<V16>(in, plus, pixels, v.lanes, out)
                      : mean_block<V8>(in, plus, pixels, v.lanes, out);
  }
}

// One row between two source rows: first downwards, into `blend` (as long as a source row), then to the right.
template <class V>
ENGINE_INLINE void resize_row(const engine::Resize& p, const float* top, const float* bottom, float down, float* blend,
                              const float* plus, float* out, int begin, int end) {
  const int lanes = p.output.lanes;
  const int* columns = p.rows + 2 * p.output.h;
  const float* fractions = p.fractions + p.output.h;
  const V downs = V::all(down);
  for (int x = columns[2 * begin]; x <= columns[2 * end - 1]; ++x) {
    const V upper = V::load(top + ptrdiff_t(x) * lanes);
    fma(sub(V::load(bottom + ptrdiff_t(x) * lanes), upper), downs, upper).store(blend + ptrdiff_t(x) * lanes);
  }
  for (int x = begin; x < end; ++x) {
    const V left = V::load(blend + ptrdiff_t(columns[2 * x]) * lanes);
    const V right = V::load(blend + ptrdiff_t(columns[2 * x + 1]) * lanes);
    V value = fma(sub(right, left), V::all(fractions[x]), left);
    if (plus) value = add(value, V::load(plus + ptrdiff_t(x) * lanes));
    activate(value, p.after).store(out + ptrdiff_t(x) * lanes);
  }
}

void run_resize(const engine::Resize& p, const Frame& frame) {
  const View& v = p.output;
  each_row(v, frame, [&](int k, int y) {
    const float* in = frame.at(p.input) + k * p.input.block();
    const ptrdiff_t row = ptrdiff_t(p.input.w) * v.lanes, at = k * v.block() + ptrdiff_t(y) * v.w * v.lanes;
    const float* top = in + p.rows[2 * y] * row;
    const float* bottom = in + p.rows[2 * y + 1] * row;
    const float* plus = p.plus ? frame.at(p.plus) + at : nullptr;
    float* out = frame.at(v) + at;
    v.active(k) == 16 ? resize_row<V16>(p, top, bottom, p.fractions[y], frame.scratch, plus, out, 0, v.w)
                      : resize_row<V8>(p, top, bottom, p.fractions[y], frame.scratch, plus, out, 0, v.w);
  });
}

// From plain NHWC to blocks.
inline void pack_map(const View& v, const float* in, float* out, const Frame& frame) {
  each_row(v, frame, [&](int k, int y) {
    const int first = k * v.lanes, count = v.c - first < v.lanes ? v.c - first : v.lanes, active = v.active(k);
    const float* from = in + ptrdiff_t(y) * v.w * v.c + first;
    float* to = out + k * v.block() + ptrdiff_t(y) * v.w * v.lanes;
    for (int x = 0; x < v.w; ++x, from += v.c, to += v.lanes) {
      if (count == 16) {
        V16::load(from).store(to);
      } else {
        for (int c = 0; c < active; ++c) to[c] = c < count ? from[c] : 0.0f;
      }
    }
  });
}

// From blocks to plain NHWC. Whole vectors are stored; what one writes beyond its pixel the next pixel overwrites, so
// the last pixel of a row is written by itself.
inline void unpack_map(const View& v, const float* in, float* out, const Frame& frame) {
  const int begin = share(v.h, frame.part, frame.parts), end = share(v.h, frame.part + 1, frame.parts);
  const int last = v.blocks() - 1, rest = v.c - last * v.lanes;
  for (int y = begin; y < end; ++y) {
    const float* row = in + ptrdiff_t(y) * v.w * v.lanes;
    float* to = out + ptrdiff_t(y) * v.w * v.c;
    for (int x = 0; x < v.w; ++x, row += v.lanes, to += v.c) {
      for (int k = 0; k < last; ++k) V16::load(row + k * v.block()).store(to + 16 * k);
      const float* from = row + last * v.block();
      if (v.c >= 8 && x + 1 < v.w && v.active(last) == 8) {
        V8::load(from).store(to + 16 * last);
      } else {
        for (int c = 0; c < rest; ++c) to[16 * last + c] = from[c];
      }
    }
  }
}

void run_rearrange(const engine::Rearrange& p, const Frame& frame) {
  if (p.output.lanes)
    pack_map(p.output, frame.at(p.input), frame.at(p.output), frame);
  else
    unpack_map(p.input, frame.at(p.input), frame.at(p.output), frame);
}

// Zeros around a map, and channels of zeros behind its own.
void run_pad(const engine::PadParameters& p, const Frame& frame) {
  const View &from = p.input, &v = p.output;
  each_row(v, frame, [&](int k, int y) {
    float* out = frame.at(v) + k * v.block() + ptrdiff_t(y) * v.w * v.lanes;
    std::memset(out, 0, size_t(v.w) * v.lanes * sizeof(float));
    const int source = y - p.top;
    for (int c = k * v.lanes; c < (k + 1) * v.lanes && c < from.c && source >= 0 && source < from.h; ++c) {
      const float* in = frame.at(from) + (c / from.lanes) * from.block() +
                        ptrdiff_t(source) * from.w * from.lanes + c % from.lanes;
      for (int x = 0; x < from.w; ++x)
        out[ptrdiff_t(x + p.left) * v.lanes + c % v.lanes] = in[ptrdiff_t(x) * from.lanes];
    }
  });
}

// Runs of the input, one behind the other, to places `stride` apart.
void run_copy(const engine::Copy& p, const Frame& frame) {
  if (frame.part != 0) return;
  for (ptrdiff_t i = 0; i < p.count; ++i)
    std::memcpy(frame.at(p.output) + p.offset + i * p.stride, frame.at(p.input) + i * p.run, size_t(p.run) * sizeof(float));
}

// One channel, plain output: what a transposed convolution to a mask makes.
inline void spread_row(const engine::DepthToSpace& p, const float* in, float* out, int y) {
  const int first = y % p.size * p.size;
  for (int x = 0; x < p.input.w; ++x)
    for (int i = 0; i < p.size; ++i) out[x * p.size + i] = in[ptrdiff_t(x) * p.input.lanes + first + i];
}

void run_depth_to_space(const engine::DepthToSpace& p, const Frame& frame) {
  const View &from = p.input, &v = p.output;
  if (!v.lanes) {
    const int first = share(v.h, frame.part, frame.parts), last = share(v.h, frame.part + 1, frame.parts);
    for (int y = first; y < last; ++y)
      spread_row(p, frame.at(from) + ptrdiff_t(y / p.size) * from.w * from.lanes, frame.at(v) + ptrdiff_t(y) * v.w, y);
    return;
  }
  each_row(v, frame, [&](int k, int y) {
    float* out = frame.at(v) + k * v.block() + ptrdiff_t(y) * v.w * v.lanes;
    const int first = k * v.lanes, active = v.active(k);
    for (int x = 0; x < v.w; ++x, out += v.lanes) {
      const int channel = ((y % p.size) * p.size + x % p.size) * v.c;
      const float* in = frame.at(from) + (ptrdiff_t(y / p.size) * from.w + x / p.size) * from.lanes;
      for (int c = 0; c < active; c += 8) {
        const int source = channel + first + c;
        if (first + c + 8 <= v.c && source % 8 == 0) {
          V8::load(in + (source / from.lanes) * from.block() + source % from.lanes).store(out + c);
        } else {
          for (int i = c; i < c + 8; ++i) {
            const int s = channel + first + i;
            out[i] = first + i < v.c ? in[(s / from.lanes) * from.block() + s % from.lanes] : 0.0f;
          }
        }
      }
    }
  });
}

}  // namespace
