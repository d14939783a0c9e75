#!/usr/bin/env bash
# Drains a small real project in a temporary directory: no network, no key. Called by `make demo`.
# usage: docs/demo/run.sh PATH-TO-AUTOPACK [--drain-only]
set -euo pipefail

autopack=$(realpath "$1")
demo=$(realpath "$(dirname "$0")")
project=$(mktemp -d "${TMPDIR:-/tmp}/autopack-demo.XXXXXX")

say() { printf '\n\033[1m$ %s\033[0m\n' "$*"; }
show() { say "${@/#$autopack/autopack}"; "$@"; }

cp -R "$demo/project/." "$project"
cd "$project"
# On a terminal nobody should have to leave a pager.
export GIT_PAGER=cat
git init -q -b main
git add -A
git -c user.name=Demo -c user.email=demo@example.com commit -q -m "A small real project"

mkdir -p .autopack/config
# The memory in this process: a demonstration starts no container.
export AUTOPACK_USE_QDRANT=0

cat > .autopack/config/autopack.yaml <<YAML
agents:
  default: recorded
  recorded:
    kind: replay
    folder: $demo/edits
ci:
  command: [python3, -m, unittest, discover, -s, tests, -t, .]
YAML

echo "a project with a backlog of a dozen phases lies in $project"
only=${2:-}
if [ "$only" = --drain-only ]; then
    "$autopack" import "$demo/plan.yaml" >/dev/null
    clear
else
    show "$autopack" import "$demo/plan.yaml"
    show "$autopack" fix-phases --run-id demo
fi
status=0
show "$autopack" drain --run-id demo --batch-size 4 || status=$?
# Two phases are meant to fail and one to be blocked behind them: that is exit code 3.
if [ "$status" -ne 3 ]; then
    echo "the drain ended with exit code $status; expected 3" >&2
    exit 1
fi
[ "$only" != --drain-only ] || exit 0
show "$autopack" status --run-id demo
show "$autopack" phases list --run-id demo
show git log --oneline --stat --format='%h %s' main..autopack/demo

cat <<TEXT

What to try next, in $project:
  autopack phases show --run-id demo command-line   red, then green on its retry
  autopack phases log --run-id demo tidy            what the stray agent did
  autopack phases retry --run-id demo tidy          new attempts for a failed phase
  autopack merge demo                               take what landed
The binary is $autopack
TEXT
