# Two commands: `make demo` does the main job on real speech, `make test` runs every check. Beside them: `make faults`
# kills every long job fifty times, `make licences`, `make sbom` and `make audit` look at what is installed.
# Both make .venv first; both can be interrupted and run again.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
TOOLS := .venv-tools
KILLS ?= 50
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: demo test lint types unit browser faults licences sbom audit clean

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

faults: $(VENV)/.ready
	@echo "== $(KILLS) kills of every long job, at moments of their own each day"
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests/faults -n 2 --kills $(KILLS) --kills-seed $$(date +%Y%m%d)

licences: $(VENV)/.ready
	@$(BIN)/python scripts/licences.py

sbom: $(VENV)/.ready $(TOOLS)/.ready
	@mkdir -p build
	@$(TOOLS)/bin/cyclonedx-py environment $(BIN)/python --pyproject pyproject.toml --mc-type library \
	  --output-reproducible --no-validate --output-file build/sbom.cdx.json
	@echo "build/sbom.cdx.json: CycloneDX"

# Asks the registry's advisory service, so it needs a network; a registry without one has nothing to say of any package,
# which pip-audit takes for good news and we do not.
audit: $(VENV)/.ready $(TOOLS)/.ready
	@$(BIN)/python -m pip freeze --exclude-editable | sed 's/+cpu//' > $(TOOLS)/installed.txt
	@$(TOOLS)/bin/pip-audit --no-deps --disable-pip -r $(TOOLS)/installed.txt > $(TOOLS)/audit.txt 2>&1; code=$$?; \
	  unheard=$$(grep -c 'could not be audited' $(TOOLS)/audit.txt); \
	  if [ $$unheard -gt 0 ]; then \
	    echo "NOT AUDITED: for $$unheard of $$(grep -c == $(TOOLS)/installed.txt) packages the registry that this" \
	      "machine is set up for has no advisories ($(TOOLS)/audit.txt); run again where it has" >&2; exit 2; \
	  fi; cat $(TOOLS)/audit.txt; exit $$code

# Tools that look at the installation from outside: their own dependencies stay out of it.
$(TOOLS)/.ready: scripts/make_venv.sh scripts/tools.txt
	@PYTHON="$(PYTHON)" bash scripts/make_venv.sh $(TOOLS)
	@$(TOOLS)/bin/python -m pip install --quiet -r scripts/tools.txt
	@touch $@

# The stamp comes last, so an installation that was interrupted runs again.
$(VENV)/.ready: pyproject.toml constraints.txt scripts/make_venv.sh
	@echo "== installing ringtrue and what it needs into $(VENV) (a minute or two, about 2 GB)"
	@PYTHON="$(PYTHON)" bash scripts/make_venv.sh $(VENV)
	@$(BIN)/python -m pip install --constraint constraints.txt --editable '.[dev]'
	@$(BIN)/python -c "import torch; assert torch.version.cuda is None, 'a CUDA build of torch was installed'"
	@touch $@

clean:
	rm -rf $(VENV) $(TOOLS) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
