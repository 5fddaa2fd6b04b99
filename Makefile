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

# Those against real servers wait for them, and would keep threads from those that are asynchronous in one process.
test: deps ## all tests, also against real Postfix and Sendmail
	swift build --build-tests
	swift test --skip-build --skip '^IntegrationTests'
	swift test --skip-build --filter '^IntegrationTests'

bench: deps ## counters, state, logs, logins, and the daemon beside a bare C filter and its peers (QUICK=1: less of each)
	for product in core-bench state-bench log-bench mailwarden bare-filter milter-load; do \
	  swift build $(RELEASE_FLAGS) --product $$product || exit 1; done
	for part in table engine spray; do $(RELEASE)/release/core-bench $$part $(if $(QUICK),--quick) || exit 1; done
	Benchmarks/run.sh $(RELEASE)/release $(if $(QUICK),--quick)
	Benchmarks/state.sh $(RELEASE)/release $(if $(QUICK),--quick)
	Benchmarks/logs.py $(RELEASE)/release $(if $(QUICK),--quick)
	Benchmarks/dovecot.sh $(RELEASE)/release $(if $(QUICK),--quick)
	Benchmarks/watching.sh $(RELEASE)/release $(if $(QUICK),--quick)
	Benchmarks/peers.sh $(RELEASE)/release $(if $(QUICK),--quick)

fuzz: deps ## bytes of others, made up at random and guided, against all that reads them (SECONDS=n for each)
	Tests/Fuzz/fuzz.sh $(or $(SECONDS),60)

sanitize: deps ## tests and daemon under the thread and the address sanitizer
	Scripts/sanitize.sh

faults: deps ## what faults of disks and receivers do to the milter's answers (root; QUICK=1: less of each)
	for product in mailwarden milter-load; do swift build $(RELEASE_FLAGS) --product $$product || exit 1; done
	Benchmarks/faults.sh $(RELEASE)/release $(if $(QUICK),--quick)

screenshots: deps ## remake docs/screenshots from a daemon under live traffic
	swift build --product mailwarden
	Scripts/screenshots.py $(DEBUG_BIN)/mailwarden

soak: deps ## days of mixed load in simulated time, then SECONDS=n (600) of the daemon behind real MTAs, against books (DAYS=n, SEED=n)
	for product in mailwarden soak; do swift build $(RELEASE_FLAGS) --product $$product || exit 1; done
	$(RELEASE)/release/soak --seconds $(or $(SECONDS),600) --days $(or $(DAYS),5) $(if $(SEED),--seed $(SEED))

crashes: deps ## kill the daemon 200 times under load: nothing acknowledged may be lost (ROUNDS=n)
	MAILWARDEN_CRASH_ROUNDS=$(or $(ROUNDS),200) swift test --filter CrashTests

hostile: deps ## attack the milter, the MTAs before it and its listeners for long, with figures (ROUNDS=n)
	swift build --build-tests
	set -o pipefail; MAILWARDEN_HOSTILE_ROUNDS=$(or $(ROUNDS),20) swift test --skip-build --filter '^IntegrationTests.Hostile' \
	  | grep -aE '^hostile: |recorded an issue|Suite|Test run'

hijacks: deps ## what the default policy and plain limits do to 20 hijacks among 1,000 honest users
	swift build $(RELEASE_FLAGS) --product hijack-suite
	$(RELEASE)/release/hijack-suite --enforce --seeds $(or $(SEEDS),101,102,103,104,105) \
	  --policy default=Examples/policies/default.yaml \
	  $(foreach name,25-per-2h 30-per-hour recipients ten-networks,--policy $(name)=Benchmarks/HijackSuite/Policies/$(name).yaml)

sbom: build ## what is in the binary, and under which licences: a table, SPDX, the licences' texts
	Scripts/sbom.py $(RELEASE) .build/sbom

captures: deps ## make the screens of top in docs/screens anew, from live traffic in a real terminal
	MAILWARDEN_SCREENS=$(CURDIR)/docs/screens swift test --filter 'TopTests/screens'

deb: sbom ## build the Debian package: .build/deb/mailwarden_VERSION_ARCH.deb
	Scripts/deps.sh packaging
	Packaging/deb.sh $(RELEASE)/release/mailwarden .build/sbom

test-deb: deb ## install, upgrade and remove the package on a Debian 12 of its own, with real MTAs (root)
	lintian --fail-on error --tag-display-limit 0 .build/deb/*.changes
	Tests/Package/test_deb.py .build/deb/*.deb

man: ## make docs/mailwarden.schema.json and mailwarden.yaml(5) anew, from the policy's keys as they are declared
	swift build --product mailwarden
	$(DEBUG_BIN)/mailwarden check --schema > docs/mailwarden.schema.json
	Scripts/policy-manual.py docs/man/mailwarden.yaml.5.in docs/mailwarden.schema.json > docs/man/mailwarden.yaml.5

docs: ## the libraries' documentation: .build/docs/Milter and .build/docs/WardenCore
	@Scripts/docs.sh

check: ## format, lint, links, build without warnings, unit tests
	Scripts/links.py
	swift format lint --strict --recursive --configuration .swift-format Package.swift Sources Tests Examples Benchmarks
	swift build --build-tests
	swift test --skip-build --filter 'WardenCoreTests|WardenPolicyTests|WardenScreenTests|MilterTests'

format: ## bring the sources into the project's format
	swift format --in-place --recursive --configuration .swift-format Package.swift Sources Tests Examples Benchmarks

clean: ## remove everything that was built
	rm -rf .build

# None of them is a file.
.PHONY: $(shell sed -n 's/^\([a-z-]*\): .*/\1/p' $(MAKEFILE_LIST))
