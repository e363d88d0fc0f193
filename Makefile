# The habits of this project. All that is needed is Python 3.10 or newer and make: each target makes the
# environment that it needs inside the repository and keeps it until its pins change.
#
#   PYTHON   the interpreter to build on                   make test PYTHON=python3.13
#   ARGS     handed to the command of the target           make demo ARGS="--speed 4"
#   ONLY     entries of the matrix, with wildcards         make matrix ONLY="0.51.0-* 2.14.0-*-newest"
#   WORKERS  how many tests run at once; 0: no workers     make test WORKERS=0 ARGS="-k NAME --pdb"

PYTHON ?= python3
ARGS ?=
ONLY ?=
export WORKERS ?= 2

unexport PYTHONPATH
export UV_PYTHON_DOWNLOADS := never
# The machine's certificates, as pip uses them.
export UV_SYSTEM_CERTS ?= 1

BIN := .venv/bin
INSTALL := $(BIN)/uv pip install --quiet --require-hashes --python
INSTALL_PROJECT := $(BIN)/uv pip install --quiet --no-deps --no-build-isolation --python
COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.10 --generate-hashes --no-emit-index-url \
	--custom-compile-command "make pins" $(ARGS)
COMPILE_WITH_DEMO := $(COMPILE) pyproject.toml --extra demo
COVERAGE := .venv-test/bin/coverage
COVERED := core telemetry $(notdir $(wildcard src/streamspan/stainless))
PICTURED := freezes loops stop
SOURCES := $(shell find src -name __pycache__ -prune -o -print) $(wildcard *.md) LICENSE pyproject.toml

.PHONY: help demo test coverage lint types fix bench soak picture matrix collector dashboards docs stack stack-test \
	peer-test screenshots wheel environments pins clean
.DELETE_ON_ERROR:

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: .venv/demo.stamp ## play every story of a stream against a loopback server and draw it
	@$(BIN)/streamspan demo $(ARGS)

test: .venv-test/wheel.stamp ## run the tests against the built wheel
	STREAMSPAN_TEST_WHEEL=1 .venv-test/bin/pytest -n $(WORKERS) --dist loadgroup $(ARGS)

coverage: .venv-test/wheel.stamp ## the same, with the branches of the wheel that they cover, and their floors
	rm -rf .coverage
	STREAMSPAN_TEST_WHEEL=1 $(COVERAGE) run -m pytest -n $(WORKERS) --dist loadgroup $(ARGS)
	$(COVERAGE) combine --quiet
	$(COVERAGE) report
	for folder in $(COVERED); do $(COVERAGE) report --include="*/streamspan/$$folder/*" --fail-under=95 || exit 1; done

lint: .venv/dev.stamp ## ruff: rules and format
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: .venv/dev.stamp ## pyright, strict
	$(BIN)/pyright
	$(BIN)/pyright --project grafana-dashboards

fix: .venv/dev.stamp ## let ruff repair and format what it can
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

bench: .venv/demo.stamp ## what streamspan adds to each delta and each stream; ARGS="--provider openai", "--peer all" for others
	$(BIN)/python benchmarks/overhead.py $(ARGS)

soak: .venv/demo.stamp ## 20,000 streams at once with faults of every kind, then look for leaks; ARGS=--short for 1,000
	$(BIN)/python -m tests.soak.soak $(ARGS)

picture: .venv/demo.stamp ## draw the waterfalls of the README again
	$(BIN)/streamspan demo $(PICTURED:%=--story %) --svg docs/images/waterfall.svg

matrix: dist/wheel.stamp ## run the tests of the SDKs on every generation of them, oldest and newest Python
	$(BIN)/python tools/matrix.py $(ONLY)

peer-test: .venv-peers/wheel.stamp ## run the tests beside other instrumentations of the OpenAI SDK
	STREAMSPAN_TEST_WHEEL=1 .venv-peers/bin/pytest tests/peers $(ARGS)

collector: ## build the collector of collector-config/ with Go, once; prints where it is
	@$(PYTHON) tools/collector.py

dashboards: .venv/dashboards.stamp ## build the boards and alerts of grafana-dashboards/; ARGS=--check only compares
	cd grafana-dashboards && ../$(BIN)/python -m boards.build $(ARGS)

docs: .venv/dev.stamp ## write the generated parts of docs/; ARGS=--check only compares
	@$(BIN)/python tools/docs.py $(ARGS)

stack: .schema/node_modules ## fetch and build what stack-test runs: a collector, Prometheus, Chromium, Grafana's types
	$(PYTHON) tools/collector.py
	$(PYTHON) tools/prometheus.py
	$(PYTHON) tools/chromium.py

