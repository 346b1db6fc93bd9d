"""Figures in one style. Every function draws on the axes it is given, or makes its own, and returns them."""

import json
import math
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
import torch


def set_style():
    """Set the course's look: colour-blind-safe colours, letters that can be read from the back of a room."""
    sns.set_theme(context="notebook", style="whitegrid", palette="colorblind", font_scale=1.05)
    plt.rcParams.update({"figure.dpi": 80, "figure.constrained_layout.use": True, "image.cmap": "gray"})
    plt.rcParams.update({"axes.titlesize": "medium", "axes.grid": False, "figure.figsize": (7, 4)})


def to_displayable(image):
    """Return an image tensor or array as matplotlib wants it: (H, W) for grey, (H, W, 3) for colour.

    Accepts (H, W), (1, H, W), (3, H, W) and (H, W, 3). Raises ValueError for any other shape.
    """
    array = image.detach().cpu().numpy() if isinstance(image, torch.Tensor) else np.asarray(image)
    if array.ndim == 3 and array.shape[0] in (1, 3):
        array = array.transpose(1, 2, 0)
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    if array.ndim == 2 or (array.ndim == 3 and array.shape[2] == 3):
        return array
    raise ValueError(f"expected one image of shape (H, W), (1, H, W) or (3, H, W), got {tuple(array.shape)}")


def make_grid(count, columns, panel_size):
    """Return `count` axes in rows of `columns`, each panel_size inches wide; the unused ones are hidden."""
    columns = max(1, min(columns, count))
    rows = math.ceil(count / columns)
    size = (columns * panel_size, rows * panel_size * 1.1)
    _, axes = plt.subplots(rows, columns, figsize=size, squeeze=False)
    for ax in axes.flat[count:]:
        ax.set_axis_off()
    return axes.flat[:count]


def show_images(images, titles=None, columns=10, panel_size=1.1, axes=None, **imshow):
    """Show images (N, C, H, W) or a list of them side by side, with a title each. Returns the axes.

    Grey images share one scale from 0 to their common maximum unless vmin and vmax are given.
    """
    images = [to_displayable(image) for image in images]
    if axes is None:
        axes = make_grid(len(images), columns, panel_size)
    if "vmin" not in imshow:
        imshow.setdefault("vmax", max(float(image.max()) for image in images))
        imshow["vmin"] = min(0.0, *(float(image.min()) for image in images))
    for i, (ax, image) in enumerate(zip(axes, images)):
        ax.imshow(image, **imshow)
        ax.set_xticks([])
        ax.set_yticks([])
        if titles is not None:
            ax.set_title(str(titles[i]))
    return axes


def show_activations(maps, titles=None, columns=4, panel_size=2.4, axes=None):
    """Show activation maps with a diverging scale: red positive, blue negative, white zero. Returns the axes.

    Each map has its own scale, so that a weak map can be seen too; the strongest half per cent is saturated.
    """
    maps = [to_displayable(activation_map) for activation_map in maps]
    if axes is None:
        axes = make_grid(len(maps), columns, panel_size)
    for i, (ax, activation_map) in enumerate(zip(axes, maps)):
        limit = float(np.quantile(np.abs(activation_map), 0.995)) or 1.0
        ax.imshow(activation_map, cmap="RdBu_r", vmin=-limit, vmax=limit)
        ax.set_xticks([])
        ax.set_yticks([])
        if titles is not None:
            ax.set_title(str(titles[i]))
    return axes


def show_numbers(grid, ax=None, title=None, cmap="Greys", decimals=None, vmin=None, vmax=None):
    """Draw a small 2-D grid with its numbers written in the cells. Returns the axes.

    vmin and vmax are the ends of the colour scale. A diverging `cmap` ("RdBu_r") is centred on zero and kept
    pale, so that the numbers stay legible; vmax is then the largest number, up or down, of all grids that share it.
    """
    grid = to_displayable(grid)
    if ax is None:
        _, ax = plt.subplots(figsize=(0.55 * grid.shape[1] + 0.4, 0.55 * grid.shape[0] + 0.6))
    if decimals is None:
        decimals = 0 if np.allclose(grid, np.round(grid)) else 2
    grid = np.round(grid, decimals) + 0.0  # adding zero turns -0.0 into 0.0
    if cmap.startswith("RdBu"):
        vmax = 1.7 * (vmax or float(np.abs(grid).max()) or 1.0)
        vmin = -vmax
    sns.heatmap(
        grid, annot=True, fmt=f".{decimals}f", ax=ax, cmap=cmap, cbar=False, square=True, linewidths=1,
        linecolor="0.6", xticklabels=False, yticklabels=False, vmin=vmin, vmax=vmax,
    )  # fmt: skip
    ax.set_title(title or "")
    return ax


