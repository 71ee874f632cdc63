// What the plan hands to the kernels: plain structs, and one table of functions for each instruction set.
//
// Layout. A feature map lies in blocks of `lanes` channels: [ceil(c / lanes)][h][w][lanes]. lanes is 16, or 8 where the
// map has at most 8 channels (then it is plain NHWC if c is 8). A vector register holds the channels of one pixel, and
// neighbouring pixels lie at a fixed small distance, which the matrix kernel has in its instructions. Where the last
// block has at most 8 channels left, only its lower half is "active": only active lanes are read and written, and those
// beyond c are zero. lanes == 0 says plain NHWC, the layout of inputs and outputs.
#pragma once

#include <cstddef>
#include <cstdint>

namespace engine {

struct View {
  int id = -1;  // index into Frame::data; -1: absent
  int h = 0, w = 0, c = 0, lanes = 0;

  explicit operator bool() const { return id >= 0; }
  ptrdiff_t block() const { return ptrdiff_t(h) * w * lanes; }
  int blocks() const { return lanes ? (c + lanes - 1) / lanes : 1; }
  int active(int index) const { return lanes == 16 && c - index * 16 > 8 ? 16 : 8; }
  size_t size() const { return lanes ? size_t(block()) * blocks() : size_t(h) * w * c; }
};

enum class Curve : int32_t { none, clamp, hard_swish };

struct Activation {
  Curve curve = Curve::none;
  float low = 0, high = 0;  // of clamp
};

// A run of `length` inputs, `offset` floats after the pixel's own address.
struct Segment {
  ptrdiff_t offset;
  int length;
};

// The weights of a convolution as a matrix [inputs][outputs] cut into panels of 32 outputs; the last panel has 8, 16, 24
// or 32. Inputs are numbered in the order of the segments.
struct Matrix {
  const float* weights = nullptr;
  const float* bias = nullptr;
  int inputs = 0, outputs = 0;
  const Segment* segments = nullptr;
  int segment_count = 0;
  Activation activation;

  int panels() const { return (outputs + 31) / 32; }
  int panel_width(int panel) const {
    const int left = outputs - panel * 32;
    return left >= 32 ? 32 : (left + 7) / 8 * 8;
  }
};

constexpr int most_kernel_rows = 64;  // of a depthwise convolution

struct Depthwise {
  const float* weights = nullptr;  // [blocks][kernel_h * kernel_w][lanes]
  const float* bias = nullptr;     // [blocks][lanes]
  int kernel_h = 0, kernel_w = 0, stride_h = 1, stride_w = 1, dilation_h = 1, dilation_w = 1;
  int pad_top = 0, pad_left = 0;
  Activation activation;
};

// The rows [top, bottom) and columns [left, right) that are wanted of a chain's plain output.
struct Window {
  int top, bottom, left, right;
};

// What one call of a kernel has to do: one of the equal parts of one phase of a step. The parts of a phase run at any
// time and on any thread, the next phase begins when all of them are done.
struct Frame {
  int phase, part, parts;
  float* const* data;  // of all views
  float* scratch;      // of the thread
  Window window;

