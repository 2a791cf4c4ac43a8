# make demo   set everything up, then describe -> extract -> train -> eval on the embedded default, and report
# make test   set everything up, then run the tests
# make test-lowest  the tests with the lowest declared dependencies, in an environment of their own; test-newest: the newest
# make check  lint, formatting, types, layering
# make bench  measure speed, as ratios, on cores that do nothing else; an hour (BENCH=many: some of it)
# make fuzz  damaged inputs for everything that reads files, and a table of what they did; an hour
# make mutants  put 300 small faults into the code, one at a time, and say how many the tests find; an hour
# make test-faults  kill, damage and fill up, and print what came of it; hours (FAULTS=--short: minutes)
# make test-cluster  kill nodes, workers and drivers of a Ray cluster on this machine, and print what came of it; minutes
# make docs   build the documentation site into site/, strictly
# make package  build sdist and wheel into dist/, look into them, and see whether they resolve on other machines
# make image  a Docker image, fsarctl:cpu or (TARGET=cuda) fsarctl:cuda
.PHONY: setup demo test test-slow test-lowest test-newest check bench fuzz mutants test-faults test-cluster docs package image format clean

PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
STAMP = $(VENV)/installed
# Hundreds of processes import the same modules: compiled once, whatever the surroundings say.
unexport PYTHONDONTWRITEBYTECODE
# uv takes a quarter of the time; pip knows of mirrors that nobody has told uv of.
LOCKED = pip install --quiet --constraint constraints.txt
install = $(BIN)/uv $(LOCKED) --python $(BIN)/python --editable "$(1)" || $(BIN)/python -m $(LOCKED) --editable "$(1)"

setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m $(LOCKED) uv
	$(call install,.[dev])
	touch $(STAMP)

demo: setup
	$(BIN)/fsarctl run --jobs 2
	$(BIN)/fsarctl report

test: setup
	$(BIN)/python -m pytest -m "not slow" -n auto --dist worksteal

test-slow: setup
	$(BIN)/python -m pytest -m "$(or $(SLOW),slow)" -n auto --dist worksteal

test-lowest test-newest:
	$(PYTHON) -m venv --clear $(VENV)-$@
	$(VENV)-$@/bin/python -m pip install --quiet uv
	$(VENV)-$@/bin/uv pip install --quiet --python $(VENV)-$@/bin/python --editable ".[dev]" \
		--resolution $(if $(filter test-lowest,$@),lowest-direct,highest)
	$(VENV)-$@/bin/python -m pytest -m "not slow" -n auto --dist worksteal

check: setup
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: setup
	$(BIN)/python tests/benchmarks/run.py $(BENCH)

fuzz: setup
	$(BIN)/python tests/fuzz/run.py $(FUZZ)

mutants: setup
	$(BIN)/python tests/mutants/run.py

test-faults: setup
	$(BIN)/python tests/fault_table/run.py $(FAULTS)

test-cluster: $(STAMP)-ray
	$(BIN)/python tests/cluster/run.py $(CLUSTER)

docs: $(STAMP)-docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet
	@echo "the site is in site/: $(BIN)/python -m mkdocs serve shows it"

package: $(STAMP)-release
	rm -rf dist
	$(BIN)/uv build --quiet --sdist --wheel --out-dir dist
	$(BIN)/twine check --strict dist/*
	$(BIN)/python .ci/check_package.py dist

$(STAMP)-%: $(STAMP)
	$(call install,.[$*])
	touch $@

TARGET ?= cpu
image:
	@docker info > /dev/null 2>&1 || { echo "make image needs Docker: none answers here"; exit 1; }
	@test $(TARGET) != cpu || test -n "$(CPU_INDEX)" || \
		{ echo "make image CPU_INDEX=... names the CPU index of pytorch.org's install page; or TARGET=cuda"; exit 1; }
	docker build --target $(TARGET) --build-arg CPU_INDEX="$(CPU_INDEX)" --tag fsarctl:$(TARGET) .

format: setup
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache *.egg-info build dist site
