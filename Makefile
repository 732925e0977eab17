# run: the demo on http://127.0.0.1:$(PORT), its data in $(VAR)     test: all tests     check: all that needs no servers
# soak: the long rounds     bench: how fast it is, in ten minutes     bench-full: in three sizes, within an hour
# openapi: write openapi.json     clean: forget environment and demo data
PYTHON ?= python3
PORT ?= 8000
VAR ?= var
WORKERS ?= 2
BIN := .venv/bin

.PHONY: run test check format soak bench bench-full openapi clean

run: .venv/run
	$(BIN)/synchweb-em demo --port $(PORT) --var "$(VAR)"

test: .venv/dev
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile

check: .venv/dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python tests/check_openapi.py
	$(BIN)/hadolint Dockerfile

format: .venv/dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

soak: .venv/dev
	SOAK=1 $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile tests/system tests/synchweb/test_races.py

bench: .venv/dev
	$(BIN)/python -m tests.bench $(BENCH)

bench-full: .venv/dev
	$(BIN)/python -m tests.bench --full $(BENCH)

openapi: .venv/run
	$(BIN)/synchweb-em openapi > openapi.json

.venv/run: pyproject.toml
	@$(PYTHON) -m venv .venv || { rm -rf .venv; \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get > /dev/null; then \
	    echo "python3-venv is missing; installing it" >&2; \
	    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends python3-venv > /dev/null; \
	  else echo "Python cannot make virtual environments: apt-get install python3-venv" >&2; fi; \
	  $(PYTHON) -m venv .venv; }
	$(BIN)/pip install --quiet --disable-pip-version-check --editable .
	@touch $@

.venv/dev: .venv/run
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

clean:
	rm -rf .venv build
	@if [ -e "$(VAR)/em.sqlite" ]; then rm -rf "$(VAR)"; fi
