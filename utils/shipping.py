"""What stands between a trained network and a classifier that people use, as lesson 13 writes it.

A shipped classifier is a folder of two files. `model.onnx` takes `images`, float32 (N, 3, H, W), RGB in 0..1, any N,
and gives `logits` (N, K) and `maps` (N, C, h, w), whose averages its linear head reads. `classifier.json` holds
`classes`, `size`, `temperature`, `threshold`, `head` (the head's weights, K rows of C numbers), `source` and `card`.
"""

import copy
import json
from pathlib import Path

import numpy as np
import torch
from scipy.optimize import minimize_scalar
from torch import nn
from torch.nn import functional as F


def calibration_error(confidences, correct, bins=15):
    """Return the expected calibration error (0..1) of confidences (N,) in 0..1, and correct (N,): was the answer right?

    In each of `bins` equally wide bins: the distance between mean confidence and accuracy; then their mean, weighted
    by the bins' counts. It is never negative, so with few answers even perfect confidences get more than 0. Guo and
    colleagues, "On calibration of modern neural networks", ICML 2017, arXiv 1706.04599.
    """
    numbers = torch.bucketize(confidences, torch.linspace(0, 1, bins + 1)[1:-1])  # the bin of each answer, (N,)
    gaps = (confidences - correct.float()).double()
    return torch.zeros(bins).double().index_add(0, numbers, gaps).abs().sum().item() / len(gaps)


def fit_temperature(logits, labels):
    """Return the T > 0 for which logits / T, for images (N, K) not trained on, has the least cross-entropy.

    T is searched between 0.05 and 20. Where no answer is wrong there is no least, and the search stops at some small T.
    Guo and colleagues, as above.
    """

    def loss(log_temperature):
        return F.cross_entropy(logits.double() / np.exp(log_temperature), labels).item()

    return float(np.exp(minimize_scalar(loss, bounds=(-3, 3), method="bounded").x))


def wilson_interval(successes, count, z=1.96):
    """Return (low, high) of Wilson's interval, of 95 % for z = 1.96, around the share successes / count.

    Unlike lesson 05's it stays in 0..1, and it has a width where all or none succeed. Raises ValueError where nothing
    was counted. E. B. Wilson, "Probable inference, the law of succession, and statistical inference", JASA 1927.
    """
    if count < 1:
        raise ValueError("an interval needs at least one trial")
    share = successes / count
    middle = (share + z**2 / (2 * count)) / (1 + z**2 / count)
    half_width = z * (share * (1 - share) / count + z**2 / (4 * count**2)) ** 0.5 / (1 + z**2 / count)
    return middle - half_width, middle + half_width


class WithMaps(nn.Module):
    """What is shipped: images (N, 3, H, W), RGB in 0..1 → (logits (N, K), maps (N, C, h, w)).

    `maps_of` is a module, normalisation included; `head` a linear layer, which reads the average of each map.
    """

    def __init__(self, maps_of, head):
        super().__init__()
        self.maps_of, self.head = maps_of, head

    def forward(self, images):
        maps = self.maps_of(images)
        return self.head(maps.mean(dim=(2, 3))), maps


def open_session(file):
    """Return ONNX Runtime's session for an ONNX file, on the CPU; its threads sleep while they wait for work."""
    import onnxruntime  # here, so that the rest works where it is not installed

    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # threads without work sleep
    return onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])


def export_classifier(model, folder, classes, size, temperature=1.0, threshold=0.0, source="", card=""):
    """Write a WithMaps for images of size × size into `folder`, as a shipped classifier; return model.onnx's path.

    The files are described at the top of this module. Raises ValueError where the classes are not as many as the
    head's rows, and AssertionError where ONNX Runtime and PyTorch differ by more than 1e-4, absolute or of an
    output's largest number: maps may reach hundreds, and float32 has seven digits.
    """
    if len(classes) != model.head.out_features:
        raise ValueError(f"the head gives {model.head.out_features} logits, but there are {len(classes)} classes")
    model, path = copy.deepcopy(model).cpu().eval(), Path(folder) / "model.onnx"
    path.parent.mkdir(parents=True, exist_ok=True)
    names = {"input_names": ["images"], "output_names": ["logits", "maps"], "dynamic_shapes": [{0: "count"}]}
    example = torch.rand(2, 3, size, size)
    torch.onnx.export(model, (example,), path, dynamo=True, external_data=False, verbose=False, **names)
    session = open_session(path)
    for images in (example[:1], torch.rand(3, 3, size, size)):
        with torch.no_grad():
            pairs = zip(model(images), session.run(None, {"images": images.numpy()}))
        same = [np.allclose(one, other, rtol=0, atol=1e-4 * max(1, abs(other).max())) for one, other in pairs]
        assert all(same), "ONNX Runtime gives other numbers than PyTorch"
    facts = {"classes": list(classes), "size": size, "temperature": temperature, "threshold": threshold}
    facts |= {"head": model.head.weight.tolist(), "source": source, "card": card}
    path.with_name("classifier.json").write_text(json.dumps(facts), encoding="utf-8")
    return path
