PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.DEFAULT_GOAL := help
.PHONY: help demo test check bench soak dask-suite docs clean
.DELETE_ON_ERROR:

help:  ## show these lines
	@sed -n 's/^\([a-z-]*\):.*##  *\(.*\)/make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 17

demo: $(VENV)/installed  ## census of the standard library on an embedded Dask cluster
	$(BIN)/python examples/stdlib_census.py --executor dask

test: $(VENV)/installed-test $(VENV)/browser  ## run the tests (ARGS="-k chain -x" goes to pytest)
	$(BIN)/python -m pytest $(ARGS)

check: $(VENV)/installed-check $(VENV)/installed-test $(VENV)/browser  ## lint, format, types, examples in the pages, tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(run-examples)
	$(BIN)/python -m pytest $(ARGS)

bench: $(VENV)/installed-bench  ## measure against the peers, write benchmarks/RESULTS.md
	$(BIN)/python benchmarks/run.py $(ARGS)

dask-suite: $(VENV)/installed-suite  ## run Dask's own tests on our executors, write docs/dask-suite.md
	$(BIN)/python benchmarks/dask_suite.py $(ARGS)

soak: $(VENV)/installed-test  ## kill workers at random: 20 large graphs, then twice half an hour (ARGS="--minutes 5")
	for turn in $$(seq 20); do DASK_DISPATCHER_KILLS_SIZE=2000 \
	    DASK_DISPATCHER_KILLS_SECONDS=60 $(BIN)/python -m pytest -q -k at_random \
	    tests/faults/test_parallel_kills.py tests/faults/test_dask_kills.py || exit 1; done
	$(BIN)/python -m tests.support.soak $(ARGS)
	$(BIN)/python -m tests.support.soak --dask $(ARGS)

docs: $(VENV)/installed-docs $(VENV)/installed-test  ## run the pages' examples, build the API pages in build/docs
	$(run-examples)
	$(BIN)/python -m pdoc --docformat numpy --output-directory build/docs dask_dispatcher

clean:  ## remove what the other targets made, .venv included
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The examples in docstrings and in the pages are tests of their own.
run-examples = $(BIN)/python -m pytest --doctest-modules -p tests.support.pages src $(wildcard *.md docs)

# An existing .venv is taken as it is. One stamp a set of packages, older than pyproject.toml: install again.
$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/installed: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable .
	@touch $@

$(VENV)/installed-%: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --editable '.[$*]'
	@touch $@

# Chromium, for the tests that look at the report: installed where it is missing and may be; else they
# skip, and say so.
$(VENV)/browser: | $(VENV)/installed-test
	$(BIN)/python -m tests.support.browser
	@touch $@
