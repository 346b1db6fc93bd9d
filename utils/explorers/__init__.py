"""The interactive figures. Each explorer has a still equivalent, for GitHub, print and screen readers.

They use only what ipywidgets 7 and 8 share, and draw without pyplot: no figure is left open or shown twice.
"""

import importlib

PLACES = {
    "draw_convolution": "convolution",
    "explore_convolution": "convolution",
    "draw_mixture": "channels",
    "explore_mixture": "channels",
    "draw_pooling": "pooling",
    "explore_pooling": "pooling",
    "alter": "digit",
    "draw_digit": "digit",
    "draw_until_it_fails": "digit",
    "explore_digit": "digit",
    "draw_explanation": "maps",
    "explore_maps": "maps",
    "draw_scaling": "scaling",
    "explore_scaling": "scaling",
    "upload_folder": "upload",
}


def __getattr__(name):
    """Load an explorer's module when it is first asked for: lesson 01 need not wait for TorchVision."""
    if name not in PLACES:
        raise AttributeError(f"utils.explorers has no {name}; it has {', '.join(PLACES)}")
    return getattr(importlib.import_module(f"utils.explorers.{PLACES[name]}"), name)
