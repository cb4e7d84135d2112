# `make demo` and `make test` are for everybody, the other targets for development.
PYTHON ?= python3
# PYTHON=python3.13 uses a separate environment, .venv-3.13. A pyenv version is found even if it is not activated.
ifeq ($(origin PYTHON),file)
INTERPRETER := $(PYTHON)
VENV := .venv
else
INTERPRETER := $(shell $(PYTHON) -c 'import sys; print(sys.executable)' 2>/dev/null || \
  ls "$$(pyenv root 2>/dev/null)"/versions/*/bin/$(PYTHON) 2>/dev/null | tail -1)
$(if $(INTERPRETER),,$(error $(PYTHON) cannot be run: name a Python that is installed))
VENV := .venv-$(shell $(INTERPRETER) -c 'import sys; print("%d.%d" % sys.version_info[:2])')
endif
BIN := $(VENV)/bin
# Keep compiled tests: without them each test process starts 8 s later.
unexport PYTHONDONTWRITEBYTECODE
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet
LOCK := uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --no-emit-index-url
SECONDS ?= 900
BENCHES := $(addprefix bench-,unchanged changed round many latency cost parts)

# One process more than two cores: many tests mostly wait for another program.
PYTEST := $(BIN)/pytest --numprocesses 3 --dist worksteal $(if $(LOOP),--loop $(LOOP))
SLOW := process slow chaos crash fuzz soak
# The folders whose tests depend on the event loop.
LOOP_TESTS := $(addprefix tests/,journal mqtt service chaos crash)

.PHONY: demo test test-all test-uvloop soak chaos crash fuzz check audit format schemas translations home lock clean bench switching brokers $(BENCHES)
demo: $(VENV)/.runtime  ## a simulated game, a broker and the bridge, until Ctrl-C
	$(BIN)/coc2mqtt demo

test: $(VENV)/.dev  ## the fast tests, in two minutes; PYTHON=python3.13, LOOP=uvloop
	$(PYTEST) -m "not ($(subst $() , or ,$(SLOW)))" $(PYTEST_ARGS)
	@echo "Left out: the tests marked $(SLOW); 'make test-all' runs them too, except soak ('make soak')"

test-all: $(VENV)/.dev  ## all tests except the soak test
	$(PYTEST) -m "not soak" $(PYTEST_ARGS)

test-uvloop: $(VENV)/.dev  ## the tests that depend on the event loop, on uvloop
	$(PYTEST) --loop uvloop -m "not soak" $(LOOP_TESTS) $(PYTEST_ARGS)

chaos: $(VENV)/.dev  ## kill everything around the bridge for some minutes; SEED=… repeats a run
	$(if $(LOOP),COC2MQTT_LOOP=$(LOOP)) $(BIN)/python -m tests.chaos $(if $(SEED),--seed $(SEED))

soak: $(VENV)/.dev  ## 15 minutes under load, with a broker outage in the middle; SECONDS=…, SOAK_ARGS=…
	$(if $(LOOP),COC2MQTT_LOOP=$(LOOP)) $(BIN)/python -m tests.soak --seconds $(SECONDS) $(SOAK_ARGS)

fuzz: $(VENV)/.dev  ## thousands of random inputs for every property; FUZZ_SEED=… repeats a run
	FUZZ=long FUZZ_SEED=$${FUZZ_SEED:-$$(od -An -N4 -tu4 /dev/urandom | tr -d ' ')} \
	  $(PYTEST) -m "fuzz or hypothesis" $(PYTEST_ARGS)

crash: $(VENV)/.dev  ## stop the program, and raise an exception, at every await
	RECOVERY=long $(PYTEST) tests/crash tests/recovery $(PYTEST_ARGS)

bench: $(VENV)/.dev $(VENV)/.bench  ## measure the bridge and its peers and write docs/performance.md; needs an idle machine
	$(BIN)/python -m bench --write $(BENCH_ARGS)

$(BENCHES): bench-%: $(VENV)/.dev $(VENV)/.bench  ## run one benchmark and print its results; BENCH_ARGS="--runs 3" or --quick
	$(BIN)/python -m bench $* $(BENCH_ARGS)

switching: $(VENV)/.dev $(VENV)/.bench  ## cocapi's examples with cocapi and with coc2mqtt
	$(BIN)/python -m bench.switching --peers $(VENV)/bench

brokers: $(VENV)/.dev  ## try the bridge with every installed broker; BROKERS="mosquitto amqtt"
	$(BIN)/python -m tests.interop $(BROKERS)

home: $(VENV)/.dev  ## try a real Home Assistant and Node-RED; HOME_ARGS=--quick (no restarts), --old
	$(BIN)/python -m tests.home $(HOME_ARGS)

check: $(VENV)/.dev  ## lint, format and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

audit: $(VENV)/.audit  ## known vulnerabilities of the locked packages
	$(VENV)/audit/bin/python scripts/audit.py requirements/runtime.lock requirements/build.lock

format: $(VENV)/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

schemas: $(VENV)/.dev  ## write docs/payloads.md, docs/schemas, the table in docs/events.md and config/dashboard.yaml
	rm -f docs/schemas/*.json
	$(BIN)/coc2mqtt schema --write docs
	$(BIN)/python scripts/example_dashboard.py

translations: $(VENV)/.dev  ## add the messages of the code and the blueprints to the .po files and compile them
	$(BIN)/python -m scripts.translations
	$(BIN)/python -m scripts.blueprints

lock:  ## write the lock files from pyproject.toml (needs uv)
	$(LOCK) pyproject.toml --extra embedded --extra fast -o requirements/runtime.lock
	$(LOCK) pyproject.toml --extra embedded --extra fast --group dev -o requirements/dev.lock
	$(LOCK) --group build -o requirements/build.lock
	$(LOCK) --group audit -o requirements/audit.lock
	$(LOCK) --group bench -o requirements/bench.lock

clean:
	rm -rf .venv .venv-3.* .mypy_cache .ruff_cache .pytest_cache

$(VENV)/.python:
	@$(INTERPRETER) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "coc2mqtt needs Python 3.11 or newer; name one with: make $(MAKECMDGOALS) PYTHON=python3.12"; exit 1; }
	@mkdir -p $(VENV) && date +%s >$(VENV)/.started
	$(INTERPRETER) -m venv $(VENV)
	@touch $@

$(VENV)/.package: $(VENV)/.python requirements/build.lock pyproject.toml
	$(PIP) --require-hashes -r requirements/build.lock
	$(PIP) --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.runtime: $(VENV)/.package requirements/runtime.lock
	$(PIP) --require-hashes -r requirements/runtime.lock
	@touch $@

# In an environment of its own: what it needs is nothing of ours.
$(VENV)/.audit: $(VENV)/.python requirements/audit.lock
	$(INTERPRETER) -m venv $(VENV)/audit
	$(VENV)/audit/bin/python -m pip --disable-pip-version-check install --quiet --require-hashes -r requirements/audit.lock
	@touch $@

# The peers, of which nothing is ours either.
$(VENV)/.bench: $(VENV)/.python requirements/bench.lock
	$(INTERPRETER) -m venv $(VENV)/bench
	$(VENV)/bench/bin/python -m pip --disable-pip-version-check install --quiet --require-hashes -r requirements/bench.lock
	@touch $@

$(VENV)/.dev: $(VENV)/.package requirements/dev.lock
	$(PIP) --require-hashes -r requirements/dev.lock
	@touch $@ $(VENV)/.runtime
	@if [ -e $(VENV)/.started ]; then \
	  echo "$(VENV) created in $$(($$(date +%s) - $$(cat $(VENV)/.started))) s" && rm $(VENV)/.started; fi
