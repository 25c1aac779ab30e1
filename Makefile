PYTHON ?= python
C_FILES = $(shell find sklearn_zipml/csrc tests/stress/c -name '*.[ch]')

.DEFAULT_GOAL := help
.PHONY: help install build test stress sanitize coverage lint format doc bench ci clean

help:  ## list the targets
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 10

install:  ## editable install with all extras
	$(PYTHON) -m pip install "setuptools>=77" "Cython>=3.1"
	$(PYTHON) -m pip install --no-build-isolation -e ".[dev,doc,plot,test]"

build:  ## compile what changed in C and Cython files, for the editable install
	$(PYTHON) setup.py build_ext --inplace

test:  ## test the installed package (-P keeps this folder out of sys.path)
	$(PYTHON) -P -m pytest

stress:  ## what takes long or attacks: every script of tests/stress at its default size, an hour or two
	@tests/stress/run $(PYTHON)

sanitize:  ## tests of compiled code with the address and undefined behaviour sanitizers, a few minutes
	PYTHON=$(PYTHON) tests/stress/sanitize address

coverage:  ## lines of Python and Cython that tests reach, with a traced build and Python 3.11, half an hour and more
	PYTHON=$(PYTHON) tests/stress/coverage python
	PYTHON=$(PYTHON) tests/stress/coverage cython

lint:  ## check style; changes nothing
	ruff check .
	ruff format --check .
	cython-lint sklearn_zipml
	clang-format --dry-run -Werror $(C_FILES)

format:  ## rewrite Python and C files in the project's style
	ruff check --fix .
	ruff format .
	clang-format -i $(C_FILES)

# -P: of the installed package, as in test. The doctests need no gallery, so its examples run once.
doc:  ## build the documentation into doc/_build/html, then run the examples in docstrings and pages
	$(PYTHON) -P -m sphinx -W --keep-going -q -b html doc doc/_build/html
	$(PYTHON) -P -m sphinx -W --keep-going -q -b doctest -D plot_gallery=0 doc doc/_build/doctest

# The others measure one thing each and take data, sizes or a peer: see the first lines of each.
bench:  ## time packing, epochs and kernels: benchmarks/bench_*.py, no more
	@set -e; for script in benchmarks/bench_*.py; do echo "== $$script"; $(PYTHON) "$$script"; done

ci:  ## everything .ci/run does, on the committed state
	.ci/run

clean:  ## remove what builds and tools leave behind
	rm -rf build dist *.egg-info .pytest_cache .ruff_cache doc/_build doc/api.rst doc/auto_examples doc/generated
	rm -f $(addprefix sklearn_zipml/_kernels/,*.c *.html *.so *.pyd)
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
