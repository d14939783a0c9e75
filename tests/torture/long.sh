#!/usr/bin/env bash
# Runs the long form of every scenario in tests/torture, one after the other, against a release build. Prints a line for
# each, and at the end the table of docs/reliability.md.
#
#   tests/torture/long.sh PROGRAM [FILTER...]     the program to test; parts of scenarios' names, default: all
set -euo pipefail
cd "$(dirname "$0")/../.."

program=$(realpath "$1")
shift
report=$(mktemp)
trap 'rm -f "$report"' EXIT

export AUTOPACK_TEST_PROGRAM=$program AUTOPACK_TORTURE=long AUTOPACK_TORTURE_REPORT=$report
began=$(date +%s)
failed=0
# One at a time by default: scenarios run better, but not only, with the machine to themselves.
at_once=${AUTOPACK_TORTURE_AT_ONCE:-1}
cargo test --locked --test suite -- --nocapture --test-threads "$at_once" "${@:-torture::}" || failed=1

echo
echo "autopack $("$program" --version | cut -d' ' -f2), $(git rev-parse --short HEAD), $(nproc) processors, $at_once at once, $(($(date +%s) - began)) s"
echo
echo '| scenario | actions and results | seed |'
echo '|---|---|---|'
cat "$report"
[ "$failed" -eq 0 ] || echo "some scenarios failed: see above" >&2
exit "$failed"
