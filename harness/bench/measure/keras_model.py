"""Build the model of a training case: a classifier on a base of ``keras.applications``."""

from __future__ import annotations

import inspect
import os
from typing import Any

import keras
import numpy as np

from ..loaders.interface import CHANNELS, SCALE
from ..protocol.failure import BenchmarkFailure
from .measure_request import ModelSetting


def build_model(
    setting: ModelSetting,
    *,
    image_size: tuple[int, int],
    classes: int,
    weights_path: str | None,
    precision: str,
    deliver: str = "float32",
) -> Any:
    """Return a model for images (batch, height, width, 3) from 0 to 1 and integer labels, compiled only if emulated.

    If ``deliver`` is uint8, the model takes values from 0 to 255 and begins with the layer that scales them.
    ``setting`` is a case's ``model``. ``weights_path`` is the file for ``weights`` other than ``none``: nothing is ever
    downloaded. Raises BenchmarkFailure ``weights`` if the file is missing or does not fit.
    """
    keras.mixed_precision.set_global_policy(precision)
    if setting.is_emulated:
        from .emulation import build_emulated

        return build_emulated(setting, image_size, classes)
    base = build_base(setting, image_size)
    if setting.weights != "none":
        load_weights(base, setting, weights_path)
    base.trainable = setting.trainable
    inputs, features = base.input, base.output
    if deliver == "uint8":
        inputs = keras.Input((*image_size, CHANNELS), dtype="uint8")
        features = base(make_rescaling()(inputs))
    outputs = keras.layers.GlobalAveragePooling2D()(features)
    outputs = keras.layers.Dense(classes, activation="softmax", dtype="float32")(outputs)
    return keras.Model(inputs, outputs)


def make_rescaling() -> Any:
    """Return the layer that scales uint8 to the same float32 values that the loaders deliver."""
    return keras.layers.Rescaling(SCALE)


def build_base(setting: ModelSetting, image_size: tuple[int, int]) -> Any:
    """Return the base without its top, with random weights. Raises BenchmarkFailure for an unknown name."""
    make = find_application(setting.name)
    options: dict[str, float] = {}
    if "alpha" in inspect.signature(make).parameters:
        options["alpha"] = setting.alpha
    elif setting.alpha != 1.0:
        raise BenchmarkFailure("error", f"the model {make.__name__} has no `alpha`: leave it out, or use mobilenet")
    return make(include_top=False, weights=None, input_shape=(*image_size, 3), **options)


def find_application(name: str) -> Any:
    """Return the function of ``keras.applications`` with this name, ignoring case and separators."""
    makers = {_plain(key): value for key, value in vars(keras.applications).items() if key[:1].isupper()}
    try:
        return makers[_plain(name)]
    except KeyError:
        known = ", ".join(sorted(makers))
        raise BenchmarkFailure("error", f"keras.applications has no model `{name}`; it has {known}") from None


def load_weights(base: Any, setting: ModelSetting, path: str | None) -> None:
    """Load the weights of the base from a file. Raises BenchmarkFailure ``weights``."""
    cure = "give the file of weights without the top (…_no_top.h5) as `weights: PATH`, or use `weights: none`"
    if path is None or not os.path.isfile(path):
        raise BenchmarkFailure("weights", f"the job has no file of weights for `{setting.weights}`: {cure}")
    before = sum_kernels(base)
    try:
        base.load_weights(path)
        if any(old == new for old, new in zip(before, sum_kernels(base), strict=True)):
            raise ValueError("Keras skipped layers that the file does not have, with a warning only")
    except (OSError, ValueError, KeyError) as error:
        name = os.path.basename(path)
        raise BenchmarkFailure(
            "weights", f"{name} does not hold weights of {setting.name} (alpha {setting.alpha}): {cure}"
        ) from error


def sum_kernels(base: Any) -> list[float]:
    """Return the sum of each kernel's values; all start at random, so an unchanged one was not loaded from the file."""
    return [float(np.sum(one.value.numpy(), dtype=np.float64)) for one in base.variables if len(one.shape) > 1]


def _plain(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter.isalnum())
