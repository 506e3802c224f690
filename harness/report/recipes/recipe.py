"""The recipe of a case: its loader's source with the case's values, behind the list of files that it reads."""

from __future__ import annotations

import ast
from collections.abc import Collection
from functools import lru_cache

from harness.bench.registry import LOADERS, is_on_disk, native_interpolation
from harness.report.recipes.following import Follower
from harness.report.recipes.values import Code, Items, Known, Leaf, Record, UnfoldableError, Value, call, name
from harness.report.recipes.writing import names_in, tidy, write_lines
from harness.report.view import Recipe
from harness.report.words import clean_text, name_pipeline
from harness.values.case import Case
from harness.values.payload import installed_digest

CACHE_PREFIX = "images.cache"
_FOLDER = "images"
_FILES = {
    "folder": 'folder = pathlib.Path("images")  # one folder per class',
    "classes": "classes = sorted(path.name for path in folder.iterdir() if path.is_dir())",
    "files": 'files = sorted(str(path) for path in folder.glob("*/*.jpg"))',
    "labels": "labels = [classes.index(pathlib.Path(file).parent.name) for file in files]",
}
_NEEDS = {"labels": ("folder", "classes", "files"), "files": ("folder",), "classes": ("folder",), "folder": ()}
_NO_MATTER = {"data": "", "mode": "load", "model": None, "memory_limit": "none", "epochs": 1}
_STANDARD = ("glob", "math", "os", "pathlib", "random", "time")


def view_recipe(case: Case, payload_digests: Collection[str]) -> Recipe | None:
    """The recipe of a case for the page; it says where the code that measured may have been another than is here."""
    code = _recall_recipe(case.model_copy(update=_NO_MATTER))
    if code is None:
        return None
    note = "Folded out of the source that measured, with the values of this case; a test runs it beside the loader."
    if set(payload_digests) != {installed_digest()}:
        note = "Folded out of the loaders installed where this page was made; what measured has another digest."
    return Recipe(clean_text(name_pipeline(case)), code, note)


def write_recipe(case: Case) -> str | None:
    """Python that makes ``dataset``, ready for ``model.fit``, of a folder of JPEGs with one folder per class.

    It is what is left of the loader's own source (``harness/bench/loaders``) for this case. Left out are only what
    the harness needs for itself: its checks, its list of files, and the budgets that it takes from a container's limit.
    None for a loader that is no pipeline of tf.data or Keras (or a user's own, whose source is elsewhere).
    """
    if case.loader not in LOADERS or case.cache not in LOADERS[case.loader].caches:
        return None
    if LOADERS[case.loader].is_automatic:
        return None
    follower = Follower(_leaves(), _facts(case), [*_FILES, *_STANDARD])
    try:
        _fold(follower, case)
    except UnfoldableError:
        return None
    body = tidy(follower.top.lines)
    origin = LOADERS[case.loader].maker.partition(":")[0].replace(".", "/")
    said = f"# {name_pipeline(case)}: as harness/bench/{origin}.py makes it; budgets are left to TensorFlow\n"
    return said + _write_head(names_in(body), follower.imports) + write_lines(body)


_recall_recipe = lru_cache(maxsize=256)(write_recipe)


def _fold(follower: Follower, case: Case) -> None:
    module, _, function = LOADERS[case.loader].maker.partition(":")
    follower.made = {"Store": lambda store: _fill_before(follower, store)}
    made = follower.enter(follower.member(module, function), [_context(case)], {})
    if not isinstance(made, Record):
        raise UnfoldableError("a loader that is no object of class Loader")
    dataset = follower.code(made.fields["dataset"])
    follower.top.state(ast.Assign([ast.Name(follower.top.pick("dataset"), ast.Store())], dataset))


