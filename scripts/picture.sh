#!/usr/bin/env bash
# Records the drain of the demonstration in tmux, and draws the end of its terminal. Called by `make picture`.
# usage: scripts/picture.sh PATH-TO-AUTOPACK PICTURE.svg
set -euo pipefail

autopack=$(realpath "$1")
picture=$(realpath -m "$2")
here=$(realpath "$(dirname "$0")")
socket=autopack-picture-$$
scratch=$(mktemp -d)
trap 'tmux -L "$socket" kill-server 2>/dev/null || true; rm -rf "$scratch"' EXIT

# The terminal keeps the last screen until it is read.
tmux -L "$socket" -f /dev/null new-session -d -x 88 -y 46 \
  "env TERM=screen-256color TMPDIR='$scratch' '$here/../docs/demo/run.sh' '$autopack' --drain-only; tmux -L '$socket' wait-for -S drained; sleep 600"
tmux -L "$socket" wait-for drained
tmux -L "$socket" capture-pane -e -p -t :0 >"$scratch/record"
python3 "$here/terminal_picture.py" "$scratch/record" >"$picture"
echo "wrote $picture"
