"""What lesson 09 needs of utils/plotting.py, beside what is there."""

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns

from utils.plotting import make_grid, show_images


def show_maps(images, maps, panel_size=1.4):
    """Show images (N, C, H, W) in a row, and below them a row for each {name: maps (N, H, W)}. Returns the axes.

    Each map has its own scale, up to its strongest half per cent: dark where it is zero if it is never negative,
    else white, with red for positive numbers and blue for negative ones.
    """
    rows = len(maps) + 1
    axes = make_grid(rows * len(images), len(images), panel_size).reshape(rows, len(images))
    show_images(images, axes=axes[0])
    for row, (name, group) in zip(axes[1:], maps.items()):
        group = group.detach().cpu().numpy()
        signed = group.min() < 0
        for ax, grid in zip(row, group):
            limit = float(np.quantile(np.abs(grid), 0.995)) or 1.0
            ax.imshow(grid, cmap="RdBu_r" if signed else "magma", vmin=-limit if signed else 0, vmax=limit)
            ax.set(xticks=[], yticks=[])
        row[0].set_ylabel(name, rotation=0, ha="right", va="center")
    return axes


def show_kernels(kernels, columns=16, panel_size=0.6):
    """Show kernels (N, 3, H, W) as small colour images, each stretched to 0..1 by itself. Returns the axes."""
    low, high = kernels.amin(dim=(1, 2, 3), keepdim=True), kernels.amax(dim=(1, 2, 3), keepdim=True)
    return show_images((kernels - low) / (high - low), columns=columns, panel_size=panel_size)


def plot_embedding(points, labels, classes, ax, title=None):
    """Draw points (N, 2), each coloured by its class, with the classes' names beside them. Returns the axes."""
    colours = sns.color_palette("colorblind", len(classes))
    for index, name in enumerate(classes):
        ax.scatter(*points[np.asarray(labels) == index].T, s=9, color=colours[index], label=name)
    ax.set(title=title or "", xticks=[], yticks=[])
    ax.legend(loc="center left", bbox_to_anchor=(1, 0.5), markerscale=2.5, frameon=False)
    return ax


def plot_dots(values, ax, ylabel, chance=None):
    """Draw {name: numbers} as columns of dots with a bar at each mean; `chance` is a dashed line. Returns the axes."""
    for place, numbers in enumerate(values.values()):
        ax.plot([place] * len(numbers), numbers, "o", color="C0", alpha=0.4, markersize=5)
        ax.plot([place - 0.3, place + 0.3], [np.mean(numbers)] * 2, color="C3", linewidth=2.5)
    if chance is not None:
        ax.axhline(chance, color="0.5", linestyle="--", label="chance")
        ax.legend()
    ax.set(ylabel=ylabel, xticks=range(len(values)), xticklabels=list(values))
    ax.grid(True, axis="y", alpha=0.4)
    return ax


def plot_lines(values, ticks, xlabel, ylabel, ax=None):
    """Draw {name: numbers} as lines over the names in `ticks`. Returns the axes."""
    if ax is None:
        _, ax = plt.subplots(figsize=(8, 3.8))
    for (name, numbers), marker in zip(values.items(), "os^Dvp*X"):
        ax.plot(range(len(ticks)), numbers, marker=marker, label=name)
    ax.set(xlabel=xlabel, ylabel=ylabel, xticks=range(len(ticks)), xticklabels=ticks)
    ax.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
    ax.grid(True, alpha=0.4)
    return ax
