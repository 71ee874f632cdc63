// The Python face of the kernels: arrays in, the GIL let go, arrays out.
//
// Shapes and values are checked in posemask/pixels/native.py, which is the only caller.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include "axis.h"
#include "blur_plan.h"
#include "dispatch.h"
#include "sampling.h"

namespace nb = nanobind;
using namespace posemask;

namespace {

template <class T, std::size_t Axes>
using Array = nb::ndarray<T, nb::ndim<Axes>, nb::device::cpu>;
using Bytes = Array<std::uint8_t, 2>;
using ConstBytes = Array<const std::uint8_t, 2>;
using Picture = Array<std::uint8_t, 3>;
using ConstPicture = Array<const std::uint8_t, 3>;
using Floats = Array<float, 2>;
using ConstFloats = Array<const float, 2>;
using Map = nb::ndarray<const double, nb::shape<2, 3>, nb::c_contig, nb::device::cpu>;

template <class T, class... Rest>
Plane<T> plane(const nb::ndarray<T, Rest...>& array) {
    return {array.data(), static_cast<std::ptrdiff_t>(array.stride(0)), static_cast<int>(array.shape(0)),
            static_cast<int>(array.shape(1))};
}

template <class Out>
std::array<double, 9> matrix_of(const Map& image_from_crop, const Out& out) {
    return sampling_matrix(image_from_crop.data(), static_cast<int>(out.shape(0)), static_cast<int>(out.shape(1)));
}

template <class T>
void resize(Plane<const T> image, int channels, bool area, Plane<T> out) {
    const Axis down = make_axis(image.height, out.height, area), across = make_axis(image.width, out.width, area);
    std::vector<float> scratch(static_cast<std::size_t>(image.width) * channels);
    if constexpr (std::is_same_v<T, float>) {
        kernels().resize_f32(image, down.taps(), across.taps(), scratch.data(), out);
    } else {
        kernels().resize_u8(image, channels, down.taps(), across.taps(), scratch.data(), out);
    }
}

Border border_of(bool replicate) { return replicate ? Border::replicate : Border::zero; }

// Memory for a blur, kept per thread: some hundred kilobytes that would otherwise be fetched from the system for every
// picture.
void* scratch_for(int width, const BlurPlan& plan) {
    thread_local std::vector<unsigned char> memory;
    const std::size_t size = kernels().blur_scratch(width, plan);
    if (memory.size() < size) {
        memory.resize(size);
    }
    return memory.data();
}

}  // namespace

