# Each command does its own set-up; `make help` lists them.
.DEFAULT_GOAL := help
.PHONY: help setup demo serve test check bench load chaos format constraints clean

BIN := .venv/bin
JOBS ?= 200
DATABASE ?= postgres
DEFECT ?= none

help:        ## List these commands
	@awk -F ' *## ' '/^[a-z]+: .*##/ { sub(/:.*/, "", $$1); printf "  make %-12s %s\n", $$1, $$2 }' Makefile

setup:       ## Make .venv with everything in it
	@scripts/setup.sh

demo: setup  ## Edit a picture from end to end and show the result in out/demo
	@$(BIN)/stylediffusion demo --out out/demo

serve: setup ## Start the API and a worker on this machine, without any server
	@$(BIN)/stylediffusion up

test: setup  ## Run the tests, with real PostgreSQL, Redis and S3
	@scripts/install_test_servers.sh
	@$(BIN)/pytest -n 2 --dist loadfile

check: setup ## Lint, types, import contracts, sizes and links
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo
	@$(BIN)/python scripts/check_sizes.py
	@$(BIN)/python scripts/check_links.py

bench: setup ## Measure the methods on drawn scenes
	@$(BIN)/stylediffusion bench scenes --n 40

load: setup  ## Send the whole service a batch of a thousand items, and print the figures
	@scripts/install_test_servers.sh
	@$(BIN)/python -m tests.load.batch

chaos: setup ## Break servers and workers while jobs run, and count what is lost
	@scripts/install_test_servers.sh
	@$(BIN)/python -m tests.chaos --jobs $(JOBS) --database $(DATABASE) --defect $(DEFECT)

format: setup ## Lay the code out and repair what can be repaired
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

constraints: setup ## Choose the newest versions of all dependencies
	@env -u UV_FIND_LINKS $(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --all-extras \
		--group dev --no-header --no-annotate --no-emit-index-url --no-emit-find-links -o constraints.txt pyproject.toml

clean:       ## Remove what was built and measured; data/ stays
	@rm -rf .venv out .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
