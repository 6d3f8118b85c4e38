# Two commands: `make demo` does the main job on real speech, `make test` runs every check.
# Both make .venv first; both can be interrupted and run again.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: demo test lint types unit browser clean

demo: $(VENV)/.ready
	@echo "== ringtrue demo: corpus, baseline and hero, The Table, two verdicts (README has the times)"
	@$(BIN)/ringtrue demo $(DEMO)

test: lint types unit

lint: $(VENV)/.ready
	@echo "== ruff: style, and formatting"
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: $(VENV)/.ready
	@echo "== mypy: types"
	@$(BIN)/mypy

# One thread each: two test processes fill two cores, and arithmetic stays the same to the bit.
unit: $(VENV)/.ready
	@echo "== pytest"
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2

# Lets the page judge inside the browser: 14 MiB, MIT, into the package's folder and so into wheels built after it.
browser: $(VENV)/.ready
	@$(BIN)/python scripts/fetch_browser_runtime.py

# The stamp comes last, so an installation that was interrupted runs again.
$(VENV)/.ready: pyproject.toml constraints.txt scripts/make_venv.sh
	@echo "== installing ringtrue and what it needs into $(VENV) (a minute or two, about 2 GB)"
	@PYTHON="$(PYTHON)" bash scripts/make_venv.sh $(VENV)
	@$(BIN)/python -m pip install --constraint constraints.txt --editable '.[dev]'
	@$(BIN)/python -c "import torch; assert torch.version.cuda is None, 'a CUDA build of torch was installed'"
	@touch $@

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
