# Everything from a fresh checkout: `make demo`, `make test`. Needs Python 3.11 or later, make and a C++ compiler.

PYTHON := $(shell for each in python3 python3.11 python3.12 python3.13; do \
	$$each -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$each && break; done)
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet -c constraints.txt

.DEFAULT_GOAL := test
.PHONY: demo test check bench clean

demo: .venv/.installed
	$(BIN)/fettle demo

# One thread a worker: several torch processes with all cores each are slower than one.
test: .venv/.installed
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2

check: .venv/.installed
	$(BIN)/ruff format --check --quiet .
	$(BIN)/ruff check --quiet .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(MAKE) --no-print-directory test

# The peers that fettle is measured against. They are never needed at run time.
bench: .venv/.peers

clean:
	rm -rf build dist .fettle-demo .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find src tests -name __pycache__ -type d -prune -exec rm -rf {} +

# torch goes first and alone, so that it is taken as pinned and never swapped for what another package would like.
.venv/.installed: pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "no Python 3.11 or later was found: install python3.11, then make again" >&2; exit 2; }
	$(PYTHON) -m venv .venv
	$(PIP) torch==2.13.0
	$(PIP) -e ".[train,dev]"
	@touch $@

.venv/.peers: .venv/.installed
	$(PIP) trl==1.16.0 datasets==5.2.0
	@touch $@
