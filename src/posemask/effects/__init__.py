"""Masks and poses made visible: pure functions from a picture and results to a new picture.

Pictures are (H, W, 3) uint8 RGB and stay as they are; every function returns a new array. Two families:

- The renderers of TensorFlow.js ``body-segmentation``, with its semantics to the pixel: `to_binary_mask`,
  `to_colored_mask`, `draw_mask`, `draw_pixelated_mask`, `draw_bokeh_effect`, `blur_body_part`.
- Our own, which use the soft mask as it is: `blur_background`, `replace_background`, `cut_out`, `draw_parts`,
  `draw_skeleton`.
"""

from .masks import bodypix_mask_value_to_rainbow_color, to_binary_mask, to_colored_mask

__all__ = [
    "bodypix_mask_value_to_rainbow_color",
    "to_binary_mask",
    "to_colored_mask",
]
