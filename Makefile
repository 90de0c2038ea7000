PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: setup demo test lab render bench check

setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "her2kit needs Python >= 3.11; this is $$($(PYTHON) --version). Try: make PYTHON=python3.11"; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[train,course,dev]'
	@# ultralytics asks for opencv-python and grad-cam for the headless build; both write cv2/, the headless one must win.
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --force-reinstall --no-deps opencv-python-headless
	touch $(STAMP)
