"""Which of the project's packages this Python would import from the user's checkout; imports none of them."""

import json
import os
import sys
from importlib.util import find_spec

checkout = os.path.realpath(os.environ["AUTOPACK_WORKSPACE"])
copy = os.path.realpath(os.environ["AUTOPACK_WORKTREE"])
prefix = os.path.realpath(sys.prefix)


def is_below(path, top):
    return path == top or path.startswith(top.rstrip(os.sep) + os.sep)


def leaks(path):
    real = os.path.realpath(path)
    of_python = is_below(prefix, checkout) and prefix != checkout and is_below(real, prefix)
    return is_below(real, checkout) and not is_below(real, copy) and not of_python


def modules(folder):
    """The names that a directory of sources offers."""
    try:
        entries = sorted(os.listdir(folder))
    except OSError:
        return
    for name in entries:
        stem, ending = os.path.splitext(name)
        if ending == ".py" or os.path.isfile(os.path.join(folder, name, "__init__.py")):
            yield stem


def editable_names():
    try:
        from importlib.metadata import distributions
    except ImportError:
        return
    for distribution in distributions():
        if '"editable": true' in (distribution.read_text("direct_url.json") or ""):
            for name in (distribution.read_text("top_level.txt") or "").split():
                yield name


names = set(editable_names())
for folder in [copy, os.path.join(copy, "src")]:
    names.update(modules(folder))
for entry in sys.path:
    if entry and (is_below(entry, copy) or leaks(entry)):
        names.update(modules(entry))
found = {}
for name in sorted(names - set(sys.builtin_module_names))[:500]:
    if not name.isidentifier() or name == "setup" or name == "sitecustomize":
        continue
    try:
        spec = find_spec(name)
    except Exception:
        continue
    places = [] if spec is None else [spec.origin] + list(spec.submodule_search_locations or [])
    for place in places:
        if place and os.path.isabs(place) and leaks(place):
            found.setdefault(name, place)
for entry in sys.path:
    if entry and leaks(entry) and not any(is_below(place, entry) for place in found.values()):
        found.setdefault("*", entry)
print(json.dumps(found))
