# make build, make test, make check; nothing else is needed to work on autopack.

.PHONY: build release demo picture man book dist image test test-postgres test-dist test-sandbox test-agents fuzz deny bench instructions instructions-write torture nightly lint check setup clean

build: setup
	cargo build --locked

release: setup
	cargo build --locked --release

# A dozen phases of a small real project, drained in a temporary folder: no network, no key.
demo: build
	@./docs/demo/run.sh "$${CARGO_TARGET_DIR:-target}/debug/autopack"

# The picture of the README, from a recording of `make demo` in tmux.
picture: build
	@./scripts/picture.sh "$${CARGO_TARGET_DIR:-target}/debug/autopack" docs/demo/picture.svg

# Manual pages, below target/man/man1.
man: build
	@"$${CARGO_TARGET_DIR:-target}/debug/autopack" man "$${CARGO_TARGET_DIR:-target}/man/man1"

# The book as HTML, below target/book. Its links are checked by `make test`, without mdBook.
book:
	@command -v mdbook >/dev/null || { echo "make book: mdbook is not here; \`cargo install --locked mdbook\` builds it" >&2; exit 1; }
	mdbook build

# A release: archive, Debian package and checksums, about ten minutes after the build. DIST is the directory.
DIST ?= target/dist
dist: setup
	@./scripts/dist.sh "$(DIST)"

# A container image of the release binary. `make image PACKAGES="python3 nodejs"` adds Debian packages for your tests.
IMAGE ?= autopack
image: release
	@PACKAGES="$(PACKAGES)" ./scripts/image.sh "$(IMAGE)"

# nextest runs each test as a process of its own and ends what hangs; cargo test does where it is missing. Both build
# the examples, of which the stand-in Qdrant is one.
test: setup
	@docker info >/dev/null 2>&1 || [ "$$AUTOPACK_TEST_DOCKER" = 1 ] || \
	  echo "make test: no Docker engine answers here, so tests/memory_docker.rs skips what needs one (make check starts one)"
	@if cargo nextest --version >/dev/null 2>&1; then \
	  cargo nextest run --locked --no-fail-fast; \
	else \
	  cargo test --locked --no-fail-fast; \
	fi
	@if [ -n "$$AUTOPACK_TEST_POSTGRES" ]; then $(MAKE) --no-print-directory test-postgres; else \
	  echo "make test: AUTOPACK_TEST_POSTGRES names no server, so the store was tested with SQLite alone (make check starts one)"; \
	fi

# The tests of the store on the Postgres server AUTOPACK_TEST_POSTGRES, without those about SQLite's own files and plans.
test-postgres:
	AUTOPACK_TEST_DATABASE=postgres cargo test --locked --lib store::tests:: -- \
	  --skip tests::opening:: --skip tests::scale:: --skip tests::statements::

# All tests in one mode of the sandbox: every project's agent, setup and CI in a view, with one writable directory.
SANDBOX ?= namespaces
test-sandbox: setup
	AUTOPACK_TEST_SANDBOX=$(SANDBOX) cargo nextest run --locked --no-fail-fast --test suite

# The package of `make dist` in a fresh Debian: installed, used, removed. Needs root and debootstrap.
test-dist:
	@./tests/dist/in_chroot.sh "$$(ls "$(DIST)"/*.deb)" "$${CARGO_TARGET_DIR:-target}/chroot"

# Real coding agents, installed beneath target/agents, against a model server here that only pretends: no key, no model.
# One line for each; `make test-agents AGENTS="codex aider"` tries these alone.
test-agents: build
	@./tests/agents_real/run.sh "$${CARGO_TARGET_DIR:-target}/debug/autopack" "$${CARGO_TARGET_DIR:-target}/agents" $(AGENTS)

# FUZZ_SECONDS (60) for each target; tests/fuzz/README.md.
fuzz: setup
	@./tests/fuzz/run.sh

# kill -9, stopped processes, full disks, jumping clocks and the like, at length: hours on two processors. `make test` has
# the short form. `make torture SCENARIOS="kills stops"` runs these alone; docs/reliability.md has the table of a run.
torture: release
	@./tests/torture/long.sh "$${CARGO_TARGET_DIR:-target}/release/autopack" $(addprefix torture::,$(SCENARIOS))

# What `make test` leaves out for its length: every project of tests/projects with every agent, all tests in namespaces,
# the package in a fresh Debian, then the long torture.
nightly: setup
	cargo nextest run --locked --no-fail-fast --run-ignored all -E 'test(/^projects::/)'
	$(MAKE) test-sandbox
	$(MAKE) dist test-dist
	$(MAKE) torture

# Licences, second versions, sources; docs/supply-chain.md says what is not checked.
deny:
	@./.ci/deny.sh

# What it costs, written into docs/benchmarks.md: about ten minutes after the build, on a machine with nothing else to do.
# `make bench SECTIONS="autofix startup"` measures these alone, AUTOPACK_BENCH=quick takes small sizes.
bench: setup
	cargo bench --locked --bench whole -- --write $(SECTIONS)

# Instructions of the pure parts, compared with benches/instructions/counts.txt: more than 5 % above is an error. No other load
# of the machine matters. `make instructions-write` accepts the counts of now.
instructions instructions-write: setup
	@command -v valgrind >/dev/null || { echo "error: valgrind is missing; install it with your system's packages" >&2; exit 1; }
	cargo run --locked --profile instructions --package autopack-instructions -- $(if $(findstring write,$@),--write)

lint: setup
	cargo fmt --all --check
	cargo clippy --locked --all-targets -- -D warnings
	cargo clippy --locked --package autopack-instructions -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps --document-private-items

# What CI runs.
check:
	./.ci/run

# What the build needs and the machine lacks.
setup:
	@./.ci/setup.sh

clean:
	cargo clean
