# Two commands for a fresh machine with python3 (3.11 or newer) and make: `make run` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: run test lint coverage lock clean

run: $(READY)
	exec $(BIN)/hotfolder run -c config.yaml

test: $(READY)
	$(BIN)/python -m pytest -n 2

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# Lines of the core and of the walkers of containers that tests and fuzzing reach; takes gcc and some ten minutes.
coverage: $(READY)
	$(BIN)/python -m tests.linecoverage

$(READY): requirements.lock pyproject.toml setup.py $(wildcard native/*.c native/*.h)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $(READY)

# What pyproject.toml asks for, with all that follows from it, at the newest versions; for maintainers.
lock:
	$(PYTHON) -m venv $(VENV)-lock
	$(VENV)-lock/bin/python -m pip install --quiet --upgrade pip
	$(VENV)-lock/bin/python -m pip install --quiet . --group dev
	$(VENV)-lock/bin/python -m pip freeze --all --exclude hotfolder --exclude pip > requirements.lock
	rm -rf $(VENV)-lock

clean:
	rm -rf $(VENV) build dist