def _fill_before(follower: Follower, store: Record) -> None:
    """As ``Store.build`` does: a cache that is written before its first epoch is written here, once."""
    write, path = store.fields["write"], Known(CACHE_PREFIX)
    if write == Known(None):
        return
    filling = follower.collect(lambda: _call_as_statement(follower, write, path))
    absent = ast.UnaryOp(ast.Not(), call("os.path.exists", ast.Constant(CACHE_PREFIX)).node)
    follower.imports["os"] = "import os"
    follower.scope.state(ast.If(absent, filling, []))  # type: ignore[arg-type]


def _call_as_statement(follower: Follower, function: Value, argument: Value) -> None:
    found = follower.enter(function, [argument], {})
    if isinstance(found, Code):
        follower.scope.state(ast.Expr(found.node))


def _context(case: Case) -> Record:
    """What the loader is given (``LoaderContext``): the case's values, and names for what a recipe's head makes."""
    is_native = case.interpolation == "native"
    cpus = call("os.cpu_count")
    budgets = Record("Budgets", {"cpu_budget": cpus, "ram_budget_bytes": Known(None), "threadpool_size": Known(None)})
    plain = {
        "kind": "folder",
        "folder": _FOLDER,
        "batch_size": case.batch_size,
        "interpolation": _interpolation(case),
        "seed": 0,
        "is_native": is_native,
        "is_subset": False,
        "links": None,
        "features": None,
        "shuffle": case.shuffle,
        "deterministic": case.deterministic,
        "cache": case.cache,
        "cache_prefix": CACHE_PREFIX if is_on_disk(case.cache) else None,
        "element": case.element,
        "compression": case.cache_compression,
        "decoding": case.decoding,
        "augment": case.augment,
        "is_reused": False,
        "give_up": None,
    }
    made: dict[str, Value] = {key: Known(value) for key, value in plain.items()}
    lists = {"files": name("files"), "paths": name("files"), "labels": name("labels"), "classes": name("classes")}
    size = Items([Known(side) for side in case.image_size])
    return Record("LoaderContext", {**made, **lists, "image_size": size, "cpus": cpus, "budgets": budgets})


def _leaves() -> dict[str, Leaf]:
    """What the payload does for itself alone: looking for files, checking them, watching workers, describing."""
    nothing, yes = Leaf(lambda _: Known(None)), Leaf(lambda _: Known(True))
    folders = Leaf(lambda _: Items([Known(_FOLDER), name("classes")]))
    return {
        "loaders.interface.refuse_other_files": nothing,
        "loaders.class_folders.find_class_folders": folders,
        "loaders.workers.watch_workers": nothing,
        "loaders.decoding.uses_jpeg_op": yes,
        "loaders.decoding._refuse": nothing,
        "loaders.keeping._leave_out_failures": Leaf(lambda given: given[0]),
        "loaders.keeping._refuse_incomplete": nothing,
        "loaders.decoding.describe_decoder": nothing,
    }


def _facts(case: Case) -> dict[str, bool]:
    """``nearest`` keeps the decoder's uint8; every other interpolation makes float32 of it."""
    return {"image.dtype == tf.uint8": _interpolation(case) == "nearest"}


def _interpolation(case: Case) -> str:
    return native_interpolation(case.loader) if case.interpolation == "native" else case.interpolation


def _write_head(used: set[str], imports: dict[str, str]) -> str:
    wanted = {one for key in _FILES if key in used for one in (key, *_NEEDS[key])}
    files = [text for key, text in _FILES.items() if key in wanted]
    needed = {text for key, text in imports.items() if key in used}
    if "os" in used:
        needed.add("import os")
    if files:
        needed.add("import pathlib")
    standard = sorted(text.removeprefix("import ") for text in needed if text.removeprefix("import ") in _STANDARD)
    lines = [f"import {', '.join(standard)}"] if standard else []
    lines += sorted(text for text in needed if text.removeprefix("import ") not in _STANDARD)
    return "\n".join([*lines, "", *files, *([""] if files else [])]) + "\n"
