"""The project as a whole: requirements, environment, README, Makefile, what is tracked, who imports whom."""

import ast
import re
import subprocess
import tomllib

import pytest
import yaml

from tests.tools.cells import relative_targets
from tests.tools.kernels import ROOT
from tests.tools.notebook_rules import unsafe_calls

EVERYONE_KNOWS = {
    "torch",
    "torchvision",
    "numpy",
    "matplotlib",
    "seaborn",
    "scikit-learn",
    "tqdm",
    "jupyterlab",
    "nbval",
    "ipywidgets",
    "safetensors",
    "mlxtend",
    "scikit-image",
}
# From the ground up. A module imports from lower floors only, so there is no circle.
FLOORS = [
    {
        "arithmetic",
        "drawn",
        "fetch",
        "plotting",
        "ready",
        "service",
        "serving",
        "shipping",
        "timing",
        "tracebacks",
    },
    {"folders", "formats"},
    {"album", "sources", "uploads"},
    {"data", "pretrained"},
    {"models", "recipe"},
    {"training", "weights"},
    {"explain"},
    {"checks", "explorers"},
]
UTILS = sorted((ROOT / "utils").rglob("*.py"))
MOST_MB = 25


def read(name):
    return (ROOT / name).read_text(encoding="utf-8")


def requirements(text):
    """Return {package: (versions, the comment beside it)} of a requirements file."""
    found = {}
    for line in text.splitlines():
        wanted, _, comment = line.partition("#")
        if match := re.match(r"(\w[\w.-]*)\s*(.*)", wanted.strip()):
            name = match[1].lower()
            assert name not in found, f"{name} is listed twice"
            found[name] = (match[2], comment.strip())
    return found


