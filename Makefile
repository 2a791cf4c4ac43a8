# make demo   set everything up, then describe -> extract -> train -> eval on the embedded default, and report
# make test   set everything up, then run the tests
# make check  lint, formatting, types, layering
# make bench  measure speed, as ratios; minutes, on cores that do nothing else
# make mutants  put 300 small faults into the code, one at a time, and say how many the tests find; an hour
.PHONY: setup demo test test-slow check bench mutants format clean

PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
STAMP = $(VENV)/installed

setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[dev]"
	touch $(STAMP)

demo: setup
	$(BIN)/fsarctl run --jobs 2
	$(BIN)/fsarctl report

test: setup
	$(BIN)/python -m pytest -m "not slow" -n auto --dist worksteal

test-slow: setup
	$(BIN)/python -m pytest -m slow

check: setup
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: setup
	$(BIN)/python tests/benchmarks/run.py

mutants: setup
	$(BIN)/python tests/mutants/run.py

format: setup
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache *.egg-info
