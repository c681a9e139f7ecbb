# Everything a newcomer needs: `make demo` and `make test` work from a fresh clone with Python 3.11+,
# make and a package index. `make` alone lists the targets.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

VENV := .venv
BIN := $(VENV)/bin
# Quiet twice: errors only. Warnings of pip (who runs it, how old it is, what an index of this machine lacks) are not ours to show.
PIP_INSTALL = PIP_ROOT_USER_ACTION=ignore $(BIN)/python -m pip install --quiet --quiet --disable-pip-version-check
STAMP := $(VENV)/.installed
BENCH_STAMP := $(VENV)/.installed-bench
# The first of these that runs and is new enough makes the environment; `make PYTHON=... demo` overrides.
PYTHON ?= $(shell for name in python3.11 python3.12 python3.13 python3 python; do \
	"$$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo "$$name"; break; }; done)
# Two workers suit a small machine; `make WORKERS=8 test` suits a larger one.
WORKERS ?= 2
STREAMS ?= 100000
WAVES ?= 1000000
KILLS ?= 200
MUTATIONS ?= 750
INPUTS ?= 1000000
SEED ?= 1
BASE ?= HEAD
CHECKED := $(wildcard src tests benchmarks docs/examples)

.PHONY: help
help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-17s %s\n", $$1, $$2}'

.PHONY: demo
demo: $(STAMP) ## Run a historical crash through the engine, end to end
	@$(BIN)/backstop demo $(ARGS)

.PHONY: test
test: $(STAMP) warm ## Run the tests, then small runs with index checks and without compiler
	@$(BIN)/python -m pytest -q -n $(WORKERS)
	@$(MAKE) --no-print-directory test-bounds test-interpreted

.PHONY: quick
quick: $(STAMP) warm ## Run the tests of the rooms that you changed within 20 seconds; ROOMS="journal cli" names them
	@$(BIN)/python -m tests.quick $(ROOMS)

.PHONY: test-bounds
test-bounds: $(STAMP) ## Run the marked tests with every array index checked
	@echo "tests marked bounds, every index checked (compiles anew on the first run)"
	@NUMBA_BOUNDSCHECK=1 $(BIN)/python -m pytest -q -m bounds

.PHONY: test-interpreted
test-interpreted: $(STAMP) ## Run the marked tests with kernels as plain Python
	@echo "tests marked interpreted, kernels as plain Python"
	@NUMBA_DISABLE_JIT=1 $(BIN)/python -m pytest -q -m interpreted

.PHONY: check
check: $(STAMP) ## Check style, types and who imports whom
	@$(BIN)/ruff check $(CHECKED)
	@$(BIN)/ruff format --check $(CHECKED)
	@$(BIN)/mypy $(CHECKED)
	@$(BIN)/lint-imports

.PHONY: format
format: $(STAMP) ## Format the code and mend what ruff can mend
	@$(BIN)/ruff check --fix $(CHECKED)
	@$(BIN)/ruff format $(CHECKED)

.PHONY: generate
generate: $(STAMP) ## Write schemas/, venue.md, events-and-effects.md and the tables of scenarios.md from the code
	@$(BIN)/python -m backstop.config.reference --write .
	@$(BIN)/python -m backstop.journal.records --write .
	@$(BIN)/python -m backstop.runs.scenario_page --write .

.PHONY: bench
bench: $(BENCH_STAMP) warm ## Measure; ONLY=P1 runs one and prints its object as the last line
	@$(BIN)/python -m benchmarks.run $(ONLY)

.PHONY: crashes
crashes: $(STAMP) warm ## Replay recorded crashes from BACKSTOP_DATA into docs/reference; ONLY=2020-03-12 runs one
	@$(BIN)/python -m benchmarks.crashes $(ONLY)
	@$(BIN)/python -m benchmarks.outage_print

.PHONY: outcomes
outcomes: $(STAMP) warm ## Write who pays in each crash, and who is liquidated too early; BEFORE=COMMIT runs that commit beside this one
	@$(BIN)/python -m benchmarks.outcomes $(if $(BEFORE),--before $(BEFORE)) $(ONLY)

.PHONY: campaign
campaign: $(STAMP) warm ## Compare engine and reference over STREAMS=100000 random streams (long)
	@$(BIN)/python -m tests.campaign --streams $(STREAMS)

.PHONY: rule-mutations
rule-mutations: $(STAMP) warm ## Change one place of the reference for each rule; random streams must notice every one (long)
	@$(BIN)/python -m tests.rule_mutations

.PHONY: same
same: $(STAMP) warm ## Compare every effect and digest of STREAMS random streams and of the scenarios with the commit BASE (long)
	@$(BIN)/python -m tests.same --base $(BASE) --streams $(STREAMS) --scenarios --workers $(WORKERS)

.PHONY: crash-proof
crash-proof: $(STAMP) warm ## Kill a replay KILLS=200 times, tear, fill and fail its disk, take it up again (long)
	@BACKSTOP_KILLS=$(KILLS) BACKSTOP_TEARS=1000 $(BIN)/python -m pytest -q -n $(WORKERS) \
		tests/journal/test_crash.py tests/journal/test_place.py tests/journal/test_faults.py tests/journal/test_recovery.py tests/journal/test_snapshot.py

.PHONY: mutations
mutations: $(STAMP) warm ## Change a journal MUTATIONS=750 times in each of 14 ways; all must be found and named (long)
	@BACKSTOP_MUTATIONS=$(MUTATIONS) $(BIN)/python -m pytest -q -n $(WORKERS) tests/journal/test_mutations.py

.PHONY: fuzz
fuzz: $(STAMP) warm ## Give every file reader INPUTS=1000000 spoilt files from SEED=1 on; a correct load or a clear refusal (long)
	@$(BIN)/python -m tests.fuzz --inputs $(INPUTS) --seed $(SEED) --workers $(WORKERS)

.PHONY: drift
drift: $(STAMP) warm ## Run WAVES=1000000 ADL waves on either side and look for drift after every thousand
	@BACKSTOP_WAVES=$(WAVES) $(BIN)/python -m pytest -q tests/attacks/test_rounding_drift.py

.PHONY: realdata
realdata: $(STAMP) warm ## Run the tests that need recorded market data in BACKSTOP_DATA
	@$(BIN)/python -m pytest -q -m realdata

.PHONY: warm
warm: $(STAMP)
	@$(BIN)/backstop warmup

.PHONY: clean
clean: ## Remove the environment, caches and what runs wrote
	rm -rf $(VENV) out build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis

$(STAMP): pyproject.toml constraints.txt
	@if [ -z "$(PYTHON)" ]; then echo "Python 3.11 or newer was not found: install it, or name it with make PYTHON=/path/to/python" >&2; exit 1; fi
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "$(PYTHON) is $$("$(PYTHON)" -V 2>&1): Python 3.11 or newer is needed" >&2; exit 1; }
	@echo "making $(VENV) with $$("$(PYTHON)" -V) and the versions in constraints.txt (a minute or two, once)" >&2
	@"$(PYTHON)" -m venv $(VENV)
	@$(PIP_INSTALL) -e '.[all]' -c constraints.txt
	@touch $@

# Where the wheels are not to be had, the rows that need them say so.
$(BENCH_STAMP): $(STAMP)
	@$(PIP_INSTALL) -e '.[bench]' -c constraints.txt || \
		echo "the extra bench could not be installed: what needs it is not run" >&2
	@touch $@