def tracked():
    """Return the files that git has or would take in (so a file is judged before it is committed, too)."""
    command = ["git", "-C", ROOT, "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        pytest.skip("not a git repository")
    return [ROOT / name for name in done.stdout.split("\0") if name and (ROOT / name).is_file()]


# --- what is installed ---------------------------------------------------------------------------------------


def test_each_unusual_requirement_has_its_reason():
    for name, (_, reason) in requirements(read("requirements.txt")).items():
        assert name in EVERYONE_KNOWS or reason, f"requirements.txt: say beside {name} what it is for"


def test_the_test_tools_list_nothing_twice():
    tools, lessons = requirements(read("requirements-dev.txt")), requirements(read("requirements.txt"))
    assert not set(tools) & set(lessons)


def lowest_and_next(versions):
    """Return ((major, minor) of the lowest version, major of the first that is too new)."""
    low = re.search(r">=(\d+)\.(\d+)", versions)
    return (int(low[1]), int(low[2])), int(re.search(r"<(\d+)", versions)[1])


def test_torch_and_torchvision_come_in_pairs():
    wanted = requirements(read("requirements.txt"))
    torch, torchvision = (lowest_and_next(wanted[name][0]) for name in ("torch", "torchvision"))
    # torch 2.n comes with torchvision 0.(n + 15), and torch 3 would not come with a torchvision 0.
    assert torch[0][0] == 2
    assert torchvision[0] == (0, torch[0][1] + 15)
    assert (torch[1], torchvision[1]) == (3, 1)


def test_every_requirement_has_an_upper_limit():
    for file in ("requirements.txt", "requirements-dev.txt"):
        for name, (versions, _) in requirements(read(file)).items():
            assert ">=" in versions, f"{file}: {name} has no lowest version"
            assert "<" in versions, f"{file}: {name} has no upper limit"


def test_environment_lists_nothing_twice():
    environment = yaml.safe_load(read("environment.yml"))
    names = [re.match(r"[\w.-]+", entry)[0] for entry in environment["dependencies"] if isinstance(entry, str)]
    pip = [entry for entry in environment["dependencies"] if isinstance(entry, dict)]
    assert sorted(names) == ["pip", "python"]
    assert pip == [{"pip": ["-r requirements.txt"]}]


def test_environment_is_all_that_binder_needs():
    """repo2docker takes environment.yml from the root, unless a folder of its own or a Dockerfile comes first."""
    environment = yaml.safe_load(read("environment.yml"))
    assert sorted(environment) == ["channels", "dependencies", "name"]
    assert environment["name"] == "cnn-course"
    assert f"conda activate {environment['name']}" in read("README.md")
    assert environment["channels"] == ["conda-forge"]
    assert not any((ROOT / name).exists() for name in ("binder", ".binder", "Dockerfile"))


def test_pytest_finds_nbval_in_its_options():
    options = tomllib.loads(read("pyproject.toml"))["tool"]["pytest"]["ini_options"]["addopts"]
    assert "--nbval-lax" in options
    assert "--nbval-current-env" in options


# --- what is tracked -----------------------------------------------------------------------------------------


def test_no_large_file_and_no_data_set_is_tracked():
    files = tracked()
    large = [file.name for file in files if file.stat().st_size > MOST_MB * 1e6]
    data = [
        file.name for file in files if file.suffix in {".npz", ".gz", ".npy", ".zip", ".tar", ".pt", ".pth", ".pkl"}
    ]
    assert not large, f"over {MOST_MB} MB"
    assert not data, "data sets are fetched or made, and weights are safetensors"


# --- README and Makefile -------------------------------------------------------------------------------------


def targets():
    """Return the Makefile's targets that people call."""
    return set(re.findall(r"^([a-z][a-z-]*):", read("Makefile"), re.MULTILINE))


def test_readme_links_lead_somewhere():
    missing = [target for target in relative_targets(read("README.md")) if not (ROOT / target).exists()]
    assert not missing


def test_readme_names_targets_of_the_makefile():
    named = set(
        re.findall(
            r"\bmake ([a-z][a-z-]*)\b", "\n".join(re.findall(r"`[^`]+`|^```.*?^```", read("README.md"), re.M | re.S))
        )
    )
    assert {"lab", "test"} <= named, "README.md gives the two commands"
    assert named <= targets()


def test_make_help_lists_every_target():
    done = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert set(re.findall(r"^make ([a-z-]+)", done.stdout, re.MULTILINE)) == targets()


# --- utils ---------------------------------------------------------------------------------------------------


def floor(module):
    for number, modules in enumerate(FLOORS):
        if module in modules:
            return number
    raise AssertionError(
        f"utils.{module} has no floor: give it one in tests/test_project.py, and in the README of utils"
    )


def imported_modules(tree):
    """Return the modules of `utils` that a syntax tree imports."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module == "utils":
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("utils."):
            found.add(node.module.split(".")[1])
        elif isinstance(node, ast.Import):
            found |= {alias.name.split(".")[1] for alias in node.names if alias.name.startswith("utils.")}
    return found


def faults(module, source):
    """Return what is wrong with a module of `utils`: imports from above, stars, relative imports, unsafe loading."""
    tree = ast.parse(source)
    found = [f"imports utils.{m}" for m in imported_modules(tree) if m != module and floor(m) >= floor(module)]
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.names[0].name == "*":
            found.append(f"imports a star from {node.module}")
        if isinstance(node, ast.ImportFrom) and node.level:
            found.append("imports relatively: write utils.…, as the lessons do")
    return found + unsafe_calls(tree)


def module_name(path):
    parts = path.relative_to(ROOT / "utils").with_suffix("").parts
    return parts[0]


@pytest.mark.parametrize("path", UTILS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_utils(path):
    if path != ROOT / "utils" / "__init__.py":
        assert not faults(module_name(path), path.read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("fetch", "from utils.data import load_mnist"),
        ("data", "from utils import training"),
        ("training", "import utils.checks"),
        ("plotting", "def f():\n    from utils.fetch import fetch"),
        ("models", "from torch.nn import *"),
        ("models", "from .data import batches"),
        ("models", "import torch\ntorch.load('x')"),
        ("data", "import numpy as np\nnp.load('x', allow_pickle=True)"),
        ("data", "import pickle\npickle.load(open('x'))"),
    ],
)
def test_a_faulty_module_is_caught(module, source):
    assert faults(module, source)


def test_a_sound_module_passes():
    assert not faults("training", "from utils.data import batches\nimport torch\ntorch.load('x', weights_only=True)")
