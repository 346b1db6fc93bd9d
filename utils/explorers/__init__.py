"""The interactive figures. Each explorer has a still equivalent, for GitHub, print and screen readers.

They use only what ipywidgets 7 and 8 share, and draw without pyplot: no figure is left open or shown twice.
"""

from utils.explorers.convolution import draw_convolution, explore_convolution
from utils.explorers.digit import alter, draw_digit, draw_until_it_fails, explore_digit

__all__ = ["alter", "draw_convolution", "draw_digit", "draw_until_it_fails", "explore_convolution", "explore_digit"]
