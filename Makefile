# make demo    train a plain ViT and iFAM on the embedded suite, and compare them (CPU, minutes)
# make test    format, lint, types and tests
# make clean   remove the environment and all caches; runs and results stay

PYTHON ?= python3
OUTPUT ?= runs
SUITE ?= waterdigits

VENV := .venv
BIN := $(VENV)/bin
RUN := $(BIN)/ifambench run $(SUITE) --output $(OUTPUT)
FOLDER = $(OUTPUT)/$(SUITE)@1/$(1)/standard/seed0

.PHONY: demo test clean
.DELETE_ON_ERROR:

demo: $(VENV)/installed
	$(RUN) --fresh --model vit-micro --explainer grad-cam --explainer attention-rollout
	$(RUN) --fresh --model ifam-vit-micro
	$(BIN)/ifambench compare $(call FOLDER,vit-micro) $(call FOLDER,ifam-vit-micro)
	@echo "report: $(call FOLDER,ifam-vit-micro)/report.html"

test: $(VENV)/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "ifambench needs Python 3.11 or newer: make PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/installed: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet -c constraints.txt -e .
	touch $@

$(VENV)/installed-dev: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[dev]'
	touch $@ $(VENV)/installed
