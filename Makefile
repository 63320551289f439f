# Everything runs inside .venv, which is made once from requirements.lock.
PYTHON ?= $(shell command -v python3.11 || echo python3)
EXPERIMENT ?=
BIN := .venv/bin
READY := .venv/installed
# --all: pages that Sphinx does not read again would keep their warnings to themselves.
BUILD := $(BIN)/jupyter-book build . -W -n --keep-going -q --all

.DEFAULT_GOAL := help
.PHONY: help book test lint lab bench reproduce lock clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' Makefile

# The stamp is written last: an interrupted install starts again.
$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 is needed: make PYTHON=/path/to/python3.11"; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --disable-pip-version-check --quiet \
	  --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --disable-pip-version-check --quiet \
	  --no-deps --no-build-isolation -e .
	touch $@

book: $(READY) ## run the notebooks, build the book: _build/html/index.html
	$(BIN)/state-gradients render \
	  $(if $(EXPERIMENT),--experiment $(EXPERIMENT))
	$(BUILD)
	@echo "The book: _build/html/index.html"

test: $(READY) ## lint, tests, then the whole book with warnings as errors
	$(MAKE) lint
	$(BIN)/python -m pytest --ignore tests/test_book.py
	$(BIN)/state-gradients render
	$(BUILD)
	$(BIN)/python -m pytest tests/test_book.py

# ruff does not see the {code-cell} blocks of MyST notebooks: convert them first, to
# .ipynb, where it checks cell by cell (in py:percent, the blank lines between cells
# and the formatter's never agree).
lint: $(READY) ## ruff on code and notebooks
	rm -rf _build/lint && mkdir -p _build/lint
	$(foreach page,$(wildcard notebooks/*.md),$(BIN)/jupytext --quiet --to ipynb \
	  --output _build/lint/$(basename $(notdir $(page))).ipynb $(page) &&) true
	$(BIN)/ruff check . _build/lint
	$(BIN)/ruff format --check . _build/lint

lab: $(READY) ## JupyterLab, with the notebooks paired to their .md sources
	$(foreach page,$(wildcard notebooks/*.md),$(BIN)/jupytext --quiet --update \
	  --to ipynb $(page) && touch -r $(page) $(page:.md=.ipynb) &&) true
	$(BIN)/jupyter lab notebooks

bench: $(READY) ## measure the engine on this machine
	$(BIN)/python benchmarks/bench.py

# glibc returns large buffers to the system after each batch, and faults them in again:
# a quarter of the training time. These keep them; other C libraries ignore them.
KEEP := MALLOC_MMAP_MAX_=0 MALLOC_ARENA_MAX=1 \
  MALLOC_TRIM_THRESHOLD_=68719476736 MALLOC_TOP_PAD_=268435456

reproduce: $(READY) ## run an experiment again: make reproduce EXPERIMENT=name
	$(if $(EXPERIMENT),,$(error say which: make reproduce EXPERIMENT=name))
	$(KEEP) $(BIN)/state-gradients reproduce $(EXPERIMENT)

# Keeps the pins that still fit; `make lock UPGRADE=--upgrade` renews all. Needs uv.
lock: ## pin requirements.lock from pyproject.toml
	uv pip compile pyproject.toml --group book --group dev --group build \
	  --universal --python-version 3.11 --generate-hashes $(UPGRADE) \
	  --custom-compile-command "make lock" --output-file requirements.lock

clean: ## remove what make made, except .venv
	rm -rf _build book/sections