def plot_history(history, axes=None):
    """Plot what `fit` returned by epoch: losses left, validation accuracy right. Returns both axes."""
    if axes is None:
        _, axes = plt.subplots(1, 2, figsize=(9, 3.4))
    epochs = range(1, len(history["train_loss"]) + 1)
    axes[0].plot(epochs, history["train_loss"], "o-", label="training (running mean)")
    axes[0].plot(epochs, history["validation_loss"], "s--", label="validation (after the epoch)")
    axes[0].set(xlabel="epoch", ylabel="cross-entropy loss", ylim=(0, None))
    axes[0].legend()
    axes[1].plot(epochs, [100 * accuracy for accuracy in history["validation_accuracy"]], "s--", color="C1")
    axes[1].set(xlabel="epoch", ylabel="validation accuracy (%)")
    for ax in axes:
        ax.xaxis.get_major_locator().set_params(integer=True)
        ax.grid(True, alpha=0.4)
    return axes


def plot_confusion(matrix, classes, ax=None):
    """Draw a confusion matrix of counts, true classes by row; only mistakes are coloured. Returns the axes."""
    matrix = np.asarray(matrix)
    if ax is None:
        _, ax = plt.subplots(figsize=(7, 5.6))
    mistakes = matrix - np.diag(np.diag(matrix))  # the diagonal would drown the mistakes
    sns.heatmap(mistakes, ax=ax, annot=matrix, fmt="d", cmap="Oranges", cbar=False, square=True,
                linewidths=0.5, linecolor="0.85", xticklabels=classes, yticklabels=classes,
                annot_kws={"size": 10})  # fmt: skip
    ax.set(xlabel="predicted class", ylabel="true class")
    ax.tick_params(axis="y", rotation=0)
    return ax


def load_results(name):
    """Return what `make ledger` measured under this name (tests/results/ledger.json), as a dict.

    Raises FileNotFoundError or KeyError with the command that measures it.
    """
    path = Path(__file__).resolve().parent.parent / "tests" / "results" / "ledger.json"
    if not path.is_file():
        raise FileNotFoundError(f"{path.name} is missing: `make ledger` measures it and writes it")
    results = json.loads(path.read_text(encoding="utf-8"))
    if name not in results:
        raise KeyError(f"{path.name} holds {', '.join(results)}, not {name}: `make ledger` measures it")
    return results[name]


def plot_sweep(results, ax=None):
    """Plot accuracy against learning rate, a line an optimiser with the range over its seeds. Returns the axes."""
    if ax is None:
        _, ax = plt.subplots()
    names = dict.fromkeys(run["optimizer"] for run in results["runs"])  # in the order in which they were measured
    for name, marker in zip(names, "os^D"):
        by_lr = {}
        for run in results["runs"]:
            if run["optimizer"] == name:
                by_lr.setdefault(run["lr"], []).append(100 * run["validation_accuracy"])
        lrs = sorted(by_lr)
        ax.plot(lrs, [np.mean(by_lr[lr]) for lr in lrs], marker + "-", label=name)
        ax.fill_between(lrs, [min(by_lr[lr]) for lr in lrs], [max(by_lr[lr]) for lr in lrs], alpha=0.2)
    ax.set(
        xscale="log",
        xlabel="learning rate",
        ylabel="validation accuracy (%)",
        title=f"{results['source']}: {results['about']}",
    )
    ax.legend()
    return ax


