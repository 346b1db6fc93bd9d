"""What the explorers share: a figure that shows itself, its bytes, and sliders."""

import io

import ipywidgets as widgets
from matplotlib.figure import Figure


class StillFigure(Figure):
    """A Figure that a notebook shows by itself; matplotlib arranges that only once pyplot has drawn something."""

    def _repr_png_(self):
        return to_png(self)


def to_png(figure):
    """Return a Figure as the bytes of a PNG file."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


def slider(name, smallest, largest, value=None, step=1):
    """Return a slider that starts at `value` (else `smallest`) and reports when it is let go.

    Whole steps give whole numbers.
    """
    kind = widgets.IntSlider if isinstance(step, int) else widgets.FloatSlider
    value = smallest if value is None else value
    return kind(value=value, min=smallest, max=largest, step=step, description=name, continuous_update=False)
