# Everything one does to Troupe from a shell. `make` alone lists it.
# Needs Go, a C compiler (SQLite is C) and the Go module proxy, nothing else.

.DEFAULT_GOAL := help
.NOTPARALLEL:

# Flags for what `make demo` and `make bench` run: make demo ARGS="--help".
ARGS ?=
# How often `make crash` kills the process.
KILLS ?= 200
# How long `make fuzz` runs each target.
FUZZTIME ?= 10s
# How many events the journal has on which `make grown` measures the commands that read.
EVENTS ?= 10000000
# Under how many schedules `make order` runs each of the four shapes.
ORDERS ?= 10000
# Under how many schedules `make explore` runs each of the ten scenarios.
SCHEDULES ?= 1000
# How long `make torture` goes on, from which seed, of which kind (all without one), or which story it repeats. bin/torture keeps the
# files of what found something.
TIME ?= 10m
SEED ?=
KIND ?=
REPLAY ?=
# Where `make kafka` and `make postgres` keep their data, and where they listen.
SERVERS ?= $(CURDIR)/bin/servers
KAFKA_PORT ?= 9092
POSTGRES_PORT ?= 5432
# Where `make check` reads the known vulnerabilities.
VULNDB ?= https://vuln.go.dev

# Without cgo the SQLite driver still compiles, and fails only when it runs.
export CGO_ENABLED = 1

# sh has no pipefail: that go test failed travels down the pipe as a line, which bin/skips counts as a failure.
# The examples with Protobuf and Avro are a module of their own.
formats = internal/interop/formats
gotest = { { go test -json -shuffle=on -timeout 20m $(1) ./... && go -C $(formats) test -json -shuffle=on $(1) ./...; } || \
	echo "go test: exit status $$?"; } | bin/skips

.PHONY: help
help: ## List what make can do
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: demo
demo: bin/troupe ## Run hundreds of orders through the shop, and check the books; ARGS="..." passes flags
	bin/troupe demo $(ARGS)

.PHONY: test
test: bin/skips ## Run every test once, in shuffled order
	@$(call gotest,)

.PHONY: race
race: bin/skips ## Run every test under the race detector
	@$(call gotest,-race)

.PHONY: check
check: export TROUPE_CRASH_KILLS = 25
# The same schedules each time: a change that breaks one is told apart from luck. By hand every go has others.
check: SEED = 1
check: lint platforms api vuln race cover torture ## What CI runs: lint, builds for other platforms, the public packages, vulnerabilities, race, 25 crash kills, coverage of the choreography, 10 minutes of torture

.PHONY: cover
cover: bin/troupe ## Show which edges of the shop's choreography its tests never take; all must be taken
	@rm -f bin/cover.json
	go test -count=1 ./handlers -troupe.cover '$(CURDIR)/bin/cover.json'
	bin/troupe cover --min 100 bin/cover.json

.PHONY: lint
lint: tools bin/troupe ## Check format, go vet, troupe vet, staticcheck and that go.mod is tidy
	@files=$$(gofmt -l .) || exit 1; test -z "$$files" || { echo "not gofmt'ed, run make fmt:"; echo "$$files"; exit 1; } >&2
	go vet ./...
	bin/troupe vet
	go tool staticcheck ./...
	go mod tidy -diff
	go -C $(formats) vet ./...
	go -C $(formats) mod tidy -diff

.PHONY: platforms
platforms: tools ## Build by the oldest Go, for linux/386 and for windows/amd64
	@internal/ci/platforms.sh

.PHONY: api
api: tools ## Compare the public packages with the last tag: a promise must hold
	go run ./internal/ci/apidiff

.PHONY: vuln
vuln: tools
	@found=$$(go tool govulncheck -db '$(VULNDB)' -version) || exit 1; case "$$found" in \
	*'DB updated:'*) echo "go tool govulncheck ./..."; go tool govulncheck -db '$(VULNDB)' ./... ;; \
	*) echo "NOT CHECKED: known vulnerabilities: $(VULNDB) cannot be reached from here" ;; \
	esac

.PHONY: fmt
fmt: tools ## Format every Go file
	gofmt -w .

.PHONY: bench
bench: bin/troupe ## Measure throughput and latency; ARGS="..." passes flags
	bin/troupe bench $(ARGS)