  float* at(const View& view) const { return data[view.id]; }
};

// 1x1 convolution: output = after(activation(matrix * input + bias) + residual).
struct Pointwise {
  View input, output, residual;
  Matrix matrix;
  Activation after;
  View scale;  // optional: one factor for each input channel
};

// Any other dense convolution. Rows are copied with their padding into scratch, where the segments find them.
struct Convolution {
  View input, output;
  Matrix matrix;
  int kernel_h, stride_h, dilation_h, pad_top, pad_left;
  int padded_width;      // pixels of a copied row
  int step;              // floats from an output pixel's inputs to the next one's
  ptrdiff_t row_floats;  // of a copied row
};

// [expand] -> depthwise -> [project (+ residual)], a few rows (or a few channels) at a time, so that the wide tensors
// between them stay in the cache.
struct Block {
  View input, output, residual;
  View wide;  // shape of the expanded tensor; without expansion that of the input
  bool expands = false, projects = false;
  bool stem = false;  // the expansion is a `Convolution` instead of 1x1
  Matrix expand;
  Convolution stem_convolution;
  Depthwise depthwise;
  Matrix project;
  Activation after;
  View middle;   // by channels: the whole depthwise output, shared by the threads
  int rows = 0;  // by rows: how many output rows at a time; 0: by channels
};

// A matrix as the lists of its non-zero weights, by chunks of inputs: those of output n in chunk c are entries
// starts[c * (outputs + 1) + n] up to the next start. Offsets are in floats, from pixel 0 of input 0.
struct Sparse {
  const float* values = nullptr;
  const int32_t* offsets = nullptr;
  const int32_t* starts = nullptr;
  const float* bias = nullptr;
  int inputs = 0, outputs = 0, chunks = 0;
  Activation activation;
};

struct SparsePointwise {
  View input, output, residual;
  View planar;  // scratch that the threads share: the input as planar rows
  Sparse sparse;
  Activation after;
};

struct SparseBlock {
  Block block;
  View planar, middle;  // shared scratch: the input and the depthwise output as planar rows
  Sparse expand, project;
};

enum class Arithmetic : int32_t { add, sub, mul, maximum, minimum };
enum class Function : int32_t { activation, sigmoid };

struct Binary {  // output = after((a operation b) (+ plus))
  View a, b, plus, output;  // b is a map like a, or has one pixel
  Arithmetic operation;
  Activation after;
};

struct Unary {
  View input, output;
  Function function;
  Activation activation;
};

struct Pool {
  View input, output;
  int window_h, window_w, stride_h, stride_w, pad_top, pad_left;
  bool average;
  Activation after;
};

struct Mean {
  View input, plus, output;  // mean over the pixels of input (+ plus)
};

struct Resize {
  View input, plus, output;  // output = after(resized (+ plus))
  const int* rows;           // [h][2] source rows, then [w][2] source columns
  const float* fractions;    // [h] then [w]
  Activation after;
};

// A chain of operations on maps of at most 8 channels, streamed row by row, so that nothing between its ends is ever
// written to memory: resizes, depthwise 3x3 -> 1x1 (+ the block's own input), and at its end perhaps a 3x3 convolution
// to one channel, whose output is plain.
enum class Link : int32_t { resize, block, last };

struct ChainStage {
  Link link;
  int h, w;  // of its output
  Resize resize;
  Depthwise depthwise;
  Matrix project;
  bool residual;
  Activation after;
  const float* taps;  // of the last convolution: [3][3][8]
  float bias;
};

struct Chain {
  View input, output;
  const ChainStage* stages;
  int count;
};

constexpr int most_stages = 8;

struct Rearrange {
  View input, output;
};

struct PadParameters {
  View input, output;
  int top, left;
};

struct DepthToSpace {
  View input, output;
  int size;
};

// Copies `count` runs of floats between plain maps: concatenation along any dimension.
struct Copy {
  View input, output;
  ptrdiff_t offset, run, stride, count;  // first float, floats of a run, from run to run in the output; how many
};

struct Kernels {
  const char* name;
  void (*pointwise)(const Pointwise&, const Frame&);
  void (*convolution)(const Convolution&, const Frame&);
  void (*block)(const Block&, const Frame&);
  void (*binary)(const Binary&, const Frame&);
  void (*unary)(const Unary&, const Frame&);
  void (*pool)(const Pool&, const Frame&);
  void (*mean)(const Mean&, const Frame&);
  void (*resize)(const Resize&, const Frame&);
  void (*rearrange)(const Rearrange&, const Frame&);
  void (*pad)(const PadParameters&, const Frame&);
  void (*depth_to_space)(const DepthToSpace&, const Frame&);
  void (*copy)(const Copy&, const Frame&);
  void (*chain)(const Chain&, const Frame&);
  void (*sparse_pointwise)(const SparsePointwise&, const Frame&);
  void (*sparse_block)(const SparseBlock&, const Frame&);
};

}  // namespace engine
