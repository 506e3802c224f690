"""Find plugins by their files: each module of a package defines one. Standard library only."""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
from typing import TypeVar

T = TypeVar("T")


def module_names(package: str) -> tuple[str, ...]:
    """Return the names of a package's modules, sorted, without importing them."""
    spec = importlib.util.find_spec(package)
    places = () if spec is None else spec.submodule_search_locations or ()
    return tuple(sorted(module.name for module in pkgutil.iter_modules(places)))


def load_constant(module: str, name: str, kind: type[T]) -> T:
    """Import a module and return a constant that it must define. Raises TypeError if it is missing or of wrong type."""
    value = getattr(importlib.import_module(module), name, None)
    if not isinstance(value, kind):
        raise TypeError(f"{module} must hold {name}, of type {kind.__name__}")
    return value


def load_constants(package: str, name: str, kind: type[T]) -> tuple[T, ...]:
    """Import all modules of a package, in the order of their names, and return the constant that each must define."""
    return tuple(load_constant(f"{package}.{module}", name, kind) for module in module_names(package))
