// posemask._engine: the plan of a network, built and run from Python (posemask.runtimes.native).
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <optional>

#include "plan.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace {

using engine::Activation;
using engine::Curve;
using engine::Layer;
using engine::Plan;

using Floats = nb::ndarray<const float, nb::c_contig, nb::device::cpu>;
using Output = nb::ndarray<float, nb::c_contig, nb::device::cpu>;
using Pair = std::pair<int, int>;

Activation activation_of(const std::string& name) {
  if (name == "none") return {};
  if (name == "relu") return {Curve::clamp, 0.0f, 3.402823466e38f};
  if (name == "relu6") return {Curve::clamp, 0.0f, 6.0f};
  if (name == "hard_swish") return {Curve::hard_swish, 0.0f, 0.0f};
  throw nb::value_error(("unknown activation " + name).c_str());
}

// A layer together with the arrays that it points into; it is only needed until the plan has packed them.
struct LayerArrays {
  Floats weights;
  std::optional<Floats> bias;
  Layer layer;
};

LayerArrays make_layer(Floats weights, std::optional<Floats> bias, const std::string& activation, Pair stride,
                       Pair dilation, Pair pad) {
  if (weights.ndim() != 4) throw nb::value_error("weights must have four dimensions");
  Layer layer{};
  layer.weights = weights.data();
  layer.bias = bias ? bias->data() : nullptr;
  layer.outputs = int(weights.shape(0));
  layer.kernel_h = int(weights.shape(1));
  layer.kernel_w = int(weights.shape(2));
  layer.inputs = int(weights.shape(3));
  layer.stride_h = stride.first;
  layer.stride_w = stride.second;
  layer.dilation_h = dilation.first;
  layer.dilation_w = dilation.second;
  layer.pad_top = pad.first;
  layer.pad_left = pad.second;
  layer.activation = activation_of(activation);
  return {std::move(weights), std::move(bias), layer};
}

LayerArrays make_depthwise(Floats weights, std::optional<Floats> bias, const std::string& activation, Pair stride,
                           Pair dilation, Pair pad) {
  LayerArrays arrays = make_layer(std::move(weights), std::move(bias), activation, stride, dilation, pad);
  arrays.layer.outputs = arrays.layer.inputs;
  return arrays;
}

// A link as Python gives it; it keeps its layers' arrays.
struct LinkArrays {
  engine::ChainLink link;
  std::optional<LayerArrays> depthwise, project;
};

const Layer* pointer(const std::optional<LayerArrays>& arrays) { return arrays ? &arrays->layer : nullptr; }

}  // namespace

