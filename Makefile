# Mailwarden. `make help` lists what there is.
SHELL := /bin/bash
.DEFAULT_GOAL := help

# The release build stands apart, so that switching between the two compiles nothing anew.
RELEASE := .build/release-build
RELEASE_FLAGS := -c release --static-swift-stdlib --scratch-path $(RELEASE)
DEBUG_BIN := .build/debug

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

deps: ## install the system packages that are missing (Debian; needs root or sudo)
	@Scripts/deps.sh

build: deps ## build the release binary: .build/release-build/release/mailwarden
	swift build $(RELEASE_FLAGS) --product mailwarden

run: build ## run the daemon in the foreground: make run CONFIG=policy.yaml
	$(RELEASE)/release/mailwarden run --config $(or $(CONFIG),$(error say which policy: make run CONFIG=policy.yaml))

demo: deps ## abusers against a private Postfix, stopped before your eyes (ONCE=1: ends by itself)
	swift build --product mailwarden
	swift build --product demo
	ONCE=$(ONCE) $(DEBUG_BIN)/demo

test: deps ## all tests, also against real Postfix and Sendmail
	swift test

bench: deps ## the release binary beside a bare C filter and beside its peers (QUICK=1: three scenarios each)
	swift build $(RELEASE_FLAGS) --product mailwarden
	swift build $(RELEASE_FLAGS) --product bare-filter
	swift build $(RELEASE_FLAGS) --product milter-load
	Benchmarks/run.sh $(RELEASE)/release $(if $(QUICK),--quick)
	Benchmarks/peers.sh $(RELEASE)/release $(if $(QUICK),--quick)

check: ## format, lint, build without warnings, unit tests
	swift format lint --strict --recursive --configuration .swift-format Package.swift Sources Tests Examples Benchmarks
	swift build --build-tests -Xswiftc -warnings-as-errors
	swift test --skip-build --filter 'WardenCoreTests|WardenPolicyTests|MilterTests'

format: ## bring the sources into the project's format
	swift format --in-place --recursive --configuration .swift-format Package.swift Sources Tests Examples Benchmarks

clean: ## remove everything that was built
	rm -rf .build

.PHONY: help deps build run demo test bench check format clean
