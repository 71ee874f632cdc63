# Everything runs in .venv, which the first target that needs it makes. Python 3.10 or later with venv, make and a C++
# compiler are all that must be there; `make` alone lists the targets.

PYTHON ?= python3
VENV ?= .venv
# Optional extras for `make test` beside the light ones, with commas: EXTRAS=openvino,torch
EXTRAS ?=
# Further requirements for the same installation: REQUIREMENTS="torch==2.13.0"
REQUIREMENTS ?=
# Passed to pytest: ARGS="-k masks -x"
ARGS ?=
# A picture or video for `make demo`
INPUT ?=

BIN := $(VENV)/bin
INSTALLED_FROM := pyproject.toml CMakeLists.txt $(shell find csrc -type f)

comma := ,
empty :=
space := $(empty) $(empty)
TEST_EXTRAS := demo$(if $(EXTRAS),$(comma)$(EXTRAS))
DEMO_STAMP := $(VENV)/.installed-demo
TEST_STAMP := $(VENV)/.installed-test-$(subst $(comma),-,$(subst $(space),-,$(TEST_EXTRAS) $(REQUIREMENTS)))

.PHONY: help demo test install lint build native sanitize clean

help:
	@echo "make demo [INPUT=photo.jpg|dance.mp4]  the product at work: pictures in demo-output/"
	@echo "make test [EXTRAS=openvino,torch]      lint, types and the whole test suite"
	@echo "make lint                              lint and types"
	@echo "make native                            rebuild the C++ modules in place while working on them"
	@echo "make sanitize                          the native modules' tests under the address, behaviour and thread sanitizers"
	@echo "make build                             a wheel in dist/"
	@echo "make clean                             remove what was built, and .venv"

demo: $(DEMO_STAMP)
	@$(BIN)/posemask models fetch pose_detection pose_landmark_full selfie_segmentation
	@$(BIN)/python examples/demo.py $(if $(INPUT),"$(INPUT)")

test: lint
	@$(BIN)/posemask models fetch || echo "Tests that need the weights will be skipped."
	$(BIN)/pytest $(ARGS)

install: $(TEST_STAMP)

lint: $(TEST_STAMP)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

build: $(VENV)/.made
	$(BIN)/pip wheel --quiet --no-deps --wheel-dir dist .
	@ls dist/*.whl

native: $(VENV)/.installed-native
	$(BIN)/cmake -S . -B build/dev -G Ninja -DCMAKE_BUILD_TYPE=Release -DCMAKE_MAKE_PROGRAM="$(abspath $(BIN)/ninja)" \
	  -DPython_EXECUTABLE="$(abspath $(BIN)/python)" -Dnanobind_DIR="$$($(BIN)/python -m nanobind --cmake_dir)"
	$(BIN)/cmake --build build/dev
	rm -f src/posemask/_*.so # a running program may still have the old ones mapped
	find build/dev -name '_*.so' -exec cp {} src/posemask/ \;

# Shapes of real networks only from the small ones: the others take minutes.
sanitize: $(TEST_STAMP) $(VENV)/.installed-native
	PATH="$(abspath $(BIN)):$$PATH" $(BIN)/python tests/sanitize.py address _pixels -q tests/pixels
	PATH="$(abspath $(BIN)):$$PATH" $(BIN)/python tests/sanitize.py address _engine -q tests/runtimes/test_native.py \
	  -k "not pose_landmark_full and not pose_landmark_heavy"
	PATH="$(abspath $(BIN)):$$PATH" $(BIN)/python tests/sanitize.py thread _engine -q tests/runtimes/test_native.py \
	  -k "not published and not pose_landmark"

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis demo-output src/posemask/_*.so

$(VENV)/.made:
	@$(PYTHON) -c 'import sys; v = sys.version_info; v >= (3, 10) or sys.exit(f"posemask needs Python 3.10 or later, this is {v[0]}.{v[1]}: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv $(VENV)
	@# Older versions do not know dependency groups.
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
	@touch $@

$(DEMO_STAMP): $(VENV)/.made $(INSTALLED_FROM)
	@echo "Building and installing posemask into $(VENV), which takes a minute or two ..."
	@$(BIN)/pip install --quiet -e ".[demo]"
	@touch $@

$(TEST_STAMP): $(VENV)/.made $(INSTALLED_FROM)
	@echo "Building and installing posemask and what its tests need into $(VENV) ..."
	@$(BIN)/pip install --quiet -e ".[$(TEST_EXTRAS)]" --group dev $(REQUIREMENTS)
	@touch $@

$(VENV)/.installed-native: $(VENV)/.made
	$(BIN)/pip install --quiet cmake ninja nanobind
	@touch $@
