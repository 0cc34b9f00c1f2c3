# One word each. `make demo` and `make test` need only Python 3.11+, git and make.
SHELL := /bin/sh
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)
# These would reach pytest before the tests choose their own database.
unexport DJANGO_SETTINGS_MODULE GANTRY_DATABASE_URL
STAMP := $(VENV)/.installed
DEV := $(VENV)/.installed-dev
ONCE ?=
ARGS ?=
# Test processes beside each other; each has a database of its own.
JOBS ?= 2

.PHONY: help setup up demo web web-optional web-dev web-mocked web-test test test-web screens lint types docs bench torture fuzz roundtrip previous lock clean

help: ## show this list
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# What runs the product, and on top of it what tests it; both from lock files with hashes.
define install
	@$(PYTHON) packaging/check_python.py
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing $(1) into $(VENV) ..."
	@if command -v uv >/dev/null 2>&1; then \
	   VIRTUAL_ENV=$(CURDIR)/$(VENV) uv pip install --quiet --require-hashes -r $(1) && \
	   VIRTUAL_ENV=$(CURDIR)/$(VENV) uv pip install --quiet --require-hashes -r requirements-build.lock && \
	   VIRTUAL_ENV=$(CURDIR)/$(VENV) uv pip install --quiet --no-deps --no-build-isolation -e . ; \
	 else \
	   $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $(1) && \
	   $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-build.lock && \
	   $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e . ; \
	 fi
	@touch $@
endef

$(STAMP): pyproject.toml requirements.lock requirements-build.lock
	$(call install,requirements.lock)

$(DEV): $(STAMP) requirements-dev.lock
	$(call install,requirements-dev.lock)

setup: $(STAMP) ## install only

# Built again only when its sources have changed; without the npm registry the server goes on without pages.
web: $(STAMP) ## build the web app, if it is not fresh
	@$(BIN)/python tools/build_web.py

web-optional: $(STAMP)
	@$(BIN)/python tools/build_web.py --optional

web-dev: $(STAMP) ## the web app with live reloading, against GANTRY_URL (default http://127.0.0.1:8080)
	@$(BIN)/python tools/build_web.py run dev

web-mocked: $(STAMP) ## the web app without a server, on invented data
	@$(BIN)/python tools/build_web.py run mocked

web-test: $(STAMP) ## types and unit tests of the web app
	@$(BIN)/python tools/build_web.py run check
	@$(BIN)/python tools/build_web.py run test

up: $(STAMP) web-optional ## run Gantry here (HOME ./var)
	@$(BIN)/gantry up $(ARGS)

demo: $(STAMP) web-optional ## receive, store, index, route, deliver a real study and show the receipt (ONCE=1: end after it)
	@$(BIN)/gantry demo $(if $(ONCE),--once) $(ARGS)

test: $(DEV) web-optional ## all tests but the long ones and those in a browser
	@$(BIN)/python -m pytest -q -n $(JOBS) --dist loadfile -m "not torture and not browser" $(ARGS)

test-web: $(DEV) web ## the tests in Chromium (WEB_SHOTS=FOLDER keeps pictures of every page)
	@$(BIN)/python -m pytest -q -n $(JOBS) --dist loadfile -m browser tests/web $(ARGS)

screens: $(DEV) web ## pictures of every page into docs/screens (needs Chromium)
	@$(BIN)/python -m tools.screens $(ARGS)

lint: $(DEV) ## ruff, layers, lock files
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/lint-imports

types: $(DEV) ## strict type check
	@$(BIN)/python -m mypy

docs: $(DEV) ## generate docs/reference and docs/openapi.json
	@$(BIN)/python tools/generate_reference.py
	@$(BIN)/python -m gantry.main.openapi

bench: $(DEV) ## measure us and the peers side by side (needs DCMTK and Orthanc)
	@$(BIN)/python -m bench $(ARGS)

torture: $(DEV) ## kill -9 and starve everything, 50 rounds
	@$(BIN)/python -m pytest -q -m torture --timeout=3600 $(ARGS)

# atheris is in no lock file and gets a venv of its own; what it feeds needs nothing but the standard library.
FUZZ_VENV ?= .cache/fuzz-venv
$(FUZZ_VENV)/.installed:
	@$(PYTHON) -m venv $(FUZZ_VENV)
	@$(FUZZ_VENV)/bin/python -m pip install --quiet --disable-pip-version-check "atheris>=3,<4"
	@touch $@

fuzz: $(FUZZ_VENV)/.installed ## fuzz all that reads foreign bytes, coverage-guided (ARGS="pdu --seconds 600")
	@PYTHONPATH=src:. $(FUZZ_VENV)/bin/python -m fuzz.run $(ARGS)

roundtrip: $(DEV) ## send every file of a folder through Gantry to DCMTK and compare (FOLDER=...)
	@$(BIN)/python tools/roundtrip.py $(FOLDER) $(ARGS)

previous: $(DEV) ## the tests of the previous release on the tables of this one (ARGS="--commit REF")
	@$(BIN)/python tools/previous_release.py $(ARGS)

lock: ## resolve the dependencies anew (needs uv)
	@uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header pyproject.toml -o requirements.lock
	@printf 'hatchling>=1.25\neditables>=0.5\n' | uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header - -o requirements-build.lock
	@uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header pyproject.toml --group dev -o requirements-dev.lock

clean: ## remove the environment and caches (never a home with data)
	@rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache build dist
