# Everything is set up by the targets themselves, as root on Debian 12 or 13: system packages by
# apt, a virtual environment in .venv, nothing else.

PYTHON := /usr/bin/python3
READY  := .venv/ready
TESTED := .venv/ready-to-test
SHELL  := /bin/bash

# Where `make install` puts things; DESTDIR is set before all of them.
PREFIX  := /usr
ETC     := /etc
VENV    := $(PREFIX)/lib/vztmpl
UNITS   := $(PREFIX)/lib/systemd/system
INSTALL := install -D --mode

.PHONY: help demo test bench bench-build bench-repo lint clean install uninstall

help:
	@echo 'make demo    build, publish, fetch, boot, bound, stop a VE, and say how long each took'
	@echo 'make test    all tests: style, types, units, and real VEs'
	@echo 'make bench   the benchmarks of docs/benchmarks.md (installs lxc and podman to compare)'
	@echo 'make bench-repo   publishing and fetching beside curl, zstd and tar'
	@echo 'make bench-build  the same for building (installs debootstrap and zstd to compare)'
	@echo 'make install    into $$DESTDIR$$PREFIX; then: systemctl enable --now vz'
	@echo 'make uninstall  takes that away; configurations, templates and containers stay'
	@echo 'make clean   remove .venv and what `make demo` keeps in cache/'

demo: $(READY)
	@bash tests/demo.sh

test: $(TESTED) lint
	@.venv/bin/pytest

bench: $(READY)
	@bash bench/setup.sh lxc lxcfs podman crun conmon
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

# A virtual environment of its own, without pip, made beside its place and renamed. Its programs get
# an interpreter that minds neither the user's environment nor the current folder.
install:
	$(call install,$(FOR_ALL))
	@rm -rf $(DESTDIR)$(VENV).new $(DESTDIR)$(VENV).old
	@$(PYTHON) -m venv $(DESTDIR)$(VENV).new
	@$(DESTDIR)$(VENV).new/bin/pip install --quiet --disable-pip-version-check .
	@$(DESTDIR)$(VENV).new/bin/pip uninstall --quiet --yes pip setuptools
	@sed --in-place 's|$(DESTDIR)$(VENV).new|$(VENV)|g' $(DESTDIR)$(VENV).new/pyvenv.cfg
	@cd $(DESTDIR)$(VENV).new/bin && rm -f [Aa]ctivate* && for script in v*; do \
	  sed --in-place --expression '1s|.*|#!$(VENV)/bin/python3 -I|' \
	    --expression '/^import re$$/d; /sys.argv\[0\]/d' $$script; done
	@$(PYTHON) -m compileall -q -f -s $(DESTDIR)$(VENV).new -p $(VENV) $(DESTDIR)$(VENV).new/lib
	@[ ! -e $(DESTDIR)$(VENV) ] || mv $(DESTDIR)$(VENV) $(DESTDIR)$(VENV).old
	@mv $(DESTDIR)$(VENV).new $(DESTDIR)$(VENV)
	@rm -rf $(DESTDIR)$(VENV).old
	@mkdir -p $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/sbin
	@for program in $(DESTDIR)$(VENV)/bin/v*; do name=$${program##*/}; \
	  case $$name in vztmpl) folder=bin ;; *) folder=sbin ;; esac; \
	  ln -sfn ../lib/vztmpl/bin/$$name $(DESTDIR)$(PREFIX)/$$folder/$$name; done
	@$(INSTALL) 644 systemd/vz.service $(DESTDIR)$(UNITS)/vz.service
	@$(INSTALL) 755 systemd/vz.init $(DESTDIR)$(ETC)/init.d/vz
	@cd etc/vz && find . -type f | while read -r file; do \
	  [ -e $(DESTDIR)$(ETC)/vz/$$file ] || $(INSTALL) 644 $$file $(DESTDIR)$(ETC)/vz/$$file; done
	@$(INSTALL) 644 --target-directory $(DESTDIR)$(PREFIX)/share/doc/vztmpl docs/*.md
	@echo 'vztmpl is installed; `systemctl enable --now vz` starts containers with the node'

uninstall:
	@for link in $(DESTDIR)$(PREFIX)/bin/v* $(DESTDIR)$(PREFIX)/sbin/v*; do \
	  case $$(readlink $$link) in ../lib/vztmpl/bin/*) rm $$link ;; esac; done
	@rm -rf $(DESTDIR)$(VENV) $(DESTDIR)$(PREFIX)/share/doc/vztmpl
	@rm -f $(DESTDIR)$(UNITS)/vz.service $(DESTDIR)$(ETC)/init.d/vz
	@echo 'vztmpl is gone; $(ETC)/vz, /vz and /var/lib/vztmpl are as they were'

clean:
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache cache/demo cache/test
