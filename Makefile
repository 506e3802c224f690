# Two commands do everything on a fresh machine: `make run` and `make test`.
# They need Linux, Python 3.11 to 3.13, make and a package index; `make help` lists the rest.

SHELL := /bin/bash
.DEFAULT_GOAL := help

VENV ?= .venv
BIN := $(VENV)/bin
STAMPS := $(VENV)/.stamps
INVENTORY ?= inventory/local.yaml

# The first Python of this machine for which there is TensorFlow; where there is none, setting up says so.
CAN_USE := harness/values/platforms.py
PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11; do \
	$$python -I $(CAN_USE) 2>/dev/null && echo $$python && exit; done; echo python3)

# The TensorFlow package of the `process` engine: with CUDA's libraries where an NVIDIA driver answers (x86-64 only).
TF_EXTRA ?= $(shell if [ "$$(uname -m)" = x86_64 ] && nvidia-smi -L >/dev/null 2>&1; then echo process-gpu; else echo process-cpu; fi)

# Exactly what the locks name, each file known by its hash; nothing is built but this package itself.
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check
LOCKED := $(INSTALL) --require-hashes --only-binary :all: -r
ENVIRONMENT = python=$(PYTHON); $$python -I $(CAN_USE) && { test -x $(BIN)/python || $$python -m venv $(VENV); }

.PHONY: help
help: ## List the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 20

$(STAMPS)/run: pyproject.toml locks/$(TF_EXTRA).txt
	@$(ENVIRONMENT)
	$(LOCKED) locks/$(TF_EXTRA).txt
	$(INSTALL) --no-deps --no-build-isolation --editable .
	@mkdir -p $(STAMPS) && touch $@

$(STAMPS)/test: $(STAMPS)/run $(STAMPS)/docs locks/test.txt
	$(LOCKED) locks/test.txt
	@mkdir -p $(STAMPS) && touch $@

$(STAMPS)/bench: $(STAMPS)/run locks/bench.txt
	$(LOCKED) locks/bench.txt
	@mkdir -p $(STAMPS) && touch $@

$(STAMPS)/docs: locks/docs.txt
	@$(ENVIRONMENT)
	$(LOCKED) locks/docs.txt
	@mkdir -p $(STAMPS) && touch $@

$(STAMPS)/lock: locks/lock.txt
	@$(ENVIRONMENT)
	$(LOCKED) locks/lock.txt
	@mkdir -p $(STAMPS) && touch $@

.PHONY: lock
lock: $(STAMPS)/lock ## Refresh all locks (locks/, images/requirements-*.txt) from pyproject.toml
	$(BIN)/python locks/refresh.py

.PHONY: setup
setup: $(STAMPS)/run ## Make the virtual environment with TensorFlow

.PHONY: run
run: $(STAMPS)/run ## Set up, measure preset `quick` on this machine, write the report
	$(BIN)/harness run $(INVENTORY) --experiment quick

.PHONY: test
test: $(STAMPS)/test ## Set up and run every check and test; each part prints its minutes
	@BIN=$(BIN) tests/run_all.sh

.PHONY: quick-test
quick-test: $(STAMPS)/test ## Style, types, layers, documents, pure tests: nothing is installed, started or measured
	@BIN=$(BIN) tests/run_all.sh quick

FUZZ ?= tests/fuzz tests/host_outputs/test_garbage.py

.PHONY: lab
lab: $(STAMPS)/test ## Bring up four workstations on this machine, with SSH and Docker, to play with (root, Debian)
	$(BIN)/python tests/lab/play.py up

.PHONY: lab-down
lab-down: $(STAMPS)/test ## Take the lab away without a trace
	$(BIN)/python tests/lab/play.py down

.PHONY: sample
sample: $(STAMPS)/test ## Measure on a lab of this machine; write reports/sample and docs/report.png (root, Debian)
	$(BIN)/python tests/lab/sample.py

.PHONY: test-lab
test-lab: $(STAMPS)/test ## One fault of each kind on a lab of four hosts, as in `make test`
	$(BIN)/python -m pytest -q -m "lab and not lab_full" tests/lab

.PHONY: test-lab-full
test-lab-full: $(STAMPS)/test ## Every fault at every stage on a lab of four hosts (long)
	$(BIN)/python -m pytest -q -m "lab or lab_full" tests/lab

.PHONY: test-vm
test-vm: $(STAMPS)/test ## Cgroup version 2 in a virtual machine: limits, deaths by memory, engines without root, logouts (long)
	$(BIN)/python -m pytest -q -m vm tests/lab/vm