def plot_ranges(results, x, ax=None, split="validation"):
    """Plot accuracy against `x` ("lr", "batch_size" …), a line a network with the range over its seeds.

    `results` is what load_results returns; its runs have the keys network, x, and validation_accuracy (train_accuracy
    for the split "train"). A network that was measured at one place, because x means nothing to it, is drawn as a
    dashed level. Returns the axes.
    """
    if ax is None:
        _, ax = plt.subplots()
    for i, name in enumerate(dict.fromkeys(run["network"] for run in results["runs"])):
        runs = [run for run in results["runs"] if run["network"] == name]
        places = sorted({run[x] for run in runs})
        scores = [[100 * run[f"{split}_accuracy"] for run in runs if run[x] == place] for place in places]
        if len(places) == 1:
            ax.axhline(np.mean(scores), color=f"C{i}", linestyle="--", label=name)
            continue
        ax.plot(places, [np.mean(values) for values in scores], "os^D"[i] + "-", color=f"C{i}", label=name)
        ax.fill_between(
            places, [min(values) for values in scores], [max(values) for values in scores], color=f"C{i}", alpha=0.2
        )
    title = f"{results['source']}: {results['about']}"
    name = {"train": "training"}.get(split, split)
    ax.set(xscale="log", ylabel=f"{name} accuracy (%)", title=title)
    places = sorted({run[x] for run in results["runs"]})
    if places[-1] < 100 * places[0]:  # a short logarithmic scale: mark what was measured, not the powers of ten
        ax.set_xticks(places, [f"{place:g}" for place in places])
        ax.minorticks_off()
    ax.legend()
    return ax


def plot_runs(results, ax=None, measure="validation_accuracy"):
    """Plot the scores of runs, a row a name: a dot a seed, a bar at their mean, and the mean in numbers at the right.

    `results` is what load_results returns; its runs have the keys name, `measure` ("validation_accuracy",
    "validation_loss" …) and, where the images trained on were scored too, train_accuracy: hollow dots beside the
    validation accuracies. Returns the axes.
    """
    runs, is_accuracy = results["runs"], measure.endswith("accuracy")
    factor, digits = (100, 1) if is_accuracy else (1, 2)
    names = list(dict.fromkeys(run["name"] for run in runs))
    if ax is None:
        _, ax = plt.subplots(figsize=(9.5, 0.42 * len(names) + 1.3))
    trained = [(100 * run["train_accuracy"], names.index(run["name"])) for run in runs if "train_accuracy" in run]
    if trained and is_accuracy:
        ax.plot(*zip(*trained), "o", color="C1", markerfacecolor="none", markersize=8, label="images trained on")
    for row, name in enumerate(names):
        scores = [factor * run[measure] for run in runs if run["name"] == name]
        label = measure.partition("_")[0] if row == 0 else None
        ax.plot(scores, [row] * len(scores), "o", color="C0", markersize=7, alpha=0.7, label=label)
        ax.plot(np.mean(scores), row, "|", color="C0", markersize=22, markeredgewidth=2.5)
        mean = f"{np.mean(scores):,.{digits if np.mean(scores) < 1000 else 0}f}"
        ax.text(1.015, row, mean, transform=ax.get_yaxis_transform(), va="center", color="C0")
    title = f"{results['source']}: {results['about']}"
    xlabel = "accuracy (%)" if trained and is_accuracy else measure.replace("_", " ") + (" (%)" if is_accuracy else "")
    ax.set(yticks=range(len(names)), yticklabels=names, ylim=(len(names) - 0.5, -0.5), xlabel=xlabel, title=title)
    ax.grid(True, axis="y", alpha=0.5)
    if trained and is_accuracy:
        ax.legend(loc="upper left", bbox_to_anchor=(1.08, 1))
    return ax


def plot_losses(histories):
    """Plot the losses of several trainings side by side: {title: what fit returned}. Returns the axes."""
    count = len(histories)
    _, axes = plt.subplots(1, count, figsize=(5 * count, 3.6), sharey=True, squeeze=False)
    for ax, (title, history) in zip(axes[0], histories.items()):
        epochs = range(1, len(history["train_loss"]) + 1)
        ax.plot(epochs, history["train_loss"], "o-", label="training (running mean)")
        ax.plot(epochs, history["validation_loss"], "s--", label="validation (after the epoch)")
        ax.set(xlabel="epoch", ylim=(0, None), title=title)
        ax.xaxis.get_major_locator().set_params(integer=True)
        ax.grid(True, alpha=0.4)
    axes[0, 0].set_ylabel("cross-entropy loss")
    axes[0, 0].legend()
    return axes[0]


