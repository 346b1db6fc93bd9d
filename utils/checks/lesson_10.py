"""Checks of lesson 10: what learns, rates for the layers, batch norm's memory, and the right numbers of classes."""

import copy

import torch
from torch import nn

from utils.checks import FunctionExercise


def small(frozen=(), norm=False, dropout=False, nested=False):
    """Return a small network in training mode whose layers with these numbers are frozen."""
    layers = [nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4) if norm else nn.ReLU(), nn.Conv2d(4, 2, 1)]
    layers += [nn.Dropout()] if dropout else []
    layers += [nn.Sequential(nn.Conv2d(2, 2, 1), nn.BatchNorm2d(2), nn.ReLU())] if nested else []
    model = nn.Sequential(*layers).train()
    for place in frozen:
        model[place].requires_grad_(False)
    return model


# --- 1 · what learns -------------------------------------------------------------------------------------------------


def counted_by_shapes(model):
    counts = {True: 0, False: 0}
    for parameter in model.parameters():
        counts[parameter.requires_grad] += torch.Size(parameter.shape).numel()
    return counts[True], counts[False]


def counting(size=lambda parameter: parameter.numel(), given=lambda model: model.parameters()):
    """Return the count by hand; each argument is a mistake that can be switched on."""

    def count_learning(model):
        return tuple(sum(size(p) for p in given(model) if p.requires_grad is learns) for learns in (True, False))

    return count_learning


def learning_and_all(model):
    learning, frozen = counted_by_shapes(model)
    return learning, learning + frozen


def with_buffers(model):
    learning, frozen = counted_by_shapes(model)
    return learning, frozen + sum(buffer.numel() for buffer in model.buffers())


check_count_learning = FunctionExercise(
    "count_learning",
    counted_by_shapes,
    cases=[(small(frozen=(0,)),), (small(frozen=(0, 1), norm=True),), (small(),)],
    mistakes=[
        (counting(size=lambda parameter: 1), "those are the tensors: count the numbers in them, numel()."),
        (lambda model: counted_by_shapes(model)[::-1], "the two are swapped: first what learns, then what is frozen."),
        (learning_and_all, "the second number is that of all parameters: only the frozen ones are asked for."),
        (
            with_buffers,
            "batch norm's memory is counted as frozen: buffers are no parameters, and no gradient ever moves them.",
        ),
        (
            counting(given=lambda model: (p for p in model.parameters() if p.dim() > 1)),
            "the biases are missing: they are parameters like the weights.",
        ),
        (
            counting(size=lambda parameter: len(parameter)),
            "len() is the length of a tensor's first axis: numel() counts all of its numbers.",
        ),
    ],
)

# --- 2 · rates for the layers ----------------------------------------------------------------------------------------


def rates_one_by_one(count, lr, factor):
    rates = [float(lr)]
    while len(rates) < count:
        rates.insert(0, rates[0] / factor)
    return torch.tensor(rates)


def rates(steps, change=lambda lr, factor, steps: lr / factor**steps):
    """Return the rates by hand; `steps` says how many steps below the head each layer is."""

    def layer_rates(count, lr, factor):
        return change(lr, factor, steps(count).double()).float()

    return layer_rates


def down(count):
    return torch.arange(count - 1, -1, -1)


check_layer_rates = FunctionExercise(
    "layer_rates",
    rates_one_by_one,
    cases=[(4, 0.1, 2.0), (3, 0.01, 10), (5, 0.3, 1)],
    mistakes=[
        (rates(torch.arange), "the order is reversed: the layers are listed from the input, and the last gets lr."),
        (
            rates(lambda count: down(count) + 1),
            "everything is one step too low: the last layer gets lr itself.",
        ),
        (
            rates(down, lambda lr, factor, steps: lr * factor**steps),
            "the rates grow towards the input: divide by the factor.",
        ),
        (
            rates(down, lambda lr, factor, steps: lr / (factor * steps).clamp(min=1)),
            "the factor is multiplied by the number of steps: it is raised to that power.",
        ),
        (
            rates(down, lambda lr, factor, steps: torch.where(steps > 0, lr / factor, lr)),
            "all layers below the head share one rate: each step down divides once more.",
        ),
        (rates(lambda count: torch.zeros(count)), "every layer has the same rate: the factor is not used."),
    ],
)

# --- 3 · batch norm's memory -----------------------------------------------------------------------------------------


