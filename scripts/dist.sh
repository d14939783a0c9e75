#!/usr/bin/env bash
# Builds what a release consists of, below DIRECTORY: an archive and a Debian package for this machine's Linux, and their checksums.
# Called by `make dist`. AUTOPACK_DIST_BINARY=FILE packs this binary and builds none.
# usage: scripts/dist.sh DIRECTORY
set -euo pipefail
cd "$(dirname "$0")/.."

target=${CARGO_TARGET_DIR:-target}
out=$(realpath -m "$1")
# Fixed, because Cargo.toml names these files as parts of the package.
stage=target/package

# What was here before is removed: only an earlier release, or nothing.
if [ -e "$out" ] && [ ! -f "$out/SHA256SUMS" ] && [ -n "$(ls -A "$out")" ]; then
  echo "dist: $out is not empty, and no earlier release (SHA256SUMS); name another directory: make dist DIST=DIRECTORY" >&2
  exit 1
fi

version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
platform=$(rustc --version --verbose | sed -n 's/^host: //p')
name=autopack-$version-$platform

if ! command -v cargo-deb >/dev/null; then
  echo "dist: installing cargo-deb into $target/tools"
  cargo install --quiet --locked --root "$target/tools" cargo-deb
  PATH=$(realpath "$target/tools")/bin:$PATH
fi

rm -rf "$stage" "$out"
mkdir -p "$stage/man" "$stage/completions" "$out"
: >"$out/SHA256SUMS"

if [ -n "${AUTOPACK_DIST_BINARY:-}" ]; then
  install -m 755 "$AUTOPACK_DIST_BINARY" "$stage/autopack"
else
  cargo build --release --locked
  install -m 755 "$target/release/autopack" "$stage/autopack"
fi
strip "$stage/autopack"

"$stage/autopack" man "$stage/man" >/dev/null
for shell in bash zsh fish; do
  "$stage/autopack" completions "$shell" >"$stage/completions/$shell"
done
python3 scripts/licenses.py "$platform" >"$stage/THIRD-PARTY-LICENSES.txt"

# The time of the commit, so that the same commit gives the same archive.
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct 2>/dev/null || date +%s)
export SOURCE_DATE_EPOCH

mkdir "$stage/$name"
cp -R "$stage/autopack" "$stage/man" "$stage/completions" "$stage/THIRD-PARTY-LICENSES.txt" \
  README.md LICENSE CHANGELOG.md "$stage/$name"
tar --create --directory "$stage" --sort=name --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner "$name" |
  gzip --no-name --best >"$out/$name.tar.gz"

cargo deb --no-build --no-strip --quiet --output "$out"
(cd "$out" && sha256sum -- *.tar.gz *.deb >SHA256SUMS)
ls -l "$out"
