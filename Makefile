# Everything needs only Python 3.11 or newer; each target makes the virtual environment it needs in .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
ROOMS := db models oracles orchestrator workers
export OMP_NUM_THREADS ?= 1
# Modules are compiled once, and not by each of the hundreds of processes that tests start.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo water test chaos lint types bench clean

$(INSTALLED): pyproject.toml constraints.txt
	test -d $(VENV) || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[xtb,dev]'
	touch $@

demo: $(INSTALLED)  ## the main job: molecules by quantum chemistry, against a random control of equal cost
	$(BIN)/theoros run campaigns/polarizability/campaign.yaml --database demo.db --with-control random --fresh

water: $(INSTALLED)  ## a second, quick campaign: the geometry of water
	$(BIN)/theoros run campaigns/water/campaign.yaml --database demo.db --fresh

# What only computes runs on all cores. What starts clusters and kills them waits for a quarter of its time, and so runs
# three files at a time, in the order of their names: the longest, which have few tests, come first then.
COMPUTING := tests/benchmarks tests/db tests/models tests/oracles
test: $(INSTALLED)
	$(BIN)/pytest -n auto --durations 15 $(COMPUTING)
	$(BIN)/pytest -n 3 --durations 15 --dist loadfile --no-loadscope-reorder $(foreach folder,$(COMPUTING),--ignore=$(folder))

chaos: $(INSTALLED)  ## kill what runs campaigns, 200 times at random; goes on where it stopped
	$(BIN)/python tests/faults/chaos.py --folder build/chaos --kills 200

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

# mypy does not follow an editable install whose folders are mapped, so it gets the mapping as a tree of links.
types: $(INSTALLED)
	rm -rf build/types && mkdir -p build/types/theoros
	for room in $(ROOMS); do ln -s ../../../$$room build/types/theoros/$$room; done
	for file in __init__.py py.typed; do ln -s ../../../front/$$file build/types/theoros/$$file; done
	MYPYPATH=build/types $(BIN)/mypy --package theoros

bench: $(INSTALLED)  ## every measurement beside its peers, which this installs; hours
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[xtb,dev,bench]'
	$(BIN)/python -m benchmarks

clean:
	rm -rf $(VENV) build *.egg-info .pytest_cache .mypy_cache .ruff_cache
