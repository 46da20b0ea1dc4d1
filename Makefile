# Everything a fresh machine with Python 3.11 needs. `make` lists the targets.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV ?= .venv
BIN := $(VENV)/bin
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help install install-dev eval train test test-fast test-slow check audit benchmark docs clean

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

install: $(VENV)/installed  ## make the virtual environment and install what a run needs

install-dev: $(VENV)/installed-dev  ## what the tests, the report and the checks need as well

# The tested versions; on a machine with an NVIDIA GPU the same torch comes with CUDA. Modules are
# compiled when they are first imported: most never are.
PIP := $(BIN)/python -m pip install --disable-pip-version-check --no-compile --constraint constraints.txt

$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(PIP) --editable .
	touch $@

$(VENV)/installed-dev: $(VENV)/installed
	$(PIP) --editable '.[dev]'
	@# Without its own list, which wants another W&B and forty packages that no test here needs.
	$(PIP) --no-deps lmms-eval
	touch $@

eval: install  ## evaluate the medium tier (ARGS="tier=low" to override)
	$(BIN)/python eval.py tier=medium $(ARGS)

train: install  ## train the tiny model with the shipped recipe
	$(BIN)/python train.py experiment=tiny $(ARGS)

test: install-dev  ## all but the exhaustive tests, on two cores
	$(BIN)/python -m pytest -n 2 --dist loadfile $(ARGS)

test-fast: install-dev  ## those of them that start no command, server, browser or process of their own
	$(BIN)/python -m pytest -n 2 --dist loadfile -m 'not slow and not whole' $(ARGS)

test-slow: install-dev  ## the exhaustive tests as well
	$(BIN)/python -m pytest -m 'slow or not slow' $(ARGS)

check: install-dev  ## lint, format and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

audit: install-dev  ## known vulnerabilities of the pinned packages (ARGS=--require: must be done)
	$(BIN)/python .ci/audit.py constraints.txt .ci/accepted_vulnerabilities.toml $(ARGS)

benchmark: install-dev  ## the benchmarks, one after the other
	for script in benchmarks/*.py; do echo "== $$script"; $(BIN)/python $$script || exit 1; done

docs: install-dev  ## the pages as a site, in site/
	$(BIN)/mkdocs build --quiet

clean:  ## remove the virtual environment and caches
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis site
