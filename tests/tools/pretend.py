"""A device that is not there: tensors that say "cuda" or "mps", may not meet the CPU's, and have real numbers.

PyTorch's own stand-ins have no numbers. Fake CUDA tensors and tensors on `meta` stop at the first `.item()`, boolean
index or `if not torch.isfinite(loss)`, and fake CUDA tensors have no backward pass on a machine without a driver. So no
whole training loop runs on them. Here a tensor on the device is a wrapper around one on the CPU. A dispatch mode sees
every operation, those of the backward pass too: it raises where CUDA would, since tensors are in two places, and
otherwise computes on the CPU and wraps the result. Autograd, optimisers and schedulers are PyTorch's own.

What it cannot show: whether an operation exists on the real device, other rounding, mixed precision (autocast leaves
wrappers alone), pinned memory, streams, and how much memory there is.
"""

import contextlib
from unittest import mock

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

# What C++ takes the device for: autograd treats `meta` as it treats the CPU. Number 1, so that `meta` stays itself.
INSIDE = torch.device("meta", 1)
INDEXING = {"index", "index_put", "index_put_", "_index_put_impl_", "_unsafe_index", "_unsafe_index_put"}
TAKES_A_NUMBER = {"fill", "fill_", "masked_fill", "masked_fill_"}  # besides what works point by point
FROM_PYTHON = (torch.tensor, torch.as_tensor)  # they go to their device without asking a dispatch mode


class DeviceMixError(RuntimeError):
    """Tensors on the device and on the CPU have met."""


class DeviceTensor(torch.Tensor):
    """A tensor on the device. `numbers` is the CPU tensor with what is in it."""

    label = "cuda"

    @staticmethod
    def __new__(cls, numbers):
        if cls.label == "mps" and numbers.dtype in (torch.float64, torch.complex128) and numbers.numel():
            raise TypeError(f"MPS has no {numbers.dtype}: use float32")
        layout = numbers.shape, numbers.stride(), numbers.storage_offset()
        tensor = torch.Tensor._make_wrapper_subclass(cls, *layout, dtype=numbers.dtype, device=INSIDE)
        tensor.numbers = numbers
        return tensor

    @classmethod
    def __torch_dispatch__(cls, operation, types, args=(), kwargs=None):
        return run(operation, args, kwargs or {})

    def __tensor_flatten__(self):  # these two have Module.to exchange a parameter's content and keep the parameter
        return ["numbers"], None

    @staticmethod
    def __tensor_unflatten__(inner, context, size, stride):
        return DeviceTensor(inner["numbers"])

    is_meta = False
    device = property(lambda self: torch.device(self.label, 0))
    is_cuda = property(lambda self: self.label == "cuda")

    def __deepcopy__(self, memo):
        if id(self) not in memo:
            copied = DeviceTensor(self.numbers.clone()).requires_grad_(self.requires_grad)
            copied._is_param = isinstance(self, torch.nn.Parameter)
            memo[id(self)] = copied
        return memo[id(self)]

    def __reduce_ex__(self, protocol):  # torch.save
        return DeviceTensor, (self.numbers,)

    def __format__(self, spec):
        return format(self.item(), spec) if self.dim() == 0 else super().__format__(spec)

    def __repr__(self, **_):
        return f"{self.numbers!r} on {self.device}"

    def tolist(self):
        return self.numbers.tolist()


# --- operations ------------------------------------------------------------------------------------------------------


def run(operation, args, kwargs):
    """Run an operation on the numbers, if its tensors are in one place; what it makes is on the device they are on."""
    target = kwargs.get("device")
    on_device = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, DeviceTensor)]
    if on_device:
        refuse_strangers(operation, args)
    elif target != INSIDE:
        return operation(*args, **kwargs)
    plain_args, plain_kwargs = tree_map(lambda leaf: getattr(leaf, "numbers", leaf), (args, kwargs))
    if target is not None:
        plain_kwargs["device"] = torch.device("cpu")
    result = operation(*plain_args, **plain_kwargs)
    if target is not None and target != INSIDE:
        return result
    if operation is torch.ops.aten.copy_.default:
        return args[0]
    given = {id(tensor.numbers): tensor for tensor in on_device}  # what works in place returns what it was given
    place = lambda leaf: given[id(leaf)] if id(leaf) in given else DeviceTensor(leaf)  # noqa: E731
    return tree_map(lambda leaf: place(leaf) if isinstance(leaf, torch.Tensor) else leaf, result)


