#!/usr/bin/env bash
# Fuzzes each target for FUZZ_SECONDS (60), or those named as arguments. The corpus is in target/fuzz/corpus, and the next
# run starts with it. Inputs that fail a target are in target/fuzz/artifacts; the exit code is then 1.
set -euo pipefail
cd "$(dirname "$0")/../.."

readonly seconds=${FUZZ_SECONDS:-60}
readonly root=$PWD
home=${CARGO_TARGET_DIR:-target}/fuzz
case $home in /*) ;; *) home=$root/$home ;; esac
readonly home
# cargo-fuzz passes `-Z` flags to the compiler: the stable one takes them when it is told so.
export RUSTC_BOOTSTRAP=1

if ! command -v cargo-fuzz >/dev/null; then
  echo "error: cargo-fuzz is missing; install it with: cargo install cargo-fuzz --locked" >&2
  exit 1
fi

# One file an input: what tests/fuzz/seeds has for a target and what its .from names; the real specs where they are.
seeds() { # target, directory
  local directory=$2 from file
  mkdir -p "$directory"
  for from in "tests/fuzz/seeds/$1" $(cat "tests/fuzz/seeds/$1.from" 2>/dev/null); do
    [ -e "$from" ] || continue
    find "$from" -type f | while read -r file; do cp "$file" "$directory/$(tr '/' '-' <<<"$file")"; done
  done
  local specs=${AUTOPACK_SHARED_DATA:-../shared/data}/real_phase_specs.jsonl
  if [ -f "$specs" ]; then
    case $1 in autofix | plans) split -l 1 -a 3 "$specs" "$directory/real-spec-" ;; esac
  fi
}

# FAISS takes minutes, and is no different here: the one that `make build` made is linked, where it is there. Cargo takes this
# configuration from the directory that it is started in.
reuse_faiss() {
  local library out
  library=$(find "${home%/fuzz}/debug/build" -path '*/faiss-sys-*/out/lib/libfaiss.a' 2>/dev/null | head -n 1)
  [ -n "$library" ] && [ "$(uname)" = Linux ] || return 0
  out=${library%/lib/libfaiss.a}
  mkdir -p "$home/.cargo"
  cat >"$home/.cargo/config.toml" <<END
[target.$(rustc -vV | sed -n 's/^host: //p').faiss_c]
rustc-link-search = ["native=$out/lib", "native=$out/build/c_api"]
rustc-link-lib = ["static=faiss_c", "static=faiss", "stdc++", "gomp", "blas", "lapack"]
END
}

# The versions that ship, and the fuzzer's own few crates.
cp Cargo.lock tests/fuzz/Cargo.lock
reuse_faiss
if [ $# -gt 0 ]; then targets=("$@"); else targets=($(ls tests/fuzz/targets | sed 's/\.rs$//')); fi
failed=()
for target in "${targets[@]}"; do
  seeds "$target" "$home/seeds/$target"
  mkdir -p "$home/corpus/$target" "$home/artifacts/$target"
  options=(-max_total_time="$seconds" -max_len=8192 -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 -verbosity=0)
  dictionary=$root/tests/fuzz/dictionaries/$target.dict
  [ -f "$dictionary" ] && options+=(-dict="$dictionary")
  echo "fuzz: $target, $seconds s"
  (cd "$home" && cargo fuzz run --fuzz-dir "$root/tests/fuzz" --target-dir "$home" --sanitizer none "$target" \
    "$home/corpus/$target" "$home/seeds/$target" -- "${options[@]}" \
    -artifact_prefix="$home/artifacts/$target/") || failed+=("$target")
done
if [ "${#failed[@]}" -gt 0 ]; then
  echo "fuzz: broken: ${failed[*]}; the inputs are in $home/artifacts" >&2
  exit 1
fi
echo "fuzz: ${#targets[@]} targets held"
