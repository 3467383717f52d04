# Every command that a person or CI runs here. `make` alone lists them.
#
# The environment is made from the hashed locks in requirements/, by uv when it is present, else by
# venv and pip; the Dockerfile installs from the same files. Another interpreter, another place:
# `make run PYTHON=python3.13 VENV=.venv-3.13`.

.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:

# The tests start some hundred interpreters, and each that finds no bytecode compiles everything anew.
unexport PYTHONDONTWRITEBYTECODE

VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python3.14 python; do \
	"$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && { echo "$$p"; break; }; done)
UV := $(shell command -v uv 2>/dev/null)
ARGS ?=
SUITES := $(sort $(basename $(notdir $(wildcard requirements/compat/*.txt))))
# the pages' suite needs a browser of the system's: make browser
COMPAT := $(filter-out browser,$(SUITES))

# $(call environment,FOLDER) makes one unless it is there: another interpreter on top of it would
# leave two. $(call install,FOLDER) is the start of an install command; what uv made has no pip.
# $(call counted,FOLDER,ARGUMENTS) installs and shows how far it is: a first run takes a minute.
ifneq ($(UV),)
environment = [ -x $(1)/bin/python ] || $(UV) venv --quiet --allow-existing --python "$(PYTHON)" $(1)
install = $(UV) pip install --quiet --python $(1)/bin/python
counted = $(UV) pip install --python $(1)/bin/python $(2)
else
environment = [ -x $(1)/bin/python ] || "$(PYTHON)" -m venv $(1); \
	$(1)/bin/python -m pip --version >/dev/null 2>&1 || $(1)/bin/python -m ensurepip >/dev/null
install = $(1)/bin/python -m pip install --quiet --disable-pip-version-check
counted = $(1)/bin/python -m pip install --disable-pip-version-check --progress-bar off $(2) | \
	awk -v tty="$$([ -t 2 ] && echo 1)" '\
		/^Collecting / { printf (tty ? "\r\033[K  " : "") "%d: %s" (tty ? "" : "\n"), ++n, $$2; fflush() } \
		/^Installing / { printf (tty ? "\r\033[K  " : "") "installing %d packages ..." (tty ? "" : "\n"), n; fflush() } \
		END { if (tty) print "" }'
endif

.PHONY: help
help: ## list these commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-9s %s\n", $$1, $$2}'

.PHONY: python
python:
	@[ -n "$(PYTHON)" ] || { echo "make: no Python 3.11 or newer found; install one, or name it: make PYTHON=/path/to/python3" >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
		{ echo "make: PYTHON=$(PYTHON) is not Python 3.11 or newer; name another: make PYTHON=/path/to/python3" >&2; exit 1; }

# The lock first, then the project itself from this folder, built by the locked hatchling.
$(VENV)/run.stamp: requirements/build.txt requirements/run.txt pyproject.toml | python
	@echo "making $(VENV) from requirements/run.txt (once) ..."
	@$(call environment,$(VENV))
	@$(call counted,$(VENV),--require-hashes -r requirements/build.txt -r requirements/run.txt)
	@$(call install,$(VENV)) --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/demo.stamp: $(VENV)/run.stamp requirements/demo.txt
	@$(call install,$(VENV)) --require-hashes -r requirements/demo.txt
	@touch $@

$(VENV)/test.stamp: $(VENV)/run.stamp requirements/test.txt
	@echo "adding requirements/test.txt (once) ..."
	@$(call install,$(VENV)) --require-hashes -r requirements/test.txt
	@touch $@

# A compatibility suite's environment holds the other program and, for suites that import it, the
# project on top. Its lock is all there is to install: *.excludes name what is left out of it.
.venv-compat-%/compat.stamp: requirements/compat/%.txt requirements/build.txt pyproject.toml | python
	@echo "making .venv-compat-$* from requirements/compat/$*.txt (once) ..."
	@$(call environment,.venv-compat-$*)
	@$(call install,.venv-compat-$*) --no-deps --require-hashes -r requirements/build.txt -r requirements/compat/$*.txt
	@$(call install,.venv-compat-$*) --no-deps --no-build-isolation --editable .
	@touch $@

.PHONY: run
run: $(VENV)/demo.stamp ## proxy and mock together, with an example to paste; Ctrl-C ends both
	@exec $(BIN)/lorax-proxy serve --demo $(ARGS)

.PHONY: dev
dev: $(VENV)/test.stamp $(VENV)/demo.stamp ## an editor-ready environment in .venv
	@echo "$(BIN)/python is ready: the project is installed editable, with every tool that make test uses"

.PHONY: format
format: $(VENV)/test.stamp ## let the formatter and the linter mend what they can
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

.PHONY: lint
lint: $(VENV)/test.stamp
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .

.PHONY: types
types: $(VENV)/test.stamp
	@$(BIN)/mypy
	@$(BIN)/pyright

.PHONY: test
test: lint types ## format, lint, types and tests: what CI runs first
	@$(BIN)/pytest --numprocesses 2 $(ARGS)

.PHONY: quick
quick: $(VENV)/test.stamp ## ten seconds of the tests nearest to what changed since main
	@$(BIN)/python -m tests.repo.quick $(ARGS)

# What differs between Pythons: sockets, processes, parsers, depths, the words of their own tables.
SHORT := tests/e2e tests/mock/http tests/mock/serde tests/proxy/wire tests/proxy/core/template/test_language.py

# What calls libraries: commands, settings, servers and clients, the pytest plugin.
OLDEST := tests/command tests/contracts/test_main.py tests/mock/test_main.py tests/mock/test_plugin.py tests/proxy/test_config.py \
	tests/proxy/test_http1.py tests/proxy/test_main.py tests/proxy/test_observe.py tests/proxy/upstream

.PHONY: short
short: $(VENV)/test.stamp
	@$(BIN)/pytest --numprocesses 2 -m "not property" $(SHORT) $(ARGS)

# One alone: make short VENV=.venv-3.13 PYTHON=python3.13
.PHONY: pythons
pythons: $(VENV)/test.stamp ## a short suite on every other Python that pyproject.toml claims and that is here
	@$(BIN)/python -m tests.repo.pythons | while read -r version path; do \
		echo "Python $$version: $$path"; \
		PIP_NO_COMPILE=1 $(MAKE) --no-print-directory short VENV=.venv-$$version PYTHON="$$path" </dev/null; done

.PHONY: cases
cases: $(VENV)/test.stamp ## replay the small inputs of reported faults (tests/e2e/cases.yaml)
	@$(BIN)/pytest tests/e2e/test_cases.py $(ARGS)

.PHONY: deep
deep: $(VENV)/test.stamp ## every property with 100,000 examples; long
	@HYPOTHESIS_PROFILE=deep $(BIN)/pytest --numprocesses 2 -m property --timeout 0 $(ARGS)

.PHONY: compat
compat: $(COMPAT:%=compat-%) ## suites that need environments of their own; one alone: make compat-NAME

# The warnings of other people's programs are their makers' business.
.PHONY: browser
browser: compat-browser ## the pages in Chromium; ARGS=--screenshots takes the pictures of the docs anew

.PHONY: $(SUITES:%=compat-%)
$(SUITES:%=compat-%): compat-%: .venv-compat-%/compat.stamp $(VENV)/run.stamp
	@echo "compat: $*"
	@LORAX_PROXY_COMMAND="$(CURDIR)/$(BIN)/lorax-proxy" LORAX_MOCK_COMMAND="$(CURDIR)/$(BIN)/lorax-mock" \
		.venv-compat-$*/bin/python -m pytest -W ignore tests/compat/$* $(ARGS)

# `make mutants ARGS="stops stream --workers 1"` for some; all take a quarter of an hour of CPU.
.PHONY: mutants
mutants: $(VENV)/test.stamp ## plant every small fault, see which tests notice (docs/evidence/mutants.md); long
	@$(BIN)/python -m tests.mutants $(ARGS)

# `make soak MINUTES=60 ARGS="--kept 10000 --deaf 1000"` for an hour with idle and deaf connections;
# `make soak REQUESTS=1000000` for so many requests, however long they take.
REQUESTS ?= 0
MINUTES ?= $(if $(filter-out 0,$(REQUESTS)),100000,1)

.PHONY: soak
soak: $(VENV)/test.stamp ## MINUTES of mixed load with faults, every answer judged (docs/evidence/reliability.md)
	@$(BIN)/python -m tests.soak $(MINUTES) --requests $(REQUESTS) $(ARGS)

# Not editable, so that what the wheel asks for is held to what is installed: the last line asks no index.
.venv-oldest/oldest.stamp: requirements/build.txt requirements/oldest.txt | python
	@echo "making .venv-oldest from requirements/oldest.txt (once) ..."
	@$(call environment,.venv-oldest)
	@$(call install,.venv-oldest) --require-hashes -r requirements/build.txt -r requirements/oldest.txt
	@touch $@

.PHONY: oldest
oldest: .venv-oldest/oldest.stamp ## a short suite on the oldest dependencies that pyproject.toml allows
	@$(call install,.venv-oldest) --no-deps --no-build-isolation --force-reinstall .
	@$(call install,.venv-oldest) --no-index 'lorax-openai[all,pytest,tokenizers]'
	@.venv-oldest/bin/python -m pytest --numprocesses 2 -m "not property" --ignore tests/e2e/test_published_schema.py $(SHORT) $(OLDEST) $(ARGS)

# pipx and uv, which the README's lines are tried with.
.venv-installers/installers.stamp: requirements/installers.txt | python
	@$(call environment,.venv-installers)
	@$(call install,.venv-installers) --require-hashes -r requirements/installers.txt
	@touch $@

.PHONY: wheel
wheel: $(VENV)/test.stamp .venv-installers/installers.stamp ## build wheel and sdist, look into them, install as the README says, and try action and hook
	@PATH="$(CURDIR)/.venv-installers/bin:$$PATH" $(BIN)/pytest --numprocesses 2 --dist loadfile tests/release $(ARGS)

# `make bench ARGS="--rounds 3 --streams 500"` for less, or more, of it.
.PHONY: bench
bench: $(VENV)/test.stamp ## what a request and a streamed event cost, beside nginx: docs/performance.md
	@$(BIN)/python -m tests.bench $(ARGS)

# Needs node and a few GB; `make matrix ARGS="litellm aimock"` for some. Not in CI.
.PHONY: matrix
matrix: $(VENV)/demo.stamp $(VENV)/test.stamp ## check genuine servers, twice each, and write docs/evidence/matrix.md; long
	@$(BIN)/python -m tests.contracts.matrix $(ARGS)

.venv-docs/docs.stamp: requirements/docs.txt | python
	@echo "making .venv-docs from requirements/docs.txt (once) ..."
	@$(call environment,.venv-docs)
	@$(call install,.venv-docs) --require-hashes -r requirements/docs.txt
	@touch $@

# The pages' sources lie beside them, for who reads Markdown: llms.txt lists those.
.PHONY: docs
docs: $(VENV)/test.stamp .venv-docs/docs.stamp ## write anew what code and data say, then build the pages in site/
	@$(BIN)/python -m tests.repo.support_table docs/parameters.md
	@$(BIN)/lorax-contracts laws --format markdown > docs/laws.md
	@$(BIN)/python -m tests.contracts.detection
	@$(BIN)/python -m tests.repo.llms > docs/llms.txt
	@NO_MKDOCS_2_WARNING=1 .venv-docs/bin/mkdocs build 2>&1 | grep -v '^INFO' >&2 || test "$${PIPESTATUS[0]}" = 0
	@! grep -rE '(src|<link[^>]* href)="(https?:)?//' site --include '*.html' || { echo "make docs: a page loads something from elsewhere" >&2; exit 1; }
	@cd docs && find . -name '*.md' | while read -r page; do cp "$$page" "../site/$$page"; done

.PHONY: release
release: $(VENV)/run.stamp ## wheel, sdist and notes of this version in dist/, judged; tags nothing
	@$(BIN)/python -m tests.release.release

.PHONY: locks
locks: ## write requirements/**/*.txt anew from pyproject.toml and *.in (needs uv)
	@requirements/lock

.PHONY: clean
clean: ## remove the environments and caches
	@rm -rf .venv .venv-* .hypothesis .mypy_cache .pytest_cache .ruff_cache dist build site htmlcov mutants .coverage*
