# All targets for contributors. `make help` lists them.
# `make run` and `make test` work on a bare Debian 12 machine with a Swift 6.3 toolchain: they install what is missing.

SWIFT ?= swift
# Debian's own Python, because the test packages are Debian packages.
PYTHON ?= /usr/bin/python3
JOBS ?= 2
# Options for brokerd:  make run ARGS="--listen 127.0.0.1:9000"
ARGS ?=
# Seconds each fuzz target runs.
SECONDS ?= 30
# How often `make crash` kills a broker, first without and then with the loss of unsynced writes.
CYCLES ?= 1000
# How many schedules of faults `make chaos` runs.
RUNS ?= 20
# Over how many partitions, each with an engine of its own.
PARTITIONS ?= 1
# Options for the comparison:  make bench BENCH="--quick --rounds 3"
BENCH ?=
# Options for pytest:  make test-process PYTEST="-k durability -x"
PYTEST ?=
# The Autobahn test suite:  make conformance WSTEST=/path/to/wstest
WSTEST ?= wstest

# Where `make install` puts the programs, the service and its configuration; DESTDIR goes before all of it, for packages.
PREFIX ?= /usr/local
DESTDIR ?=
# Manual pages and completions.
SHARE = $(DESTDIR)$(PREFIX)/share

# The suites of servers with closures, which by default run on Swift's threads; most tests let them run on the connection's.
CLOSURES := BroadcastTests|KeepOpenTests|OptionTests|PartTests|ReuseTests|ServerTests|SocketEndTests|SocketTests|SocketWaitingTests|StructureTests|TakingTests

RELEASE := .build/release
EXAMPLES := --package-path Examples --scratch-path .build/examples
SWIFT_TESTS := .build/debug/brokerPackageTests.xctest --testing-library swift-testing
BENCHMARKS := --package-path Benchmarks --scratch-path .build/benchmarks
COMPARISON := --package-path Benchmarks/Libraries --scratch-path .build/libraries
CODE := Package.swift Sources Tests Examples tools Benchmarks/Package.swift Benchmarks/Sources Benchmarks/Libraries/Package.swift Benchmarks/Libraries/Sources

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: run test test-builds build build-tests install libraries examples conformance test-swift test-transport test-process test-conformance bench bench-counted sanitize lint format docs api settings metrics web deb fuzz crash chaos floods clean \
    help dependencies test-dependencies bench-dependencies

run: dependencies build ## Install what is missing, build release, start brokerd on 127.0.0.1:8080
	exec $(RELEASE)/brokerd $(ARGS)

test: test-dependencies lint test-builds test-swift test-process test-conformance ## Install what is missing, then run every check and test

# What the tests need, in two lines side by side: much of an optimised build has only one thread. Those that count
# instructions and that wait for nothing are run there, too, because they do not notice what runs beside them.
test-builds:
	+@tools/beside.sh test-builds $(MAKE) --no-print-directory build-tests docs build -- $(MAKE) --no-print-directory bench-counted libraries examples

build-tests: ## Build the Swift tests
	$(SWIFT) build --product brokerPackageTests -j $(JOBS)

build: ## Build brokerd and brokerctl, optimised, with the Swift runtime in them
	$(SWIFT) build -c release --static-swift-stdlib -j $(JOBS) --product brokerd
	$(SWIFT) build -c release --static-swift-stdlib -j $(JOBS) --product brokerctl

