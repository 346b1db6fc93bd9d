"""Checks of lesson 10: a new head, rates for the layers, batch norm's memory, and the right numbers of classes."""

import copy
from collections import OrderedDict
from dataclasses import dataclass

import torch
from torch import nn

from utils.checks import FunctionExercise


def small(norm=False, dropout=False, nested=False):
    """Return a small network in training mode."""
    layers = [nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4) if norm else nn.ReLU(), nn.Conv2d(4, 2, 1)]
    layers += [nn.Dropout()] if dropout else []
    layers += [nn.Sequential(nn.Conv2d(2, 2, 1), nn.BatchNorm2d(2), nn.ReLU())] if nested else []
    return nn.Sequential(*layers).train()


def after(change, judge):
    """Return a mistake that changes a copy of the model, as the numbers by which the model is judged."""

    def mistaken(model, *arguments):
        model = copy.deepcopy(model)
        change(model, *arguments)
        return judge(model, *arguments)

    return mistaken


@dataclass
class ModelExercise(FunctionExercise):
    """An exercise that returns a model, which is judged by numbers: judge(model, *arguments), `seen` in words."""

    judge: callable = None
    seen: str = ""

    def verdict(self, answer):
        def judged(model, *arguments):
            result = answer(model, *arguments)
            return self.judge(result, *arguments) if isinstance(result, nn.Module) else result

        return super().verdict(judged if callable(answer) else answer)

    def first_difference(self, results, expected):
        sentence = super().first_difference(results, expected)
        sentence = sentence.replace("it should return a tensor", "it should return the model")
        return sentence.replace("it returned a tensor", f"the model, seen as numbers ({self.seen}), is a tensor", 1)


# --- 1 · a new head --------------------------------------------------------------------------------------------------


def with_head(width, name="fc", norm=False):
    """Return a network whose last layer, of ten classes, has this name."""
    layers = [("body", nn.Conv2d(3, width, 3)), ("norm", nn.BatchNorm2d(width) if norm else nn.ReLU())]
    layers += [("pool", nn.AdaptiveAvgPool2d(1)), ("flat", nn.Flatten()), (name, nn.Linear(width, 10))]
    return nn.Sequential(OrderedDict(layers))


def head_state(model, name, num_classes):
    """Return the head's inputs and outputs, how many numbers learn in it and below it, and a sum of those below."""
    head = getattr(model, name, None)
    own = list(head.parameters()) if isinstance(head, nn.Linear) else []
    below = [parameter for parameter in model.parameters() if all(parameter is not other for other in own)]
    shape = tuple(head.weight.shape)[::-1] if own else (0, 0)
    learning = [sum(p.numel() for p in part if p.requires_grad) for part in (own, below)]
    total = sum(parameter.detach().abs().sum().item() for parameter in below) if own else 0
    return torch.tensor([*shape, *learning, total], dtype=torch.float64)


def frozen_by_names(model, name, num_classes):
    """The reference: the head goes in first, and then each parameter is frozen or not by its name."""
    setattr(model, name, nn.Linear(getattr(model, name).weight.shape[1], num_classes))
    for parameter_name, parameter in model.named_parameters():
        parameter.requires_grad = parameter_name.startswith(f"{name}.")
    return head_state(model, name, num_classes)


def heading(freeze_first=True, freeze_last=False, make=nn.Linear):
    """Return a change of a model; each argument is a mistake that can be switched on."""

    def change(model, name, num_classes):
        if freeze_first:
            model.requires_grad_(False)
        setattr(model, name, make(getattr(model, name).in_features, num_classes))
        if freeze_last:
            model.requires_grad_(False)

    return change


def old_head_learns(model, name, num_classes):
    model.requires_grad_(False)
    getattr(model, name).requires_grad_(True)


def weights_only(model, name, num_classes):
    for parameter in model.parameters():
        parameter.requires_grad_(parameter.dim() == 1)
    heading(freeze_first=False)(model, name, num_classes)


def always_fc(model, name, num_classes):
    model.requires_grad_(False)
    model.fc = nn.Linear(model.fc.in_features, num_classes)


def head_alone(model, name, num_classes):
    return head_state(nn.Linear(getattr(model, name).in_features, num_classes), name, num_classes)


