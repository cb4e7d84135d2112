# Two commands for everybody: `make demo` and `make test`. The rest is for work on the project.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet
LOCK := uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --no-emit-index-url
BENCHES := $(addprefix bench-,unchanged changed round many latency cost)

.PHONY: demo test chaos crash fuzz check audit format schemas home lock clean bench $(BENCHES)
demo: $(VENV)/.runtime  ## the scripted API, a broker and the bridge, in one go, until Ctrl-C
	$(BIN)/coc2mqtt demo

# One more than two cores have: many tests wait for a process most of the time.
test: $(VENV)/.dev  ## all tests
	$(BIN)/pytest --numprocesses 3 $(PYTEST_ARGS)

chaos: $(VENV)/.dev  ## minutes in which everything around the bridge dies again and again; SEED=… plays one again
	$(BIN)/python -m tests.chaos $(if $(SEED),--seed $(SEED))

fuzz: $(VENV)/.dev  ## many thousands of odd answers, requests and files, other ones each time; FUZZ_SEED=… has them again
	FUZZ=long FUZZ_SEED=$${FUZZ_SEED:-$$(od -An -N4 -tu4 /dev/urandom | tr -d ' ')} \
	  $(BIN)/pytest --numprocesses 2 tests/fuzz $(PYTEST_ARGS)

crash: $(VENV)/.dev  ## the program dies wherever it can, and meets a bug wherever it can
	RECOVERY=long $(BIN)/pytest --numprocesses 2 tests/crash tests/recovery $(PYTEST_ARGS)

bench: $(VENV)/.dev $(VENV)/.bench  ## every figure of docs/performance.md beside the peers, and written there: some minutes on an idle machine
	$(BIN)/python -m bench --write $(BENCH_ARGS)

$(BENCHES): bench-%: $(VENV)/.dev $(VENV)/.bench  ## one figure, printed; BENCH_ARGS="--runs 3" or --quick
	$(BIN)/python -m bench $* $(BENCH_ARGS)

home: $(VENV)/.dev  ## minutes with a real Home Assistant and Node-RED; HOME_ARGS=--quick without the restarts, --old
	$(BIN)/python -m tests.home $(HOME_ARGS)

check: $(VENV)/.dev  ## lint, format and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

audit: $(VENV)/.audit  ## known vulnerabilities of what is installed, where their data can be had
	$(VENV)/audit/bin/python scripts/audit.py requirements/runtime.lock requirements/build.lock

format: $(VENV)/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

schemas: $(VENV)/.dev  ## docs/payloads.md and docs/schemas anew, from the models
	rm -f docs/schemas/*.json
	$(BIN)/coc2mqtt schema --write docs

lock:  ## the lock files anew, from pyproject.toml (needs uv)
	$(LOCK) pyproject.toml --extra embedded --extra fast -o requirements/runtime.lock
	$(LOCK) pyproject.toml --extra embedded --extra fast --group dev -o requirements/dev.lock
	$(LOCK) --group build -o requirements/build.lock
	$(LOCK) --group audit -o requirements/audit.lock
	$(LOCK) --group bench -o requirements/bench.lock

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache

$(VENV)/.python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "coc2mqtt needs Python 3.11 or newer; name one with: make $(MAKECMDGOALS) PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv $(VENV)
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
	$(PYTHON) -m venv $(VENV)/audit
	$(VENV)/audit/bin/python -m pip --disable-pip-version-check install --quiet --require-hashes -r requirements/audit.lock
	@touch $@

# The peers, of which nothing is ours either.
$(VENV)/.bench: $(VENV)/.python requirements/bench.lock
	$(PYTHON) -m venv $(VENV)/bench
	$(VENV)/bench/bin/python -m pip --disable-pip-version-check install --quiet --require-hashes -r requirements/bench.lock
	@touch $@

$(VENV)/.dev: $(VENV)/.package requirements/dev.lock
	$(PIP) --require-hashes -r requirements/dev.lock
	@touch $@ $(VENV)/.runtime
