"""A user's own loader: ``path/to/my_loader.py:make``, or an entry point of an installed package. Standard library only.

The file is never imported here: what it can make is read from the constants at its top, so that a controller without
TensorFlow can plan with it::

    SUMMARY = "what it is, in one line"
    CACHES = ("none",)                    # each of these may be left out; shown: what then counts
    INTERPOLATIONS = ("nearest", "bilinear", "bilinear-antialias", "native")
    NATIVE = "nearest"
    ELEMENTS = ("float32",)
    DELIVERS = ("float32",)
    KINDS = ("folder", "coco")
    AUGMENTS = ("none",)
    DECODINGS = ("exact",)
    WORKERS = ""                          # "threads" or "processes", where it goes by context.worker_count

In a job it stands beside the package, in ``own/<file's name>``, where the payload brought it.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from .specs import LoaderSpec

if TYPE_CHECKING:
    import ast

FOLDER = "own"
"""In a payload: beside the package."""
ENTRY_POINTS = "harness.loaders"


class Constants(NamedTuple):
    """What stands at the top of a loader's file, in capitals there; with what counts where it does not."""

    summary: str = ""
    caches: tuple[str, ...] = ("none",)
    interpolations: tuple[str, ...] = ("nearest", "bilinear", "bilinear-antialias", "native")
    native: str = "nearest"
    elements: tuple[str, ...] = ("float32",)
    delivers: tuple[str, ...] = ("float32",)
    kinds: tuple[str, ...] = ("folder", "coco")
    augments: tuple[str, ...] = ("none",)
    decodings: tuple[str, ...] = ("exact",)
    workers: str = ""


def split_own(name: str) -> tuple[str, str] | None:
    """(path, function) of ``path/to/my_loader.py:make``; None for any other name."""
    path, colon, function = name.rpartition(":")
    return (path, function) if colon and path.endswith(".py") and function.isidentifier() else None


def own_place(path: str) -> str:
    """Where a loader's file lies in a payload."""
    return f"{FOLDER}/{os.path.basename(path)}"


def find_own_loader(name: str) -> LoaderSpec:
    """What a user's loader is. Raises KeyError for a name that is none, ValueError for a file that cannot be read."""
    own = split_own(name)
    if own is None:
        from importlib import metadata  # only now, like `ast` below: every command reads the registry

        entry = next(iter(metadata.entry_points(group=ENTRY_POINTS, name=name)), None)
        if entry is None:
            raise KeyError(name)
        constants, maker = Constants(), f"entry:{name}"
        where = f"entry point of {entry.dist.name if entry.dist else entry.value}"
    else:
        path = locate(own[0])
        constants, maker = read_constants(path, own[1]), f"file:{os.path.basename(own[0])}:{own[1]}"
        where = own[0]
    return LoaderSpec(
        name=name,
        maker=maker,
        summary=constants.summary or f"a loader of your own ({where})",
        for_what="yours",
        caches=constants.caches,
        interpolations=constants.interpolations,
        native=constants.native,
        elements=constants.elements,
        delivers=constants.delivers,
        kinds=constants.kinds,
        augments=constants.augments,
        decodings=constants.decodings,
        workers=constants.workers,
    )


def locate(path: str) -> str:
    """Where the file is: in a job beside the package, else where its path says."""
    package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    beside = os.path.join(os.path.dirname(package), FOLDER, os.path.basename(path))
    return beside if os.path.isfile(beside) else os.path.expanduser(path)


def read_constants(path: str, function: str) -> Constants:
    """The constants at the top of a loader's file, with defaults. Raises ValueError("what is wrong\\nwhat to do")."""
    import ast

    try:
        with open(path, encoding="utf-8") as stream:
            tree = ast.parse(stream.read(), path)
    except OSError as error:
        cure = "the path is relative to where you start `harness`"
        raise ValueError(f"the loader's file {path} cannot be read: {error.strerror}\n{cure}") from None
    except (SyntaxError, UnicodeDecodeError) as error:
        raise ValueError(f"the loader's file {path} is no Python: {error}\nmend it") from None
    names = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    if function not in names:
        found = ", ".join(sorted(names)) or "none"
        raise ValueError(f"{path} has no function {function!r}; it has: {found}\nname one that takes a context")
    constants = Constants()
    for node in tree.body:
        if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
            key = node.targets[0].id
            if key.isupper() and key.lower() in Constants._fields:
                constants = _replaced(constants, key, node.value, path)
    return constants


def _replaced(constants: Constants, key: str, node: ast.expr, path: str) -> Constants:
    """Take over what a file says of one constant. Raises ValueError where it is of another type, or computed."""
    import ast

    default = Constants._field_defaults[key.lower()]
    try:
        value = ast.literal_eval(node)
    except ValueError:
        raise ValueError(f"{path}:{node.lineno}: {key} must be written out\nlike {default!r}") from None
    value = tuple(value) if isinstance(default, tuple) and isinstance(value, list) else value
    if not isinstance(value, type(default)):
        raise ValueError(f"{path}:{node.lineno}: {key} is {value!r}\nwrite it like {default!r}")
    return constants._replace(**{key.lower(): value})
