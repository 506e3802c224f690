"""Read a user's own loader: ``path/to/my_loader.py:make``, or a package's entry point. Standard library only.

The file is never imported here: its capabilities are read from the constants at its top, so that a controller without
TensorFlow can plan with it::

        SUMMARY = "a description in one line"
        CACHES = ("none",)                    # each may be left out; these are the defaults
    INTERPOLATIONS = ("nearest", "bilinear", "bilinear-antialias", "native")
    NATIVE = "nearest"
    ELEMENTS = ("float32",)
    DELIVERS = ("float32",)
    KINDS = ("folder", "coco")
    AUGMENTS = ("none",)
    DECODINGS = ("exact",)
        WORKERS = ""                          # "threads" or "processes", if it uses context.worker_count

In a job the file lies beside the package, in ``own/<file's name>``, where the payload put it.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from .specs import LoaderSpec

if TYPE_CHECKING:
    import ast

FOLDER = "own"
"""Folder in a payload, beside the package."""
ENTRY_POINTS = "harness.loaders"


class Constants(NamedTuple):
    """The constants at the top of a loader's file, where they are in capitals, with their defaults."""

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
    """Split ``path/to/my_loader.py:make`` into (path, function); return None for any other name."""
    path, colon, function = name.rpartition(":")
    return (path, function) if colon and path.endswith(".py") and function.isidentifier() else None


def own_place(path: str) -> str:
    """Return where a loader's file lies in a payload."""
    return f"{FOLDER}/{os.path.basename(path)}"


def find_own_loader(name: str) -> LoaderSpec:
    """Return the spec of a user's loader. Raises KeyError for an unknown name, ValueError for an unreadable file."""
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
        for_what="your own code",
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
    """Return where the file is: in a job beside the package, otherwise at its path."""
    package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    beside = os.path.join(os.path.dirname(package), FOLDER, os.path.basename(path))
    return beside if os.path.isfile(beside) else os.path.expanduser(path)


def read_constants(path: str, function: str) -> Constants:
    """Return the constants at the top of a loader's file. Raises ValueError("what is wrong\\nwhat to do")."""
    import ast

    try:
        with open(path, encoding="utf-8") as stream:
            tree = ast.parse(stream.read(), path)
    except OSError as error:
        cure = "the path is relative to where you start `harness`"
        raise ValueError(f"the loader's file {path} cannot be read: {error.strerror}\n{cure}") from None
    except (SyntaxError, UnicodeDecodeError) as error:
        raise ValueError(f"the loader's file {path} is not valid Python: {error}\ncorrect it") from None
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
    """Replace one constant by the file's value. Raises ValueError if that has another type or is computed."""
    import ast

    default = Constants._field_defaults[key.lower()]
    try:
        value = ast.literal_eval(node)
    except ValueError:
        raise ValueError(f"{path}:{node.lineno}: {key} must be a literal\nwrite it like {default!r}") from None
    value = tuple(value) if isinstance(default, tuple) and isinstance(value, list) else value
    if not isinstance(value, type(default)):
        raise ValueError(f"{path}:{node.lineno}: {key} is {value!r}\nwrite it like {default!r}")
    return constants._replace(**{key.lower(): value})
