# The commands of the lab. The work is done by `.venv/bin/lab`; here are only the environment, the checks and the locks.

TOPOLOGY ?= compose/reference.yml
CALLER ?= alice
CALLEE ?= bob
SUITES := $(wildcard tests/rules tests/page tests/relay tests/links tests/nat tests/calls tests/faults)
# Compiled tests are kept, or each run compiles them all.
UNIT := PYTHONDONTWRITEBYTECODE= .venv/bin/pytest -n auto --dist worksteal
SAMPLE := tests/zoo/test_zoo_sample.py

# The oldest Python that the lab knows, newest found first; `make PYTHON=... lab-up` chooses another.
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)

.DEFAULT_GOAL := help
.PHONY: help lab-up lab-down call capture status check test test-timing test-long test-zoo test-hostile fuzz bench lock clean
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo "  TOPOLOGY=$(TOPOLOGY) CALLER=$(CALLER) CALLEE=$(CALLEE): TOPOLOGY for lab-up, CALLER and CALLEE for call."

lab-up: .venv/ready ## start the lab: environment, Docker, images, topology, and tshark to read what is captured
	@$(call perhaps,tshark,what is captured can be read with it) || echo "no tshark: captures are kept all the same"
	@.venv/bin/lab up $(TOPOLOGY)

lab-down: .venv/ready ## stop the lab and leave nothing behind
	@.venv/bin/lab down

call: .venv/ready ## place one call and show its path
	@.venv/bin/lab call $(CALLER) $(CALLEE)

capture: .venv/ready ## show packets while they pass: at all routers, core and relays
	@.venv/bin/lab capture

status: .venv/ready ## what every node says of itself
	@.venv/bin/lab status

check: .venv/ready ## format, lint, types, import contract, unit tests; no Docker
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/mypy
	.venv/bin/lint-imports
	@.venv/bin/python -c 'import ctypes.util, sys; sys.exit(not ctypes.util.find_library("opus"))' || \
		{ $(call install,libopus0,the unit tests of the voice need libopus on this machine); }
	$(UNIT) -m "not slow" tests/unit

# The sample of the zoo, the crowd and the hostile supernode are labs of their own beside the reference, so that one that
# runs already stays.
test: check ## check and the slow unit tests, the reference lab, a sample of the zoo, a crowd, a hostile supernode (tests/rules as root alone); a reference lab that runs is left running, another is replaced
	$(UNIT) -m slow tests/unit
	@$(call perhaps,tshark,tests read with it what clients speak) || echo "no tshark: its tests are skipped"
	$(UNIT) -rs tests/unit/evidence/test_dissected.py tests/unit/evidence/test_keys_of_a_call.py
	@command -v nft >/dev/null || [ "$$(id -u)$${LAB_NO_INSTALL:-0}" != 00 ] || ! command -v apt-get >/dev/null || \
		{ $(call install,nftables,the tests of rules load them); }
	@$(call perhaps,chromium,the tests of the report open it) || echo "no Chromium: the tests of the report are skipped"
	@[ -e .venv/kernel ] || modprobe -nq sch_netem 2>/dev/null || [ "$$(id -u)$${LAB_NO_INSTALL:-0}" != 00 ] || \
		! command -v apt-get >/dev/null || { ( $(call install,qemu-system-x86 busybox-static cpio kmod,a machine \
		with netem shows that links are held by it) ) && .venv/bin/python tests/links/virtual_machine.py; } || \
		echo "no machine with netem: its test is skipped"
	@was=$$(.venv/bin/lab status >/dev/null 2>&1 && echo running); \
	.venv/bin/lab up compose/reference.yml && .venv/bin/pytest -rs -m "not timing and not long" $(SUITES); \
	status=$$?; [ "$$was" ] || .venv/bin/lab down; \
	LAB_NAME=zoo-sample .venv/bin/pytest $(SAMPLE) || status=$$?; \
	LAB_NAME=crowd .venv/bin/pytest tests/crowd || status=$$?; \
	LAB_NAME=hostile .venv/bin/pytest tests/hostile || status=$$?; exit $$status

bench: .venv/ready ## what a relayed packet costs here, beside coturn; as root, about three minutes
	@command -v turnserver >/dev/null || { $(call install,coturn,the bench compares with coturn); }
	@command -v nft >/dev/null || { $(call install,nftables,the kernel forwards by rules of nftables); }
	@command -v ip >/dev/null || { $(call install,iproute2,the bench builds networks of its own); }
	@.venv/bin/python -m tests.bench

test-timing: .venv/ready ## how soon calls talk, in milliseconds: on a machine that does nothing else
	.venv/bin/pytest -m timing tests/calls

test-long: .venv/ready ## outages of many seconds, relays that come back after a minute; on the reference lab, about six minutes
	.venv/bin/pytest -m long tests/faults

