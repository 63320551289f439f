# Everything runs inside .venv, which is made once from requirements.lock; `make extras`
# adds JAX and Dask from requirements-extras.lock, which nothing else here needs.
PYTHON ?= $(shell command -v python3.11 || echo python3)
EXPERIMENT ?=
BIN := .venv/bin
READY := .venv/installed
EXTRAS := .venv/installed-extras
PIP := $(BIN)/python -m pip install --disable-pip-version-check --quiet
# --all: pages that Sphinx does not read again would keep their warnings to themselves.
BUILD := TF_CPP_MIN_LOG_LEVEL=3 $(BIN)/jupyter-book build . -W -n --keep-going -q --all

.DEFAULT_GOAL := help
.PHONY: help book pdf slides instructor handout check-links test extras \
  test-backends lint lab bench reproduce release lock clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' Makefile

# The stamp is written last: an interrupted install starts again.
$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 is needed: make PYTHON=/path/to/python3.11"; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(PIP) --require-hashes -r requirements.lock
	$(PIP) --no-deps --no-build-isolation -e .
	touch $@

$(EXTRAS): $(READY) requirements-extras.lock
	$(PIP) --require-hashes -r requirements-extras.lock
	touch $@

book: $(READY) ## run the notebooks, build the book: _build/html/index.html
	$(BIN)/state-gradients render \
	  $(if $(EXPERIMENT),--experiment $(EXPERIMENT))
	$(BUILD)
	@echo "The book: _build/html/index.html"

pdf: book ## the whole book as one PDF, through Chromium: _build/pdf
	$(BIN)/python -m state_gradients.paper.book.printing

# Links within the book are tests (tests/test_browser.py); these need a network.
check-links: $(READY) ## ask every address outside of the book whether it answers
	$(BIN)/state-gradients render
	$(subst build .,build . --builder linkcheck,$(BUILD))

# From the executed pages, whose numbers and pictures they show
SLIDES := $(BIN)/sphinx-build -b revealjs -E -a -W -n --keep-going -q \
  -d _build/slides-doctrees book/slides _build/slides

slides: $(READY) ## the slides of a lecture: _build/slides/index.html
	$(BIN)/state-gradients render
	$(SLIDES)
	@echo "The slides: _build/slides/index.html"

WITH_SOLUTIONS := _build/instructor

instructor: $(READY) ## the book with solutions: _build/instructor/html/index.html
	$(BIN)/state-gradients render
	$(BIN)/python -m state_gradients.paper.exercises.instructor
	rm -rf $(WITH_SOLUTIONS)/_build $(WITH_SOLUTIONS)/html
	$(subst build .,build $(WITH_SOLUTIONS)/source --path-output $(WITH_SOLUTIONS),$(BUILD))
	mv $(WITH_SOLUTIONS)/_build/html $(WITH_SOLUTIONS)/html
	@echo "The instructor's book: $(WITH_SOLUTIONS)/html/index.html"

handout: $(READY) ## notebooks with blanks, and what they read, in a zip for students
	$(BIN)/python -m state_gradients.paper.exercises.handout

# What reads the executed pages, or makes the book again from them
OF_THE_BOOK := $(addprefix tests/test_,book.py tutorials.py browser.py explorer.py \
  exercises_of_the_book.py slides.py twins.py)

# A file's tests stay together, for they share what takes long to make.
ON_EVERY_CORE := -n auto --dist loadfile

test: $(READY) ## lint, tests, then the whole book with warnings as errors
	$(MAKE) lint
	$(BIN)/python -m pytest $(ON_EVERY_CORE) $(addprefix --ignore=,$(OF_THE_BOOK))
	$(BIN)/state-gradients render
	$(BUILD)
	$(BIN)/python -m pytest $(ON_EVERY_CORE) $(OF_THE_BOOK)

extras: $(EXTRAS) ## JAX and Dask into .venv

