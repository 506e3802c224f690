"""The loaders: ``make(context) -> Loader``, found by their names in the registry or as files of the user."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable
from importlib import metadata
from typing import TYPE_CHECKING, Any

from ..protocol.failure import BenchmarkFailure
from ..protocol.loader_registry import LOADERS
from ..protocol.own_loader import ENTRY_POINTS, locate, split_own
from ..protocol.specs import OWN_ORDER

if TYPE_CHECKING:
    from .interface import Loader, LoaderContext


def find_maker(name: str) -> Callable[[LoaderContext], Loader]:
    """Return the function that makes a loader; its module is imported only now."""
    kind, _, rest = LOADERS[name].maker.partition(":")
    if kind == "entry":
        return _checked(name, next(iter(metadata.entry_points(group=ENTRY_POINTS, name=rest))).load())
    own = split_own(name)
    if own is not None:
        spec = importlib.util.spec_from_file_location("own_loader", locate(own[0]))
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return _checked(name, getattr(module, own[1]))
    maker: Callable[[LoaderContext], Loader] = getattr(importlib.import_module(f"..{kind}", __name__), rest)
    return maker


def _checked(name: str, make: Callable[[LoaderContext], Any]) -> Callable[[LoaderContext], Loader]:
    """Wrap a user's function that may return a ``tf.data.Dataset`` of batches, so that it returns a Loader."""
    import tensorflow as tf

    from .interface import Loader

    def made(context: LoaderContext) -> Loader:
        found = make(context)
        if isinstance(found, Loader):
            found.workers = context.workers if found.workers is None else found.workers
            return found
        if not hasattr(found, "element_spec"):
            what = type(found).__name__
            raise BenchmarkFailure("error", f"{name} returned a {what}: return a tf.data.Dataset or a Loader")
        if int(found.cardinality()) < 0:  # unknown: `fit` would run one step too many
            steps = -(-len(context.paths) // context.batch_size)
            found = found.apply(tf.data.experimental.assert_cardinality(steps))
        return Loader(
            dataset=found,
            images=len(context.paths),
            batch_size=context.batch_size,
            element_spec=found.element_spec,
            order=OWN_ORDER,
            decoder="the loader's own",
            takes_budgets=False,
            workers=context.workers,
        )

    return made