def state(model):
    """Return, layer by layer, whether it trains and whether all of its own parameters ask for gradients."""
    flags = [
        (layer.training, all(parameter.requires_grad for parameter in layer.parameters(recurse=False)))
        for layer in model.modules()
    ]
    return torch.tensor(flags, dtype=torch.float32)


class FreezeMemory(FunctionExercise):
    """The model that is returned is judged by its layers: which of them train, and which ask for gradients."""

    def verdict(self, answer):
        def judged(model):
            result = answer(model)
            return state(result) if isinstance(result, nn.Module) else result

        return super().verdict(judged if callable(answer) else answer)


def norms(model):
    return [layer for layer in model.modules() if isinstance(layer, nn.BatchNorm2d)]


def freeze_by_types(model):
    """The reference: found by their buffers, since only they have a running mean."""
    for layer in model.modules():
        if "running_mean" in dict(layer.named_buffers(recurse=False)):
            layer.train(False)
    return state(model)


def after(change):
    """Return a mistake that changes a copy of the model, as a state."""

    def freeze_memory(model):
        model = copy.deepcopy(model)
        change(model)
        return state(model)

    return freeze_memory


def top_level_only(model):
    for layer in model.children():
        if isinstance(layer, nn.BatchNorm2d):
            layer.eval()


def without_gradients(model):
    for layer in norms(model):
        layer.requires_grad_(False)


def eval_and_no_gradients(model):
    for layer in norms(model):
        layer.eval().requires_grad_(False)


def all_but_norms(model):
    model.eval()
    for layer in norms(model):
        layer.train()


check_freeze_memory = FreezeMemory(
    "freeze_memory",
    freeze_by_types,
    cases=[(small(norm=True, dropout=True),), (small(norm=True, nested=True),), (small(dropout=True),)],
    mistakes=[
        (after(lambda model: None), "nothing has changed: every batch norm is still in training mode."),
        (
            after(lambda model: model.eval()),
            "everything is in evaluation mode, the dropout too: only batch norm should be.",
        ),
        (
            after(top_level_only),
            "the batch norm inside the nested block still trains: model.modules() finds it, model.children() does not.",
        ),
        (
            after(without_gradients),
            "requires_grad_(False) stops the gradients of γ and β, and not the memory: that takes eval().",
        ),
        (
            after(eval_and_no_gradients),
            "the memory is frozen, but γ and β have lost their gradients: freeze nothing else.",
        ),
        (after(all_but_norms), "it is the wrong way round: batch norm trains, and all else evaluates."),
    ],
)

# --- 4 · the right numbers -------------------------------------------------------------------------------------------


def renumbered_one_by_one(labels, found, wanted):
    return torch.tensor([wanted.index(found[label]) for label in labels.tolist()])


def inverse(labels, found, wanted):
    table = torch.tensor([found.index(name) if name in found else -1 for name in wanted])
    return table[labels]


def sorted_first(labels, found, wanted):
    return renumbered_one_by_one(labels, found, sorted(wanted))


def sorted_found(labels, found, wanted):
    return renumbered_one_by_one(labels, sorted(found), wanted)


def names_of_the_model(labels, found, wanted):
    return torch.tensor([found.index(wanted[label]) if wanted[label] in found else -1 for label in labels.tolist()])


check_renumber = FunctionExercise(
    "renumber",
    renumbered_one_by_one,
    cases=[
        (
            torch.tensor([0, 1, 2, 3, 3]),
            ["airplane", "frog", "horse", "ship"],
            ["airplane", "cat", "frog", "horse", "ship"],
        ),
        (torch.tensor([2, 0, 1, 2]), ["owl", "cat", "dog"], ["dog", "owl", "cat"]),
        (torch.tensor([1, 1, 0]), ["tea", "cup"], ["pot", "tea", "cup", "can"]),
    ],
    mistakes=[
        (
            lambda labels, found, wanted: labels.clone(),
            "nothing has changed: the labels still count the folder's classes.",
        ),
        (
            inverse,
            "that is the way back, from the model's numbers to the folder's: make one entry for each class of found.",
        ),
        (sorted_first, "wanted has been sorted: the model's order is the one in the list, whatever the alphabet says."),
        (sorted_found, "found has been sorted: the labels count it in the order in which it is given."),
        (
            lambda labels, found, wanted: renumbered_one_by_one(labels, found, wanted) + 1,
            "everything is one too high: classes are counted from 0.",
        ),
    ],
)
