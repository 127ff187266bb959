# Needs git, make and Python 3.11 or newer. Everything else goes into .venv, pinned by requirements.txt.
#   make help                         these lines
#   make repro                        the default pipeline, from nothing to the report
#   make repro ARGS="model=vgg16"     a variant; ARGS go to `unitmean repro`
#   make test                         style, types and tests
#   make test-narrow                  the numerical tests as on a processor without AVX, on one thread
#   make nightly                      what takes long: faults, fuzzing, the zoo's networks one by one
#   make faults                       kills, full disks and changed files; UNITMEAN_FAULTS=20 rounds
#   make fuzz                         damaged files for every reader; UNITMEAN_FUZZ=20000 executions each
#   make docs                         the documents that programs write, again (docs/zoo.md too: ZOO=1)
#   make site                         the documentation as a site, in site/
#   make audit                        known vulnerabilities of what requirements.txt pins; asks a service on the network
#   make requirements                 requirements.txt again, after pyproject.toml; what is pinned stays
#   make requirements ARGS=--upgrade-package=pillow    … or is raised (all of it: ARGS=--upgrade)
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.PHONY: help setup repro site test test-narrow nightly docs faults fuzz audit lint requirements

PYTHON ?= python3
UV := 0.13.9
override VENV := $(CURDIR)/.venv
# The stages' commands say `python`: it must be the environment's.
IN_VENV := PATH="$(VENV)/bin:$$PATH"

# A process a core; what the tests of a file share is made once.
PARALLEL := --numprocesses logical --maxprocesses 4 --dist loadfile
NUMERICAL := $(addprefix tests/, unit/graph unit/statistics unit/proof unit/style unit/test_api.py unit/networks/test_seeded.py \
  pipeline/measure pipeline/proof pipeline/audit pipeline/test_pipeline_stages.py pipeline/test_pipeline_collect.py)

setup: .venv/.installed

help:
	@sed -n 's/^#   //p' Makefile

repro: setup
	$(IN_VENV) unitmean repro $(ARGS)

test: lint
	$(IN_VENV) pytest $(PARALLEL) $(ARGS)

# Numbers must not depend on the processor's vectors, nor on how many threads add them up.
test-narrow: setup
	$(IN_VENV) ATEN_CPU_CAPABILITY=default ONEDNN_MAX_CPU_ISA=SSE41 OMP_NUM_THREADS=1 \
	  pytest $(PARALLEL) $(NUMERICAL) $(ARGS)

# Tests hold these documents; what they hold them to is written by the same modules.
DOCUMENTS := pipeline/test_pipeline_deps pipeline/test_pipeline_reruns pipeline/test_configuration_document \
  pipeline/sources/test_each_source unit/layouts/test_each_layout test_bad_input test_licences pipeline/test_readme
docs: setup
	$(IN_VENV) unitmean configure
	for module in $(DOCUMENTS); do $(IN_VENV) PYTHONPATH=tests python tests/$$module.py; done
	$(if $(ZOO),$(IN_VENV) unitmean zoo --out docs/zoo.md)

nightly: setup
	$(IN_VENV) UNITMEAN_FAULTS=$${UNITMEAN_FAULTS:-2} UNITMEAN_FUZZ=$${UNITMEAN_FUZZ:-2000} \
	  pytest $(PARALLEL) -m nightly $(ARGS)

faults: setup
	$(IN_VENV) UNITMEAN_FAULTS=$${UNITMEAN_FAULTS:-5} pytest -m nightly tests/nightly/faults $(ARGS)

# The documentation as a site in site/, from docs/ and the docstrings.
site: setup
	$(IN_VENV) zensical build --strict

lint: setup
	$(IN_VENV) ruff check
	$(IN_VENV) ruff format --check
	$(IN_VENV) mypy

fuzz: setup
	$(IN_VENV) UNITMEAN_FUZZ="$${UNITMEAN_FUZZ:-5000}" pytest -m nightly tests/nightly/fuzz -s $(ARGS)

audit: .venv/.uv
	$(VENV)/bin/uv tool run pip-audit --requirement requirements.txt --no-deps --disable-pip --strict $(ARGS) || \
	  { echo "error: every pinned package must be known to the vulnerability service and have no finding; see above:" \
	    "raise what it names, as in make requirements ARGS=--upgrade-package=NAME, or run this where that" \
	    "service answers" >&2; exit 1; }

requirements: .venv/.uv
	$(VENV)/bin/uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 --no-annotate \
	  --custom-compile-command "make requirements" --quiet --output-file requirements.txt $(ARGS)

.venv/.uv: Makefile
	@command -v $(PYTHON) >/dev/null || \
	  { echo "error: Python 3.11 or newer must be installed; found no $(PYTHON): install it, or say PYTHON=..." >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "error: Python must be 3.11 or newer; found $$($(PYTHON) --version 2>&1) as $(PYTHON):" \
	    "say which one to use, as in make PYTHON=python3.12 repro" >&2; exit 1; }
	@# Of an activated environment the interpreter beneath it, or .venv would be made of itself.
	@echo "making .venv of what requirements.txt pins: a minute or two"
	@"$$($(PYTHON) -c 'import sys; print(getattr(sys, "_base_executable", sys.executable))')" -m venv .venv
	@$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check uv==$(UV)
	@touch $@

# Compiled now, on all cores, rather than in every process where the environment forbids writing byte code.
.venv/.installed: .venv/.uv requirements.txt pyproject.toml
	@printf 'installing %s packages into .venv ' "$$(grep -c == requirements.txt)"; \
	(while sleep 3; do printf .; done) & dots=$$!; trap "kill $$dots 2>/dev/null || true" EXIT; \
	$(VENV)/bin/uv pip install --quiet --python $(VENV)/bin/python --compile-bytecode --requirements requirements.txt; \
	$(VENV)/bin/uv pip install --quiet --python $(VENV)/bin/python --no-deps --editable .; \
	printf ' %s s\n' "$$SECONDS"
	@touch $@
