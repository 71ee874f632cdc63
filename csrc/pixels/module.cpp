// The Python face of the kernels: arrays in, the GIL let go, arrays out.
//
// Shapes and values are checked in posemask/pixels/native.py, which is the only caller.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include "dispatch.h"
#include "sampling.h"

namespace nb = nanobind;
using namespace posemask;

namespace {

template <class T, class Axes>
using Array = nb::ndarray<T, Axes, nb::device::cpu>;
using Picture = Array<const std::uint8_t, nb::ndim<3>>;
using Map = nb::ndarray<const double, nb::shape<2, 3>, nb::c_contig, nb::device::cpu>;

template <class T, class Axes>
Plane<T> plane(const Array<T, Axes>& array) {
    return {array.data(), static_cast<std::ptrdiff_t>(array.stride(0)), static_cast<int>(array.shape(0)), static_cast<int>(array.shape(1))};
}

template <class T>
std::array<double, 9> matrix_of(const Map& image_from_crop, const Array<T, nb::ndim<3>>& out) {
    return sampling_matrix(image_from_crop.data(), static_cast<int>(out.shape(0)), static_cast<int>(out.shape(1)));
}

Border border_of(bool replicate) { return replicate ? Border::replicate : Border::zero; }

}  // namespace

NB_MODULE(_pixels, m) {
    using nb::arg;
    const auto no_gil = nb::call_guard<nb::gil_scoped_release>();

    m.def("levels", &available_levels);
    m.def("select_level", &select_level);
    m.def("level", [] { return kernels().name; });

    m.def("crop_u8", [](Picture image, Map map, bool replicate, Array<std::uint8_t, nb::ndim<3>> out) {
        kernels().crop_u8(plane(image), matrix_of(map, out).data(), border_of(replicate), plane(out));
    }, no_gil);
    m.def("crop_f32", [](Picture image, Map map, bool replicate, float scale, float offset, Array<float, nb::ndim<3>> out) {
        kernels().crop_f32(plane(image), matrix_of(map, out).data(), border_of(replicate), scale, offset, plane(out));
    }, no_gil);
    m.def("paste_f32", [](Array<const float, nb::ndim<2>> mask, Map map, bool replicate, Array<float, nb::ndim<2>> out) {
        kernels().paste_f32(plane(mask), map.data(), border_of(replicate), plane(out));
    }, no_gil);
    m.def("paste_u8", [](Array<const float, nb::ndim<2>> mask, Map map, bool replicate, Array<std::uint8_t, nb::ndim<2>> out) {
        kernels().paste_u8(plane(mask), map.data(), border_of(replicate), plane(out));
    }, no_gil);
    m.def("sigmoid", [](nb::ndarray<const float, nb::c_contig, nb::device::cpu> in, nb::ndarray<float, nb::c_contig, nb::device::cpu> out) {
        kernels().sigmoid(in.data(), out.data(), in.size());
    }, no_gil);
}
