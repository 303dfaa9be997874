# Two commands do everything on a fresh machine: `make demo` and `make test`. Both create the virtual environment, and so
# does `make models`, which trains what the package ships anew and takes hours (`make models PRESET=gpu` on a GPU).

PYTHON ?= python3
VENV ?= .venv
PRESET ?= cpu
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check

.PHONY: demo test test-all models lint browser clean

demo: $(VENV)/demo.stamp
	$(BIN)/sfhub demo

test: $(VENV)/dev.stamp browser
	$(BIN)/python -m pytest -m "not slow"

test-all: $(VENV)/dev.stamp browser
	$(BIN)/python -m pytest

models: $(VENV)/dev.stamp
	$(BIN)/python scripts/build_models.py --preset $(PRESET) --install

lint: $(VENV)/dev.stamp
	$(BIN)/ruff check .

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/demo.stamp: $(VENV)/bin/python pyproject.toml requirements.txt
	$(PIP) install --quiet --upgrade pip
	$(PIP) install --quiet -r requirements.txt -e ".[demo]"
	touch $@

$(VENV)/dev.stamp: $(VENV)/demo.stamp
	$(PIP) install --quiet -r requirements.txt -e ".[dev]"
	touch $@

# The browser tests drive a system Chromium; where Debian's packages are not at hand, Playwright brings its own.
browser: $(VENV)/dev.stamp
	@command -v chromium >/dev/null || \
	if command -v apt-get >/dev/null; then \
		sudo=$$( [ "$$(id -u)" = 0 ] || echo sudo ); \
		$$sudo apt-get update -qq && $$sudo apt-get install -y -qq chromium >/dev/null; \
	else \
		$(BIN)/python -m playwright install chromium; \
	fi

clean:
	rm -rf $(VENV) build dist *.egg-info
