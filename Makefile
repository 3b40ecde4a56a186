# callfsm: every command that the project knows. `make` builds the environment, `make run` holds a call, `make test` runs the tests.

PYTHON ?= python3
BIN := .venv/bin
NEWEST := .newest/bin
QUIET := --quiet --disable-pip-version-check
# Three at a time on two cores: many a test waits for real sound. A file's tests stay together, as they share servers.
TEST := -m pytest -n 3 --dist loadfile --max-worker-restart 0

.PHONY: all run page test needs newest constraints check lint types cover bench ears chaos kills matrix fuzz verify diagrams oracles mutants dist docs clean

all: .venv/ready

.venv/ready: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit("callfsm needs Python 3.11 or newer: make PYTHON=python3.11" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install $(QUIET) --constraint constraints.txt pip
	$(BIN)/python -m pip install $(QUIET) --constraint constraints.txt --build-constraint constraints.txt --group dev --editable '.[all]'
	@touch $@

run: all
	@$(BIN)/callfsm call

# Talk to the stand-in with your own voice, in the browser of this machine.
page: all
	@$(BIN)/callfsm page --open

test: all
	$(BIN)/python $(TEST)

# Those alone that need more than Python: a sound system, a program.
needs: all
	$(BIN)/python $(TEST) -m needs

# The tests with the newest versions that pyproject.toml allows, in an environment of their own.
newest:
	rm -rf .newest
	$(PYTHON) -m venv .newest
	$(NEWEST)/python -m pip install $(QUIET) --upgrade pip
	$(NEWEST)/python -m pip install $(QUIET) --group dev --editable '.[all]'
	$(NEWEST)/python $(TEST)

# The versions that `make` installs: those that have just passed. The oldest Python renews them, as packages drop it before the newer ones.
constraints:
	@$(PYTHON) -c 'import sys; sys.exit("the oldest Python renews the constraints: make constraints PYTHON=python3.11" if sys.version_info[:2] != (3, 11) else 0)'
	$(MAKE) newest
	$(NEWEST)/python -m pip freeze --all --exclude-editable --exclude setuptools >constraints.txt

check: all lint types test cover verify

lint: all
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: all
	$(BIN)/mypy

# The claims about the core and the engine alone must take every line and branch of both.
cover: all
	$(BIN)/python -m coverage run -m pytest tests/core
	$(BIN)/python -m coverage report

bench: all
	$(BIN)/python -m tests.bench

# Who is speaking: seeded callers, noises and echoes through the local voice detector and the tables, beside the rules of Pipecat and LiveKit in
# environments of their own under .oracles/; some five minutes, two with `python -m tests.bench.ears --ours`. ears.svg is the trade-off. The tests do a few.
ears: all
	$(BIN)/python -m tests.bench.ears

# Clients that others wrote hold calls with the stand-in servers, each in an environment of its own under .oracles/; and we with servers
# that others wrote, from checkouts owner+name in the folder that CALLFSM_ORACLE_SERVERS names;
# then each framework through every fault, as it comes and with callfsm inside: three minutes each.
oracles: all
	$(BIN)/python -m tests.oracles
	$(BIN)/python -m tests.oracles.inside

# Real workers over a real NATS: the process that holds a call is lost in six ways, at each moment of it, with both voices; an hour.
kills: all
	$(BIN)/python -m tests.kills

# Every fault with both voices, both owners of interruption, asyncio and trio; the tests hold a part that meets every pair.
matrix: all
	$(BIN)/python -m tests.matrix

# Every parser fed with mutations, and a good call held beside each attack in turn: ten minutes; an hour by SECONDS=3600. The tests do each once.
SECONDS ?= 600
chaos: all
	$(BIN)/python -m tests.chaos --seconds $(SECONDS)

# Whole simulated calls whose server sends every form of every message of the realtime wire; the tests hold a few.
fuzz: all
	$(BIN)/python -m adapters.proof.sim.wire 100000

verify: all
	$(BIN)/callfsm verify

# The tables broken one change at a time: the check at import, a claim, a case or the proof must notice each.
mutants: all
	$(BIN)/python -m tests.mutants

# The reference, from the docstrings: every module and public name, linked from docs/index.html; what needs a framework is not in it.
docs: all
	$(BIN)/python -m pdoc --output-directory docs fsm fsm.call adapters '!adapters.hosts.frameworks.(openai_agents|pipecat|livekit|livekit_context)'

# The wheel and the source distribution, checked, and installed with each extra: every command works or says what it lacks.
dist: all
	$(BIN)/python -m tests.installed

diagrams: all
	$(BIN)/callfsm diagrams diagrams

clean:
	rm -rf .venv .newest build dist docs .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage .oracles
