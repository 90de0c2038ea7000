# make demo     set-up, synthetic slides, every notebook, every slide scored: then open reports/index.html
# make test     set-up, then all tests, with all notebooks in their smallest size
# make setup    only .venv and what goes into it          make lab      the notebooks in JupyterLab
# make render   run the notebooks, keep their outputs     make bench    every benchmark, and which claims hold
# make check    notebooks against notebooks/expected.yaml, ruff, mypy
#
# PYTHON=python3.12 chooses the Python (3.11 or newer); it matters only where .venv does not exist yet.

PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done || true)
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
DEMO := data/demo

.DEFAULT_GOAL := help
.PHONY: help setup demo test lab render bench check

help:
	@sed -n 's/^# \{0,1\}//; 1,/^$$/p' Makefile

setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	@if [ ! -x $(BIN)/python ]; then \
	  test -n "$(PYTHON)" || { echo "her2kit needs Python 3.11 or newer, and found none. Install it, or: make PYTHON=/path/to/python3" >&2; exit 1; }; \
	  $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "her2kit needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version 2>&1). Try: make PYTHON=python3.12" >&2; exit 1; }; \
	  echo "Making $(VENV) with $$($(PYTHON) --version)"; \
	  $(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo "$(PYTHON) cannot make a virtual environment; on Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }; \
	fi
	@echo "Installing pinned versions into $(VENV): about 3 GB and a few minutes, once"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[cluster,train,course,dev]' \
	  || { echo "The installation stopped: see above. Once the cause is gone, the same command goes on." >&2; exit 1; }
	@# ultralytics asks for opencv-python, grad-cam for the headless build; both write cv2/, and the headless one must be last.
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --force-reinstall --no-deps opencv-python-headless
	@$(BIN)/python -c 'import cv2'
	@touch $(STAMP)

demo: setup
	$(BIN)/her2kit phantom $(DEMO) --overwrite
	@# What fails is listed and the rest goes on; the exit status at the end tells.
	@status=0; \
	echo "$(BIN)/her2kit run --out reports/runs"; $(BIN)/her2kit run --out reports/runs || status=1; \
	echo "$(BIN)/her2kit score --manifest $(DEMO)/manifest.csv --out reports/scores"; \
	$(BIN)/her2kit score --manifest $(DEMO)/manifest.csv --out reports/scores || status=1; \
	$(BIN)/python -m her2kit.course.overview reports || status=1; \
	exit $$status

test: setup
	$(BIN)/python -m pytest

lab: setup
	$(BIN)/jupyter lab notebooks/01_look_at_a_slide.ipynb

render: setup
	$(BIN)/her2kit render

bench: setup
	$(BIN)/python -m benchmarks

check: setup
	$(BIN)/her2kit check
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
