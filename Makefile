# Everything that is done with this tree. Start with: make help

# The version that is stamped into the binary.
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
# Where the binary goes, and the name of the image.
BIN ?= bin/scaler
# Build tags. With manual the program can write its manual pages, for packages.
TAGS ?=
IMAGE ?= scaler:$(VERSION)
# For chaos: how often the daemon is killed, how many good edits of its
# configuration are made and how many that are to change nothing, what all chance
# is taken from (0 for a new one), and the engine, docker, swarm or memory.
KILLS ?= 200
EDITS ?= 0
BAD_EDITS ?= 0
SEED ?= 0
ENGINE ?= docker
# Passed on to scaler demo, for example ARGS="--jobs 50".
ARGS ?=
# What packages and images are made for.
ARCHES ?= amd64 arm64 armv7
# Where bench writes its figures, if anywhere.
JSON ?=

# A static binary whose bytes depend on the sources, the version and the Go
# release only.
build_flags = -trimpath -buildvcs=false -ldflags '-s -w -X main.version=$(VERSION)'

.PHONY: build image packages images release demo test swarm chaos bench lint vulncheck reproducible clean help

build: ## build the static binary bin/scaler
	CGO_ENABLED=0 go build $(build_flags) $(if $(TAGS),-tags '$(TAGS)') -o $(BIN) ./cmd/scaler

# Git keeps no directories without files and no modes of directories, so the
# ones of the image are made here.
image: build ## build the container image from bin/scaler
	rm -rf dist/rootfs
	install -d -m 0755 dist/rootfs dist/rootfs/var dist/rootfs/var/lib dist/rootfs/run
	install -d -m 0700 dist/rootfs/var/lib/scaler
	install -d -m 0750 dist/rootfs/run/scaler
	install -m 0755 $(BIN) dist/scaler
	docker build --build-arg VERSION='$(VERSION)' $(BUILD_ARGS) -t $(IMAGE) .

packages: ## build .deb, .rpm and .tar.gz into dist, with an SBOM; ARCHES="amd64 arm64"
	VERSION='$(VERSION)' ARCHES='$(ARCHES)' scripts/release packages
	VERSION='$(VERSION)' scripts/release sums

images: ## build the image for all ARCHES into dist, without an engine
	VERSION='$(VERSION)' ARCHES='$(ARCHES)' scripts/release images
	VERSION='$(VERSION)' scripts/release sums

release: packages images ## build all that is handed out, into dist

demo: build ## watch containers come and go for a queue of jobs; ARGS="--jobs 50"
	scripts/engine up
	$(BIN) demo $(ARGS)

test: ## run every check and test, against a real Docker engine
	scripts/test

swarm: ## test on a Swarm that is made of this machine's engine, and as root on one of three engines
	SCALER_TEST_SWARM=1 go test -count=1 -timeout 15m ./internal/docker ./packaging ./test/chaos ./test/e2e -run '^(TestChaosOnSwarm|TestSwarm|TestSwarmOfThreeNodes|TestStackKeepsItsRunners)$$' -v

chaos: build ## kill the daemon over and over, or edit its configuration, and count what is lost; KILLS=200 EDITS=50 SEED=7 ENGINE=memory|swarm ARGS=-orders
	$(if $(filter docker,$(ENGINE)),scripts/engine up)
	go run ./test/chaos -kills $(KILLS) -edits $(EDITS) -bad-edits $(BAD_EDITS) -seed $(SEED) -engine $(ENGINE) -scaler $(BIN) $(ARGS)

bench: build ## measure against what the same work costs by hand; JSON=FILE ARGS="-only cold_start -n 30"
	scripts/engine up
	go run ./bench -scaler $(BIN) $(if $(JSON),-json $(JSON)) $(ARGS)

lint: ## look for faults without running anything
	@test -z "$$(gofmt -l .)" || { echo "not formatted:"; gofmt -l .; exit 1; }
	go vet ./...
	go -C tools vet ./...
	go tool staticcheck ./...

vulncheck: ## ask the Go vulnerability database about the code that is used
	go tool govulncheck ./...

# The second build has another directory and an empty cache.
reproducible: build ## check that two builds give the same bytes
	@set -eu; copy=$$(mktemp -d); trap 'rm -rf "$$copy"' EXIT; \
	mkdir "$$copy/src"; tar --exclude=./.git --exclude=./bin --exclude=./dist -cf - . | tar -xf - -C "$$copy/src"; \
	GOCACHE="$$copy/cache" $(MAKE) -s -C "$$copy/src" build VERSION='$(VERSION)' BIN="$$copy/scaler"; \
	cmp $(BIN) "$$copy/scaler"; sha256sum $(BIN)

clean: ## remove what was built, and what tests left in the engine
	rm -rf bin dist
	scripts/engine clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))
