# Everything a newcomer needs, on a machine with nothing but Python 3.11 or newer and make.
#
#   make demo ARGS="--posts 400"   the main job on a simulated stream, in a terminal
#   make test                      every test this machine can run; says what it could not run
#   make bench                     every figure of docs/performance.md, on a real Kafka and Redis (a quarter of an hour)
#   make faults                    kills, freezes and cuts everything on purpose, and checks what is left
#   make quality                   the shipped bundle beside the hashes everybody uses; writes docs/quality.md (half an hour)
#   make lint                      ruff, mypy, import-linter
#   make monitoring                Prometheus and Alertmanager where they are missing, and the tests of deploy/
#   make kafka                     the jars of a real broker for the tests (Java 17 and Maven)

PYTHON ?= python3
ENVIRONMENT ?= .venv
ARGS ?=

BIN := $(ENVIRONMENT)/bin
MADE := $(ENVIRONMENT)/.made
KAFKA := build/kafka
MONITORING := build/monitoring

export SHOAL_TEST_KAFKA_JARS ?= $(abspath $(KAFKA))/libs

.PHONY: demo test bench faults quality peers lint monitoring monitoring-tools kafka clean
.DELETE_ON_ERROR:

demo: $(MADE)/demo
	@$(BIN)/shoal demo $(ARGS)

test: $(MADE)/test
	@$(BIN)/python -m pytest -n auto --no-loadscope-reorder $(ARGS)

bench: $(MADE)/test
	@$(BIN)/python -m tests.benchmarks $(ARGS)

faults: $(MADE)/test
	@$(BIN)/python -m tests.faults $(ARGS)

# Two of the peers are built from source: this needs a C++ compiler, and Chromaprint needs its library.
quality: $(MADE)/quality
	@$(BIN)/python -m tests.quality $(ARGS)

# What `make test` measures the bundle beside, where it is installed.
peers: $(MADE)/quality

lint: $(MADE)/test
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

monitoring: $(MADE)/test monitoring-tools
	@SHOAL_REQUIRE=$${SHOAL_REQUIRE:-all} $(BIN)/python -m pytest -n auto --no-loadscope-reorder tests/deploy $(ARGS)

monitoring-tools: $(MONITORING)/.made

kafka: $(KAFKA)/.made

clean:
	rm -rf build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .coverage coverage.xml

# uv installs in seconds what takes pip minutes; without it pip does.
define install
$(BIN)/python -m pip install --quiet --disable-pip-version-check uv || true
@if test -x $(BIN)/uv; \
  then $(BIN)/uv pip install $(2) --python $(BIN)/python -c constraints.txt -e '.[$(1)]'; \
  else $(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt -e '.[$(1)]'; fi
@touch $@
endef

# An environment holds only what its target needs: the demo has no torch.
$(MADE)/demo: pyproject.toml constraints.txt | $(MADE)/python
	@$(call install,demo,--compile-bytecode)

$(MADE)/test: pyproject.toml constraints.txt | $(MADE)/python
	@$(call install,test)
	@touch $(MADE)/demo

$(MADE)/quality: pyproject.toml constraints.txt | $(MADE)/python
	@$(call install,quality)
	@touch $(MADE)/test $(MADE)/demo

$(MADE)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "shoal needs Python 3.11 or newer; name one with make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null \
	  || { echo "$(PYTHON) cannot make environments; on Debian: apt-get install python3-venv" >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(ENVIRONMENT)
	@mkdir -p $(MADE)
	@touch $@

$(KAFKA)/.made: tests/kafka/pom.xml
	@command -v mvn >/dev/null || { echo "make kafka needs Maven; on Debian: apt-get install maven" >&2; exit 1; }
	@mkdir -p $(KAFKA)
	mvn --quiet --batch-mode -f tests/kafka/pom.xml dependency:copy-dependencies -DoutputDirectory=$(abspath $(KAFKA))/libs
	@touch $@

# What the system has is used; on Debian its packages are fetched and unpacked here, which needs no root and starts nothing.
$(MONITORING)/.made:
	@mkdir -p $(MONITORING)
	@if command -v prometheus >/dev/null && command -v promtool >/dev/null && command -v amtool >/dev/null \
	  && { command -v prometheus-alertmanager || command -v alertmanager; } >/dev/null; then :; \
	elif command -v apt-get >/dev/null; then cd $(MONITORING) && apt-get download -qq prometheus prometheus-alertmanager \
	  && for package in *.deb; do dpkg-deb --extract "$$package" .; done; \
	else echo "make monitoring needs prometheus, promtool, alertmanager and amtool" >&2; exit 1; fi
	@touch $@
