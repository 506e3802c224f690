"""Recipes: a winner as plain tf.data or Keras to paste; the texts stand beside the loaders that ran."""

from __future__ import annotations

from harness.bench.loaders.recipes import write_recipe
from harness.report.view import Recipe
from harness.report.words import clean_text
from harness.values.case import Case


def view_recipe(name: str, case: Case) -> Recipe | None:
    """The code of a case's pipeline; None where no text is written for it."""
    if case.decoding != "exact" or case.cache_compression != "none":
        return None
    code = write_recipe(
        case.loader,
        cache=case.cache,
        element=case.element,
        interpolation=case.interpolation,
        image_size=case.image_size,
        batch_size=case.batch_size,
    )
    return None if code is None else Recipe(clean_text(name), code)