test-zoo: .venv/ready ## the zoo: every network certified, every pair called; about twenty minutes
	.venv/bin/pytest tests/zoo --ignore=$(SAMPLE)

test-hostile: .venv/ready ## a hostile supernode in a lab of its own; about two minutes
	.venv/bin/pytest tests/hostile

# atheris has wheels for some interpreters only; where there is none the same parsers are fuzzed by a loop in Python.
ATHERIS := atheris==3.1.0
FUZZ_SECONDS ?= 10

fuzz: .venv/ready ## every parser against bytes that nobody would send, FUZZ_SECONDS for each
	@.venv/bin/python -c 'import atheris' 2>/dev/null || \
		.venv/bin/python -m pip install -qq --disable-pip-version-check --no-deps $(ATHERIS) 2>/dev/null || \
		echo "$(ATHERIS) is not to be had here: a loop in Python takes its place, and is slower"
	@status=0; for parser in $$(.venv/bin/python -m tests.fuzz --list); do \
		.venv/bin/python -m tests.fuzz $$parser --seconds $(FUZZ_SECONDS) || status=1; \
	done; exit $$status

# The locks are made from the public index alone: a private index or a folder of wheels would put hashes into them that
# nobody else can meet.
COMPILE = env -u PIP_FIND_LINKS -u PIP_INDEX_URL -u PIP_EXTRA_INDEX_URL PIP_CONFIG_FILE=/dev/null \
	CUSTOM_COMPILE_COMMAND='make lock' .venv/bin/pip-compile --quiet --generate-hashes --allow-unsafe --strip-extras \
	--no-emit-index-url --no-emit-find-links --no-emit-trusted-host --no-annotate

lock: .venv/ready ## make both lock files anew from pyproject.toml
	$(COMPILE) --upgrade --extra node --extra dev --output-file requirements.lock pyproject.toml
	.venv/bin/python -c 'import pathlib, tomllib; \
		print(*tomllib.loads(pathlib.Path("pyproject.toml").read_text())["project"]["optional-dependencies"]["node"], sep="\n")' \
		| $(COMPILE) --upgrade --constraint requirements.lock --output-file images/node/requirements.lock -

clean: ## remove the environment, caches and records of calls; not the lab itself (make lab-down)
	rm -rf .venv .cache .lab build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The stamp says that the environment holds what the lock says, and for which folder: its programs name their interpreter
# by its whole path, so a checkout that was moved needs a new one. An interrupted installation leaves no stamp.
HOME_OF_VENV := $(shell cat .venv/ready 2>/dev/null)
ifneq ($(HOME_OF_VENV),$(CURDIR))
.PHONY: .venv/ready
endif
.venv/ready: requirements.lock pyproject.toml
	@if [ -z "$(PYTHON)" ]; then \
		echo "make: the lab needs Python 3.11 or newer and found none; install python3, or name one: make PYTHON=/path/to/python3" >&2; \
		exit 2; \
	fi
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { $(call install,$(VENV_PACKAGE),$(PYTHON) cannot make environments); }
	@if [ "$(or $(HOME_OF_VENV),$(CURDIR))" != "$(CURDIR)" ] || ! .venv/bin/python -m pip --version >/dev/null 2>&1; then \
		echo "making .venv with $$($(PYTHON) --version)"; \
		$(PYTHON) -m venv --clear .venv; \
	fi
	@echo "installing requirements.lock into .venv"
	@.venv/bin/python -m pip install -qq --disable-pip-version-check --require-hashes -r requirements.lock
	@.venv/bin/python -m pip install -qq --disable-pip-version-check --no-deps --no-build-isolation -e .
	@echo $(CURDIR) >$@

# $(call install,PACKAGE,WHY): installs a package of the distribution where that is allowed, and says so either way.
define install
	root=$$(test "$$(id -u)" = 0 && echo env || { sudo -n true 2>/dev/null && echo sudo -n env; }); \
	if [ "$${LAB_NO_INSTALL:-0}" != 0 ] || [ -z "$$root" ] || ! command -v apt-get >/dev/null; then \
		echo "make: $(2): install $(1) (sudo apt-get install $(1)) and try again" >&2; \
		exit 2; \
	fi; \
	echo "$(2): installing $(1) (LAB_NO_INSTALL=1 refuses this)"; \
	$$root apt-get -qq -o DPkg::Lock::Timeout=120 update && \
	$$root DEBIAN_FRONTEND=noninteractive apt-get -qq -y -o DPkg::Lock::Timeout=120 install --no-install-recommends $(1) >/dev/null
endef
# $(call perhaps,PACKAGE,WHY): a program of that name that is no must: installed as root where that is allowed; fails only
# where that does.
perhaps = command -v $(1) >/dev/null || [ "$$(id -u)$${LAB_NO_INSTALL:-0}" != 00 ] || ! command -v apt-get >/dev/null || \
	( $(call install,$(1),$(2)) )
VENV_PACKAGE = $$($(PYTHON) -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')
