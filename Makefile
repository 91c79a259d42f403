# `make run` and `make test` are all that a newcomer needs. Both install first, into .venv, from the lock.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help run test install check lint types contracts format docs docs-check bench lock node clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1	\2/' | expand -t 18

run: install ## serve on port 8001 with the in-memory directory; the demo page is at http://localhost:8001/
	@$(BIN)/python -m service serve

test: install ## all checks and tests; what needs a missing system package is skipped by name
	@$(MAKE) --no-print-directory check
	@$(BIN)/python -m tests.run

install: $(INSTALLED) ## create .venv from the lock

$(INSTALLED): requirements-dev.lock pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

check: lint types contracts docs-check

lint: install ## ruff: style, complexity, formatting
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --quiet --check .

types: install ## mypy, strict
	@$(BIN)/mypy

contracts: install ## who may import whom
	@$(BIN)/lint-imports

format: install ## reformat and mend what can be mended
	@$(BIN)/ruff check --quiet --fix .
	@$(BIN)/ruff format --quiet .

docs: install ## write the generated documents, dashboards and rules anew
	@$(BIN)/python -m service export
	@$(BIN)/python -m grafana.build

docs-check: install
	@$(BIN)/python -m service export --check
	@$(BIN)/python -m grafana.build --check

bench: install ## what things cost: the share of observation, the delay of a scrape, this server against Node
	@$(BIN)/python -m bench.observation
	@$(BIN)/python -m bench.compare

node: ## install what of the tests and the benchmark runs under Node
	@npm ci --no-fund --no-audit

COMPILE := uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-annotate --python-version 3.11 \
	--custom-compile-command "make lock" pyproject.toml

lock: ## compile the locks anew (needs uv): the server, with the synthetic caller, with what development needs
	@$(COMPILE) -o requirements.lock
	@$(COMPILE) -c requirements.lock --extra synthetic -o requirements-synthetic.lock
	@$(COMPILE) -c requirements-synthetic.lock --extra synthetic --extra dev -o requirements-dev.lock

clean: ## remove .venv and what was built
	@rm -rf $(VENV) build dist node_modules .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage*
