# Two commands matter: `make demo` and `make test`. Each makes what it needs in .venv, once.
PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
STAMP := $(VENV)/.installed
DATA ?= data
TEACHER ?= teacher
WARM ?=
OUT ?= runs/base
WORKERS ?= 2

.PHONY: help demo test lint bench-quick base clean
.DEFAULT_GOAL := help

help:  ## say what can be made
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):[^#]*## /\1\t/' | expand -t 14

demo: $(STAMP)  ## every modality on the samples that ship with the package; writes out/demo.png
	$(PY) -m allspark.demo

test: lint  ## ruff, mypy and every test; no network, no GPU
	OMP_NUM_THREADS=1 $(PY) -m pytest -n $(WORKERS) --dist loadfile

lint: $(STAMP)  ## ruff and mypy alone
	$(PY) -m ruff check .
	$(PY) -m mypy

bench-quick: $(STAMP)  ## speed and memory against their bounds, with the machine's name
	$(PY) benchmarks/quick.py

base: $(STAMP)  ## train the shipped weights again: make base DATA=folder TEACHER=folder [WARM=folder] [OUT=folder]
	$(PY) recipes/allspark-base/base.py --data $(DATA) --teacher $(TEACHER) $(if $(WARM),--warm $(WARM)) --out $(OUT)

clean:  ## remove what was made, the environment too
	rm -rf $(VENV) out build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache

# The environment is made again only when what it is made of has changed.
$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "$(PYTHON) is too old: allspark needs Python 3.11 or later; run: make PYTHON=python3.12 ..." >&2; exit 1; }
	@test -x $(PY) || $(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
	  echo "no virtual environment could be made: on Debian and Ubuntu, apt-get install python3-venv" >&2; exit 1; }
	$(VENV)/bin/pip install --quiet --no-compile -c constraints.txt -e ".[plot,vector,test,dev]"
	@touch $@
