# Every step from a fresh checkout to a running cluster. `make` alone lists them.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.NOTPARALLEL:
MAKEFLAGS += --no-print-directory

BIN := .venv/bin
CODE := $(wildcard src sim lab bench tests)
# Further arguments for the tool behind a target: make test ARGS='-k migrate', make lock ARGS=--upgrade
ARGS :=

.PHONY: help
help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

.PHONY: env
env: ## Make .venv with every command in .venv/bin
	@scripts/setup-env

.PHONY: system
system: ## Install the Debian packages that guests and tests need (as root)
	@scripts/setup-system guests

.PHONY: demo
demo: system env ## Start a cluster on this machine, with a guest
	@scripts/demo $(ARGS)

.PHONY: demo-down
demo-down: env ## Stop the demo cluster and remove all of it
	@scripts/demo-down $(ARGS)

.PHONY: lab
lab: system env ## Make three hosts on this machine, to build a cluster on: ganeti-lab
	$(BIN)/ganeti-lab up $(ARGS)

.PHONY: lab-down
lab-down: env ## Take these hosts away again
	$(BIN)/ganeti-lab down $(ARGS)

.PHONY: test
test: system env check ## Check, then run all tests, those with real guests too
	$(BIN)/pytest -q --durations=15 --durations-min=2 $(ARGS)

.PHONY: check
check: env ## Check format, lint, types, direction of imports and tidiness
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy $(CODE)
	$(BIN)/lint-imports --no-logo
	$(BIN)/pytest -q tests/tidy

.PHONY: format
format: env ## Format the code and mend what ruff can mend
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

.PHONY: bench
bench: env ## Measure speed
	$(BIN)/python -m bench $(ARGS)

.PHONY: docs
docs: env ## Write the pages in docs/reference anew, from the declarations
	$(BIN)/python -m ganeti.main.reference docs/reference

.PHONY: man
man: env ## Write the manual pages into build/man
	$(BIN)/python -m ganeti.cli.man build/man

.PHONY: completion
completion: env ## Write the completion for bash into build/completion
	@mkdir -p build/completion
	$(BIN)/python -m ganeti.cli.completion >build/completion/ganeti

.PHONY: lock
lock: env ## Write the locks in requirements/ anew
	@scripts/lock $(ARGS)

.PHONY: clean
clean: ## Remove what was made here, .venv included
	rm -rf .venv .cache build dist .*_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
