// A network as a list of kernel calls over one block of memory.
//
// Built step by step by the Python side, which decides what is fused; this side packs the weights for the kernels, gives
// every feature map its place (maps that are not needed at the same time share memory) and runs the steps.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "kernels.h"
#include "team.h"

namespace engine {

// Floats on a 64-byte border.
class Memory {
 public:
  explicit Memory(size_t floats = 0);
  float* data() const { return data_.get(); }

 private:
  struct Free {
    void operator()(float* data) const;
  };
  std::unique_ptr<float[], Free> data_;
};

// One convolution as the graph has it.
struct Layer {
  const float* weights;  // dense: [outputs][kernel_h][kernel_w][inputs]; depthwise: [kernel_h][kernel_w][channels]
  const float* bias;     // or null
  int outputs, kernel_h, kernel_w, inputs;
  int stride_h, stride_w, dilation_h, dilation_w, pad_top, pad_left;
  Activation activation;
};

// One link of a chain as the graph has it: a resize (places, fractions), a block (depthwise, project) or the last
// convolution to one channel (project).
struct ChainLink {
  Link link;
  int map;  // any map of its output's shape
  std::vector<int> places;
  std::vector<float> fractions;
  int plus;
  const Layer* depthwise;
  const Layer* project;
  bool residual;
  Activation after;
};

class Plan {
 public:
  explicit Plan(int threads);

  int add_map(int h, int w, int c, int lanes);  // the id of a new feature map
  void mark_input(int map);
  void mark_output(int map);

  void add_pointwise(const Layer& layer, int input, int output, int residual, const Activation& after, int scale);
  void add_convolution(const Layer& layer, int input, int output);
  void add_block(const Layer* expand, const Layer& depthwise, const Layer* project, int input, int output, int residual,
                 const Activation& after);
  void add_chain(int input, int output, const std::vector<ChainLink>& links);
  void add_constant(int map, const float* values);
  void add_binary(Arithmetic operation, int a, int b, int plus, int output, const Activation& after);
  void add_unary(Function function, int input, int output, const Activation& activation);
  void add_pool(bool average, int input, int output, std::pair<int, int> window, std::pair<int, int> stride,
                std::pair<int, int> pad, const Activation& after);
  void add_mean(int input, int plus, int output);
  void add_resize(int input, int plus, int output, const std::vector<int>& places, const std::vector<float>& fractions,
                  const Activation& after);
  void add_rearrange(int input, int output);
  void add_pad(int input, int output, int top, int left);
  void add_depth_to_space(int input, int output, int size);
  void add_copy(int input, int output, ptrdiff_t offset, ptrdiff_t run, ptrdiff_t stride, ptrdiff_t count);

  void finish();
  void run(const std::vector<const float*>& inputs, const std::vector<float*>& outputs, const Window& window);

  // Best seconds of each step since the last call, while profiling is on.
  void set_profiling(bool on) { profiling_ = on; }
  std::vector<std::pair<std::string, double>> take_profile();

  size_t arena_bytes() const { return arena_floats_ * sizeof(float); }
  size_t weight_bytes() const { return weight_floats_ * sizeof(float); }
  const char* instruction_set() const { return kernels_.name; }

 private:
  struct Step {
    std::string name;
    std::vector<int> maps;  // that it reads or writes
    std::function<void(const Frame&)> run;
    int phases;
    bool small;  // one part: sharing it would cost more than it is
    double best = 1e9;
  };

  const View& view(int map) const { return views_.at(size_t(map)); }
  float* keep(size_t floats);
  const Segment* keep(std::vector<Segment> segments);
  Matrix pack(const Layer& layer, std::vector<Segment> segments, const std::vector<int>& order);
  Sparse pack_sparse(const Layer& layer, int pixels);
  int add_planar(int channels, int pixels);
  bool add_sparse_block(const Layer* expand, const Layer& depthwise, const Layer* project, const Block& block,
                        std::vector<int> maps);
  Matrix pack_pointwise(const Layer& layer, ptrdiff_t block, int lanes);
  Convolution convolution(const Layer& layer, const View& input, const View& output);
  Resize resize(int input, int plus, int output, const std::vector<int>& places, const std::vector<float>& fractions,
                const Activation& after);
  Depthwise pack_depthwise(const Layer& layer, int lanes);
  // `work`: about how many multiplications.
  void add_step(std::string name, std::vector<int> maps, size_t scratch, double work,
                std::function<void(const Frame&)> run, int phases = 1);
  void place_maps();

  const Kernels& kernels_;
  Team team_;
  std::vector<View> views_;
  std::vector<int> inputs_, outputs_;
  std::vector<Step> steps_;
  std::deque<Memory> weights_;
  std::deque<std::vector<Segment>> segments_;
  std::deque<std::vector<int>> places_;
  std::deque<std::vector<int32_t>> lists_;
  std::deque<std::vector<ChainStage>> chains_;
  std::vector<std::pair<int, Memory>> constants_;
  size_t scratch_floats_ = 0, arena_floats_ = 0, weight_floats_ = 0;
  std::vector<Memory> maps_;  // one for all of them, each in its place
  std::vector<Memory> scratch_;
  std::vector<float*> data_;
  bool profiling_ = false;
};

const Kernels& best_kernels();  // for this machine; POSEMASK_ISA=portable|avx2|avx512 asks for lesser ones

}  // namespace engine