stack-test: .venv-test/wheel.stamp .schema/node_modules ## demo traffic through real collectors and Prometheus, boards and alerts on it; the chat in Chromium
	@STREAMSPAN_COLLECTOR="$$($(PYTHON) tools/collector.py)" && export STREAMSPAN_COLLECTOR && \
	STREAMSPAN_PROMETHEUS="$$($(PYTHON) tools/prometheus.py)" && export STREAMSPAN_PROMETHEUS && \
	STREAMSPAN_CHROMIUM="$$($(PYTHON) tools/chromium.py)" && export STREAMSPAN_CHROMIUM && \
	set -x && .venv-test/bin/pytest tests/stack $(ARGS)

screenshots: .venv-test/wheel.stamp grafana-dashboards/render/node_modules ## draw the boards with Grafana's components, and the chat, into docs/images/
	@STREAMSPAN_COLLECTOR="$$($(PYTHON) tools/collector.py)" && export STREAMSPAN_COLLECTOR && \
	STREAMSPAN_PROMETHEUS="$$($(PYTHON) tools/prometheus.py)" && export STREAMSPAN_PROMETHEUS && \
	STREAMSPAN_CHROMIUM="$$($(PYTHON) tools/chromium.py)" && export STREAMSPAN_CHROMIUM && \
	set -x && .venv-test/bin/python -m tests.stack.chat_picture && .venv-test/bin/python -m tests.stack.pictures

environments: .venv/dev.stamp .venv/demo.stamp .venv/dashboards.stamp .venv-test/wheel.stamp .venv-peers/wheel.stamp ## make them all, so that other targets can run side by side

wheel: dist/wheel.stamp ## build the wheel and the source archive into dist/

pins: .venv/uv.stamp ## compile requirements/ again; ARGS=--upgrade for newer versions
	$(COMPILE) --group uv --output-file requirements/uv.txt
	$(COMPILE_WITH_DEMO) --group dev --output-file requirements/dev.txt
	$(COMPILE_WITH_DEMO) --group test --constraints requirements/dev.txt --output-file requirements/test.txt
	$(COMPILE_WITH_DEMO) --group matrix --constraints requirements/dev.txt --output-file requirements/matrix.txt
	$(COMPILE_WITH_DEMO) --group peers --constraints requirements/dev.txt --output-file requirements/peers.txt
	$(COMPILE_WITH_DEMO) --group dashboards --constraints requirements/dev.txt --output-file requirements/dashboards.txt
	$(COMPILE_WITH_DEMO) --group build --constraints requirements/dev.txt --output-file requirements/demo.txt

clean: ## remove all that the targets above have made
	rm -rf .venv .venv-test .venv-peers .coverage .schema grafana-dashboards/render/node_modules .matrix .peers dist .pytest_cache .ruff_cache .hypothesis

# Grafana's own types, to check the boards' JSON against.
.schema/node_modules: tests/stack/schema/package.json
	@command -v npm > /dev/null || { echo "There is no npm here: install Node.js 20 or newer with npm." >&2; exit 1; }
	mkdir -p .schema && cp $< tests/stack/schema/.npmrc .schema/ && cd .schema && npm install --silent
	@touch $@

grafana-dashboards/render/node_modules: grafana-dashboards/render/package.json
	@command -v npm > /dev/null || { echo "There is no npm here: install Node.js 20 or newer with npm." >&2; exit 1; }
	cd grafana-dashboards/render && npm install --silent
	@touch $@

# --- environments ------------------------------------------------------------------------------------------------

.venv/uv.stamp: requirements/uv.txt
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 10) or sys.exit("needs Python 3.10 or newer: make PYTHON=...")'
	$(PYTHON) -m venv --clear .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@

.venv/%.stamp: requirements/%.txt pyproject.toml .venv/uv.stamp
	$(INSTALL) .venv -r $<
	$(INSTALL_PROJECT) .venv --editable .
	@touch $@

.venv-test/pins.stamp .venv-peers/pins.stamp: .venv-%/pins.stamp: requirements/%.txt .venv/uv.stamp
	$(BIN)/uv venv --quiet --clear --python $(BIN)/python .venv-$*
	$(INSTALL) .venv-$* -r $<
	@touch $@

.venv-test/wheel.stamp .venv-peers/wheel.stamp: .venv-%/wheel.stamp: dist/wheel.stamp .venv-%/pins.stamp
	$(INSTALL_PROJECT) .venv-$* --reinstall dist/*.whl
	@touch $@

dist/wheel.stamp: $(SOURCES) .venv/demo.stamp
	rm -rf dist
	$(BIN)/hatchling build
	@touch $@