install: ## Install the results of `make build`: programs, manual page, completions, systemd unit, and a configuration unless there is one
	@test -x $(RELEASE)/brokerd -a -x $(RELEASE)/brokerctl || { echo "run \`make build\` first"; exit 1; }
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/lib/systemd/system $(DESTDIR)$(PREFIX)/lib/sysusers.d $(DESTDIR)/etc/broker
	install $(RELEASE)/brokerd $(RELEASE)/brokerctl $(DESTDIR)$(PREFIX)/bin/
	install -d $(SHARE)/man/man1 $(SHARE)/man/man8 $(SHARE)/bash-completion/completions $(SHARE)/zsh/site-functions $(SHARE)/fish/vendor_completions.d
	$(RELEASE)/brokerctl manual > $(SHARE)/man/man1/brokerctl.1
	install -m 0644 deploy/brokerd.8 $(SHARE)/man/man8/
	$(RELEASE)/brokerctl completions bash | sed '1{/^#!/d}' > $(SHARE)/bash-completion/completions/brokerctl
	$(RELEASE)/brokerctl completions zsh > $(SHARE)/zsh/site-functions/_brokerctl
	$(RELEASE)/brokerctl completions fish > $(SHARE)/fish/vendor_completions.d/brokerctl.fish
	sed 's|/usr/local/bin/|$(PREFIX)/bin/|' deploy/brokerd.service > $(DESTDIR)$(PREFIX)/lib/systemd/system/brokerd.service
	install -m 0644 deploy/brokerd.socket $(DESTDIR)$(PREFIX)/lib/systemd/system/
	install -m 0644 deploy/broker.sysusers $(DESTDIR)$(PREFIX)/lib/sysusers.d/broker.conf
	test -e $(DESTDIR)/etc/broker/broker.yaml || install -m 0644 deploy/broker.yaml $(DESTDIR)/etc/broker/broker.yaml

deb: ## Pack the results of `make build` as a Debian package, in .build/deb
	tools/deb.sh

libraries: ## Build and test the libraries as their users do: optimised, from another package
	$(SWIFT) build -c release --build-tests -j $(JOBS) $(EXAMPLES)
	$(SWIFT) test -c release --skip-build $(EXAMPLES)

test-swift: build-tests ## Run the Swift tests, and those of the transport also where the kernel refuses io_uring, and with closures on Swift's threads
	+@tools/beside.sh test-swift $(SWIFT_TESTS) --skip 'WSTransportTests\.' -- $(MAKE) --no-print-directory test-transport

test-transport:
	$(SWIFT_TESTS) --filter 'WSTransportTests\.'
	$(PYTHON) Tests/Process/io_uring.py EPERM $(SWIFT_TESTS) --filter 'WSTransportTests\.'
	WSTRANSPORT_EXECUTOR=global $(SWIFT_TESTS) --no-parallel --filter 'WSTransportTests\.($(CLOSURES))/'

examples: ## Build the example programs, which the tests of the real processes use
	$(SWIFT) build -c release -j $(JOBS) $(EXAMPLES)

test-process: ## Run the tests of the real processes, in three parts side by side (after `make build examples`)
	@tools/beside.sh test-process $(PYTHON) -m pytest Tests/Process --part 1/3 $(PYTEST) -- \
	    $(PYTHON) -m pytest Tests/Process --part 2/3 $(PYTEST) -- $(PYTHON) -m pytest Tests/Process --part 3/3 $(PYTEST)

test-conformance: ## Run the cases of RFC 6455 and RFC 7692 in both roles (after `make build examples`)
	$(PYTHON) -m pytest Tests/Conformance $(PYTEST)

conformance: test-dependencies build examples ## Run your copy of the Autobahn test suite: WSTEST=/path/to/wstest
	$(PYTHON) Tests/Conformance/autobahn.py --wstest "$(WSTEST)"

bench-counted: ## Count instructions and allocations, and compare them with Benchmarks/thresholds.tsv
	$(SWIFT) build -c release -j $(JOBS) $(BENCHMARKS) --product counted
	$(PYTHON) Benchmarks/counted.py

bench: bench-dependencies build bench-counted ## Count, then measure side by side with C, uWebSockets, NATS, Mosquitto and SwiftNIO (an hour)
	$(SWIFT) build -c release -j $(JOBS) $(BENCHMARKS) --product peerload
	SOCKETIFY_PYTHON=$(CURDIR)/.build/peers/bin/python3 $(PYTHON) Benchmarks/peers.py $(BENCH)
	$(PYTHON) Benchmarks/stored.py
	$(PYTHON) Benchmarks/cluster.py
	$(PYTHON) Benchmarks/crowds.py
	$(SWIFT) build -c release -j $(JOBS) $(BENCHMARKS) --product machineecho
	$(SWIFT) build -c release -j $(JOBS) $(COMPARISON)
	$(PYTHON) Benchmarks/libraries.py

