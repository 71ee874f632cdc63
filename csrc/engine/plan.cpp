#include "plan.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <new>
#include <stdexcept>

namespace engine {

namespace {

constexpr std::align_val_t alignment{64};
constexpr size_t line = 16;          // floats
constexpr double small_work = 60e3;  // multiplications: about 1.5 microseconds

double work_of(const View& v) { return 8.0 * double(v.size()); }  // of arithmetic on a map, which is bound by memory
double work_of(const Layer& layer, const View& output) {
  return double(output.h) * output.w * layer.outputs * layer.kernel_h * layer.kernel_w * layer.inputs;
}

size_t rounded(size_t floats) { return (floats + line - 1) / line * line; }

std::string shape_of(const View& v) {
  return std::to_string(v.h) + "x" + std::to_string(v.w) + "x" + std::to_string(v.c);
}

std::string kernel_of(const Layer& layer) {
  return std::to_string(layer.kernel_h) + "x" + std::to_string(layer.kernel_w) + "/" + std::to_string(layer.stride_h);
}

// Whether walking over the non-zero weights is faster than multiplying all of them. With 60 % zeros it takes 0.65 to 0.95
// of the time, with 75 % 0.45 to 0.8; matrices with few inputs or outputs do not win back the transpositions.
bool is_sparse(const Layer& layer, int pixels) {
  const size_t size = size_t(layer.outputs) * layer.inputs;
  if (layer.inputs < 24 || layer.outputs < 24 || pixels < 32) return false;
  size_t zeros = 0;
  for (size_t i = 0; i < size; ++i) zeros += layer.weights[i] == 0.0f;
  return zeros * 10 > size * 6;
}

constexpr int most_sparse_pixels = 4096;  // of a block: beyond it 16 channels of the map leave the second cache

constexpr int sparse_chunk = 112;  // inputs; 80 pixels of them fit into 32 KB

}  // namespace

Memory::Memory(size_t floats) {
  if (!floats) return;
  data_.reset(static_cast<float*>(::operator new[](floats * sizeof(float), alignment)));
}

void Memory::Free::operator()(float* data) const { ::operator delete[](data, alignment); }

Plan::Plan(int threads) : kernels_(best_kernels()), team_(threads) {}

int Plan::add_map(int h, int w, int c, int lanes) {
  View v;
  v.id = int(views_.size());
  v.h = h;
  v.w = w;
  v.c = c;
  v.lanes = lanes;
  views_.push_back(v);
  return v.id;
}

void Plan::mark_input(int map) { inputs_.push_back(view(map).id); }
void Plan::mark_output(int map) { outputs_.push_back(view(map).id); }

float* Plan::keep(size_t floats) {
  weights_.emplace_back(floats);
  weight_floats_ += floats;
  return weights_.back().data();
}

const Segment* Plan::keep(std::vector<Segment> segments) {
  segments_.push_back(std::move(segments));
  return segments_.back().data();
}

// `order` gives for each input of the matrix, in the order of the segments, its index in the layer's weights.
Matrix Plan::pack(const Layer& layer, std::vector<Segment> segments, const std::vector<int>& order) {
  Matrix m;
  m.inputs = int(order.size());
  m.outputs = layer.outputs;
  m.activation = layer.activation;
  m.segment_count = int(segments.size());
  m.segments = keep(std::move(segments));
  const size_t columns = size_t(m.panels() - 1) * 32 + size_t(m.panel_width(m.panels() - 1));
  float* weights = keep(columns * order.size());
  float* bias = keep(columns);
  m.weights = weights;
  m.bias = bias;
  for (size_t n = 0; n < columns; ++n) bias[n] = layer.bias && n < size_t(layer.outputs) ? layer.bias[n] : 0.0f;
  for (int panel = 0; panel < m.panels(); ++panel) {
    const int width = m.panel_width(panel);
    for (const int k : order) {
      for (int n = 0; n < width; ++n) {
        const int output = panel * 32 + n;
        *weights++ = output < layer.outputs ? layer.weights[size_t(output) * order.size() + size_t(k)] : 0.0f;
      }
    }
  }
  return m;
}

// Reads maps whose blocks of `lanes` channels lie `block` floats apart.
Matrix Plan::pack_pointwise(const Layer& layer, ptrdiff_t block, int lanes) {
  std::vector<Segment> segments;
  std::vector<int> order;
  for (int c = 0; c < layer.inputs; c += lanes) segments.push_back({c / lanes * block, std::min(lanes, layer.inputs - c)});
  for (int c = 0; c < layer.inputs; ++c) order.push_back(c);
  return pack(layer, std::move(segments), order);
}

Sparse Plan::pack_sparse(const Layer& layer, int pixels) {
  Sparse s;
  s.inputs = layer.inputs;
  s.outputs = layer.outputs;
  s.activation = layer.activation;
  s.chunks = (layer.inputs + sparse_chunk - 1) / sparse_chunk;
  const int chunk_inputs = (layer.inputs + s.chunks - 1) / s.chunks;
  const int pitch = int(rounded(size_t(pixels)));
  std::vector<float> values;
  std::vector<int32_t> offsets, starts;
  for (int chunk = 0; chunk < s.chunks; ++chunk) {
    for (int n = 0; n < layer.outputs; ++n) {
      starts.push_back(int32_t(values.size()));
      for (int k = chunk * chunk_inputs; k < std::min(layer.inputs, (chunk + 1) * chunk_inputs); ++k) {
        const float w = layer.weights[size_t(n) * layer.inputs + k];
        if (w == 0.0f) continue;
        values.push_back(w);
        offsets.push_back(k * pitch);
      }
    }
    starts.push_back(int32_t(values.size()));
  }
  float* bias = keep(size_t(layer.outputs));
  for (int n = 0; n < layer.outputs; ++n) bias[n] = layer.bias ? layer.bias[n] : 0.0f;
  float* kept = keep(std::max<size_t>(values.size(), 1));
  std::copy(values.begin(), values.end(), kept);
  s.values = kept;
  s.bias = bias;
  lists_.push_back(std::move(offsets));
  s.offsets = lists_.back().data();
  lists_.push_back(std::move(starts));
  s.starts = lists_.back().data();
  return s;
}

// Shared scratch for planar rows, channels rounded up to whole blocks.
int Plan::add_planar(int channels, int pixels) { return add_map(1, (channels + 15) / 16 * 16, int(rounded(size_t(pixels))), 0); }

Convolution Plan::convolution(const Layer& layer, const View& input, const View& output) {
  Convolution c{};
  c.input = input;
  c.output = output;
  c.kernel_h = layer.kernel_h;
  c.stride_h = layer.stride_h;
  c.dilation_h = layer.dilation_h;
  c.pad_top = layer.pad_top;
  c.pad_left = layer.pad_left;
  const int lanes = input.lanes ? input.lanes : input.c, blocks = input.blocks();
  c.padded_width = std::max((output.w - 1) * layer.stride_w + (layer.kernel_w - 1) * layer.dilation_w + 1, layer.pad_left);
  c.step = layer.stride_w * lanes;
  c.row_floats = ptrdiff_t(rounded(size_t(c.padded_width) * lanes * blocks));
  std::vector<Segment> segments;
  std::vector<int> order;
  for (int ky = 0; ky < layer.kernel_h; ++ky) {
    for (int kx = 0; kx < layer.kernel_w; ++kx) {
      for (int b = 0; b < blocks; ++b) {
        const int count = std::min(lanes, layer.inputs - b * lanes);
        segments.push_back({ky * c.row_floats + (ptrdiff_t(b) * c.padded_width + kx * layer.dilation_w) * lanes, count});
        for (int i = 0; i < count; ++i) order.push_back((ky * layer.kernel_w + kx) * layer.inputs + b * lanes + i);
      }
    }
  }
  // Neighbouring runs become one (all columns of a plain map).
  std::vector<Segment> joined;
  for (const Segment& s : segments) {
    if (!joined.empty() && joined.back().offset + joined.back().length == s.offset)
      joined.back().length += s.length;
    else
      joined.push_back(s);
  }
  c.matrix = pack(layer, std::move(joined), order);
  return c;
}

Depthwise Plan::pack_depthwise(const Layer& layer, int lanes) {
  if (layer.kernel_h > most_kernel_rows) throw std::invalid_argument("depthwise kernels have at most 64 rows");
  Depthwise d;
  const int taps = layer.kernel_h * layer.kernel_w, blocks = (layer.outputs + lanes - 1) / lanes;
  float* weights = keep(size_t(blocks) * taps * lanes);
  float* bias = keep(size_t(blocks) * lanes);
  for (int c = 0; c < blocks * lanes; ++c) {
    const bool real = c < layer.outputs;
    bias[c] = real && layer.bias ? layer.bias[c] : 0.0f;
    for (int t = 0; t < taps; ++t)
      weights[(size_t(c / lanes) * taps + t) * lanes + c % lanes] =
          real ? layer.weights[size_t(t) * layer.outputs + c] : 0.0f;
  }
  d.weights = weights;
  d.bias = bias;
  d.kernel_h = layer.kernel_h;
  d.kernel_w = layer.kernel_w;
  d.stride_h = layer.stride_h;
  d.stride_w = layer.stride_w;
  d.dilation_h = layer.dilation_h;
  d.dilation_w = layer.dilation_w;
  d.pad_top = layer.pad_top;
  d.pad_left = layer.pad_left;
  d.activation = layer.activation;
  return d;
}

void Plan::add_step(std::string name, std::vector<int> maps, size_t scratch, double work,
                    std::function<void(const Frame&)> run, int phases) {
  scratch_floats_ = std::max(scratch_floats_, scratch);
  maps.erase(std::remove(maps.begin(), maps.end(), -1), maps.end());
  steps_.push_back({std::move(name), std::move(maps), std::move(run), phases, work < small_work});
}

void Plan::add_pointwise(const Layer& layer, int input, int output, int residual, const Activation& after, int scale) {
  Pointwise p;
  p.input = view(input);
  p.output = view(output);
  if (residual >= 0) p.residual = view(residual);
  if (scale >= 0) p.scale = view(scale);
  p.after = after;
  if (!p.scale && is_sparse(layer, p.output.h * p.output.w)) {
    SparsePointwise s{p.input, p.output, p.residual, View{}, pack_sparse(layer, p.output.h * p.output.w), after};
    const int planar = add_planar(layer.inputs, p.output.h * p.output.w);
    s.planar = view(planar);
    return add_step("sparse 1x1 " + std::to_string(layer.inputs) + " -> " + shape_of(p.output),
                    {input, output, residual, planar}, (rounded(size_t(layer.outputs)) + 16) * 80,
                    work_of(layer, p.output), [s, f = kernels_.sparse_pointwise](const Frame& frame) { f(s, frame); }, 2);
  }
  p.matrix = pack_pointwise(layer, p.input.block(), p.input.lanes);
  const size_t scratch = p.scale ? size_t(p.matrix.panels()) * 32 * p.matrix.inputs : 0;
  add_step("1x1 " + std::to_string(layer.inputs) + " -> " + shape_of(p.output), {input, output, residual, scale}, scratch,
           work_of(layer, p.output), [p, f = kernels_.pointwise](const Frame& frame) { f(p, frame); });
}

void Plan::add_convolution(const Layer& layer, int input, int output) {
  const Convolution c = convolution(layer, view(input), view(output));
  add_step("conv " + kernel_of(layer) + " -> " + shape_of(c.output), {input, output},
           size_t(c.row_floats) * c.kernel_h, work_of(layer, c.output), [c, f = kernels_.convolution](const Frame& frame) { f(c, frame); });
}

void Plan::add_block(const Layer* expand, const Layer& depthwise, const Layer* project, int input, int output,
                     int residual, const Activation& after) {
  if (expand && !project && expand->kernel_h == 1 && expand->stride_h == 1 &&
      is_sparse(*expand, view(input).h * view(input).w)) {
    // Without a projection the wide map is written anyway: nothing is won by keeping it in the cache, much by the zeros.
    const int wide = add_map(view(input).h, view(input).w, expand->outputs, 16);
    add_pointwise(*expand, input, wide, -1, Activation{}, -1);
    return add_block(nullptr, depthwise, nullptr, wide, output, residual, after);
  }
  Block b;
  b.input = view(input);
  b.output = view(output);
  if (residual >= 0) b.residual = view(residual);
  b.expands = expand != nullptr;
  b.projects = project != nullptr;
  b.stem = expand && (expand->kernel_h > 1 || expand->kernel_w > 1 || expand->stride_h > 1 || expand->stride_w > 1);
  b.wide = b.input;
  if (expand) {
    b.wide = View{};
    b.wide.h = (b.input.h + expand->stride_h - 1) / expand->stride_h;
    b.wide.w = (b.input.w + expand->stride_w - 1) / expand->stride_w;
    b.wide.c = expand->outputs;
    b.wide.lanes = expand->outputs <= 8 ? 8 : 16;
  }
  b.after = after;
  if (!b.stem && add_sparse_block(expand, depthwise, project, b, {input, output, residual})) return;
  const int lanes = b.wide.lanes;
  const size_t blocks = size_t(b.wide.blocks()), wide_row = size_t(b.wide.w) * lanes;
  if (b.stem) {
    b.stem_convolution = convolution(*expand, b.input, b.wide);
    b.expand = b.stem_convolution.matrix;
  } else if (expand) {
    b.expand = pack_pointwise(*expand, b.input.block(), b.input.lanes);
  }
  b.depthwise = pack_depthwise(depthwise, lanes);

  double work = double(b.output.h) * b.output.w * b.wide.c * depthwise.kernel_h * depthwise.kernel_w;
  if (expand) work += work_of(*expand, b.wide);
  if (project) work += work_of(*project, b.output);
  const bool by_channels = b.output.h * b.output.w <= 256 && !b.stem;
  size_t scratch = 0;
  std::vector<int> maps{input, output, residual};
  if (by_channels) {
    if (expand) scratch += 2 * wide_row * b.wide.h;
    if (project) {
      maps.push_back(add_map(b.output.h, b.output.w, b.wide.c, lanes));
      b.middle = view(maps.back());
      b.project = pack_pointwise(*project, b.middle.block(), lanes);
    }
  } else {
    b.rows = std::max(1, std::min(b.output.h, 112 / b.output.w));
    const int reach = (depthwise.kernel_h - 1) * depthwise.dilation_h + 1;
    const size_t slots = size_t(b.rows - 1) * depthwise.stride_h + size_t(reach);
    const size_t thin = size_t(b.rows) * b.output.w * lanes;
    if (expand) scratch += slots * wide_row * blocks;
    if (project) {
      scratch += thin * blocks;
      b.project = pack_pointwise(*project, ptrdiff_t(thin), lanes);
    }
    if (b.stem) scratch += size_t(b.stem_convolution.row_floats) * b.stem_convolution.kernel_h;
  }
  std::string name = by_channels ? "block by channels" : "block by rows";
  if (expand) name += " " + std::to_string(expand->inputs) + " ->" + (b.stem ? " " + kernel_of(*expand) : "");
  name += " " + std::to_string(b.wide.c) + " dw " + kernel_of(depthwise) + " -> " + shape_of(b.output);
  add_step(name, maps, scratch, work, [b, f = kernels_.block](const Frame& frame) { f(b, frame); },
           by_channels && project ? 2 : 1);
}

bool Plan::add_sparse_block(const Layer* expand, const Layer& depthwise, const Layer* project, const Block& block,
                            std::vector<int> maps) {
  const int pixels = block.wide.h * block.wide.w, out_pixels = block.output.h * block.output.w;
  if (!project || block.wide.lanes != 16 || pixels > most_sparse_pixels || !is_sparse(*project, out_pixels)) return false;
  if (expand && !is_sparse(*expand, pixels)) return false;
  SparseBlock s;
  s.block = block;
  s.block.projects = true;
  s.block.depthwise = pack_depthwise(depthwise, 16);
  s.project = pack_sparse(*project, out_pixels);
  maps.push_back(add_planar(block.wide.c, out_pixels));
  s.middle = view(maps.back());
  std::string name = "sparse block";
  if (expand) {
    s.expand = pack_sparse(*expand, pixels);
    maps.push_back(add_planar(expand->inputs, pixels));
    s.planar = view(maps.back());
    name += " " + std::to_string(expand->inputs) + " ->";
  }
  name += " " + std::to_string(block.wide.c) + " dw " + kernel_of(depthwise) + " -> " + shape_of(block.output);
  const size_t scratch = 16 * (rounded(size_t(pixels)) + rounded(size_t(out_pixels))) +
                         (rounded(size_t(project->outputs)) + 16) * 80;
  add_step(name, maps, scratch, work_of(*project, block.output),
           [s, f = kernels_.sparse_block](const Frame& frame) { f(s, frame); }, 3);
  return true;
}

void Plan::add_constant(int map, const float* values) {
  const View v = view(map);
  Memory memory(rounded(v.size()));
  std::memset(memory.data(), 0, v.size() * sizeof(float));
  for (int p = 0; p < v.h * v.w; ++p)
    for (int c = 0; c < v.c; ++c)
      memory.data()[(c / v.lanes) * v.block() + ptrdiff_t(p) * v.lanes + c % v.lanes] = values[size_t(p) * v.c + c];
  constants_.emplace_back(map, std::move(memory));
}

void Plan::add_binary(Arithmetic operation, int a, int b, int plus, int output, const Activation& after) {
  Binary p{view(a), view(b), View{}, view(output), operation, after};
  if (plus >= 0) p.plus = view(plus);
  add_step("arithmetic " + shape_of(p.output), {a, b, plus, output}, 0, work_of(p.output),
           [p, f = kernels_.binary](const Frame& frame) { f(p, frame); });
}

void Plan::add_unary(Function function, int input, int output, const Activation& activation) {
  const Unary p{view(input), view(output), function, activation};
  add_step((function == Function::sigmoid ? "sigmoid " : "activation ") + shape_of(p.output), {input, output}, 0,
           4 * work_of(p.output), [p, f = kernels_.unary](const Frame& frame) { f(p, frame); });
}

void Plan::add_pool(bool average, int input, int output, std::pair<int, int> window, std::pair<int, int> stride,
                    std::pair<int, int> pad, const Activation& after) {
  const Pool p{view(input),   view(output), window.first, window.second, stride.first,
               stride.second, pad.first,    pad.second,   average,       after};
  add_step("pool " + shape_of(p.output), {input, output}, 0, work_of(p.input), [p, f = kernels_.pool](const Frame& frame) { f(p, frame); });
}

void Plan::add_mean(int input, int plus, int output) {
  Mean p{view(input), View{}, view(output)};
  if (plus >= 0) p.plus = view(plus);
  add_step("mean " + shape_of(p.input), {input, plus, output}, 0, work_of(p.input),
           [p, f = kernels_.mean](const Frame& frame) { f(p, frame); });
}

Resize Plan::resize(int input, int plus, int output, const std::vector<int>& places, const std::vector<float>& fractions,
                    const Activation& after) {
  Resize p{view(input), View{}, view(output), nullptr, nullptr, after};
  if (plus >= 0) p.plus = view(plus);
  places_.push_back(places);
  p.rows = places_.back().data();
  float* kept = keep(fractions.size());
  std::copy(fractions.begin(), fractions.end(), kept);
  p.fractions = kept;
  return p;
}

void Plan::add_resize(int input, int plus, int output, const std::vector<int>& places,
                      const std::vector<float>& fractions, const Activation& after) {
  const Resize p = resize(input, plus, output, places, fractions, after);
  add_step("resize " + shape_of(p.output), {input, plus, output}, size_t(p.input.w) * p.input.lanes,
           work_of(p.output), [p, f = kernels_.resize](const Frame& frame) { f(p, frame); });
}

void Plan::add_chain(int input, int output, const std::vector<ChainLink>& links) {
  if (links.empty() || links.size() > most_stages) throw std::invalid_argument("a chain has 1 to 8 links");
  std::vector<int> maps{input, output};
  std::vector<ChainStage> stages;
  std::string name = "chain";
  size_t scratch = 0, widest = size_t(view(input).w) * 8;
  int before = input;
  for (const ChainLink& link : links) {
    ChainStage stage{};
    stage.link = link.link;
    stage.h = view(link.map).h;
    stage.w = view(link.map).w;
    stage.after = link.after;
    widest = std::max(widest, size_t(stage.w) * 8);
    scratch += size_t(3) * stage.w * 8;
    if (link.link == Link::resize) {
      stage.resize = resize(before, link.plus, link.map, link.places, link.fractions, link.after);
      maps.push_back(link.plus);
      name += " resize " + std::to_string(stage.h) + "x" + std::to_string(stage.w);
    } else if (link.link == Link::block) {
      stage.depthwise = pack_depthwise(*link.depthwise, 8);
      stage.project = pack_pointwise(*link.project, 0, 8);
      stage.residual = link.residual;
      name += " block";
    } else {
      const Layer& layer = *link.project;
      float* taps = keep(9 * 8);
      for (int i = 0; i < 9 * 8; ++i) taps[i] = i % 8 < layer.inputs ? layer.weights[i / 8 * layer.inputs + i % 8] : 0.0f;
      stage.taps = taps;
      stage.bias = layer.bias ? layer.bias[0] : 0.0f;
      name += " 3x3 -> 1";
    }
    before = link.map;
    stages.push_back(stage);
  }
  chains_.push_back(std::move(stages));
  const Chain c{view(input), view(output), chains_.back().data(), int(chains_.back().size())};
  add_step(name, maps, scratch + 3 * widest, 100 * work_of(c.output), [c, f = kernels_.chain](const Frame& frame) { f(c, frame); });
}

void Plan::add_rearrange(int input, int output) {
  const Rearrange p{view(input), view(output)};
  add_step("rearrange " + shape_of(p.output), {input, output}, 0, work_of(p.output),
           [p, f = kernels_.rearrange](const Frame& frame) { f(p, frame); });
}

void Plan::add_pad(int input, int output, int top, int left) {
  const PadParameters p{view(input), view(output), top, left};
  add_step("pad " + shape_of(p.output), {input, output}, 0, work_of(p.output), [p, f = kernels_.pad](const Frame& frame) { f(p, frame); });
}

void Plan::add_depth_to_space(int input, int output, int size) {
  const DepthToSpace p{view(input), view(output), size};
  add_step("depth to space " + shape_of(p.output), {input, output}, 0, work_of(p.output),
           [p, f = kernels_.depth_to_space](const Frame& frame) { f(p, frame); });
}

void Plan::add_copy(int input, int output, ptrdiff_t offset, ptrdiff_t run, ptrdiff_t stride, ptrdiff_t count) {
  const Copy p{view(input), view(output), offset, run, stride, count};
  add_step("copy " + shape_of(p.input), {input, output}, 0, 0, [p, f = kernels_.copy](const Frame& frame) { f(p, frame); });
}

// Gives every map that is not the caller's a place: largest first, each at the lowest address where nothing that lives
// at the same time lies.
void Plan::place_maps() {
  struct Life {
    int map, first, last;
    size_t size, offset;
  };
  std::vector<Life> lives(views_.size());
  for (size_t i = 0; i < views_.size(); ++i)
    lives[i] = {int(i), int(steps_.size()), -1, rounded(views_[i].size()), 0};
  for (size_t s = 0; s < steps_.size(); ++s) {
    for (const int map : steps_[s].maps) {
      Life& life = lives[size_t(map)];
      life.first = std::min(life.first, int(s));
      life.last = std::max(life.last, int(s));
    }
  }
  for (const auto* given : {&inputs_, &outputs_})
    for (const int map : *given) lives[size_t(map)].last = -1;
  for (const auto& constant : constants_) lives[size_t(constant.first)].last = -1;

  std::vector<Life> wanted, placed;
  for (const Life& life : lives)
    if (life.last >= 0) wanted.push_back(life);
  std::sort(wanted.begin(), wanted.end(), [](const Life& a, const Life& b) { return a.size > b.size; });
  for (Life& life : wanted) {
    std::vector<Life> beside;
    for (const Life& other : placed)
      if (other.first <= life.last && life.first <= other.last) beside.push_back(other);
    std::sort(beside.begin(), beside.end(), [](const Life& a, const Life& b) { return a.offset < b.offset; });
    for (const Life& other : beside) {
      if (life.offset + life.size <= other.offset) break;
      life.offset = std::max(life.offset, other.offset + other.size);
    }
    placed.push_back(life);
    arena_floats_ = std::max(arena_floats_, life.offset + life.size);
  }
  data_.assign(views_.size(), nullptr);
#if defined(ENGINE_SEPARATE_MAPS)
  // For the address sanitizer, which sees what lies beside a map only if nothing does.
  for (const Life& life : placed) {
    maps_.emplace_back(views_[size_t(life.map)].size());
    data_[size_t(life.map)] = maps_.back().data();
  }
#else
  maps_.emplace_back(arena_floats_);
  for (const Life& life : placed) data_[size_t(life.map)] = maps_.back().data() + life.offset;
#endif
  for (const auto& constant : constants_) data_[size_t(constant.first)] = constant.second.data();
}

void Plan::finish() {
  place_maps();
  for (int i = 0; i < team_.size(); ++i) scratch_.emplace_back(rounded(scratch_floats_));
}

void Plan::run(const std::vector<const float*>& inputs, const std::vector<float*>& outputs, const Window& window) {
  for (size_t i = 0; i < inputs_.size(); ++i) data_[size_t(inputs_[i])] = const_cast<float*>(inputs[i]);  // only read
  for (size_t i = 0; i < outputs_.size(); ++i) data_[size_t(outputs_[i])] = outputs[i];
  for (Step& step : steps_) {
    const auto start = profiling_ ? std::chrono::steady_clock::now() : std::chrono::steady_clock::time_point{};
    for (int phase = 0; phase < step.phases; ++phase) {
      const int parts = step.small ? 1 : team_.size();
      team_.share(parts, [&](int part, int thread) {
        step.run(Frame{phase, part, parts, data_.data(), scratch_[size_t(thread)].data(), window});
      });
    }
    if (profiling_) {
      const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
      step.best = std::min(step.best, took.count());
    }
  }
  team_.rest();
}

std::vector<std::pair<std::string, double>> Plan::take_profile() {
  std::vector<std::pair<std::string, double>> profile;
  for (Step& step : steps_) {
    profile.emplace_back(step.name, step.best);
    step.best = 1e9;
  }
  return profile;
}

}  // namespace engine
