# Works with GNU make 3.81 (macOS) and later, as root or not.
SHELL := /bin/sh
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
VENDOR := src/trueup/web/console/static/vendor
PIP := $(BIN)/python -m pip install --disable-pip-version-check --no-input -q
LOCK := $(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header -q
CODE := src tests hatch_build.py $(wildcard scripts/*.py)

.PHONY: help setup demo test check format bench test-data test-crash lock clean distclean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' Makefile

setup: $(VENV)/.installed $(VENDOR)/htmx.min.js ## prepare .venv and the console's libraries

demo: setup ## run the whole story and serve it (ARGS="--once --json", ...)
	@$(BIN)/trueup demo $(ARGS)

test: setup ## run the tests (ARGS="-k name", ...)
	@TRUEUP_CHROMIUM="$$(scripts/ensure_chromium)" $(BIN)/pytest -q $(ARGS)

check: setup ## lint, format, types, imports between rooms
	$(BIN)/ruff check $(CODE)
	$(BIN)/ruff format --check $(CODE)
	$(BIN)/mypy $(CODE)
	$(BIN)/lint-imports

format: setup ## put the code into its form
	$(BIN)/ruff check --fix $(CODE)
	$(BIN)/ruff format $(CODE)

bench: setup ## measure, beside this machine's limits
	@$(BIN)/trueup bench all $(ARGS)

test-data: setup ## tests on the big real files
	@$(BIN)/pytest -q -m data $(ARGS)

test-crash: setup ## kill processes at random moments
	@$(BIN)/pytest -q -m crash -n 0 $(ARGS)

lock: setup ## renew the Python lock files from pyproject.toml
	@test -x $(BIN)/uv || $(PIP) uv
	$(LOCK) --group dev -o requirements.lock pyproject.toml
	$(LOCK) --group node --no-annotate -o requirements-node.lock

clean: ## remove caches and built packages
	rm -rf .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis build dist
	find src tests -name __pycache__ -type d -prune -exec rm -rf {} +

distclean: clean ## remove what setup made, too
	rm -rf $(VENV) node_modules $(VENDOR)

# Three stamps, so that a second `make setup` does nothing: third-party packages, the package itself, the console's libraries.
$(VENV)/.packages: requirements.lock scripts/make_venv
	@echo "Preparing $(VENV) from requirements.lock (a minute, the first time)"
	@PYTHON="$(PYTHON)" scripts/make_venv $(VENV)
	@$(PIP) --require-hashes -r requirements.lock
	@touch $@

$(VENV)/.installed: $(VENV)/.packages pyproject.toml hatch_build.py
	@$(PIP) --no-deps --no-build-isolation -e .
	@touch $@

$(VENDOR)/htmx.min.js: $(VENV)/.packages package.json package-lock.json hatch_build.py scripts/console_assets
	@echo "Fetching the console's libraries from package-lock.json"
	@scripts/console_assets $(VENV)