def refuse_strangers(operation, args):
    """Raise DeviceMixError where CUDA raises: there are tensors of the CPU among those of the device.

    CUDA takes one in three places: as an index into a tensor on the device, as a single number that is combined with
    others point by point (unless it is what is written to), and as either side of a copy.
    """
    name = operation.overloadpacket.__name__
    if name == "copy_":
        return
    takes_a_number = name in INDEXING | TAKES_A_NUMBER or torch.Tag.pointwise in operation.tags
    for argument, value in zip(operation._schema.arguments, args):
        if name in INDEXING and argument.name == "indices":
            continue
        written = argument.alias_info is not None and argument.alias_info.is_write
        may_stay = takes_a_number and not written and not (name in INDEXING and argument.name == "self")
        for leaf in tree_leaves(value):
            stranger = isinstance(leaf, torch.Tensor) and not isinstance(leaf, DeviceTensor)
            if stranger and not (may_stay and leaf.dim() == 0):
                raise DeviceMixError(
                    f"Expected all tensors to be on the same device, but {name} was given {argument.name} on the CPU "
                    f"and others on {DeviceTensor.label}"
                )


class Operations(TorchDispatchMode):
    """Sends every operation through run(). `count` is of those that made something on the device."""

    def __init__(self):
        super().__init__()
        self.count = 0
        self.watch = lambda count, made: None  # called with each new count, and with the tensors that were made

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        result = run(operation, args, kwargs or {})
        if made := [leaf for leaf in tree_leaves(result) if isinstance(leaf, DeviceTensor)]:
            self.count += 1
            self.watch(self.count, made)
        return result


# --- names -----------------------------------------------------------------------------------------------------------


class Names(TorchFunctionMode):
    """Puts INSIDE where a call names the device, before PyTorch looks for the real one's driver."""

    def __init__(self, label):
        super().__init__()
        self.label = label

    def inside(self, value):
        named = isinstance(value, torch.device) and value.type == self.label
        return INSIDE if named or (isinstance(value, str) and value in (self.label, f"{self.label}:0")) else value

    def __torch_function__(self, function, types, args=(), kwargs=None):
        if function == torch.Tensor.data.__set__:
            return set_data(*args)
        if function is torch.device:
            return function(*args, **(kwargs or {}))
        args = [self.inside(value) for value in args]
        kwargs = {name: self.inside(value) for name, value in (kwargs or {}).items()}
        if function is torch.Tensor.cuda:
            return args[0].to(INSIDE)
        if function is torch.Tensor.new_tensor and isinstance(args[0], DeviceTensor):
            function, args, kwargs = torch.tensor, args[1:], {"dtype": args[0].dtype, "device": INSIDE} | kwargs
        if function in FROM_PYTHON and kwargs.get("device") == INSIDE:
            learns = kwargs.pop("requires_grad", False)
            return function(*args, **kwargs | {"device": "cpu"}).to(INSIDE).requires_grad_(learns)
        return function(*args, **kwargs)


def set_data(tensor, value):
    """Do `tensor.data = value`, also where one of them is on the device and the other is not."""
    if isinstance(tensor, DeviceTensor) or isinstance(value, DeviceTensor):
        value = value.detach()
        if isinstance(tensor, torch.nn.Parameter):
            value = torch.nn.Parameter(value, tensor.requires_grad)
        torch.utils.swap_tensors(tensor, value)
    else:
        torch.Tensor.data.__set__(tensor, value)


@contextlib.contextmanager
def device(label):
    """Let the machine have this accelerator, "cuda" or "mps", inside the block; get_device() finds it.

    Yields the mode that counts what runs on it.
    """
    stream = mock.Mock(**{"is_capturing.return_value": False})  # optimisers ask for it
    found = {"is_available": True, "current_accelerator": torch.device(label), "current_stream": stream}
    found |= {"device_count": 1, "synchronize": None}
    with contextlib.ExitStack() as stack:
        stack.enter_context(mock.patch.object(DeviceTensor, "label", label))
        for name, answer in found.items():
            stack.enter_context(mock.patch.object(torch.accelerator, name, return_value=answer))
        random = mock.Mock(get_rng_state=torch.get_rng_state, set_rng_state=torch.set_rng_state)
        stack.enter_context(mock.patch.object(torch, "get_device_module", return_value=random))
        stack.enter_context(torch.serialization.safe_globals([DeviceTensor]))
        operations = stack.enter_context(Operations())
        stack.enter_context(Names(label))
        yield operations