.PHONY: test-loaders
test-loaders: $(STAMPS)/test ## Every loader with every cache: killed, with wrong files, short of memory, on a full disk (long)
	$(BIN)/python -m pytest -q tests/bench/test_every_loader.py tests/bench/test_caches_on_disk.py

.PHONY: fuzz
fuzz: $(STAMPS)/test ## Damaged input of every kind, 10,000 cases a target (long; FUZZ='tests/fuzz/FILE -k NAME' for one)
	HARNESS_FUZZ_CASES=$${HARNESS_FUZZ_CASES:-10000} $(BIN)/python -m pytest -q -o timeout=14400 $(FUZZ)

.PHONY: lint
lint: $(STAMPS)/test ## Style, types and layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

.PHONY: bench-help
bench-help: $(STAMPS)/run ## CPU time of every --help against a bare Typer program
	$(BIN)/python benchmarks/help_cpu.py

.PHONY: bench-overhead
bench-overhead: $(STAMPS)/run ## One pipeline through the harness and as a bare script, in turn
	$(BIN)/python benchmarks/overhead.py

# Of your own: DATA='FOLDER', or DATA='IMAGES --annotations JSON --repeat 6' of a COCO pair; else photographs are made.
DATA ?=

.PHONY: bench-pipelines
bench-pipelines: $(STAMPS)/bench ## Our pipelines beside what one would take instead (DATA='FOLDER …')
	$(BIN)/python benchmarks/pipelines.py $(DATA)

.PHONY: bench-stages
bench-stages: $(STAMPS)/run ## CPU time an image in each stage of every loader (DATA='FOLDER …')
	$(BIN)/python benchmarks/stages.py $(DATA)

.PHONY: bench-emulated
bench-emulated: $(STAMPS)/run ## Which pipeline keeps an accelerator of 1,000 images/s busy (DATA='FOLDER …')
	$(BIN)/python benchmarks/emulated.py $(DATA)

.PHONY: bench-verdicts
bench-verdicts: $(STAMPS)/run ## What the rules of verdicts come to on simulated sessions: false verdicts, power, rounds
	$(BIN)/python benchmarks/verdicts.py

.PHONY: bench-predictions
bench-predictions: $(STAMPS)/run ## Each prediction of memory under limits around the need (DATA='FOLDER …'; root)
	$(BIN)/python benchmarks/predictions.py $(DATA)

.PHONY: bench-presets
bench-presets: $(STAMPS)/test ## Presets ladder and caches in the lab, on DATA and a generated set, as tables (long)
	$(BIN)/python benchmarks/presets.py $(DATA)

.PHONY: bench-fleet
bench-fleet: $(STAMPS)/test ## What the controller costs for 1 to 1,000 simulated hosts, and for 30 over real SSH
	$(BIN)/python benchmarks/fleet.py

.PHONY: bench-lab
bench-lab: $(STAMPS)/test ## Facts beside Ansible, shipping beside a pipe, in a lab of four hosts (root, Debian)
	$(BIN)/python benchmarks/lab.py

.PHONY: image
image: $(STAMPS)/run ## Build the CPU image on this machine's Docker Engine
	$(BIN)/harness image build cpu

.PHONY: image-gpu
image-gpu: $(STAMPS)/run ## Build the GPU image (several GB) and import TensorFlow in it
	BIN=$(BIN) images/try_gpu.sh

.PHONY: docs
docs: $(STAMPS)/docs ## Build the documents as a site in build/docs; a broken link or reference fails
	rm -rf build/docs
	$(BIN)/sphinx-build -W --keep-going -n -q -c docs . build/docs
	@echo "file://$(CURDIR)/build/docs/index.html"

.PHONY: architecture
architecture: $(STAMPS)/test ## Draw the packages' imports into docs/architecture.md
	$(BIN)/python docs/draw_imports.py

.PHONY: findings
findings: $(STAMPS)/run ## Write docs/findings.md from the catalogue of findings
	$(BIN)/python docs/write_findings.py

.PHONY: parameters
parameters: $(STAMPS)/run ## Write the table of parameters into docs/experiment.md
	$(BIN)/python docs/write_parameters.py

.PHONY: schema
schema: $(STAMPS)/run ## Refresh the committed JSON Schemas
	mkdir -p docs/schema
	for name in inventory experiment session record; do $(BIN)/harness schema $$name > docs/schema/$$name.json; done

.PHONY: clean
clean: ## Remove the virtual environment and caches of tools (never reports)
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache build dist *.egg-info
