.DEFAULT_GOAL := help
.PHONY: help setup layer up down console deploy outputs openapi chaos test quick check fmt lock bench cost
ENV ?= local
PORT ?=
GATEWAY ?=
# Only the command line sets it: a variable of a shell must not deploy unasked.
YES =
PAYMENTS ?= 1000
SEED ?= 7
SIZES ?= 1000,10000
CLIENTS ?= 8
VOLUME ?= 1000000
REGION ?= ap-southeast-1
# Most end-to-end tests wait, so there are more processes than cores.
WORKERS ?= 4
PYTHON ?= python3
UV := build/venv-uv/bin/uv
RUN := .venv/bin/python -m local.early
export UV_PYTHON_DOWNLOADS = never
unexport VIRTUAL_ENV

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: .venv/.ready ## Install the locked packages into this folder

build/venv-uv/.ready: local/prerequisites.py
	@$(PYTHON) local/prerequisites.py
	@$(PYTHON) -m venv build/venv-uv && build/venv-uv/bin/python -m pip install --quiet uv==0.13.9 && touch $@

.venv/.ready: uv.lock pyproject.toml local/command.py build/venv-uv/.ready
	@$(UV) sync --quiet --frozen --python build/venv-uv/bin/python && $(RUN) local.command && UV_PROJECT_ENVIRONMENT=build/venv-embedded $(UV) sync --quiet --frozen --no-dev --group embedded --python build/venv-uv/bin/python
	@UV_PROJECT_ENVIRONMENT=build/venv-scan $(UV) sync --quiet --frozen --no-dev --group scan --python build/venv-uv/bin/python
	@UV_PROJECT_ENVIRONMENT=build/venv-opinion $(UV) sync --quiet --frozen --only-group opinion --python build/venv-uv/bin/python && touch $@

layer: setup ## Build the functions' layer for the runtime of ENV
	@$(RUN) local.layer $(ENV)

up: setup ## Start the embedded AWS, deploy, send a payment (PORT=4566 GATEWAY=stripe)
	@$(RUN) ops up $(if $(PORT),--port "$(PORT)") --gateway "$(GATEWAY)"

down: setup ## Stop the embedded AWS and remove its state
	@$(RUN) ops down

console: setup ## Show the running stack in a browser: payments, queues, dead letters
	@$(RUN) ops console

deploy: setup ## Deploy to an AWS account: ENV=dev or ENV=prod (YES=1 does not ask)
	@$(RUN) ops deploy --env $(ENV) $(if $(YES),--yes)

outputs: setup ## Print terraform output as JSON: ENV=local, dev or prod
	@$(RUN) ops outputs --env $(ENV)

openapi: setup ## Write docs/openapi.json from the contract in src/payments
	@$(RUN) docs.openapi

chaos: layer ## Send payments under faults and audit the results (PAYMENTS=1000 SEED=7)
	@$(RUN) chaos --payments $(PAYMENTS) --seed $(SEED)

test: layer check ## Run every check; pytest's summary comes last
	@.venv/bin/python -m pytest --numprocesses $(WORKERS) --dist loadscope --no-loadscope-reorder --durations 10

quick: setup ## Run the linters and the unit tests, in half a minute
	@$(RUN) ruff check && $(RUN) ruff format --check && PYTHONPATH=src .venv/bin/lint-imports --no-logo --no-cache
	@.venv/bin/python -m pytest --numprocesses 2 tests/unit

check: layer
	@terraform fmt -check -recursive && $(RUN) ruff check && $(RUN) ruff format --check && $(RUN) mypy && $(RUN) docs.prose
	@PYTHONPATH=src .venv/bin/lint-imports --no-logo --no-cache
	@build/venv-scan/bin/checkov --config-file .checkov.yaml

fmt: setup ## Format the HCL and the Python, and write the generated files
	@terraform fmt -recursive && $(RUN) ruff format && $(RUN) ruff check --fix && $(RUN) docs.openapi && $(RUN) docs.picture && $(RUN) docs.tables

lock: setup ## Renew the lock of the Python packages
	@$(UV) lock --upgrade

bench: layer ## Measure speed (SIZES=1000,10000 CLIENTS=8)
	@$(RUN) bench run --payments $(SIZES) --clients $(CLIENTS)

cost: setup ## Calculate the bill: ENV=prod VOLUME=1000000 REGION=ap-southeast-1
	@$(RUN) bench cost --env $(if $(filter local,$(ENV)),prod,$(ENV)) --volume $(VOLUME) --region $(REGION)
