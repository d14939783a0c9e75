#!/bin/bash
# A worker of a shared run, in a container: clones AUTOPACK_REMOTE into the current directory unless a clone is there, and drains
# AUTOPACK_RUN. In the image: autopack-worker.
# usage: autopack-worker [OPTION OF autopack drain]...
set -eu
# Jobs of their own process group. Without job control, bash starts background programs with SIGINT ignored, and tests inherit that.
set -m

: "${AUTOPACK_REMOTE:?set AUTOPACK_REMOTE to the URL of the git repository}"
: "${AUTOPACK_RUN:?set AUTOPACK_RUN to the run to drain}"
: "${AUTOPACK_DATABASE_URL:?set AUTOPACK_DATABASE_URL to the shared database, postgres://...}"

# Cloned elsewhere first: a worker killed meanwhile leaves no half clone here.
if [ ! -e .git ]; then
  part=$(dirname "$PWD")/clone.part
  rm -rf "$part"
  git clone --quiet --no-checkout "$AUTOPACK_REMOTE" "$part"
  mv "$part/.git" .
  rmdir "$part"
fi
# A worker killed before this line left a clone without files.
[ -e .git/index ] || git reset --quiet --hard

autopack drain "$AUTOPACK_RUN" "$@" &
drain=$!
# The drain ends by itself after a signal; a second one makes it hurry.
trap 'kill -INT "$drain" 2>/dev/null || true' INT TERM
while :; do
  status=0
  wait "$drain" || status=$?
  # A signal ends the wait, not the drain.
  kill -0 "$drain" 2>/dev/null || break
done
# 3: some phase failed; the others have landed. Another start changes nothing about this.
[ "$status" -ne 3 ] || status=0
exit "$status"
