# What people and CI call. Everything else is cargo.
#
#   make demo      build, run the simulated site once, read every node through the broker as a client would
#   make test      install the foreign peers (see tests/peers/setup), then run every test
#   make lint      format, clippy, docs, licences
#   make interop   only the tests against foreign clients and simulators, and Smack's integration tests, Prosody beside
#   make bench     what Torg costs, beside its peers, measured in the same run
#   make sizes     size of the binary, start time, resident memory at 1,000 fields
#   make fuzz      ten minutes of fuzzing for each target (installs nightly and cargo-fuzz)
#   make survival  kill -9 under load until 100,000 messages are acknowledged: none lost, none twice
#   make soak      fuzz and survival, and the tests against foreign programs twenty times over

.PHONY: demo test lint interop bench sizes soak fuzz peers
.DEFAULT_GOAL := demo

CARGO ?= cargo

demo:
	$(CARGO) build --release --bin torg
	$(CARGO) run --release --quiet --bin torg -- demo --once
	@echo
	@echo "That was one readout of the simulated site. Where to look next:"
	@echo "  target/release/torg demo             keeps the site running and says how to connect a client of your own"
	@echo "  target/release/torg run --help       the appliance; README.md walks through a first torg.toml"
	@echo "  target/release/torg profile --help   what the registers of a device mean"

test: peers
	$(CARGO) test --workspace --no-fail-fast

interop: peers
	@tests/peers/setup smack
	$(CARGO) test --package torg --test interop -- --nocapture
	$(CARGO) build --release --bin torg
	python3 tests/peers/smack.py $${CARGO_TARGET_DIR:-target}/release/torg

peers:
	@tests/peers/setup test

lint: cargo-deny
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps --document-private-items
	$(CARGO) deny --workspace check bans licenses sources

# Advisories are checked by hand against a fetched database whenever dependencies change.
DENY_VERSION := 0.20.2
.PHONY: cargo-deny
cargo-deny:
	@$(CARGO) deny --version 2>/dev/null | grep -q . || \
		{ echo "installing cargo-deny $(DENY_VERSION)"; $(CARGO) install --locked --quiet --debug cargo-deny@$(DENY_VERSION); }

bench:
	@tests/peers/setup test
	@tests/peers/setup bench
	$(CARGO) bench --package torg --bench load
	$(CARGO) bench --package torg-modbus

sizes:
	@tests/peers/setup test
	$(CARGO) bench --package torg --bench load -- sizes

# What a run finds worth keeping is copied from target/fuzz to tests/data/fuzz, and is an ordinary test from then on.
FUZZ_SECONDS ?= 600
FUZZ_TARGETS ?= xml framer_split jid machine sasl peer component
fuzz:
	@$(CARGO) +nightly fuzz --version >/dev/null 2>&1 || \
		{ rustup toolchain install nightly --profile minimal && $(CARGO) install --locked --quiet cargo-fuzz; }
	@for target in $(FUZZ_TARGETS); do \
		mkdir -p target/fuzz/$$target; \
		$(CARGO) +nightly fuzz run --fuzz-dir tests/fuzz $$target target/fuzz/$$target tests/data/fuzz/$$target -- \
			-max_total_time=$(FUZZ_SECONDS) || exit 1; \
	done

# Kills the appliance under load until so many messages have been acknowledged; none may be lost, none may come twice.
SURVIVAL_MESSAGES ?= 100000
.PHONY: survival
survival:
	SURVIVAL_MESSAGES=$(SURVIVAL_MESSAGES) $(CARGO) test --release --package torg --test survival -- --nocapture

SOAK_ROUNDS ?= 20
soak: peers fuzz survival
	@for round in $$(seq $(SOAK_ROUNDS)); do \
		echo "round $$round of $(SOAK_ROUNDS)"; $(CARGO) test --quiet --package torg --test interop || exit 1; \
	done
