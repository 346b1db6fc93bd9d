# `make lab` and `make test` are all that a fresh machine needs (Python 3.11–3.13). `make help` lists the rest.
PYTHON ?= python3
TORCH ?= default
PY := .venv/bin/python
FIRST := $(firstword $(sort $(wildcard notebooks/[0-9]*.ipynb)))
CPU_INDEX := https://download.pytorch.org/whl/cpu
WORKERS ?= 2
# Real data: the folder that COURSE_DATA names, else data/, which the lessons fill by downloading.
REAL := COURSE_DATA="$${COURSE_DATA:-data}"

.DEFAULT_GOAL := help
.PHONY: help lab test full lint browser slides figures timings ledger bench checkpoints stamp resolve clean

help:  ## list what can be made
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

lab: .venv/lab.ok  ## install what the lessons need (first time) and open the course in JupyterLab
	$(PY) -m jupyterlab --ip=127.0.0.1 $(FIRST)

test: .venv/test.ok  ## run every test and every notebook on the data that ships with the packages (no network)
	COURSE_DATA=offline $(PY) -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder

full: .venv/test.ok  ## run every notebook on real data: the folder in COURSE_DATA, else data/, else downloads
	$(REAL) $(PY) -m pytest notebooks

lint: .venv/test.ok  ## check modules, tests and notebooks with ruff
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .

browser: .venv/test.ok build/parts.ok  ## open every lesson in JupyterLab in a real browser, and its slides (needs Chromium)
	COURSE_DATA=offline $(PY) -m pytest tests/browser -n $(WORKERS) --dist loadscope --no-loadscope-reorder

slides: .venv/test.ok build/parts.ok  ## write slides of every lesson, which open with no network, to build/slides
	$(PY) -m tests.tools.slides

figures: .venv/lab.ok  ## redraw every figure in images/
	for script in images/figures/[0-9]*.py; do $(PY) $$script || exit 1; done

timings: .venv/test.ok  ## run every lesson on real data, store its outputs, and write minutes into README.md
	$(REAL) $(PY) -m tests.tools.store_notebooks

ledger: .venv/test.ok  ## repeat the lessons' measurements over several seeds and write tests/results/ledger.json
	$(REAL) $(PY) -m tests.tools.ledger

bench: .venv/test.ok  ## the textbook loop against fit_fast on real data: tests/results/bench.json and its figure
	$(REAL) $(PY) -m tests.tools.bench

checkpoints: .venv/test.ok  ## train the small networks that the course ships (utils/weights)
	$(REAL) $(PY) -m tests.tools.checkpoints

stamp: .venv/ok  ## have badges and set-up cells lead to your fork: make stamp REPO=owner/name
	$(PY) -m tests.tools.stamp '$(REPO)'

resolve: .venv/test.ok  ## check the requirements against the package index: each Python, Colab's versions, ipywidgets 7
	COURSE_DATA=offline $(PY) -m pytest tests/online

clean:  ## remove the environment and every cache; your data and answers stay
	rm -rf .venv build .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -prune -exec rm -rf {} +

.venv/ok:
	@$(PYTHON) -c 'import sys; v = sys.version_info[:3]; sys.exit(None if (3, 11, 4) <= v < (3, 14) else \
	"This course needs Python 3.11.4 or newer, below 3.14; $(PYTHON) is %d.%d.%d. Name another: make lab PYTHON=python3.12" % v)'
	$(PYTHON) -m venv .venv
	touch $@

# Each stamp is renewed when its list of requirements changes; otherwise the second call starts at once.
.venv/lab.ok: .venv/ok requirements.txt
ifeq ($(TORCH),cpu)
	$(PY) -m pip install torch torchvision --index-url $(CPU_INDEX)
endif
	$(PY) -m pip install --disable-pip-version-check -r requirements.txt
	touch $@

.venv/test.ok: .venv/lab.ok requirements-dev.txt
	$(PY) -m pip install --disable-pip-version-check -q -r requirements-dev.txt
	touch $@

# What slides need besides the lessons, without the packages' own requirements: reveal.js, and MathJax.
build/parts.ok: | .venv/ok
	$(PY) -m pip install --disable-pip-version-check -q --no-deps --upgrade --target build/parts \
		sphinx-revealjs==3.2.1 sphinx-mathjax-offline==0.0.2
	touch $@
