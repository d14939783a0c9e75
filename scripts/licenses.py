#!/usr/bin/env python3
"""Prints the licenses of all crates in the binary: python3 scripts/licenses.py PLATFORM > THIRD-PARTY-LICENSES.txt

Reads `cargo metadata` and the sources of the crates. Each text is printed once, below the names of its crates. A crate without a text is listed
with the license that it declares. Code of other projects within a crate (FAISS, SQLite) has its texts in the crate's directories.
"""
import hashlib
import json
import os
import re
import subprocess
import sys

NAMES = re.compile(r"^(licen[cs]e|copying|notice|unlicense|copyright|ofl)", re.IGNORECASE)
# Code, not texts.
CODE = re.compile(r"\.(rs|c|cc|cpp|h|py|sh|toml|json|html|cmake|in)$", re.IGNORECASE)
DEEPEST = 3


def shipped(metadata):
    """The packages that are linked into the binary: normal dependencies, from the root on."""
    nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
    root = metadata["resolve"]["root"]
    found, waiting = set(), [root]
    while waiting:
        for dependency in nodes[waiting.pop()]["deps"]:
            is_normal = any(kind["kind"] is None for kind in dependency["dep_kinds"])
            if is_normal and dependency["pkg"] not in found:
                found.add(dependency["pkg"])
                waiting.append(dependency["pkg"])
    packages = [package for package in metadata["packages"] if package["id"] in found]
    return sorted(packages, key=lambda package: (package["name"], package["version"]))


def texts(package):
    """The license texts in a package's directory: path and content."""
    top = os.path.dirname(package["manifest_path"])
    for directory, below, files in os.walk(top):
        depth = os.path.relpath(directory, top).count(os.sep) + (directory != top)
        below[:] = sorted(name for name in below if depth < DEEPEST and name not in ("target", "tests", "test", ".git"))
        for name in sorted(files):
            if NAMES.match(name) and not CODE.search(name):
                path = os.path.join(directory, name)
                with open(path, encoding="utf-8", errors="replace") as file:
                    yield os.path.relpath(path, top), file.read().strip()


def main(platform):
    command = ["cargo", "metadata", "--format-version=1", "--locked", f"--filter-platform={platform}"]
    metadata = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    packages = shipped(metadata)
    by_text, bare = {}, []
    for package in packages:
        label = f"{package['name']} {package['version']}"
        found = list(texts(package))
        if not found:
            bare.append(f"{label}: {package['license']}, {package['repository'] or 'no repository'}")
        for path, text in found:
            key = hashlib.sha256(" ".join(text.split()).encode()).hexdigest()
            by_text.setdefault(key, (text, []))[1].append(f"{label} ({path})")
    print("autopack contains the following works of others.\n")
    for package in packages:
        print(f"{package['name']} {package['version']}: {package['license'] or 'see its text'}")
    for text, labels in sorted(by_text.values(), key=lambda entry: entry[1]):
        print(f"\n{'=' * 80}\n" + "\n".join(labels) + f"\n{'-' * 80}\n{text}")
    if bare:
        print(f"\n{'=' * 80}\nCrates without a text, with the license that they declare:\n" + "\n".join(bare))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
