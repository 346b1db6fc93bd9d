"""A small classifier in the two files that lesson 13's service reads, and the service itself, running."""

import contextlib
import json
import os
import subprocess
import sys
import time
from types import SimpleNamespace

import httpx
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from tests.tools.kernels import ROOT
from tests.tools.lab import free_port, stop

CLASSES = "airplane automobile bird cat deer dog frog horse ship truck".split()
SIZE = 32


class SmallClassifier(nn.Module):
    """A convolution, ReLU, and a linear head on each map's average, with random weights: PyTorch, to compare with."""

    def __init__(self, seed=0):
        super().__init__()
        torch.manual_seed(seed)
        self.conv = nn.Conv2d(3, 8, kernel_size=5, stride=4, padding=2)
        self.head = nn.Linear(8, len(CLASSES))
        with torch.no_grad():
            self.head.weight.mul_(20)

    def forward(self, images):
        maps = self.conv(images).relu()  # (N, 8, 8, 8)
        return self.head(maps.mean(dim=(2, 3))), maps


def write_classifier(folder, temperature=1.5, threshold=0.3):
    """Write model.onnx, node by node, and classifier.json into `folder`; return the same network in PyTorch."""
    model = SmallClassifier().eval()
    weights = {name.replace(".", "_"): tensor.numpy() for name, tensor in model.state_dict().items()}
    nodes = [
        ("Conv", ["images", "conv_weight", "conv_bias"], "before", {"strides": [4, 4], "pads": [2, 2, 2, 2]}),
        ("Relu", ["before"], "maps", {}),
        ("GlobalAveragePool", ["maps"], "averages", {}),
        ("Flatten", ["averages"], "features", {}),
        ("Gemm", ["features", "head_weight", "head_bias"], "logits", {"transB": 1}),
    ]
    shapes = {"images": (3, SIZE, SIZE), "logits": (len(CLASSES),), "maps": (8, 8, 8)}
    infos = {n: helper.make_tensor_value_info(n, TensorProto.FLOAT, ["N", *shape]) for n, shape in shapes.items()}
    graph = helper.make_graph(
        [helper.make_node(kind, inputs, [output], **settings) for kind, inputs, output, settings in nodes],
        "small",
        [infos["images"]],
        [infos["logits"], infos["maps"]],
        [numpy_helper.from_array(weight, name) for name, weight in weights.items()],
    )
    folder.mkdir(parents=True, exist_ok=True)
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), folder / "model.onnx"
    )
    about = {"classes": CLASSES, "size": SIZE, "temperature": temperature, "threshold": threshold}
    about |= {"head": weights["head_weight"].tolist(), "source": "nothing: its weights are random", "card": "# A test"}
    (folder / "classifier.json").write_text(json.dumps(about), encoding="utf-8")
    return model


@contextlib.contextmanager
def service(folder, module="utils.service", home=ROOT, seconds=30, **variables):
    """Start the service on the classifier in `folder`; give its address and its process. It ends with the block.

    module: where its `app` is, seen from the folder `home`. variables: for its environment.
    """
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", f"{module}:app", f"--port={port}", "--log-level=warning"]
    environment = os.environ | {"CLASSIFIER": str(folder)} | variables
    log = folder / "service.log"
    with log.open("wb") as file:
        process = subprocess.Popen(command, cwd=home, env=environment, stdout=file, stderr=file, start_new_session=True)
        address = f"http://127.0.0.1:{port}"
        try:
            wait_until_healthy(address, process, log, seconds)
            yield SimpleNamespace(address=address, process=process, log=log)
        finally:
            stop(process)


def wait_until_healthy(address, process, log, seconds):
    """Return when GET /health answers. Raises RuntimeError, with what the service said, where it does not."""
    deadline = time.monotonic() + seconds
    while process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(httpx.HTTPError):
            if httpx.get(f"{address}/health", timeout=2, trust_env=False).status_code == 200:
                return
        time.sleep(0.05)
    raise RuntimeError(f"the service did not start:\n{log.read_text(errors='replace')[-3000:]}")
