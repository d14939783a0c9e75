#!/usr/bin/env python3
"""Writes tests/fixtures/scope_benchmark.jsonl: commits of this repository as tasks, for `make bench SECTIONS=scope`.

Each line has facts of one commit, no code: its id, its parent, title, body, the files that it changed and those that it
added. Left out are merges, commits with more than 20 files, and commits that mostly move files. The newest commit comes first;
the benchmark holds out the newest third, and the weights of the ranking are chosen on the rest.

usage: scripts/scope_benchmark.py REVISION [COUNT]
"""

import json
import pathlib
import subprocess
import sys

MOST_FILES = 20
LEAST_WORDS = 3
ROOT = pathlib.Path(__file__).parent.parent
TARGET = ROOT / "tests" / "fixtures" / "scope_benchmark.jsonl"


def commits(revision):
    """Yields (id, parent, title, body, [(letter, path)]), newest first."""
    form = "--format=%x01%H%x00%P%x00%s%x00%b%x00"
    log = ["git", "-c", "core.quotePath=false", "log", "--no-merges", "-M", "--name-status", form, revision]
    text = subprocess.run(log, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    for commit in text.split("\x01")[1:]:
        name, parent, title, body, names = commit.split("\0")
        changes = [line.split("\t") for line in names.strip().splitlines()]
        yield name, parent, title, body.strip(), changes


def main():
    revision, count = sys.argv[1], int((sys.argv[2:] or ["189"])[0])
    lines = []
    for name, parent, title, body, changes in commits(revision):
        moved = sum(change[0].startswith("R") for change in changes)
        if not parent or not 0 < len(changes) <= MOST_FILES or moved * 2 > len(changes):
            continue
        changed = sorted(change[1] for change in changes if not change[0].startswith("A"))
        added = sorted(change[-1] for change in changes if change[0].startswith("A"))
        if not changed or len(f"{title} {body}".split()) < LEAST_WORDS:
            continue
        fact = {"commit": name, "parent": parent, "title": title, "body": body, "changed": changed, "added": added}
        lines.append(json.dumps(fact, ensure_ascii=False) + "\n")
        if len(lines) == count:
            break
    TARGET.write_text("".join(lines))
    print(f"{len(lines)} commits, {sum(len(line) for line in lines) // 1024} KiB in {TARGET.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