check_new_head = ModelExercise(
    "new_head",
    frozen_by_names,
    cases=[(with_head(4), "fc", 3), (with_head(6, name="head", norm=True), "head", 2), (with_head(5), "fc", 7)],
    mistakes=[
        (
            after(lambda model, name, num_classes: None, head_state),
            "nothing has changed: freeze the model, and give it a new head.",
        ),
        (
            after(heading(freeze_last=True), head_state),
            "the new head is frozen as well: freeze first, then put it in.",
        ),
        (
            after(heading(freeze_first=False), head_state),
            "everything learns: requires_grad_(False) before the new head comes in.",
        ),
        (
            after(lambda model, name, num_classes: model.requires_grad_(False), head_state),
            "the old head is still there, frozen with the rest: put a new nn.Linear in its place.",
        ),
        (
            after(old_head_learns, head_state),
            "the old head learns, with its old number of outputs: put a new nn.Linear in its place.",
        ),
        (
            after(heading(make=lambda inputs, outputs: nn.Linear(outputs, inputs)), head_state),
            "the head's two sizes are swapped: nn.Linear(inputs, outputs).",
        ),
        (
            after(heading(make=lambda inputs, outputs: nn.Linear(inputs, outputs, bias=False)), head_state),
            "the new head has no biases.",
        ),
        (
            after(weights_only, head_state),
            "only the weights are frozen: biases, and batch norm's γ and β, are parameters too.",
        ),
        (
            after(always_fc, head_state),
            "the head is always looked for as fc: take the attribute that name says, with getattr and setattr.",
        ),
        (head_alone, "that is the head alone: return the whole model."),
    ],
    judge=head_state,
    seen="the head's inputs and outputs, the numbers that learn in it and below it, and a sum of those below",
)

# --- 2 · rates for the layers ----------------------------------------------------------------------------------------


def rates_one_by_one(count, lr, factor, frozen):
    rates = [float(lr)]
    while len(rates) < count:
        rates.insert(0, rates[0] / factor)
    return torch.tensor([rate if place >= frozen else 0.0 for place, rate in enumerate(rates)])


def rates(steps, change=lambda lr, factor, steps: lr / factor**steps, still=lambda count, frozen: range(frozen)):
    """Return the rates by hand; `steps` says how many steps below the head each layer is, `still` which get 0."""

    def layer_rates(count, lr, factor, frozen):
        made = change(lr, factor, steps(count).double()).float()
        made[list(still(count, frozen))] = 0
        return made

    return layer_rates


def down(count):
    return torch.arange(count - 1, -1, -1)


check_layer_rates = FunctionExercise(
    "layer_rates",
    rates_one_by_one,
    cases=[(4, 0.1, 2.0, 1), (3, 0.01, 10, 0), (5, 0.3, 1, 2), (6, 0.2, 3, 2)],
    mistakes=[
        (
            lambda count, lr, factor, frozen: rates(torch.arange)(count, lr, factor, 0),
            "the order is reversed, and nothing stands still: the layers are listed from the input to the output.",
        ),
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
        (rates(down, still=lambda count, frozen: []), "nothing stands still: the first `frozen` layers get 0."),
        (
            rates(down, still=lambda count, frozen: range(frozen + 1)),
            "one layer too many stands still: of the layers 0, 1, 2 …, number `frozen` is the first that learns.",
        ),
        (
            rates(down, still=lambda count, frozen: range(count - frozen, count)),
            "the last layers stand still: those that get 0 are the first, at the input.",
        ),
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


def norms(model):
    return [layer for layer in model.modules() if isinstance(layer, nn.BatchNorm2d)]


def freeze_by_types(model):
    """The reference: found by their buffers, since only they have a running mean."""
    for layer in model.modules():
        if "running_mean" in dict(layer.named_buffers(recurse=False)):
            layer.train(False)
    return state(model)


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


check_freeze_memory = ModelExercise(
    "freeze_memory",
    freeze_by_types,
    cases=[(small(norm=True, dropout=True),), (small(norm=True, nested=True),), (small(dropout=True),)],
    mistakes=[
        (after(lambda model: None, state), "nothing has changed: every batch norm is still in training mode."),
        (
            after(lambda model: model.eval(), state),
            "everything is in evaluation mode, the dropout too: only batch norm should be.",
        ),
        (
            after(top_level_only, state),
            "the batch norm inside the nested block still trains: model.modules() finds it, model.children() does not.",
        ),
        (
            after(without_gradients, state),
            "requires_grad_(False) stops the gradients of γ and β, and not the memory: that takes eval().",
        ),
        (
            after(eval_and_no_gradients, state),
            "the memory is frozen, but γ and β have lost their gradients: freeze nothing else.",
        ),
        (after(all_but_norms, state), "it is the wrong way round: batch norm trains, and all else evaluates."),
    ],
    judge=state,
    seen="layer by layer: does it train, and do its own parameters learn",
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


def inverse_of_the_common(labels, found, wanted):
    return torch.tensor([found.index(name) for name in wanted if name in found])[labels]


def inverse_that_stops(labels, found, wanted):
    return torch.tensor([found.index(name) for name in wanted])[labels]


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
        (
            inverse_of_the_common,
            "the table is the wrong way round: one entry for each class of `found`, its number in `wanted`.",
        ),
        (
            inverse_that_stops,
            "it looks for the names of wanted in found, which lacks some: look for those of found in wanted.",
        ),
        (sorted_first, "wanted has been sorted: the model's order is the one in the list, whatever the alphabet says."),
        (sorted_found, "found has been sorted: the labels count it in the order in which it is given."),
        (
            lambda labels, found, wanted: renumbered_one_by_one(labels, found, wanted) + 1,
            "everything is one too high: classes are counted from 0.",
        ),
    ],
)