lint: ## Check the format of all Swift files
	$(SWIFT) format lint --strict --parallel --recursive $(CODE)

format: ## Rewrite all Swift files in the house format
	$(SWIFT) format format --in-place --recursive $(CODE)

settings: ## Make Config/broker.yaml and docs/settings.md from the declarations of the settings
	$(SWIFT) build -j $(JOBS) --product brokerctl
	.build/debug/brokerctl config show --defaults --comments > Config/broker.yaml
	.build/debug/brokerctl config show --manual > docs/settings.md

metrics: ## Make docs/metrics.md, deploy/alerts.yaml and deploy/grafana-dashboard.json from the declarations of the metrics
	$(SWIFT) build -j $(JOBS) --product brokerctl
	.build/debug/brokerctl manual --of metrics > docs/metrics.md
	.build/debug/brokerctl manual --of alerts > deploy/alerts.yaml
	.build/debug/brokerctl manual --of dashboard > deploy/grafana-dashboard.json

web: ## Make the Swift tables of the files that the broker serves to browsers
	$(PYTHON) tools/web.py

docs: dependencies ## Make the documentation of the libraries, in .build/docs, and compare their public declarations with docs/api
	SWIFT="$(SWIFT)" JOBS=$(JOBS) tools/docs.sh

api: dependencies ## Rewrite docs/api from the public declarations of the libraries
	SWIFT="$(SWIFT)" JOBS=$(JOBS) tools/docs.sh --update

fuzz: dependencies ## Run each fuzz target for SECONDS (30)
	SWIFT="$(SWIFT)" tools/fuzz.sh $(SECONDS)

sanitize: dependencies ## Run the Swift tests, also those of the other package, with the thread sanitizer, and again with the address sanitizer
	SWIFT="$(SWIFT)" JOBS=$(JOBS) tools/sanitize.sh thread
	SWIFT="$(SWIFT)" JOBS=$(JOBS) tools/sanitize.sh address

crash: test-dependencies build ## Kill a broker CYCLES times (1000), and cut its power as often; nothing acknowledged may be lost
	$(PYTHON) Tests/Process/crash_rig.py --cycles $(CYCLES)
	$(PYTHON) Tests/Process/crash_rig.py --cycles $(CYCLES) --power

chaos: test-dependencies build ## Make Redis, one for each of PARTITIONS (1), and three brokers fail in RUNS (20) seeded ways; nothing acknowledged may be lost
	$(SWIFT) build --build-tests -j $(JOBS)
	BROKER_CHAOS=$(RUNS) $(SWIFT) test --skip-build --filter BrokerTests.FailoverTests
	$(PYTHON) Tests/Process/chaos_rig.py --runs $(RUNS) --partitions $(PARTITIONS)

floods: test-dependencies build ## Flood a broker in several ways next to a client that must not notice, and print the cost of each
	$(PYTHON) Tests/Process/floods.py

clean: ## Remove everything that was built
	rm -rf .build

help: ## Show this list
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1	/' | awk -F '\t' '{ printf "  make %-17s %s\n", $$1, $$2 }'

dependencies:
	@SWIFT="$(SWIFT)" tools/install-dependencies.sh build

bench-dependencies: test-dependencies
	@SWIFT="$(SWIFT)" tools/install-dependencies.sh bench
	@test -d .build/peers || python3 -m venv .build/peers
	@.build/peers/bin/pip install --quiet --disable-pip-version-check socketify || echo "uWebSockets (socketify) cannot be installed"

test-dependencies:
	@SWIFT="$(SWIFT)" tools/install-dependencies.sh build test