NB_MODULE(_pixels, m) {
    // Functions that run without the GIL.
    const auto define = [&m](const char* name, auto function) {
        m.def(name, function, nb::call_guard<nb::gil_scoped_release>());
    };

    m.def("levels", &available_levels);
    m.def("select_level", &select_level);
    m.def("level", [] { return kernels().name; });

    define("crop_u8", [](ConstPicture image, Map map, bool replicate, Picture out) {
        kernels().crop_u8(plane(image), matrix_of(map, out).data(), border_of(replicate), plane(out));
    });
    define("crop_f32", [](ConstPicture image, Map map, bool replicate, float scale, float offset, Array<float, 3> out) {
        kernels().crop_f32(plane(image), matrix_of(map, out).data(), border_of(replicate), scale, offset, plane(out));
    });
    define("paste_f32", [](ConstFloats mask, Map map, bool replicate, Floats out) {
        kernels().paste_f32(plane(mask), map.data(), border_of(replicate), plane(out));
    });
    define("paste_u8", [](ConstFloats mask, Map map, bool replicate, Bytes out) {
        kernels().paste_u8(plane(mask), map.data(), border_of(replicate), plane(out));
    });
    define("paste_bool", [](ConstFloats mask, Map map, bool replicate, Array<bool, 2> out) {
        kernels().paste_bool(plane(mask), map.data(), border_of(replicate), plane(out));
    });

    define("blend", [](ConstPicture foreground, ConstPicture background, ConstBytes alpha, Picture out) {
        kernels().blend(plane(foreground), plane(background), plane(alpha), plane(out));
    });
    define("join_alpha", [](ConstPicture image, ConstBytes alpha, Picture out) {
        kernels().join_alpha(plane(image), plane(alpha), plane(out));
    });

    m.attr("max_sigma") = kMaxBlurSigma;
    define("blur_picture", [](ConstPicture image, double sigma, bool replicate, Picture out) {
        const BlurPlan plan = plan_blur(sigma);
        const Plane<const std::uint8_t> from = plane(image);
        kernels().blur_u8(from, 3, plan, border_of(replicate), scratch_for(from.width, plan), plane(out));
    });
    define("blur_u8", [](ConstBytes image, double sigma, bool replicate, Bytes out) {
        const BlurPlan plan = plan_blur(sigma);
        const Plane<const std::uint8_t> from = plane(image);
        kernels().blur_u8(from, 1, plan, border_of(replicate), scratch_for(from.width, plan), plane(out));
    });
    define("blur_f32", [](ConstFloats image, double sigma, bool replicate, Floats out) {
        const BlurPlan plan = plan_blur(sigma);
        const Plane<const float> from = plane(image);
        kernels().blur_f32(from, plan, border_of(replicate), scratch_for(from.width, plan), plane(out));
    });
    nb::enum_<Side>(m, "Side")
        .value("both", Side::both)
        .value("background", Side::background)
        .value("foreground", Side::foreground);
    define("blend_blurred", [](ConstPicture image, ConstBytes alpha, double sigma, Side side, Picture out) {
        const BlurPlan plan = plan_blur(sigma);
        const Plane<const std::uint8_t> from = plane(image);
        kernels().blend_blurred(from, plane(alpha), side, plan, scratch_for(from.width, plan), plane(out));
    });

    define("resize_picture", [](ConstPicture image, bool area, Picture out) {
        resize(plane(image), static_cast<int>(image.shape(2)), area, plane(out));
    });
    define("resize_u8", [](ConstBytes image, bool area, Bytes out) { resize(plane(image), 1, area, plane(out)); });
    define("resize_f32", [](ConstFloats image, bool area, Floats out) { resize(plane(image), 1, area, plane(out)); });

    using Contiguous = nb::ndarray<float, nb::c_contig, nb::device::cpu>;
    using ConstContiguous = nb::ndarray<const float, nb::c_contig, nb::device::cpu>;
    define("to_bytes", [](ConstContiguous values, nb::ndarray<std::uint8_t, nb::c_contig, nb::device::cpu> out) {
        kernels().to_bytes(values.data(), values.size(), out.data());
    });
    define("sigmoid",
           [](ConstContiguous values, Contiguous out) { kernels().sigmoid(values.data(), out.data(), values.size()); });
    define("blend_masks", [](ConstContiguous current, ConstContiguous previous, float ratio, Contiguous out) {
        kernels().blend_masks(current.data(), previous.data(), ratio, current.size(), out.data());
    });
    m.attr("max_window") = kMaxHeatmapWindow;
    define("refine", [](ConstContiguous landmarks, ConstContiguous heatmap, int window, float crop_size,
                        float least_confidence, Contiguous xy) {
        const auto side = [&](int axis) { return static_cast<int>(heatmap.shape(axis)); };
        kernels().refine(landmarks.data(), heatmap.data(),
                         {side(0), side(1), side(2), window, crop_size, least_confidence}, xy.data());
    });
    m.attr("max_bones") = kMostBones;
    m.attr("bone_columns") = kBoneColumns;
    define("label_parts", [](Array<const bool, 2> person, ConstContiguous bones, std::uint8_t nobody, Bytes out) {
        const Plane<const bool> from = plane(person);
        kernels().label_parts({reinterpret_cast<const std::uint8_t*>(from.data), from.stride, from.height, from.width},
                              bones.data(), static_cast<int>(bones.shape(0)), nobody, plane(out));
    });
    define("draw_lines", [](Picture image, ConstContiguous xyxy,
                            nb::ndarray<const std::uint8_t, nb::c_contig, nb::device::cpu> colors,
                            ConstContiguous widths) {
        kernels().draw_lines(plane(image), xyxy.data(), colors.data(), widths.data(), static_cast<int>(widths.size()));
    });
}
