# Every target sets itself up first: a machine needs Python 3.11 or later, make and gcc.
# Pass arguments with ARGS, for example: make test ARGS="-k card"

PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
INSTALLED := .venv/installed
COMPILED := .venv/compiled
PROTO := src/paxosstore/services/card/card.proto
ARGS ?=
MINUTES ?= 60
CLIENTS := tests/clients
CLIENTS_INSTALLED := .venv-clients/installed

.PHONY: help install clients demo test check bench sim sim-redis mutants modelcheck crash-images damage chaos soak redis-suite proto clean

help:
	@echo "make install  the program paxosstore and its tools, in .venv; its hot modules compiled"
	@echo "make demo     three nodes on this machine: writes, a kill -9, a restart"
	@echo "make test     all tests"
	@echo "make check    formatting, lint, types, layers"
	@echo "make bench    throughput and latency beside redis-server"
	@echo "make sim      300 seeds of the simulated cluster"
	@echo "make sim-redis  lists, sets, hashes, sorted sets and streams of Redis in it, some with an end, who waits for them, and what is done once; 300 seeds"
	@echo "make mutants  every rule broken on purpose, and which check noticed"
	@echo "make modelcheck    every order of events in a small scope"
	@echo "make crash-images  what a power cut may leave of the store, opened and checked"
	@echo "make damage   bits flipped, sectors zeroed and files cut on one of three nodes, a thousand times"
	@echo "make chaos    real processes: killed, stopped, cut off, skewed, full, without their disk"
	@echo "make clients  jobs of rq, celery, huey, bullmq and others, with a node killed in the middle"
	@echo "make soak     simulator and chaos for as long as MINUTES says"
	@echo "make redis-suite   Redis 7.0's own suite against three nodes, beside redis-server"
	@echo "make proto    regenerate the code of card.proto"
	@echo "make clean    remove .venv and all caches"

install: $(COMPILED)

# Done again only when what it depends on has changed; an interrupted run leaves no mark and is done again.
$(INSTALLED): pyproject.toml requirements-dev.txt
	@test -n "$(PYTHON)" || { echo "paxosstore: no python3 was found: install Python 3.11 or later"; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "paxosstore: $(PYTHON) is too old: Python 3.11 or later is needed (make PYTHON=...)"; exit 1; }
	"$(PYTHON)" -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	PAXOSSTORE_PURE=1 $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

# The hot modules (pyproject.toml), anew when any source has changed: setup.py sees whether it is one of them.
$(COMPILED): $(INSTALLED) setup.py $(shell find src -name '*.py')
	$(BIN)/python setup.py --quiet build_ext --inplace
	@$(BIN)/python -m compileall -q src chaos  # where Python is told to write no bytecode, each start would make it anew
	@test -n "$$PAXOSSTORE_PURE" || touch $@

demo: $(COMPILED)
	$(BIN)/paxosstore demo $(ARGS)

# A worker for each processor; ARGS="-n 0" runs all in one process, as a debugger wants it.
test: $(COMPILED)
	$(BIN)/python -m pytest -n logical $(ARGS)

check: $(INSTALLED)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest tests/test_layers.py

bench: $(COMPILED)
	$(BIN)/python benchmarks/bench.py $(ARGS)

sim: $(COMPILED)
	$(BIN)/paxosstore sim --seeds 300 $(ARGS)

SEEDS ?= 300
FIRST ?= 0
sim-redis: $(COMPILED)
	$(BIN)/python -m tests.services.redis.simulated_collections $(SEEDS) $(FIRST)
	$(BIN)/python -m tests.services.redis.simulated_waiting $(SEEDS) $(FIRST)
	$(BIN)/python -m tests.services.redis.simulated_streams $(SEEDS) $(FIRST)
	$(BIN)/python -m tests.services.redis.simulated_once $(SEEDS) $(FIRST)
	$(BIN)/python -m tests.services.redis.simulated_calls $(SEEDS) $(FIRST)

mutants: $(INSTALLED)
	$(BIN)/python -m tests.mutants $(ARGS)

modelcheck: $(COMPILED)
	$(BIN)/python -m tests.modelcheck $(ARGS)

crash-images: $(COMPILED)
	$(BIN)/python -m tests.crash_images --images 2000 $(ARGS)

damage: $(COMPILED)
	$(BIN)/python -m tests.damage --harms 1000 $(ARGS)

chaos: $(COMPILED)
	$(BIN)/python -m chaos --seconds 60 $(ARGS)

clients: $(COMPILED) $(CLIENTS_INSTALLED)
	$(BIN)/python -m tests.clients $(ARGS)

$(CLIENTS_INSTALLED): $(wildcard $(CLIENTS)/requirements*.txt $(CLIENTS)/node/package*.json)
	"$(PYTHON)" -m venv .venv-clients
	.venv-clients/bin/python -m pip install --quiet --disable-pip-version-check -r $(CLIENTS)/requirements.txt
	.venv-clients/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation \
		-r $(CLIENTS)/requirements-alone.txt
	@if command -v npm >/dev/null; then npm --prefix $(CLIENTS)/node ci --silent --no-audit --no-fund --ignore-scripts; \
		else echo "npm is not on this machine: the jobs of node.js are skipped"; fi
	@touch $@

# Half of the time for seeds that were never run (they begin at the time of day), half for real processes; 10,000 harms between.
soak: $(COMPILED)
	$(BIN)/paxosstore sim --first $$(date +%s)000 --minutes $$(( ($(MINUTES) + 1) / 2 )) --keep out/soak/failed-seeds.txt
	$(MAKE) sim-redis SEEDS=$$(( $(MINUTES) * 5 )) FIRST=$$(date +%s)000
	$(BIN)/python -m tests.damage --harms 10000 --seed $$(date +%s)
	$(BIN)/python -m chaos --seconds $$(( $(MINUTES) * 30 )) --seed $$(date +%s) --out out/soak/chaos

redis-suite: $(COMPILED)
	$(BIN)/python -m tests.redis_suite $(ARGS)

proto: $(INSTALLED)
	$(BIN)/python -m grpc_tools.protoc --proto_path=src --python_out=src --pyi_out=src --grpc_python_out=src $(PROTO)

clean:
	rm -rf .venv .venv-clients $(CLIENTS)/node/node_modules build .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find src/paxosstore/compiled -mindepth 1 ! -name __init__.py -delete
	find src tests benchmarks chaos -name __pycache__ -prune -exec rm -rf {} +
