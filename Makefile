# `make demo` and `make test` set themselves up; nothing outside this directory is touched.
.DEFAULT_GOAL := help
.PHONY: help demo test lint types imports tests bench clean

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check
DEMO := examples/quickstart

help: ## Show what can be made
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 16

demo: $(VENV)/installed ## Apply examples/quickstart against the embedded service
	$(BIN)/reconciler apply --local --yes $(DEMO)
	@printf '\n%s\n\n' 'The lockfile, $(DEMO)/reconciler.lock:'
	@cat $(DEMO)/reconciler.lock

test: lint types imports tests ## Check style, types and import rules; run all tests

lint: $(VENV)/installed-dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: $(VENV)/installed-dev
	$(BIN)/mypy

imports: $(VENV)/installed-dev
	$(BIN)/lint-imports

tests: $(VENV)/installed-dev
	$(BIN)/python -m pytest -n auto -q

bench: $(VENV)/installed-dev ## Measure, as ratios within one run
	$(BIN)/python benchmarks/apply.py
	$(BIN)/python benchmarks/serve.py

clean: ## Remove what make has made
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache

$(BIN)/python:
	scripts/make-venv

$(VENV)/installed: pyproject.toml | $(BIN)/python
	$(PIP) install --editable .
	@touch $@

$(VENV)/installed-dev: pyproject.toml | $(BIN)/python
	$(PIP) install --editable '.[dev]'
	@touch $@ $(VENV)/installed
