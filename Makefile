# Two commands do everything: `make run` and `make test`. Each makes the virtual environment it needs.

PYTHON ?= python3
VENV ?= .venv
BENCH_VENV ?= .venv-bench
WORKERS ?= 4
BIND ?= 127.0.0.1:8080
PY := $(VENV)/bin/python
PIP := $(PY) -m pip install --quiet --disable-pip-version-check

.DEFAULT_GOAL := help
.PHONY: help run test bench check verify format screenshots clean

help:  ## Show this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' Makefile | awk -F'|' '{printf "%-20s %s\n", $$1, $$2}'

run: $(VENV)/.run  ## Serve the Places API at http://127.0.0.1:8080 with a database of its own (WORKERS=4 BIND=host:port)
	@exec $(PY) -m swagger_server serve -w $(WORKERS) -b $(BIND)

# Hundreds of processes would compile the same modules, where the environment keeps Python from remembering them.
test: $(VENV)/.dev  ## Run all tests (ARGS="-k name" for some of them)
	@PYTHONDONTWRITEBYTECODE= $(PY) -m pytest -n 5 --dist loadfile --no-loadscope-reorder $(ARGS)

bench: $(BENCH_VENV)/.made  ## Measure the service beside others; most of an hour (needs wrk; ARGS="--rounds 3 ...")
	@$(BENCH_VENV)/bin/python benchmarks/service.py $(ARGS)

check: $(VENV)/.dev node_modules/.installed  ## Lint, types, the spec's rules, and its types for a client
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	$(PY) -m openapi_spec_validator swagger_server/swagger/swagger.yaml
	node_modules/.bin/spectral lint --fail-severity hint swagger_server/swagger/swagger.yaml
	node_modules/.bin/openapi-typescript swagger_server/swagger/swagger.yaml --output tests/typescript/schema.mts
	node_modules/.bin/tsc -p tests/typescript --noEmit

verify: $(VENV)/.dev node_modules/.installed  ## Hold the spec against the running service with 20,000 requests; minutes (ARGS="--cases 2000")
	@$(PY) scripts/verify.py $(ARGS)

format: $(VENV)/.dev  ## Format the code and sort its imports
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

screenshots: $(VENV)/.dev  ## Take the README's pictures from the running service (needs Chromium)
	$(PY) scripts/make_screenshots.py

clean:  ## Remove what the other targets made, but for the database in .postgres
	rm -rf $(VENV) $(BENCH_VENV) node_modules build dist *.egg-info .mypy_cache .ruff_cache tests/typescript/schema.mts

$(VENV)/.made:
	$(PYTHON) -c 'import sys; sys.exit(None if sys.version_info >= (3, 11) else "Python 3.11 or newer is needed: make PYTHON=python3.11 ...")'
	$(PYTHON) -m venv "$(VENV)"
	@touch "$@"

$(VENV)/.run: $(VENV)/.made requirements.txt requirements-server.txt constraints.txt
	$(PIP) -r requirements.txt
	@touch "$@"

$(VENV)/.dev: $(VENV)/.made requirements-dev.txt requirements.txt requirements-server.txt constraints.txt
	$(PIP) -r requirements-dev.txt
	@touch "$@" "$(VENV)/.run"

$(BENCH_VENV)/.made: requirements-bench.txt requirements-dev.txt requirements.txt requirements-server.txt constraints.txt
	$(PYTHON) -m venv "$(BENCH_VENV)"
	$(BENCH_VENV)/bin/python -m pip install --quiet --disable-pip-version-check -r requirements-bench.txt
	@touch "$@"

node_modules/.installed: package.json package-lock.json
	npm ci --silent --no-audit --no-fund
	@touch "$@"
