"""Which file of ImageNet weights a case needs: as Keras names it."""

from __future__ import annotations

from typing import Any

import pytest

from harness.experiment.words import IMAGENET_ALPHAS
from harness.values.case import APPLICATIONS, Case, ModelSetting
from harness.values.weights import keras_file_name, weights_key, weights_path

AS_KERAS_NAMES_THEM = {
    ("mobilenet", 0.25, (128, 128)): "mobilenet_2_5_128_tf_no_top.h5",
    ("mobilenet", 1.0, (224, 224)): "mobilenet_1_0_224_tf_no_top.h5",
    ("mobilenet", 0.75, (256, 256)): "mobilenet_7_5_224_tf_no_top.h5",
    ("mobilenet", 0.5, (128, 160)): "mobilenet_5_0_224_tf_no_top.h5",
    ("mobilenetv2", 0.35, (160, 160)): "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_0.35_160_no_top.h5",
    ("mobilenetv2", 1.0, (32, 32)): "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224_no_top.h5",
    ("mobilenetv3large", 1.0, (128, 128)): "weights_mobilenet_v3_large_224_1.0_float_no_top_v2.h5",
    ("mobilenetv3small", 0.75, (224, 224)): "weights_mobilenet_v3_small_224_0.75_float_no_top_v2.h5",
    ("resnet50", 1.0, (224, 224)): "resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5",
    ("resnet152v2", 1.0, (224, 224)): "resnet152v2_weights_tf_dim_ordering_tf_kernels_notop.h5",
    ("densenet121", 1.0, (64, 64)): "densenet121_weights_tf_dim_ordering_tf_kernels_notop.h5",
    ("inceptionv3", 1.0, (256, 256)): "inception_v3_weights_tf_dim_ordering_tf_kernels_notop.h5",
    ("inceptionresnetv2", 1.0, (256, 256)): "inception_resnet_v2_weights_tf_dim_ordering_tf_kernels_notop.h5",
    ("xception", 1.0, (256, 256)): "xception_weights_tf_dim_ordering_tf_kernels_notop.h5",
    ("vgg16", 1.0, (256, 256)): "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5",
    ("nasnetmobile", 1.0, (224, 224)): "nasnet_mobile_no_top.h5",
    ("nasnetlarge", 1.0, (331, 331)): "nasnet_large_no_top.h5",
    ("convnexttiny", 1.0, (224, 224)): "convnext_tiny_notop.h5",
    ("efficientnetb0", 1.0, (224, 224)): "efficientnetb0_notop.h5",
    ("efficientnetv2b3", 1.0, (224, 224)): "efficientnetv2-b3_notop.h5",
    ("efficientnetv2s", 1.0, (224, 224)): "efficientnetv2-s_notop.h5",
}
"""As keras.applications 3.12 asks for them, with weights="imagenet" and include_top=False."""


def make_case(image_size: tuple[int, int] = (224, 224), **model: Any) -> Case:
    setting = ModelSetting(**{"weights": "imagenet", **model})
    return Case(data="d", loader="tfdata", mode="train", image_size=image_size, model=setting)


@pytest.mark.parametrize(("wanted", "name"), AS_KERAS_NAMES_THEM.items(), ids=AS_KERAS_NAMES_THEM.values())
def test_a_file_is_named_as_keras_names_it(wanted: tuple[str, float, tuple[int, int]], name: str) -> None:
    assert keras_file_name(*wanted) == name


@pytest.mark.tensorflow
@pytest.mark.filterwarnings("ignore:`input_shape` is undefined or non-square")  # Keras says so of 256, as it should
@pytest.mark.parametrize(
    ("model", "alpha", "size"),
    [("MobileNet", 0.25, 128), ("MobileNet", 0.5, 256), ("MobileNetV2", 0.35, 128), ("ResNet50", None, 224)],
)
def test_this_keras_asks_for_that_file(
    model: str, alpha: float | None, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    import keras
    from keras.src.utils import file_utils

    class Asked(Exception):
        pass

    def refuse(name: str, *_words: Any, **_more: Any) -> None:
        raise Asked(name)

    monkeypatch.setattr(file_utils, "get_file", refuse)
    options = {} if alpha is None else {"alpha": alpha}
    with pytest.raises(Asked) as asked:
        getattr(keras.applications, model)(include_top=False, input_shape=(size, size, 3), **options)
    assert str(asked.value) == keras_file_name(model.lower(), alpha or 1.0, (size, size))


def test_no_two_models_share_a_file() -> None:
    models = [(name, alpha) for name in map(str.lower, APPLICATIONS) for alpha in IMAGENET_ALPHAS.get(name, (1.0,))]
    names = {keras_file_name(name, alpha, (224, 224)) for name, alpha in models}
    assert len(names) == len(models) == 40 + 3 + 5 + 1 + 1


def test_a_case_is_keyed_by_model_width_and_size_or_by_its_own_file() -> None:
    assert weights_key(make_case(weights="none")) is None
    assert weights_key(Case(data="d", loader="tfdata")) is None
    assert weights_key(make_case(weights="/models/mine.weights.h5")) == "/models/mine.weights.h5"
    keys = [
        weights_key(case)
        for case in (make_case(), make_case(alpha=0.25), make_case((128, 128), alpha=0.25), make_case(name="resnet50"))
    ]
    assert keys == [
        "mobilenet_1_0_224_tf_no_top.h5",
        "mobilenet_2_5_224_tf_no_top.h5",
        "mobilenet_2_5_128_tf_no_top.h5",
        "resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5",
    ]
    assert weights_path(ModelSetting(weights="imagenet"), (64, 64)) == (
        "~/.keras/models/mobilenet_1_0_224_tf_no_top.h5"
    )
