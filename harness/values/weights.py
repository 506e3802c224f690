"""The weights file that a training case needs: by model, width and image size, as Keras names it."""

from __future__ import annotations

from dataclasses import dataclass

from harness.values.case import Case, ModelSetting

KERAS_FOLDER = "~/.keras/models"
"""The folder of Keras's downloads (keras.utils.get_file, cache_subdir ``models``)."""

_MOBILENET_SIZES = (128, 160, 192, 224)
_MOBILENET_ALPHAS = {1.0: "1_0", 0.75: "7_5", 0.5: "5_0", 0.25: "2_5"}
_STEMS = {"inceptionv3": "inception_v3", "inceptionresnetv2": "inception_resnet_v2"}


@dataclass(frozen=True)
class WeightsFile:
    """A weights file on a host, and the SHA-256 of its content."""

    path: str
    sha256: str


def weights_key(case: Case) -> str | None:
    """Return the key of a case's weights: Keras's file name for ``imagenet``, else the path; None without weights."""
    if case.model is None or case.model.weights == "none":
        return None
    return weights_path(case.model, case.image_size).removeprefix(f"{KERAS_FOLDER}/")


def weights_path(model: ModelSetting, image_size: tuple[int, int]) -> str:
    """Return the path of a model's weights; for ``imagenet``, where Keras stores the weights without the top."""
    if model.weights != "imagenet":
        return model.weights
    return f"{KERAS_FOLDER}/{keras_file_name(model.name, model.alpha, image_size)}"


def keras_file_name(name: str, alpha: float, image_size: tuple[int, int]) -> str:
    """Return the name that keras.applications gives the file of ImageNet weights without the top.

    MobileNet and MobileNetV2 have a file for each of four image sizes and use that of 224 for all others.
    """
    height, width = image_size
    rows = height if height == width and height in _MOBILENET_SIZES else 224
    if name == "mobilenet":
        return f"mobilenet_{_MOBILENET_ALPHAS.get(alpha, str(alpha))}_{rows}_tf_no_top.h5"
    if name == "mobilenetv2":
        return f"mobilenet_v2_weights_tf_dim_ordering_tf_kernels_{float(alpha)}_{rows}_no_top.h5"
    if name.startswith("mobilenetv3"):
        return f"weights_mobilenet_v3_{name.removeprefix('mobilenetv3')}_224_{float(alpha)}_float_no_top_v2.h5"
    if name.startswith("nasnet"):
        return f"nasnet_{name.removeprefix('nasnet')}_no_top.h5"
    if name.startswith("convnext"):
        return f"convnext_{name.removeprefix('convnext')}_notop.h5"
    if name.startswith("efficientnetv2"):
        return f"efficientnetv2-{name.removeprefix('efficientnetv2')}_notop.h5"
    if name.startswith("efficientnet"):
        return f"{name}_notop.h5"
    return f"{_STEMS.get(name, name)}_weights_tf_dim_ordering_tf_kernels_notop.h5"