.PHONY: grown
grown: tools ## Measure the reading commands on a journal of EVENTS events: ten million, in some minutes
	TROUPE_GROWN=$(EVENTS) go test -count=1 -timeout 60m -v -run TestGrown ./cmd/troupe

.PHONY: crash
crash: tools ## Kill a running shop KILLS times and audit its books
	TROUPE_CRASH_KILLS=$(KILLS) go test -count=1 -run TestCrash -timeout 30m -v ./cmd/troupe

.PHONY: torture
torture: tools ## Torment a journal for TIME with kills, people, failing disks and handlers; REPLAY='...' repeats a story
	TROUPE_TORTURE='$(TIME)' TROUPE_TORTURE_SEED='$(SEED)' TROUPE_TORTURE_KIND='$(KIND)' TROUPE_TORTURE_REPLAY='$(REPLAY)' \
		TROUPE_TORTURE_KEEP='$(CURDIR)/bin/torture' \
		go test -count=1 -timeout 0 -v -run '^TestTorture$$' ./internal/torture

.PHONY: faults
faults: tools ## Kill, part and split five processes on a real Kafka of their own, under load, and the leaders of a cluster: half an hour
	TROUPE_FAULTS=full go test -count=1 -p 1 -timeout 60m -v -run '^(TestFaults|TestRealCluster)$$' ./cmd/troupe ./transports/kafka

.PHONY: explore
explore: tools ## Run the shop's scenarios under SCHEDULES schedules each: 10,000 in all
	TROUPE_SCHEDULES=$(SCHEDULES) go test -count=1 -timeout 60m -v -run 'WhateverHappens|TheLastPiece|AtAnyMoment' ./handlers

.PHONY: order
order: tools ## Open and close accounts in four shapes, under ORDERS schedules each: none stays open
	TROUPE_SCHEDULES=$(ORDERS) go test -count=1 -timeout 3h -v -run '^TestAccounts$$' ./bus/bustest

.PHONY: proof
proof: tools ## Find the planted bugs from 20 seeds each, and print what that took
	PLANTED_SEEDS=20 go test -count=1 -timeout 30m -v -run TestBugsAreFound ./internal/shop/planted

.PHONY: kafka
kafka: ## Start a real Apache Kafka on 127.0.0.1:KAFKA_PORT, without Docker; it needs Java 17 and Maven
	@internal/servers/kafka.sh start '$(SERVERS)/kafka' $(KAFKA_PORT)

.PHONY: kafka-stop
kafka-stop: ## Stop it; its data stays
	@internal/servers/kafka.sh stop '$(SERVERS)/kafka'

.PHONY: postgres
postgres: ## Start a PostgreSQL on 127.0.0.1:POSTGRES_PORT, without Docker; it needs Debian's package postgresql
	@internal/servers/postgres.sh start '$(SERVERS)/postgres' $(POSTGRES_PORT)

.PHONY: postgres-stop
postgres-stop: ## Stop it; its data stays
	@internal/servers/postgres.sh stop '$(SERVERS)/postgres'

.PHONY: fuzz
fuzz: tools ## Run each fuzz target for FUZZTIME
	@listed=$$(go test -list '^Fuzz' ./...) || { echo "$$listed"; exit 1; }; \
	echo "$$listed" | awk '/^Fuzz/ { name[n++] = $$1 } /^ok/ { for (i = 0; i < n; i++) print $$2, name[i]; n = 0 }' | \
	while read -r package target; do \
		echo "$$package $$target"; \
		go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) "$$package" </dev/null || exit 1; \
	done

# Go's build cache decides what is out of date.
.PHONY: bin/troupe bin/skips
bin/troupe: tools
	@go build -o $@ ./cmd/troupe
bin/skips: tools
	@go build -o $@ ./internal/ci/skips

.PHONY: tools
tools:
	@command -v go >/dev/null || { echo "Go is missing: install 1.26 or later, https://go.dev/doc/install" >&2; exit 1; }
	@cc=$$(go env CC); command -v "$${cc%% *}" >/dev/null || { \
		echo "the C compiler $$cc is missing, SQLite needs one: apt-get install gcc libc6-dev, or xcode-select --install, or set CC" >&2; exit 1; }
