# Everything is set up by the targets themselves, as root on Debian 12 or 13: system packages by
# apt, a virtual environment in .venv, nothing else.

PYTHON := /usr/bin/python3
READY  := .venv/ready
TESTED := .venv/ready-to-test
SHELL  := /bin/bash

.PHONY: help demo test bench bench-build bench-repo lint clean

help:
	@echo 'make demo    build, publish, fetch, boot, bound, stop a VE, and say how long each took'
	@echo 'make test    all tests: style, types, units, and real VEs'
	@echo 'make bench   the benchmarks of docs/benchmarks.md (installs lxc and podman to compare)'
	@echo 'make bench-repo   publishing and fetching beside curl, zstd and tar'
	@echo 'make bench-build  the same for building (installs debootstrap and zstd to compare)'
	@echo 'make clean   remove .venv and what `make demo` keeps in cache/'

demo: $(READY)
	@bash tests/demo.sh

test: $(TESTED) lint
	@.venv/bin/pytest

bench: $(READY)
	@bash bench/setup.sh lxc podman crun conmon
	@.venv/bin/python -m bench.ve
	@.venv/bin/python -m bench.share

bench-repo: $(READY)
	@bash bench/setup.sh curl zstd
	@.venv/bin/python -m bench.repo

bench-build: $(READY)
	@bash bench/setup.sh debootstrap zstd
	@.venv/bin/python -m bench.build

lint: $(READY)
	@.venv/bin/ruff format --check --quiet .
	@.venv/bin/ruff check --quiet .
	@.venv/bin/mypy

# Which lines of system-packages.txt to install, in sed's words.
FOR_ALL   := 1,/^\# Tests/p
FOR_TESTS := /^\# Tests/,$$p

define install
	@missing=$$(for package in $$(sed --quiet '$(1)' system-packages.txt | grep -v '^#'); do \
	  dpkg-query --show --showformat='$${Status}' $$package 2>/dev/null | grep -q ' installed$$' \
	    || echo $$package; done); \
	if [ -n "$$missing" ]; then \
	  echo "installing" $$missing; \
	  apt-get update --quiet=2 && DEBIAN_FRONTEND=noninteractive \
	    apt-get install --yes --quiet=2 --no-install-recommends $$missing >/dev/null; fi
endef

$(READY): pyproject.toml system-packages.txt
	$(call install,$(FOR_ALL))
	@echo 'making .venv'
	@$(PYTHON) -m venv .venv
	@.venv/bin/pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

$(TESTED): $(READY)
	$(call install,$(FOR_TESTS))
	@touch $@

clean:
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache cache/demo cache/test
