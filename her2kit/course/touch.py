"""The five sliders of the notebooks: what one number changes in a picture, while it is moved.

Each is a `touch_widget.Touch`. What a step shows is computed by the rooms of the package that do it in
earnest.
"""

from her2kit.course.touch_cells import confidence, membrane_threshold, ten_percent_line
from her2kit.course.touch_pixels import mpp, stain_basis

__all__ = ["confidence", "membrane_threshold", "mpp", "stain_basis", "ten_percent_line"]