# What KERAS_BACKEND reaches. Double precision is JAX's to be switched on, and so the
# tests that take it as their reference have a run of their own, of many small programs
# that take longer to optimise than to run. A Dask cluster is the same on any backend.
ON_JAX := KERAS_BACKEND=jax $(BIN)/python -m pytest
IN_DOUBLE := JAX_ENABLE_X64=1 JAX_DISABLE_MOST_OPTIMIZATIONS=1
FLOAT32 := $(addprefix tests/,foundation/test_backends.py models paper/test_recipes.py \
  engine/test_capacity.py engine/test_sweep.py)
FLOAT64 := $(addprefix tests/engine/,test_means.py test_network.py)

test-backends: $(EXTRAS) ## the core tests on JAX, and the engine on Dask
	$(ON_JAX) $(FLOAT32)
	$(IN_DOUBLE) $(ON_JAX) $(FLOAT64)
	$(BIN)/python -m pytest tests/engine/test_jobs_on_dask.py

# ruff does not see the {code-cell} blocks of MyST notebooks: convert them first, to
# .ipynb, where it checks cell by cell (in py:percent, the blank lines between cells
# and the formatter's never agree).
lint: $(READY) ## ruff on code and notebooks, and the contracts between rooms
	rm -rf _build/lint && mkdir -p _build/lint
	$(foreach page,$(wildcard notebooks/*.md),$(BIN)/jupytext --quiet --to ipynb \
	  --output _build/lint/$(basename $(notdir $(page))).ipynb $(page) &&) true
	$(foreach page,$(wildcard notebooks/solutions/*.md),$(BIN)/jupytext --quiet \
	  --to ipynb --output _build/lint/solution-$(basename $(notdir $(page))).ipynb \
	  $(page) &&) true
	$(BIN)/lint-imports --no-cache > _build/lint/imports.txt || \
	  { cat _build/lint/imports.txt; exit 1; }
	$(BIN)/ruff check . _build/lint
	$(BIN)/ruff format --check . _build/lint

lab: $(READY) ## JupyterLab, with the notebooks paired to their .md sources
	$(foreach page,$(wildcard notebooks/*.md),$(BIN)/jupytext --quiet --update \
	  --to ipynb $(page) && touch -r $(page) $(page:.md=.ipynb) &&) true
	$(BIN)/jupyter lab notebooks

# A GPU is measured where there is one; its record goes into benchmarks/records/gpu:
#   PYTHONPATH=lib python benchmarks/gpu.py
bench: $(READY) ## measure the engine on this machine
	$(BIN)/python benchmarks/bench.py

# glibc returns large buffers to the system after each batch, and faults them in again:
# a quarter of the training time. These keep them; other C libraries ignore them.
KEEP := MALLOC_MMAP_MAX_=0 MALLOC_ARENA_MAX=1 \
  MALLOC_TRIM_THRESHOLD_=68719476736 MALLOC_TOP_PAD_=268435456

reproduce: $(READY) ## run an experiment again: make reproduce EXPERIMENT=name
	$(if $(EXPERIMENT),,$(error say which: make reproduce EXPERIMENT=name))
	$(KEEP) $(BIN)/state-gradients reproduce $(EXPERIMENT)

VERSION ?=

release: $(READY) ## see whether a version can be released: make release VERSION=1.2.3
	$(if $(VERSION),,$(error say which: make release VERSION=1.2.3))
	$(BIN)/python -m state_gradients.project.release $(VERSION)

# Keeps the pins that still fit; `make lock UPGRADE=--upgrade` renews all. Needs uv.
UV ?= uv
PIN := $(UV) pip compile --universal --python-version 3.11 --generate-hashes \
  --custom-compile-command "make lock" $(UPGRADE)
# uv has no option for extras without what they extend: hand it their own lines.
LISTED := import tomllib; \
  extras = tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]; \
  print(*extras["jax"], *extras["scale"], sep="\n")

lock: ## pin requirements.lock and requirements-extras.lock from pyproject.toml
	$(PIN) pyproject.toml --extra tensorflow --extra render --extra tags --extra torch \
	  --group book --group dev --group build \
	  --output-file requirements.lock
	$(PYTHON) -c '$(LISTED)' | $(PIN) - --constraint requirements.lock \
	  --output-file requirements-extras.lock

clean: ## remove what make made, except .venv
	rm -rf _build book/sections book/_static/made