def plot_bars(values, ax, xlabel, number="{:,.0f}"):
    """Draw {name: value} as horizontal bars, the first on top, with its number at the end of each. Returns the axes."""
    bars = ax.barh(list(values), list(values.values()), color="C0")
    ax.bar_label(bars, [number.format(value) for value in values.values()], padding=3)
    ax.set(xlabel=xlabel, xlim=(0, 1.17 * max(values.values())))
    ax.locator_params(axis="x", nbins=5)
    ax.invert_yaxis()
    return ax


def show_rows(rows, names, panel_size=0.8):
    """Show equally long rows of images, each a tensor (N, C, H, W), with a name before each row. Returns the axes."""
    length = len(rows[0])
    images = [image for row in rows for image in row]
    axes = show_images(images, columns=length, panel_size=panel_size, interpolation="nearest")
    for ax, name in zip(axes[::length], names):
        ax.set_ylabel(name, rotation=0, ha="right", va="center")
    return axes


def show_pairs(images, pairs, names, heads, panel_size=1.2):
    """Show pairs [(i, j), …] of images (N, C, H, W), one below the other. Returns the axes, or None without one.

    names: one for each of the N images. heads: one for each pair, what stands above it.
    """
    if not pairs:
        return None
    above, below = zip(*pairs)
    titles = [f"{head}\n{names[i]}" for head, i in zip(heads, above)] + [names[j] for j in below]
    return show_images(images[[*above, *below]], titles, columns=len(pairs), panel_size=panel_size)


def show_maps(images, maps, panel_size=1.4):
    """Show images (N, C, H, W) in a row, and below them a row for each {name: maps (N, H, W)}. Returns the axes.

    Each map has its own scale, up to its strongest half per cent: dark where it is zero if it is never negative,
    else white, with red for positive numbers and blue for negative ones.
    """
    rows = len(maps) + 1
    axes = make_grid(rows * len(images), len(images), panel_size).reshape(rows, len(images))
    show_images(images, axes=axes[0], interpolation="nearest")
    for row, (name, group) in zip(axes[1:], maps.items()):
        group = group.detach().cpu().numpy()
        signed = group.min() < 0
        for ax, grid in zip(row, group):
            limit = float(np.quantile(np.abs(grid), 0.995)) or 1.0
            ax.imshow(
                grid,
                cmap="RdBu_r" if signed else "magma",
                vmin=-limit if signed else 0,
                vmax=limit,
                interpolation="nearest",
            )
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


def plot_reliability(shares, means, ax, title):
    """Draw each bin's share of right answers over its mean confidence. Returns the axes."""
    ax.plot([0, 1], [0, 1], "--", color="0.5", label="true confidence")
    ax.plot(means, shares, "o-")
    ax.set(xlabel="mean confidence in the bin", ylabel="share right in the bin", title=title)
    ax.legend()
    return ax


def plot_curves(curves, xlabel, ylabel, mark=None):
    """Draw {name: (places, heights)} as lines, and a dashed upright line at the place `mark`. Returns the axes."""
    _, ax = plt.subplots(figsize=(6.5, 3.6))
    for (name, (places, heights)), style in zip(curves.items(), ("-", "--", "-.", ":")):
        ax.plot(places, heights, style, label=name)
    if mark is not None:
        ax.axvline(mark, linestyle=":", color="0.5")
    ax.set(xlabel=xlabel, ylabel=ylabel)
    ax.legend()
    return ax


def plot_intervals(scores, ax, title):
    """Draw {name: (share, low, high)} as dots with the intervals, the lowest share on top. Returns the axes."""
    names = sorted(scores, key=lambda name: -scores[name][0])
    for row, name in enumerate(names):
        share, low, high = scores[name]
        ax.errorbar(share, row, xerr=[[share - low], [high - share]], fmt="o", color="C0", capsize=3)
    ax.set(yticks=range(len(names)), yticklabels=names, xlabel="share", title=title)
    ax.grid(True, axis="x", alpha=0.4)
    return ax
