"""Masks and poses made visible: pure functions from a picture and results to a new picture.

Pictures are (H, W, 3) uint8 RGB and stay as they are; every function returns a new array. Two families:

- The renderers of TensorFlow.js ``body-segmentation``, with its semantics to the pixel: `to_binary_mask`,
  `to_colored_mask`, `draw_mask`, `draw_pixelated_mask`, `draw_bokeh_effect`, `blur_body_part`.
- Our own, made to look well: `blur_background`, `replace_background` (with `fit_background`), `cut_out`,
  `draw_parts`, `blur_parts`, `draw_skeleton`.
"""

from .backgrounds import blur_background, cut_out, fit_background, replace_background
from .masks import bodypix_mask_value_to_rainbow_color, to_binary_mask, to_colored_mask
from .parts import blur_parts, draw_parts
from .renderers import blur_body_part, draw_bokeh_effect, draw_mask, draw_pixelated_mask
from .skeletons import draw_skeleton

__all__ = [
    "blur_background",
    "blur_body_part",
    "blur_parts",
    "bodypix_mask_value_to_rainbow_color",
    "cut_out",
    "draw_bokeh_effect",
    "draw_mask",
    "draw_parts",
    "draw_pixelated_mask",
    "draw_skeleton",
    "fit_background",
    "replace_background",
    "to_binary_mask",
    "to_colored_mask",
]
