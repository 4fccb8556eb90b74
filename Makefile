# The workshop in one place. `make help` lists it.
SHELL := /bin/bash
# The distribution's interpreter first: its optimised build spends some 10 % less on a request than a plain build of one's own.
PYTHON ?= $(shell for python in /usr/bin/python3.1[1-9] python3.11 python3.12 python3.13 python3; do \
  "$$python" -c 'import sys, ensurepip, sqlite3, ssl; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo "$$python" && break; done || echo python3)
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# Debian's interpreter finds its own library only in a C-independent way; test output is UTF-8 everywhere.
export LC_ALL ?= C.UTF-8

.PHONY: help venv demo test check system lint types unit contracts bench bench-catalog pair clean changelog

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*##/\t/' | expand -t 15

venv: $(STAMP) ## .venv with everything that the other targets need

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Linkspan needs Python 3.11 or newer; $(PYTHON) is older"; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { [ "$$(id -u)" = 0 ] && apt-get update -qq && apt-get install -y -qq --no-install-recommends python3-venv; } \
	  || { echo "this Python cannot make virtual environments: install python3-venv"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --disable-pip-version-check -U 'pip>=25.1'
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e '.[k8s]' --group test --group lint --group bench
	@touch $@

demo: venv ## a whole mesh on loopback until Ctrl-C; CHECK=1 proves it and exits
	@$(BIN)/python -m examples.two_networks $(if $(CHECK),--check,)

check: venv ## lint, types, import contracts, arch and unit tests: under 90 s
	$(BIN)/ruff check -q .
	$(BIN)/ruff format -q --check .
	$(BIN)/mypy --no-error-summary
	$(BIN)/lint-imports --no-cache > /tmp/.linkspan-imports.$$$$ || { cat /tmp/.linkspan-imports.$$$$; rm -f /tmp/.linkspan-imports.$$$$; exit 1; }; rm -f /tmp/.linkspan-imports.$$$$
	$(BIN)/python -m pytest -q -n 2 tests/arch tests/unit tests/contract tests/conformance

test: venv ## everything: `check`, then the system tests with what they need installed
	@tests/run

bench: venv ## Linkspan, HAProxy and Envoy on the same work in one run; JSON under benchmarks/out/
	@$(BIN)/python -m benchmarks.compare $(BENCH)

bench-catalog: venv ## a real catalog under load, beside its bars and Consul's figures; JSON under benchmarks/out/
	@$(BIN)/python -m benchmarks.catalog $(BENCH)

pair: venv ## our two hops (policy on) in front of APP, in the foreground: make pair APP=127.0.0.1:9000 L4=9701 L7=9702
	@$(BIN)/python -m benchmarks.pair --app $(or $(APP),127.0.0.1:9000) --l4 $(or $(L4),9701) --l7 $(or $(L7),9702)

changelog: venv ## the next release's notes, from changelog.d
	@$(BIN)/towncrier build --draft --version next

clean: ## remove what the other targets made
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis benchmarks/out .demo *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
