# make demo and make test work in a fresh checkout: they first create the environment.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
SEEDS ?= 0 1 2

.PHONY: install demo test test-avx2 test-slurm cases check types man bench faults clean

install: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

demo: $(STAMP)
	PATH="$(CURDIR)/$(BIN):$$PATH" $(MAKE) --no-print-directory -j 2 -f examples/demo.mk SEEDS="$(SEEDS)"

test: $(STAMP)
	$(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder --ignore tests/slurm

# Backward passes on small faces with AVX2 kernels, as on a laptop, while glibc checks the heap.
AVX2_TESTS := convolution bootstrap distillation augmented_training freezing predicted_faces visual
test-avx2: $(STAMP)
	ONEDNN_MAX_CPU_ISA=AVX2 LD_PRELOAD=libc_malloc_debug.so.0 MALLOC_CHECK_=3 \
		$(BIN)/python -m pytest -n auto --dist loadfile $(AVX2_TESTS:%=tests/test_%.py)

# Jobs of a Slurm that the tests start: as root, with Debian's packages munge and slurm-wlm.
test-slurm: $(STAMP)
	$(BIN)/python -m pytest -n 2 --dist loadfile tests/slurm

cases: $(STAMP)
	$(BIN)/python tests/show_cases.py

check: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP)
	$(BIN)/mypy

man: $(STAMP)
	$(BIN)/python -m avaffect.cli.manual

bench: $(STAMP)
	$(BIN)/python -m benchmarks

faults: $(STAMP)
	$(BIN)/python -m benchmarks.faults --examples

clean:
	rm -rf demo build dist *.egg-info .pytest_cache .hypothesis .mypy_cache .ruff_cache
