# Needs Python 3.11 or newer with venv, and make. README shows the same steps as plain pip lines.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PEERS := benchmarks/.venv
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet

.PHONY: run test quick slow lint types coverage release bench bench-rare bench-prove scale study chaos

run: $(VENV)/.run
	$(BIN)/basins run examples/iris.toml --out runs/iris --on ray --prove

test: $(VENV)/.dev
	$(BIN)/python -m pytest -m "not slow" -n auto --maxprocesses 4 --dist loadfile

# What a change is tried on while it is written: the mathematics, the integrators, verdicts, estimates, experiments, the
# bytes, and one shard from end to end; no cluster, no object store, no command in a process of its own, and no proof,
# whose code alone takes more than a minute to compile.
QUICK := $(addprefix tests/,statistics random laws landscapes integrators classification estimate experiment \
	execution/test_shard.py execution/test_ledger.py test_imports.py test_frozen.py test_later_keys.py test_arrays.py \
	test_contributing.py test_describe.py test_planning.py test_progress.py test_status.py)
quick: $(VENV)/.dev
	$(BIN)/python -m pytest -m "not slow" -n auto --maxprocesses 4 --dist loadfile --ignore tests/estimate/test_proved.py $(QUICK)

# Some take more than the five minutes after which a test that hangs says where; saying it may end a test that runs.
slow: $(VENV)/.dev
	$(BIN)/python -m pytest -m slow -o faulthandler_timeout=3600

# A hundred faults, each of which hits something: a quarter of an hour on two cores. SEED=7 for other times of them.
SEED ?= 1
chaos: $(VENV)/.dev
	$(BIN)/python -m chaos --seed $(SEED) --faults 100

lint: $(VENV)/.dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: $(VENV)/.dev
	$(BIN)/mypy --strict basins
	$(BIN)/mypy --config-file tests/mypy.ini tests

# The branches that the fast tests take, those of their workers and commands included; htmlcov/index.html has them line
# by line. A number to look at, no gate. What numba compiles is left out, for no line of it is seen.
coverage: $(VENV)/.dev
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest -m "not slow" -n auto --maxprocesses 4 --dist loadfile
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage html --quiet
	$(BIN)/coverage report

# Wheel and sdist into dist/, their metadata checked, installed and run on each of these Pythons that is here.
PYTHONS ?= python3.11 python3.12 python3.13
release: $(VENV)/.dev
	$(BIN)/python .ci/release.py dist $(PYTHONS)

# The peers have an environment of their own.
bench: $(VENV)/.dev $(PEERS)/.peers
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/run.py --peers $(PEERS)/bin/python
	$(BIN)/python benchmarks/picture.py

# What a decade of P(T > t) costs: benchmarks/rare.md. A quarter of an hour.
bench-rare: $(VENV)/.run $(PEERS)/.peers
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/rare.py --peers $(PEERS)/bin/python

# What a proved label costs, and how far proofs reach: benchmarks/prove.md.
bench-prove: $(VENV)/.dev
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/prove.py

# 10^9 trajectories: about an hour on two idle cores; goes on where it was.
study: $(VENV)/.dev
	$(BIN)/python examples/study/study.py

# What a driver sustains, without a cluster: benchmarks/scale.md.
scale: $(VENV)/.run
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/driver.py

# A stamp is younger than what it was installed from, or the step is done again.
$(VENV)/.run: requirements.txt pyproject.toml
	$(PYTHON) -m venv $(VENV) && $(PIP) -r requirements.txt && $(PIP) --no-deps -e .
	touch $@

$(VENV)/.dev: $(VENV)/.run requirements-dev.txt
	$(PIP) -r requirements-dev.txt
	touch $@

$(PEERS)/.peers: benchmarks/requirements.txt
	$(PYTHON) -m venv $(PEERS)
	$(PEERS)/bin/python -m pip --disable-pip-version-check install --quiet -r benchmarks/requirements.txt
	touch $@
