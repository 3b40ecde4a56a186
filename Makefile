# callfsm: every command that the project knows. `make` builds the environment, `make run` holds a call, `make test` runs the tests.

PYTHON ?= python3
BIN := .venv/bin

.PHONY: all run test check lint types cover bench diagrams oracles mutants clean

all: .venv/ready

.venv/ready: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("callfsm needs Python 3.11 or newer: make PYTHON=python3.11" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --group dev --editable .
	@touch $@

run: all
	@$(BIN)/callfsm call

test: all
	$(BIN)/python -m pytest

check: all lint types cover

lint: all
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: all
	$(BIN)/mypy

# The whole suite; the core's lines, branches and rows must all be taken.
cover: all
	$(BIN)/python -m coverage run -m pytest
	$(BIN)/python -m coverage report

bench: all
	$(BIN)/python -m tests.bench

# Clients that others wrote hold calls with the stand-in servers, each in an environment of its own under .oracles/.
oracles: all
	$(BIN)/python -m tests.oracles

# The tables broken one change at a time: the check at import, a claim, a case or the proof must notice each.
mutants: all
	$(BIN)/python -m tests.mutants

diagrams: all
	$(BIN)/callfsm diagrams diagrams

clean:
	rm -rf .venv build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage .oracles
