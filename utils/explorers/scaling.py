"""How far data parallelism scales, to explore: the network, the batch, the GPU, the links between GPUs.

A model and not a measurement. Its assumptions are those of lesson 12, which says where each comes from.
"""

import ipywidgets as widgets

from utils.explorers.common import StillFigure, slider, to_png

LINKS = {"NVLink 4": (450e9, 5e-6), "PCIe 4.0": (31.5e9, 10e-6), "10 Gbit/s Ethernet": (1.25e9, 50e-6)}
LOOKS = {"NVLink 4": ("#0173b2", "o"), "PCIe 4.0": ("#de8f05", "s"), "10 Gbit/s Ethernet": ("#029e73", "^")}
NETWORKS = {  # parameters, multiply-adds for an image
    "ResNet-50": (25.6e6, 4.1e9),
    "VGG-16": (138.4e6, 15.5e9),
    "lesson 08's": (0.5e6, 34e6),
}
BATCHES = {"shared by all": True, "one for each": False}
NUMBERS = {"float32": 4, "bfloat16": 2}
COUNTS = (1, 2, 4, 8, 16, 32, 64, 128, 256)


def compute_seconds(network, images, teraflops):
    """Return the seconds that one GPU computes for a step: a multiply-add is two operations, backward twice forward.

    Raises ValueError, naming the setting, for what makes no sense.
    """
    if network not in NETWORKS:
        raise ValueError(f"network must be one of {', '.join(NETWORKS)}, but it is {network!r}")
    for name, value in {"images": images, "teraflops": teraflops}.items():
        if not value > 0:
            raise ValueError(f"{name} must be above 0, but it is {value}")
    return images * 6 * NETWORKS[network][1] / (1e12 * teraflops)


def sending_seconds(n, num_bytes, bandwidth, latency):
    """Return the seconds of a ring all-reduce of so many bytes among n processes."""
    return 2 * (n - 1) / n * num_bytes / bandwidth + 2 * (n - 1) * latency


def efficiency(n, compute, sending, shared=True, overlap=False):
    """Return the share (0..1) of n GPUs' time that does the work of one.

    The batch is `shared` by all, or each GPU has one of its own. With `overlap`, sending hides behind the backward
    pass, two thirds of the computing, as well as it ever could; without it, they take turns.
    """
    own = compute / n if shared else compute
    taken = own / 3 + max(2 * own / 3, sending) if overlap else own + sending
    return own / taken


def efficiencies(network, images, teraflops, shared, number_bytes, latency, most):
    """Return {link: [(n, efficiency without overlap, with the best overlap), …]} for n = 1, 2, 4 … up to `most`."""
    compute, num_bytes = compute_seconds(network, images, teraflops), number_bytes * NETWORKS[network][0]
    found = {}
    for link, (bandwidth, delay) in LINKS.items():
        rows = []
        for n in (n for n in COUNTS if n <= most):
            sending = sending_seconds(n, num_bytes, bandwidth, latency * delay)
            rows.append((n, *(efficiency(n, compute, sending, shared, overlap) for overlap in (False, True))))
        found[link] = rows
    return found


def describe(found):
    """Return in words what the largest number of GPUs is worth over each link."""
    parts = []
    for link, rows in found.items():
        n, low, high = rows[-1]
        parts.append(f"{link} {low * n:.1f} to {high * n:.1f}")
    return f"{rows[-1][0]} GPUs are worth, in GPUs: {' · '.join(parts)}"


def draw_scaling(
    network="ResNet-50", images=256, teraflops=60, shared=True, number_bytes=4, latency=1, most=64, figure=None
):
    """Draw the efficiency against the number of GPUs for three links, without overlap (dashed) and with the best.

    `images` are those of a step, of all GPUs together where the batch is `shared`, else of each. A GPU keeps up
    `teraflops` · 10¹² operations a second; `number_bytes` hold a number of the gradient; `latency` multiplies the
    links' latencies; `most` is the largest number of GPUs. Returns the Figure (a new one, unless an empty one is
    given). Raises ValueError, naming the setting, for what makes no sense.
    """
    if most < 2 or latency < 0 or number_bytes <= 0:
        raise ValueError(
            f"most must be at least 2, latency not negative and number_bytes above 0: got {most}, {latency}, "
            f"{number_bytes}"
        )
    found = efficiencies(network, images, teraflops, shared, number_bytes, latency, most)
    figure = figure or StillFigure(figsize=(11, 4.4), dpi=80, layout="constrained", facecolor="white")
    ax = figure.add_subplot()
    for link, rows in found.items():
        counts, low, high = zip(*rows)
        colour, marker = LOOKS[link]
        ax.fill_between(counts, low, high, color=colour, alpha=0.12, linewidth=0)
        ax.plot(counts, low, color=colour, linestyle="--", linewidth=2)
        ax.plot(counts, high, color=colour, marker=marker, linewidth=2.5, label=link)
    ax.set_xscale("log", base=2)
    ax.set_xticks(counts, [str(n) for n in counts])
    ax.set_ylim(0, 1.05)
    ax.tick_params(labelsize=13)
    ax.set_xlabel("GPUs", fontsize=14)
    ax.set_ylabel("efficiency (1 = nothing lost)", fontsize=14)
    whose = "shared by all" if shared else "for each GPU"
    ax.set_title(f"{network}, {images} images {whose}; a model, not a measurement", fontsize=14)
    figure.legend(loc="outside right center", fontsize=13, title="solid: best overlap\ndashed: none", title_fontsize=12)
    ax.spines[["top", "right"]].set_visible(False)
    return figure


class ScalingExplorer(widgets.VBox):
    """Controls over a picture drawn by draw_scaling; `found` holds the efficiencies shown."""

    def __init__(self):
        self.network = widgets.Dropdown(options=list(NETWORKS), description="network")
        self.batch = widgets.ToggleButtons(options=list(BATCHES), description="batch")
        self.number = widgets.ToggleButtons(options=list(NUMBERS), description="gradient in")
        self.images = slider("images", 32, 2048, 256, 32)
        self.teraflops = slider("Tflop/s", 10, 400, 60, 10)
        self.latency = slider("latency ×", 0, 20, 1)
        self.most = widgets.Dropdown(options=COUNTS[1:], value=64, description="GPUs up to")
        self.sentence = widgets.HTML()
        self.picture = widgets.Image(format="png", layout=widgets.Layout(max_width="100%"))
        controls = [self.network, self.batch, self.number, self.images, self.teraflops, self.latency, self.most]
        wrapped = widgets.HBox(controls, layout=widgets.Layout(flex_flow="row wrap"))
        super().__init__([wrapped, self.sentence, self.picture])
        for control in controls:
            control.observe(self.redraw, names="value")
        self.redraw()

    def redraw(self, change=None):
        """Draw the present settings."""
        settings = {
            "network": self.network.value,
            "images": self.images.value,
            "teraflops": self.teraflops.value,
            "shared": BATCHES[self.batch.value],
            "number_bytes": NUMBERS[self.number.value],
            "latency": self.latency.value,
            "most": self.most.value,
        }
        self.found = efficiencies(**settings)
        self.sentence.value = describe(self.found)
        self.picture.value = to_png(draw_scaling(**settings))


def explore_scaling():
    """Return an explorer of the scaling model; a cell that ends on it shows it. The still one is draw_scaling."""
    return ScalingExplorer()
