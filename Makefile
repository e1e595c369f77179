# Everything here starts from Python 3.11 or newer, pip and make. tools/bootstrap.sh fills .venv from the locks in
# requirements/ and does nothing when they have not changed.

PYTHON ?= python3
BIN := .venv/bin
# `make bench ONLY=compose` runs the benchmarks whose name contains that word.
ONLY ?=
# `make test ARGS="tests/domain -k month"` passes words on to pytest.
ARGS ?=

export PYTHON

.DEFAULT_GOAL := help
.PHONY: help runtime prod dev clients demo serve test check bench faults lock clean

help:
	@echo 'make demo    run the shipped three-year programme in var/rehearsal'
	@echo 'make serve   run the service here: web, worker and scheduler in one process'
	@echo 'make prod    install what PostgreSQL, RabbitMQ and Redis need as well'
	@echo 'make test    run the whole test suite'
	@echo 'make clients fetch the calendar programs that the tests let subscribe to our feeds'
	@echo 'make check   lint, formatting, types, import floors, lock in step'
	@echo 'make bench   run the benchmarks, one JSON line each (ONLY=name for some)'
	@echo 'make faults  run the fault tests at full length (needs PostgreSQL, RabbitMQ and Redis)'
	@echo 'make lock    resolve the dependencies again (UPGRADE=1 for newer versions; needs the network)'
	@echo 'make clean   remove .venv and everything that was built'

runtime:
	@sh tools/bootstrap.sh runtime

prod:
	@sh tools/bootstrap.sh prod

dev:
	@sh tools/bootstrap.sh dev

clients:
	@sh tests/tools/clients.sh

demo: runtime
	@$(BIN)/events rehearse

serve: runtime
	@$(BIN)/events up

test: dev
	@$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile $(ARGS)

check: dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python tools/lock.py --check

bench: export EVENTS_TEST_POSTGRES_URL ?= postgresql+psycopg://postgres@127.0.0.1:5432/test
bench: export EVENTS_TEST_RABBITMQ_URL ?= amqp://guest:guest@127.0.0.1:5672
bench: dev
	@$(BIN)/python -m tests.bench.run $(ONLY)

faults: export EVENTS_TEST_REQUIRE_SERVICES ?= 1
faults: export EVENTS_TEST_FAULTS ?= full
faults: export EVENTS_TEST_POSTGRES_URL ?= postgresql+psycopg://postgres@127.0.0.1:5432/test
faults: export EVENTS_TEST_RABBITMQ_URL ?= amqp://guest:guest@127.0.0.1:5672
faults: export EVENTS_TEST_REDIS_URL ?= redis://127.0.0.1:6379/15
faults: dev
	@$(BIN)/python -m pytest tests/faults -n 2 --dist worksteal --timeout 1200 --durations 15 $(ARGS)

lock: runtime
	@$(BIN)/python tools/lock.py $(if $(UPGRADE),--upgrade)

clean:
	rm -rf .venv dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache tests/tools/node_modules tests/tools/clients
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
