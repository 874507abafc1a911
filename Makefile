SHELL = /bin/sh
.DEFAULT_GOAL := help
.PHONY: help install run train demo test sure soak wheel bench bench-peers bench-features bench-cost format lock docker-build docker-run docker-test sbom

BIN = .venv/bin
CHECKED = src tests scripts benchmarks wsgi.py worker.py gunicorn.conf.py
INSTALL = sh scripts/install.sh
# Three at once on two cores: tests that have processes of their own wait for much. SlipCover, for
# coverage.py makes the whole run half as long again.
MEASURED = src/mlengine/core,src/mlengine/services,src/mlengine/stores
TESTS = $(BIN)/python -m slipcover --branch --source $(MEASURED) --json --out .coverage.json \
	-m pytest -m "not soak" -n 3
LOCK = uv pip compile --universal --python-version 3.11 --generate-hashes \
	--no-header --no-annotate --no-emit-index-url $(UPGRADE)

BENCH = import configparser as c; p = c.RawConfigParser(); p.read('setup.cfg'); \
	print(p['options.extras_require']['bench'])

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: ## make .venv with everything that run and test need
	@$(INSTALL) dev

run: ## start the whole platform on port 8000 (PORT=8001 changes it); Ctrl-C stops it
	@$(INSTALL) run
	@exec $(BIN)/mlengine up

train: ## one training on the running platform, or with a worker of its own
	@$(INSTALL) run
	@exec $(BIN)/mlengine train

demo: ## a folder `demo` with a year of predictions, trainings and history to look at
	@$(INSTALL) run
	@exec $(BIN)/mlengine demo

test: install ## the whole test suite, with the branch coverage that it must reach
	@$(TESTS)
	@$(BIN)/python scripts/branch_coverage.py

sure: install ## everything that must hold: format, lint, types, layers, tests
	$(BIN)/ruff format --check $(CHECKED)
	$(BIN)/ruff check $(CHECKED)
	$(BIN)/mypy src
	$(BIN)/lint-imports --config setup.cfg
	$(TESTS)
	$(BIN)/python scripts/branch_coverage.py

soak: install ## the tests that run for minutes
	@$(BIN)/python -m pytest -m soak

bench: install ## what serving costs, on the real stack (wrk is used when it is installed)
	@$(BIN)/python -m benchmarks.serving --classes

bench-peers: install ## MLServer, MLflow and BentoML beside it, each in an environment of its own
	@$(BIN)/python -m benchmarks.peers

format: install ## rewrite the code in the house's format
	$(BIN)/ruff format $(CHECKED)
	$(BIN)/ruff check --fix $(CHECKED)

lock: ## compile the locks from setup.cfg (UPGRADE=--upgrade takes the newest)
	@python=$$(sh scripts/find_python.sh) && tools=$$(mktemp -d) && trap 'rm -rf "$$tools"' EXIT && \
	"$$python" -m venv "$$tools" && "$$tools/bin/pip" install --quiet uv && PATH="$$tools/bin:$$PATH" && \
	echo 'setuptools>=77' | $(LOCK) --output-file requirements.lock setup.cfg - >/dev/null && \
	echo 'setuptools>=77' | $(LOCK) --constraint requirements.lock --extra dev --output-file requirements-dev.lock setup.cfg - >/dev/null && \
	echo 'psycopg[binary]>=3.3' | $(LOCK) --constraint requirements.lock --output-file requirements-postgres.lock - >/dev/null && \
	echo 'obstore>=0.12' | $(LOCK) --constraint requirements-dev.lock --output-file requirements-s3.lock - >/dev/null && \
	printf 'dask>=2026.8\ndistributed>=2026.8\nscikit-learn>=1.9\n' | $(LOCK) --constraint requirements-dev.lock --output-file requirements-dask.lock - >/dev/null && \
	echo 'bokeh-sampledata' | $(LOCK) --no-deps --output-file requirements-sample.lock - >/dev/null

bench-features: install .venv-bench/made ## features against Qlib in one run, in a .venv-bench that it makes
	@$(BIN)/python -m benchmarks.against_qlib .venv-bench/bin/python

bench-cost: install .venv-bench/made ## cost of features against symbols and bars, and its plot
	@$(BIN)/python -m benchmarks.cost .venv-bench/bin/python docs/feature_cost.png

# The extra [bench] without the project: together the two find no versions that work.
.venv-bench/made: setup.cfg
	@python=$$(sh scripts/find_python.sh) && "$$python" -m venv .venv-bench && "$$python" -c "$(BENCH)" | \
	.venv-bench/bin/pip install --quiet --requirement /dev/stdin && touch $@

wheel: install ## build dist/mlengine-….whl, which alone is a whole platform
	@rm -rf build && $(BIN)/python -m pip wheel --quiet --no-deps --no-build-isolation --wheel-dir dist . && ls dist

docker-build: ## build the container image, with Docker or, without its daemon, with podman
	@python=$$(sh scripts/find_python.sh) && exec "$$python" scripts/container.py build

docker-run: docker-build ## run the image as a whole platform, on a volume of its own; Ctrl-C stops it
	@python=$$(sh scripts/find_python.sh) && { test -e .env || "$$python" src/mlengine/config/env_writer.py; } && \
	exec "$$python" scripts/container.py run

docker-test: ## prove the image: build, training, prediction, stop, restart, upgrade
	@python=$$(sh scripts/find_python.sh) && exec "$$python" scripts/container_test.py

sbom: install ## write dist/sbom.cdx.json: what the locks pin, with hashes and licences (CycloneDX)
	@$(BIN)/python scripts/sbom.py dist/sbom.cdx.json && echo dist/sbom.cdx.json
