# `make demo` and `make test` set themselves up; nothing outside this directory is touched.
.DEFAULT_GOAL := help
.PHONY: help demo test lint types imports tests bench soak guarantees audit lock clean

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check
DEMO := examples/quickstart
LOCK := --generate-hashes --no-annotate --no-emit-index-url --custom-compile-command 'make lock' --output-file
SOURCES := pyproject.toml README.md LICENSE $(shell find reconciler schemas -name '*.py' -o -name '*.json')

help: ## Show what can be made
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 20

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

tests: $(VENV)/installed-wheel
	$(BIN)/python -m pip check
	RECONCILER_TESTS=installed $(BIN)/pytest -n auto -q
	@echo 'Known vulnerabilities were not looked for, since that needs the network: run `make audit`.'

bench: $(VENV)/installed-wheel ## Measure, and write the figures into docs/performance.md
	$(BIN)/python -m benchmarks

soak: $(VENV)/installed-dev ## Simulate storms until one breaks a guarantee or Ctrl-C
	scripts/soak

guarantees: $(VENV)/installed-dev ## Simulate and fuzz; write the figures into docs/guarantees.md
	scripts/guarantees

audit: $(BIN)/python ## Look for known vulnerabilities in what is locked; asks the network
	$(PIP) install --upgrade --target $(VENV)/audit --require-hashes --requirement requirements/audit.txt
	PYTHONPATH=$(VENV)/audit $(BIN)/python -m pip_audit --require-hashes --disable-pip \
	  --requirement requirements/dev.txt

lock: ## Lock the newest versions that pyproject.toml admits; needs uv
	uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 --upgrade $(LOCK) requirements/dev.txt
	echo pip-audit | uv pip compile - --universal --python-version 3.11 --upgrade $(LOCK) requirements/audit.txt

clean: ## Remove what make has made
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache

$(BIN)/python:
	scripts/make-venv

# Either the checkout is installed, for the demo, or the wheel made of it, for the tests.
$(VENV)/installed: pyproject.toml | $(BIN)/python
	$(PIP) install --editable .
	@rm -f $(VENV)/installed-wheel
	@touch $@

$(VENV)/installed-dev: requirements/dev.txt | $(BIN)/python
	$(PIP) install --require-hashes --requirement requirements/dev.txt
	@touch $@

$(VENV)/installed-wheel: $(VENV)/installed-dev $(SOURCES)
	@rm -rf dist
	$(BIN)/python -m build --no-isolation --outdir dist . >$(VENV)/build.log 2>&1 || { cat $(VENV)/build.log; exit 1; }
	$(PIP) install --no-deps --force-reinstall dist/*.whl
	@rm -f $(VENV)/installed
	@touch $@
