# README's two commands are `make demo` and `make test`; both set up .venv first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.DEFAULT_GOAL := help
.PHONY: help demo test soak check format bench clean synth notebooks check-formal check-oldest check-tcl

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 12

$(VENV)/ready: pyproject.toml setup.py
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	PYTHONWARNINGS=ignore $(BIN)/python -m pip install --quiet --disable-pip-version-check --group dev --editable '.[verify,plot]'
	@touch $@

demo: $(VENV)/ready ## plan and run SqueezeNet on ultra96-v2+jetson-tx2, draw a Gantt picture
	$(BIN)/python benchmarks/networks.py squeezenet build/demo/squeezenet.onnx
	$(BIN)/heterolith plan build/demo/squeezenet.onnx --platform ultra96-v2+jetson-tx2 \
		--deadline 4.9ms --out build/demo/plan.json --gantt build/demo/gantt.png
	$(BIN)/heterolith run build/demo/plan.json --input random:0 --check

test: check ## every gate and the whole test suite
	$(BIN)/python -m pytest -n 2 --dist loadfile
	@$(MAKE) --no-print-directory notebooks

# PYNQ has wheels for Python 3.10 to 3.12 and wants numpy 1: it gets an environment of its own, made
# by the first such Python there is.
PYNQ := build/pynq
PYNQ_PYTHON := $(shell for python in '$(PYTHON)' python3.12 python3.11 python3.10; do \
	$$python -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 12))' \
	2> /dev/null && echo $$python && break; done)

$(PYNQ)/ready: pyproject.toml setup.py
	$(PYNQ_PYTHON) -m venv $(PYNQ)
	$(PYNQ)/bin/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	PYTHONWARNINGS=ignore $(PYNQ)/bin/python -m pip install --quiet --disable-pip-version-check --group notebooks --editable '.[pynq]'
	@touch $@

# The oldest numpy that a board may have, with the newest onnx and ONNX Runtime that go with it. Left
# out are operators newer than these.
OLDEST := build/oldest
PYENV_PYTHON := $(wildcard $(or $(PYENV_ROOT),$(HOME)/.pyenv)/versions/3.10.*/bin/python)
OLDEST_PYTHON := $(shell for python in '$(PYTHON)' python3.10 $(PYENV_PYTHON); do \
	$$python -c 'import sys; sys.exit(sys.version_info[:2] != (3, 10))' \
	2> /dev/null && echo $$python && break; done)

$(OLDEST)/ready: pyproject.toml setup.py
	$(OLDEST_PYTHON) -m venv $(OLDEST)
	PYTHONWARNINGS=ignore $(OLDEST)/bin/python -m pip install --quiet --disable-pip-version-check \
		--editable . numpy==1.21.6 onnx==1.17.0 onnxruntime==1.16.3 'pytest>=8' 'hypothesis>=6.100'
	@touch $@

ifeq ($(OLDEST_PYTHON),)
check-oldest: ## run what boards run on numpy 1.21: minutes
	@echo 'check-oldest: SKIPPED, it needs Python 3.10 and none is here'
else
check-oldest: $(OLDEST)/ready
	$(OLDEST)/bin/python -m pytest tests/test_board_imports.py tests/sw/test_execute.py \
		tests/sw/test_cpu_worker.py tests/sw/test_stretch.py tests/sw/test_team.py \
		tests/sw/test_fast_*.py tests/sw/test_int8.py tests/sw/test_quantize.py \
		tests/sw/test_kernels.py tests/sw/test_ops.py tests/sw/test_ops_conv.py \
		tests/sw/test_ops_integer.py tests/sw/test_ops_normalize.py tests/sw/test_ops_index.py \
		tests/sw/test_ops_shape.py tests/sw/test_ops_reduce.py tests/sw/test_ops_recurrent.py \
		tests/sw/test_ops_resize.py tests/sw/test_ops_window.py tests/sw/test_store.py \
		tests/sw/test_ops_products.py tests/sw/test_ops_maps.py tests/sw/test_arena.py \
		tests/sw/test_scratch.py tests/sw/test_pages.py \
		tests/sw/test_numerics.py -k 'not Gelu'
endif

ifeq ($(PYNQ_PYTHON),)
notebooks: ## run the notebooks and the driver under PYNQ on the simulated board
	@echo 'notebooks: SKIPPED, PYNQ needs Python 3.10, 3.11 or 3.12 and none is here'
else
notebooks: $(PYNQ)/ready
	$(PYNQ)/bin/python -m pytest tests/hw/test_driver.py tests/hw/test_pynq_device.py \
		tests/hw/test_pynq_process.py tests/notebooks
endif

soak: $(VENV)/ready ## 10,000 random layers on HLS, 1,000 on RTL, every layer of nine networks on RTL, 100,000 placements, millions of jobs
	HETEROLITH_SOAK=1 $(BIN)/python -m pytest -n 2 tests/hw/test_single.py tests/hw/test_rtl.py \
		tests/hw/test_driver.py \
		tests/sw/test_kernels.py tests/sw/test_segments.py tests/scheduler/test_soak.py \
		tests/scheduler/realtime/test_response.py tests/scheduler/adaptive/test_apnet.py \
		tests/scheduler/adaptive/test_joint.py
	$(BIN)/python benchmarks/soundness.py --jobs 1000000

check: $(VENV)/ready ## lint, types, floors, spelling: seconds
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/codespell
	$(BIN)/python -m heterolith.hw.export --check
	$(BIN)/python -m heterolith.hw.overlay --check

format: $(VENV)/ready ## format and fix what ruff can
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(VENV)/ready ## rewrite the tables in benchmarks/results
	$(BIN)/python benchmarks/placement.py
	$(BIN)/python benchmarks/run_networks.py
	$(BIN)/python benchmarks/solver.py
	$(BIN)/python examples/digits/evaluate.py --json > benchmarks/results/digits.json
	$(BIN)/python examples/digits/qdq.py --json > benchmarks/results/digits_qdq.json

synth: $(VENV)/ready ## area by Yosys, into benchmarks/results/area.csv: minutes
	$(BIN)/python benchmarks/area.py

check-formal: $(VENV)/ready ## prove the handshake blocks: a minute, two at the first start of the tools
	$(BIN)/python -m pytest tests/hw/test_formal.py

check-tcl: ## lint the Tcl for Vivado and Vitis HLS
	@test -x build/tcl/bin/tclint || $(PYTHON) -m venv build/tcl
	@build/tcl/bin/python -m pip install --quiet --disable-pip-version-check 'pip>=25.1'
	@build/tcl/bin/python -m pip install --quiet --disable-pip-version-check --group tcl
	build/tcl/bin/tclint boards/vivado hw/hls

clean: ## remove what was built
	rm -rf build dist .venv .mypy_cache .ruff_cache .pytest_cache src/*.egg-info
