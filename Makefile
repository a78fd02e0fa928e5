# make demo: see it work. make test: see that it does. make check: the gate before every commit.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
NODE := .node
PYTEST_ARGS ?=

.PHONY: demo test check lint format types js coverage wheel bench vendor clean

demo: $(VENV)/.runtime
	$(BIN)/greenscope demo --open $(ARGS)

# three files at a time, since tests wait more than they work; what measures growth and time has the machine for itself
test: $(VENV)/.dev
	$(BIN)/python -m pytest -n 3 --dist loadfile $(PYTEST_ARGS) tests/app tests/runtime tests/conformance tests/test_*.py
	$(BIN)/python -m pytest -n 3 --dist loadfile $(PYTEST_ARGS) tests/browser tests/hosts
	$(BIN)/python -m pytest $(PYTEST_ARGS) tests/soak tests/benchmarks

# of the runtime alone: the app is shown by processes, threads and browsers, which coverage cannot follow;
# the test left out counts objects, and coverage's own are among them
coverage: $(VENV)/.dev
	$(BIN)/python -m pytest -q -n 2 --dist loadfile --cov --cov-report=term --cov-fail-under=88 $(PYTEST_ARGS) tests/runtime \
		--deselect tests/runtime/test_thread.py::test_start_and_stop_leave_nothing_behind

check: lint types js test coverage

lint: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

format: $(VENV)/.dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

types: $(VENV)/.dev
	$(BIN)/mypy

js: $(NODE)/.typescript
	$(NODE)/node_modules/.bin/tsc -p .ci/tsconfig.json

# build the wheel, install it in an empty environment, run it from an empty folder
wheel: $(VENV)/.dev
	sh .ci/wheel $(BIN)/python

bench: $(VENV)/.dev
	$(BIN)/python -m tests.benchmarks

# fetch the vendored files again, as static/vendor/VENDORED.md describes them
vendor:
	mkdir -p $(NODE)/vendor
	cd $(NODE)/vendor && npm pack --silent uplot@1.6.32 axe-core@4.14.1 lucide-static@1.62.0
	cd $(NODE)/vendor && for f in *.tgz; do mkdir -p $${f%.tgz} && tar xzf $$f -C $${f%.tgz} --strip-components=1; done
	cp $(NODE)/vendor/uplot-1.6.32/dist/uPlot.iife.min.js static/vendor/uplot-1.6.32.iife.min.js
	cp $(NODE)/vendor/uplot-1.6.32/dist/uPlot.min.css static/vendor/uplot-1.6.32.min.css
	cp $(NODE)/vendor/uplot-1.6.32/LICENSE static/vendor/uplot-1.6.32.LICENSE
	cp $(NODE)/vendor/lucide-static-1.62.0/LICENSE static/vendor/lucide-1.62.0.LICENSE
	cp $(NODE)/vendor/axe-core-4.14.1/axe.min.js tests/browser/vendor/axe-core-4.14.1.min.js
	cp $(NODE)/vendor/axe-core-4.14.1/LICENSE tests/browser/vendor/axe-core-4.14.1.LICENSE

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.runtime: $(VENV)/bin/python pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e .
	touch $@

$(VENV)/.dev: $(VENV)/bin/python pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	touch $@ $(VENV)/.runtime

$(NODE)/.typescript:
	mkdir -p $(NODE)
	npm install --silent --no-fund --no-audit --no-save --prefix $(NODE) typescript@5.9
	touch $@

clean:
	rm -rf $(VENV) $(NODE) dist build .coverage .coverage.* .mypy_cache .ruff_cache .pytest_cache .hypothesis
