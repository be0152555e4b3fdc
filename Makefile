# `make demo` first: it needs Linux, Python >= 3.11 with venv, make, tmux, git, and installs the rest into this folder.
# ARGS goes to the program behind a target: make demo ARGS=--once, make test ARGS=tests/unit
PY := .venv/bin/python
ARGS ?=
# A home of the person who calls, or the pane of an agent, must not leak into the demo and the tests.
unexport MOSAIC_HOME MOSAIC_AGENT_NAME MOSAIC_AGENT_CLASS MOSAIC_AGENT_RUNTIME MOSAIC_TMUX_SOCKET TMUX TMUX_PANE

.PHONY: demo test check lint types proof bench clean help
.DEFAULT_GOAL := demo

demo: ## start everything on real parts, play the four flows, stay up (ARGS=--once: play and stop)
	@scripts/bootstrap.sh run
	@exec $(PY) -m demo $(ARGS)

test: ## lint, types, shell lint, import rules, all tests on real parts, then the demo once
	@scripts/system-packages.sh
	@scripts/bootstrap.sh dev
	@scripts/check.sh test $(ARGS)

check: ## lint, types, shell lint and import rules only
	@scripts/bootstrap.sh dev
	@scripts/check.sh lint types shell imports

lint: ## ruff and shellcheck
	@scripts/bootstrap.sh dev
	@scripts/check.sh lint shell

types: ## mypy, strict
	@scripts/bootstrap.sh dev
	@scripts/check.sh types

proof: ## the long proofs at their full size
	@scripts/system-packages.sh
	@scripts/bootstrap.sh dev
	@MOSAIC_PROOF=full $(PY) -m pytest tests $(ARGS)

bench: ## measurements of speed and scale
	@scripts/bootstrap.sh dev
	@if test -d benchmarks; then $(PY) -m benchmarks $(ARGS); else echo "no benchmarks in this version"; fi

clean: ## remove what the targets above made (a running demo must be stopped first)
	@if test -x $(PY) && test -d .demo; then $(PY) -m demo --stop; fi
	rm -rf .demo .venv .synapse .cache .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis build *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
