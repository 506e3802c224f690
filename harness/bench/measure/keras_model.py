"""The model that a training case trains: a classifier on a base of ``keras.applications``."""

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
    """A compiled model for images (batch, height, width, 3) from 0 to 1 and integer labels.

    Where ``deliver`` is uint8 it is for grey levels, and begins with the layer that scales them.
    ``setting`` is a case's ``model``. ``weights_path`` is the file for ``weights`` other than ``none``: nothing is ever
    downloaded, and a file that is missing or does not fit is a failure ``weights``, never another model in silence.
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
    """The layer that makes of uint8 what the loaders deliver as float32: the same numbers."""
    return keras.layers.Rescaling(SCALE)


def build_base(setting: ModelSetting, image_size: tuple[int, int]) -> Any:
    """The base without its top, with random weights."""
    make = find_application(setting.name)
    options: dict[str, float] = {}
    if "alpha" in inspect.signature(make).parameters:
        options["alpha"] = setting.alpha
    elif setting.alpha != 1.0:
        raise BenchmarkFailure("error", f"the model {make.__name__} has no `alpha`: leave it out, or take mobilenet")
    return make(include_top=False, weights=None, input_shape=(*image_size, 3), **options)


def find_application(name: str) -> Any:
    """The function of ``keras.applications`` with this name, whatever its capitals and separators."""
    makers = {_plain(key): value for key, value in vars(keras.applications).items() if key[:1].isupper()}
    try:
        return makers[_plain(name)]
    except KeyError:
        known = ", ".join(sorted(makers))
        raise BenchmarkFailure("error", f"keras.applications has no model `{name}`; it has {known}") from None


def load_weights(base: Any, setting: ModelSetting, path: str | None) -> None:
    """Load the weights of the base from a file."""
    cure = "give the file of weights without the top (…_no_top.h5) as `weights: PATH`, or take `weights: none`"
    if path is None or not os.path.isfile(path):
        raise BenchmarkFailure("weights", f"no file of weights for `{setting.weights}` came with the job: {cure}")
    before = sum_kernels(base)
    try:
        base.load_weights(path)
        if any(old == new for old, new in zip(before, sum_kernels(base), strict=True)):
            raise ValueError("Keras passed over layers that the file does not have, and warned only")
    except (OSError, ValueError, KeyError) as error:
        name = os.path.basename(path)
        raise BenchmarkFailure(
            "weights", f"{name} does not hold weights of {setting.name} (alpha {setting.alpha}): {cure}"
        ) from error


def sum_kernels(base: Any) -> list[float]:
    """The sum of each kernel's values. All start at random, so one that stays as it was came from no file."""
    return [float(np.sum(one.value.numpy(), dtype=np.float64)) for one in base.variables if len(one.shape) > 1]


def _plain(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter.isalnum())
