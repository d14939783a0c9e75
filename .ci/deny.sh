#!/usr/bin/env bash
# What deny.toml allows, against what the lock file has. Known holes are checked where the advisory database can be fetched.
set -euo pipefail
cd "$(dirname "$0")/.."

if ! command -v cargo-deny >/dev/null; then
  echo "error: cargo-deny is not here; \`cargo install --locked cargo-deny\` builds it, in some minutes" >&2
  exit 1
fi

cargo deny --locked check --hide-inclusion-graph licenses bans sources
if timeout 60 cargo deny --locked fetch db >/dev/null 2>&1; then
  cargo deny --locked check --disable-fetch --hide-inclusion-graph advisories
else
  echo "deny: advisories NOT checked: https://github.com/RustSec/advisory-db cannot be fetched here"
fi
