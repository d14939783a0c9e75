#!/usr/bin/env bash
# Builds the container image from the release binary. Called by `make image`, after `make release`. AUTOPACK_DIST_BINARY=FILE takes this
# binary; PACKAGES="python3 make" adds Debian packages; DEBIAN=12-slim takes another Debian; DOCKER=podman another engine.
# usage: scripts/image.sh NAME
set -euo pipefail
cd "$(dirname "$0")/.."

name=$1
engine=${DOCKER:-docker}
# Fixed, because the Dockerfile names these files.
stage=target/image
binary=${AUTOPACK_DIST_BINARY:-${CARGO_TARGET_DIR:-target}/release/autopack}
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
platform=$(rustc --version --verbose | sed -n 's/^host: //p')

rm -rf "$stage"
mkdir -p "$stage"
install -m 755 "$binary" "$stage/autopack"
strip "$stage/autopack"
install -m 755 packaging/worker.sh "$stage/autopack-worker"
install -m 644 LICENSE "$stage/LICENSE"
python3 scripts/licenses.py "$platform" >"$stage/THIRD-PARTY-LICENSES.txt"

# The files are put together first: another engine, on another machine, may build from them.
if ! "$engine" info >/dev/null 2>&1; then
  echo "image: no engine answers to \`$engine info\`; start one, or name another: make image DOCKER=podman" >&2
  exit 1
fi
"$engine" build \
  --build-arg DEBIAN="${DEBIAN:-13-slim}" \
  --build-arg PACKAGES="${PACKAGES:-}" \
  --build-arg VERSION="$version" \
  --build-arg REVISION="$(git rev-parse HEAD 2>/dev/null || echo unknown)" \
  --tag "$name:$version" --tag "$name:latest" .
