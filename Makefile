# make example   compile the shipped network and show the report (the first run installs)
# make test      everything that a change has to pass
# make lint | types | pytest   one part of it
# make clean     remove what the other targets wrote, .venv included

PYTHON = python3.11 python3.12 python3.13 python3
BIN = .venv/bin
PIP = $(BIN)/python -m pip --disable-pip-version-check install -q -c constraints.txt

.PHONY: example test lint types pytest clean

example: .venv/example
	mkdir -p build
	$(BIN)/sparqc compile examples/fashion_mnist/model.py --passes default \
	    --target tensorrt-11 -o build/fashion_mnist.onnx
	$(BIN)/sparqc build build/fashion_mnist.onnx --target tensorrt-rtx --sm 86

test: lint types pytest

lint: .venv/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python .ci/check_commits.py

# The checkout, as an editor sees it, and the installed wheel, as whoever installs it does: what a
# wheel forgets is found here too.
types: .venv/dev
	$(BIN)/mypy -p sparqc
	rm -rf build/dist build/types
	$(BIN)/python -m build --no-isolation --outdir build/dist . >/dev/null
	$(PIP) --no-deps --target build/types build/dist/*.whl
	cd build/types && ../../$(BIN)/mypy --config-file ../../pyproject.toml -p sparqc

pytest: .venv/dev
	$(BIN)/python -m pytest -n 2

clean:
	rm -rf .venv build dist sparqc.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The empty files .venv/created, .venv/example and .venv/dev say what is installed, so that a
# second make installs nothing. The install is editable, and repeated when pyproject.toml changes.

# A name on the PATH may not run (pyenv's shims), so each candidate is tried. An existing .venv is
# completed, not replaced.
.venv/created:
	@for python in $(PYTHON); do \
	    "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || continue; \
	    echo "creating .venv with $$python"; \
	    "$$python" -m venv .venv && touch $@; exit; \
	done; \
	echo "Python 3.11 or newer was not found. Say where it is: make PYTHON=/path/to/python" >&2; \
	exit 1

# Without build isolation setuptools has a pinned version as well.
.venv/example: .venv/created pyproject.toml constraints.txt
	@echo "installing the pinned versions into .venv (once; some 400 MB)"
	$(PIP) setuptools
	$(PIP) --no-build-isolation -e '.[rtx]'
	touch $@

# What asks for torchvision or torch comes without dependencies: they would replace a CPU build of
# torch.  The extras `zoo` and `loops` have the rest of what these packages import.
ZOO = torchvision timm segmentation-models-pytorch monai ultralytics lightning

.venv/dev: .venv/example
	@echo "installing the development tools into .venv (once)"
	$(PIP) --no-build-isolation -e '.[rtx,dev,zoo,loops]'
	$(PIP) --no-deps $(ZOO)
	touch $@
