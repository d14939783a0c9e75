"""Written by autopack, and first on PYTHONPATH for whatever works in a copy of the repository.

An editable install names the checkout that it was made in. Every Python that starts here imports from the
copy instead: entries of sys.path, and the tables of editable finders, that lead into AUTOPACK_WORKSPACE
lead to the same place in AUTOPACK_WORKTREE. Works with every Python since 2.7.
"""

import os
import sys


class Paths(object):
    def __init__(self, checkout, copy):
        self.checkout = os.path.realpath(checkout)
        self.copy = os.path.realpath(copy)
        prefixes = [sys.prefix, sys.exec_prefix, getattr(sys, "base_prefix", sys.prefix)]
        prefixes = [os.path.realpath(prefix) for prefix in prefixes]
        # The standard library and what is installed beside it, where the Python itself is in the checkout.
        self.kept = [self.copy] + [p for p in prefixes if p != self.checkout and self.is_below(p, self.checkout)]
        if self.checkout in prefixes:
            self.kept += [os.path.join(self.checkout, name) for name in ("bin", "lib", "lib64")]

    @staticmethod
    def is_below(path, top):
        return path == top or path.startswith(top.rstrip(os.sep) + os.sep)

    def moved(self, path):
        """Where a path of the checkout is in the copy; None for any other path."""
        if not path or not os.path.isabs(path):
            return None
        real = os.path.realpath(path)
        if not self.is_below(real, self.checkout) or any(self.is_below(real, kept) for kept in self.kept):
            return None
        below = os.path.relpath(real, self.checkout)
        return self.copy if below == os.curdir else os.path.join(self.copy, below)

    def moved_value(self, value, depth=4):
        """The same for all paths in a table; the value itself where there is none."""
        if isinstance(value, str):
            return self.moved(value) or value
        if depth == 0:
            return value
        if isinstance(value, dict):
            for key in list(value):
                value[key] = self.moved_value(value[key], depth - 1)
        elif isinstance(value, list):
            value[:] = [self.moved_value(item, depth - 1) for item in value]
        elif type(value) in (tuple, set, frozenset):
            return type(value)(self.moved_value(item, depth - 1) for item in value)
        return value

    def move_table(self, owner):
        for name, value in list(vars(owner).items()):
            if name.startswith("__") or not isinstance(value, (str, dict, list, tuple, set, frozenset)):
                continue
            moved = self.moved_value(value)
            if moved is not value:
                setattr(owner, name, moved)


class Metadata(object):
    """Finds what an old editable install says of itself beside its sources, and nothing to import."""

    def __init__(self, paths):
        self.paths = paths

    def find_spec(self, name, path=None, target=None):
        return None

    def find_distributions(self, context=None):
        from importlib.metadata import DistributionFinder, MetadataPathFinder

        name = getattr(context, "name", None)
        context = DistributionFinder.Context(name=name, path=self.paths)
        return MetadataPathFinder.find_distributions(context)


def move_imports(paths):
    left = []
    for at, entry in enumerate(sys.path):
        moved = paths.moved(entry)
        if moved:
            left.append(entry)
            sys.path[at] = moved
    for finder in list(sys.meta_path):
        kind = finder if isinstance(finder, type) else type(finder)
        module = sys.modules.get(kind.__module__)
        if module is None or kind.__module__.startswith(("_frozen", "importlib", "zipimport")):
            continue
        for owner in (module, kind, finder):
            if hasattr(owner, "__dict__"):
                paths.move_table(owner)
    # flit and `python -m site` users link whole packages.
    for entry in list(sys.path):
        if os.path.basename(entry) in ("site-packages", "dist-packages") and os.path.isdir(entry):
            for name in os.listdir(entry):
                package = os.path.join(entry, name)
                moved = paths.moved(package) if os.path.islink(package) else None
                if moved and os.path.basename(moved) == name:
                    sys.path.insert(0, os.path.dirname(moved))
    if left and sys.version_info >= (3, 8):
        sys.meta_path.append(Metadata(left))


def next_sitecustomize():
    """The one that would have been imported without this."""
    try:
        from importlib.machinery import PathFinder
    except ImportError:
        return
    spec = PathFinder.find_spec("sitecustomize", sys.path)
    if spec is not None and spec.loader is not None:
        from importlib.util import module_from_spec

        spec.loader.exec_module(module_from_spec(spec))


def main():
    here = os.path.dirname(os.path.realpath(__file__))
    sys.path[:] = [entry for entry in sys.path if os.path.realpath(entry) != here]
    checkout, copy = os.environ.get("AUTOPACK_WORKSPACE"), os.environ.get("AUTOPACK_WORKTREE")
    if checkout and copy and os.path.realpath(checkout) != os.path.realpath(copy):
        move_imports(Paths(checkout, copy))
    next_sitecustomize()


main()
