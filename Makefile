# Every task a person needs, with one word. `make` alone lists them.
.DEFAULT_GOAL := help
PY := .venv/bin/python
STAMP := .venv/.ready
PREFIX ?= /usr/local
MEASURED := .cache/bare/out/coverage.json

help:  ## what can be made
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

demo: setup  ## build examples/hello with live progress, then run the image
	@scripts/demo.sh

test: setup-test  ## every test: unit, golden, conformance, end to end
	@scripts/test.sh

test-lowest:  ## the unit tests on the lowest versions that pyproject.toml allows
	@scripts/lowest.sh -m "not e2e and not root and not sources"

test-newest:  ## the unit tests on the next Debian, and the floor of what they cover (root)
	@scripts/install.sh bare
	@scripts/bare.sh forky scripts/newest.sh -m "not e2e and not sources"
	@scripts/coverage_floor.py $(MEASURED) tests/coverage_floor.txt

raise-floor:  ## raise tests/coverage_floor.txt to what `make test-newest` has measured
	@scripts/coverage_floor.py $(MEASURED) tests/coverage_floor.txt --raise

coverage: setup-test  ## what all tests cover, in daemons and clients too (an hour; report in .cache/coverage)
	@scripts/coverage.sh

test-bare:  ## `make demo install` on bare systems, Debian 12 and 13 (root)
	@scripts/install.sh bare
	@for suite in bookworm trixie; do \
	  scripts/bare.sh $$suite sh -c 'make demo install && croze images' || exit 1; \
	done

check: $(STAMP)  ## the gate: ruff, mypy, layering, unit tests (under three minutes)
	@scripts/check.sh

setup: $(STAMP)  ## install the OCI runtime and the project in .venv
	@scripts/install.sh runtime

setup-test: setup  ## also install what only the tests need (registry, docker, buildx, ...)
	@scripts/install.sh test

$(STAMP): pyproject.toml requirements.lock
	@scripts/install.sh python
	@touch $(STAMP)

bench: setup-test  ## builds timed beside BuildKit's (OUT=folder for the report)
	@$(PY) -m bench $(if $(OUT),--out "$(OUT)")

bench-quick: setup-test  ## the same in small sizes, under three minutes
	@$(PY) -m bench --quick $(if $(OUT),--out "$(OUT)")

install:  ## put croze and crozed into PREFIX/bin (PREFIX=/usr/local)
	@scripts/install.sh prefix "$(PREFIX)"

uninstall:  ## take away what `make install` made
	@rm -rf "$(PREFIX)/lib/croze" "$(PREFIX)/bin/croze" "$(PREFIX)/bin/crozed"

proto: $(STAMP)  ## regenerate src/croze/api from its .proto files
	@scripts/proto.sh

reference: $(STAMP)  ## make docs/reference anew from the code
	@$(PY) scripts/reference.py

lock:  ## resolve pyproject.toml into requirements.lock, with hashes
	@scripts/lock.sh

changes: $(STAMP)  ## what CHANGELOG.md will say of the next version
	@$(PY) scripts/changes.py

release: $(STAMP)  ## make it the section of a version (VERSION=0.2.0)
	@$(PY) scripts/changes.py $(VERSION) $$(date +%F)

format: $(STAMP)  ## format the code
	@.venv/bin/ruff format . && .venv/bin/ruff check --fix -q .

clean:  ## remove the environment and everything that was made
	@rm -rf .venv .cache

.PHONY: help demo test test-lowest test-newest test-bare raise-floor coverage check setup setup-test bench bench-quick install uninstall proto reference lock changes release format clean