NB_MODULE(_engine, m) {
  m.doc() = "The CPU network engine. Use posemask.runtimes.native.";
  m.def("instruction_set", [] { return std::string(engine::best_kernels().name); });

  nb::class_<LayerArrays>(m, "Layer");
  m.def("dense", &make_layer, "weights"_a, "bias"_a.none(), "activation"_a, "stride"_a, "dilation"_a, "pad"_a);
  m.def("depthwise", &make_depthwise, "weights"_a, "bias"_a.none(), "activation"_a, "stride"_a, "dilation"_a, "pad"_a);

  nb::class_<LinkArrays>(m, "Link");
  m.def("resize_link",
        [](int map, int plus, std::vector<int> places, std::vector<float> fractions, const std::string& after) {
          return LinkArrays{{engine::Link::resize, map, std::move(places), std::move(fractions), plus, nullptr, nullptr,
                             false, activation_of(after)},
                            std::nullopt,
                            std::nullopt};
        },
        "map"_a, "plus"_a, "places"_a, "fractions"_a, "after"_a);
  m.def("block_link",
        [](int map, const LayerArrays& depthwise, const LayerArrays& project, bool residual, const std::string& after) {
          return LinkArrays{
              {engine::Link::block, map, {}, {}, -1, nullptr, nullptr, residual, activation_of(after)}, depthwise, project};
        },
        "map"_a, "depthwise"_a, "project"_a, "residual"_a, "after"_a);
  m.def("last_link",
        [](int map, const LayerArrays& project) {
          return LinkArrays{{engine::Link::last, map, {}, {}, -1, nullptr, nullptr, false, project.layer.activation},
                            std::nullopt,
                            project};
        },
        "map"_a, "project"_a);

  nb::class_<Plan>(m, "Plan")
      .def(nb::init<int>(), "threads"_a)
      .def("map", &Plan::add_map, "height"_a, "width"_a, "channels"_a, "lanes"_a)
      .def("input", &Plan::mark_input)
      .def("output", &Plan::mark_output)
      .def("pointwise",
           [](Plan& plan, const LayerArrays& layer, int input, int output, int residual, const std::string& after,
              int scale) { plan.add_pointwise(layer.layer, input, output, residual, activation_of(after), scale); },
           "layer"_a, "input"_a, "output"_a, "residual"_a = -1, "after"_a = "none", "scale"_a = -1)
      .def("convolution",
           [](Plan& plan, const LayerArrays& layer, int input, int output) {
             plan.add_convolution(layer.layer, input, output);
           },
           "layer"_a, "input"_a, "output"_a)
      .def("block",
           [](Plan& plan, const std::optional<LayerArrays>& expand, const LayerArrays& depthwise,
              const std::optional<LayerArrays>& project, int input, int output, int residual,
              const std::string& after) {
             plan.add_block(pointer(expand), depthwise.layer, pointer(project), input, output, residual,
                            activation_of(after));
           },
           "expand"_a.none(), "depthwise"_a, "project"_a.none(), "input"_a, "output"_a, "residual"_a = -1,
           "after"_a = "none")
      .def("chain",
           [](Plan& plan, int input, int output, const std::vector<LinkArrays>& arrays) {
             std::vector<engine::ChainLink> links;
             for (const LinkArrays& a : arrays) {
               links.push_back(a.link);
               links.back().depthwise = pointer(a.depthwise);
               links.back().project = pointer(a.project);
             }
             plan.add_chain(input, output, links);
           },
           "input"_a, "output"_a, "links"_a)
      .def("constant", [](Plan& plan, int map, const Floats& values) { plan.add_constant(map, values.data()); })
      .def("arithmetic",
           [](Plan& plan, const std::string& name, int a, int b, int plus, int output, const std::string& after) {
             const char* names[] = {"add", "sub", "mul", "maximum", "minimum"};
             for (int i = 0; i < 5; ++i)
               if (name == names[i])
                 return plan.add_binary(engine::Arithmetic(i), a, b, plus, output, activation_of(after));
             throw nb::value_error(("unknown arithmetic " + name).c_str());
           },
           "name"_a, "a"_a, "b"_a, "plus"_a, "output"_a, "after"_a = "none")
      .def("activation",
           [](Plan& plan, const std::string& name, int input, int output) {
             if (name == "sigmoid") return plan.add_unary(engine::Function::sigmoid, input, output, {});
             plan.add_unary(engine::Function::activation, input, output, activation_of(name));
           })
      .def("pool",
           [](Plan& plan, bool average, int input, int output, Pair window, Pair stride, Pair pad,
              const std::string& after) {
             plan.add_pool(average, input, output, window, stride, pad, activation_of(after));
           },
           "average"_a, "input"_a, "output"_a, "window"_a, "stride"_a, "pad"_a, "after"_a = "none")
      .def("mean", &Plan::add_mean, "input"_a, "plus"_a, "output"_a)
      .def("resize",
           [](Plan& plan, int input, int plus, int output, const std::vector<int>& places,
              const std::vector<float>& fractions, const std::string& after) {
             plan.add_resize(input, plus, output, places, fractions, activation_of(after));
           },
           "input"_a, "plus"_a, "output"_a, "places"_a, "fractions"_a, "after"_a = "none")
      .def("rearrange", &Plan::add_rearrange, "input"_a, "output"_a)
      .def("pad", &Plan::add_pad, "input"_a, "output"_a, "top"_a, "left"_a)
      .def("depth_to_space", &Plan::add_depth_to_space, "input"_a, "output"_a, "size"_a)
      .def("copy", &Plan::add_copy, "input"_a, "output"_a, "offset"_a, "run"_a, "stride"_a, "count"_a)
      .def("finish", &Plan::finish)
      .def("run",
           [](Plan& plan, const std::vector<Floats>& inputs, const std::vector<Output>& outputs, Pair rows,
              Pair columns) {
             std::vector<const float*> in;
             std::vector<float*> out;
             for (const Floats& array : inputs) in.push_back(array.data());
             for (const Output& array : outputs) out.push_back(array.data());
             nb::gil_scoped_release released;
             plan.run(in, out, {rows.first, rows.second, columns.first, columns.second});
           },
           "inputs"_a, "outputs"_a, "rows"_a, "columns"_a)
      .def("profiling", &Plan::set_profiling)
      .def("profile", &Plan::take_profile)
      .def_prop_ro("arena_bytes", &Plan::arena_bytes)
      .def_prop_ro("weight_bytes", &Plan::weight_bytes);
}
