#!/usr/bin/env bash
# The long form of the torture: every scenario of tests/torture, one after the other, against a release build; a line
# each, and the table at the end that stands in docs/reliability.md.
#
#   tests/torture/long.sh PROGRAM [FILTER...]     the program to torture; parts of scenarios' names, without them all
set -euo pipefail
cd "$(dirname "$0")/../.."

program=$(realpath "$1")
shift
report=$(mktemp)
trap 'rm -f "$report"' EXIT

export AUTOPACK_TEST_PROGRAM=$program AUTOPACK_TORTURE=long AUTOPACK_TORTURE_REPORT=$report
began=$(date +%s)
failed=0
# One at a time, unless told otherwise: each scenario likes the machine for itself, though none needs it.
at_once=${AUTOPACK_TORTURE_AT_ONCE:-1}
cargo test --locked --test suite -- --nocapture --test-threads "$at_once" "${@:-torture::}" || failed=1

echo
echo "autopack $("$program" --version | cut -d' ' -f2), $(git rev-parse --short HEAD), $(nproc) processors, $at_once at once, $(($(date +%s) - began)) s"
echo
echo '| scenario | what was done, and came of it | seed |'
echo '|---|---|---|'
cat "$report"
[ "$failed" -eq 0 ] || echo "some scenarios FAILED: see above" >&2
exit "$failed"
