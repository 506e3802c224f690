"""Training through ``model.fit``: what is counted, when clocks run, and that nothing is traced after they started."""

from __future__ import annotations

import json
import os
import time
import weakref
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
np = pytest.importorskip("numpy")
tf = pytest.importorskip("tensorflow", reason="TensorFlow is not installed here: extra `process-cpu`")

import keras  # noqa: E402
from bench_images import ENOUGH_WORKERS, Made, make_images  # noqa: E402

from harness.bench.measure import emulation, load_epochs, training  # noqa: E402
from harness.bench.measure.event_log import Journal  # noqa: E402
from harness.bench.measure.invocation import make_loader  # noqa: E402
from harness.bench.measure.keras_model import build_base, build_model, find_application  # noqa: E402
from harness.bench.measure.measure_request import ModelSetting  # noqa: E402
from harness.bench.measure.meter import Meter  # noqa: E402
from harness.bench.protocol.failure import BenchmarkFailure  # noqa: E402
from harness.bench.protocol.loader_registry import LOADERS  # noqa: E402

pytestmark = [
    pytest.mark.tensorflow,
    pytest.mark.filterwarnings("ignore:Skipping nested container"),
]
SETTING = ModelSetting("mobilenet", alpha=0.25)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return make_images(tmp_path_factory.mktemp("images"))


def _model(**changes: Any) -> Any:
    return build_model(
        replace(SETTING, **changes), image_size=(32, 32), classes=4, weights_path=None, precision="float32"
    )


def _small_model() -> Any:
    """A model that is traced at once, for what is the same with every model."""
    return keras.Sequential([keras.Input((32, 32, 3)), keras.layers.Flatten(), keras.layers.Dense(4, "softmax")])


def _values(model: Any) -> list[Any]:
    """The values of all variables. ``np.array`` of a Keras variable goes a way that NumPy 2 deprecates."""
    return [variable.value.numpy() for variable in model.variables]


def _meter(tmp_path: Path, images: int, calls: list[Any]) -> Meter:
    return Meter(
        Journal(tmp_path / "events.jsonl"),
        images,
        prepare=lambda index: calls.append(("prepare", index)),
        settle=lambda index: calls.append(("settle", index)),
        publish=calls.append,
    )


@pytest.mark.parametrize("name", list(LOADERS))
def test_every_loader_trains_without_tracing_after_the_warm_up(
    made: Made, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    traces: list[int] = []
    update = training.ImageCount.update_state

    def count_traces(self: Any, *arguments: Any, **options: Any) -> None:
        traces.append(1)
        update(self, *arguments, **options)

    monkeypatch.setattr(training.ImageCount, "update_state", count_traces)
    model = _model() if name == "tfdata-tuned" else _small_model()
    training.compile_model(model)
    loader = make_loader(name, made.context(tmp_path / "scratch", workers=ENOUGH_WORKERS.get(name)))
    before = _values(model)
    assert training.warm_up(loader, model) > 0
    assert all(np.array_equal(old, new) for old, new in zip(before, _values(model), strict=True))
    assert int(model.optimizer.iterations) == 0
    traced = len(traces)
    assert traced > 0
    calls: list[Any] = []
    training.train(model, loader, 2, _meter(tmp_path, 13, calls))
    assert len(traces) == traced
    assert int(model.optimizer.iterations) == 8
    epochs = [call for call in calls if isinstance(call, dict)]
    assert [epoch["index"] for epoch in epochs] == [1, 2]
    assert [epoch["images"] for epoch in epochs] == [13, 13]
    assert all(0 < epoch["first_batch_s"] <= epoch["seconds"] and epoch["cpu_s"] > 0 for epoch in epochs)
    assert [call for call in calls if isinstance(call, tuple)] == [
        ("prepare", 1),
        ("settle", 1),
        ("prepare", 2),
        ("settle", 2),
    ]
    progress = [json.loads(line) for line in (tmp_path / "events.jsonl").read_text().splitlines()]
    assert [(line["epoch"], line["step"], line["images"]) for line in progress if line["step"] == 1] == [
        (1, 1, 4),
        (2, 1, 4),
    ]


def test_the_warm_up_sees_the_full_and_the_short_batch(made: Made, tmp_path: Path) -> None:
    sizes = {size: make_loader("tfdata", made.context(tmp_path / "s", batch_size=size)) for size in (4, 13, 32)}
    assert {size: training.find_batch_sizes(loader) for size, loader in sizes.items()} == {
        4: [4, 1],
        13: [13],
        32: [13],
    }


def test_an_epoch_with_other_images_than_the_data_set_is_a_failure(made: Made, tmp_path: Path) -> None:
    model = _small_model()
    training.compile_model(model)
    loader = make_loader("tfdata", made.context(tmp_path / "scratch"))
    loader.dataset = loader.dataset.take(2)
    with pytest.raises(BenchmarkFailure, match="epoch 1 delivered 8 of 13 images"):
        training.train(model, loader, 1, _meter(tmp_path, 13, []))


def test_the_base_is_frozen_and_only_the_classifier_learns() -> None:
    model = _model()
    assert [tuple(value.shape) for value in model.trainable_variables] == [(256, 4), (4,)]
    assert len(_model(trainable=True).trainable_variables) > 2


def test_precision_is_what_the_case_says() -> None:
    """Half precision inside, full precision in variables and in the output."""
    whole, half = (
        build_model(SETTING, image_size=(32, 32), classes=4, weights_path=None, precision=precision)
        for precision in ("float32", "mixed_float16")
    )
    keras.mixed_precision.set_global_policy("float32")
    assert {layer.compute_dtype for layer in whole.layers} == {"float32"}
    first = half.get_layer("conv1")
    assert (first.compute_dtype, first.variable_dtype) == ("float16", "float32")
    assert half.output.dtype == "float32"


@pytest.mark.parametrize("xla", [False, True])
def test_xla_compiles_the_step_where_it_was_asked_for(made: Made, tmp_path: Path, xla: bool) -> None:
    model = _small_model()
    training.compile_model(model, xla=xla)
    assert model.jit_compile is xla
    calls: list[Any] = []
    training.train(model, make_loader("tfdata", made.context(tmp_path / "scratch")), 1, _meter(tmp_path, 13, calls))
    assert [call["images"] for call in calls if isinstance(call, dict)] == [13]


def test_models_are_found_by_name_and_unknown_ones_named() -> None:
    assert find_application("mobilenet").__name__ == "MobileNet"
    assert find_application("efficientnet-b0").__name__ == "EfficientNetB0"
    with pytest.raises(BenchmarkFailure, match="no model `lenet`"):
        find_application("lenet")
    with pytest.raises(BenchmarkFailure, match="has no `alpha`"):
        build_base(ModelSetting("resnet50", alpha=0.5), (32, 32))


@pytest.mark.filterwarnings(
    "ignore:__array__ implementation:DeprecationWarning:keras.src"
)  # Keras on its own variables
def test_weights_come_from_a_file_or_not_at_all(tmp_path: Path) -> None:
    base = build_base(SETTING, (32, 32))
    base.save_weights(tmp_path / "mine.weights.h5")
    options: dict[str, Any] = {"image_size": (32, 32), "classes": 4, "precision": "float32"}
    loaded = build_model(replace(SETTING, weights="x"), weights_path=str(tmp_path / "mine.weights.h5"), **options)
    assert np.array_equal(_values(loaded)[0], _values(base)[0])
    for path in (None, str(tmp_path / "absent.h5")):
        with pytest.raises(BenchmarkFailure, match="the job has no file of weights for `imagenet`") as caught:
            build_model(replace(SETTING, weights="imagenet"), weights_path=path, **options)
        assert caught.value.kind == "weights"
    with pytest.raises(BenchmarkFailure, match="does not hold weights of mobilenet") as caught:
        setting = replace(SETTING, alpha=0.5, weights="imagenet")
        build_model(setting, weights_path=str(tmp_path / "mine.weights.h5"), **options)
    assert caught.value.kind == "weights"
    other = build_base(ModelSetting("mobilenet_v2", alpha=0.35), (32, 32))
    other.save_weights(tmp_path / "other.weights.h5")
    with pytest.raises(BenchmarkFailure, match=r"other\.weights\.h5 does not hold"):
        build_model(replace(SETTING, weights="x"), weights_path=str(tmp_path / "other.weights.h5"), **options)
    (tmp_path / "torn.h5").write_bytes(b"not HDF5")
    with pytest.raises(BenchmarkFailure, match=r"torn\.h5 does not hold"):
        build_model(replace(SETTING, weights="imagenet"), weights_path=str(tmp_path / "torn.h5"), **options)


def test_an_emulated_accelerator_works_in_time_of_its_own() -> None:
    """A queue of one: handing over returns when the device begins, and what the host does meanwhile costs nothing."""
    device = emulation.Device(None, 0.05)
    begun = time.perf_counter()
    device.take(32)
    assert time.perf_counter() - begun < 0.05  # it was idle: it begins at once
    time.sleep(0.03)  # the host is busy, and in time
    device.take(32)
    assert time.perf_counter() - begun >= 0.05
    device.wait()
    assert time.perf_counter() - begun >= 0.1
    time.sleep(0.06)  # the host is late: the device waited, and does not catch up
    device.take(32)
    device.wait()
    assert time.perf_counter() - begun >= 0.21
    pace = emulation.Device(1000.0, None)
    begun = time.perf_counter()
    for size in (40, 40, 20):
        pace.take(size)
    pace.wait()
    assert time.perf_counter() - begun >= 0.1


@pytest.mark.parametrize("name", ["tfdata", "keras-idg", "grain", "ceiling"])
def test_emulated_training_takes_real_batches_and_no_less_time_than_the_device(
    made: Made, tmp_path: Path, name: str
) -> None:
    setting = ModelSetting("emulated", images_per_second=200.0)
    model = build_model(setting, image_size=(32, 32), classes=4, weights_path=None, precision="float32")
    loader = make_loader(name, made.context(tmp_path / "scratch"))
    training.warm_up(loader, model)
    calls: list[Any] = []
    training.train(model, loader, 2, _meter(tmp_path, 13, calls))
    epochs = [call for call in calls if isinstance(call, dict)]
    assert [epoch["images"] for epoch in epochs] == [13, 13]
    assert all(epoch["seconds"] >= 13 / 200 for epoch in epochs)
    if name == "tfdata":
        loader.dataset = loader.dataset.take(2)
        with pytest.raises(BenchmarkFailure, match="epoch 1 delivered 8 of 13 images"):
            training.train(model, loader, 1, _meter(tmp_path, 13, []))


@pytest.mark.parametrize("mode", ["train", "load"])
def test_iterators_are_taken_down_between_the_clocks(
    made: Made, tmp_path: Path, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made_ones: list[weakref.ref[Any]] = []
    make = tf.data.Dataset.__iter__

    def note(dataset: Any) -> Any:
        iterator = make(dataset)
        made_ones.append(weakref.ref(iterator))
        return iterator

    def alive() -> list[int]:
        return [number for number, one in enumerate(made_ones) if one() is not None]

    loader = make_loader("tfdata", made.context(tmp_path / "scratch"))
    model = _small_model()
    training.compile_model(model)
    training.warm_up(loader, model)
    seen: list[tuple[str, int, list[int]]] = []
    before: dict[int, int] = {}

    def prepare(index: int) -> None:
        before[index] = len(made_ones)
        seen.append(("prepare", index, alive()))

    meter = Meter(
        Journal(tmp_path / "events.jsonl"),
        13,
        prepare=prepare,
        settle=lambda index: seen.append(("settle", index, alive())),  # the clock has just been stopped
        publish=lambda _epoch: None,
    )
    monkeypatch.setattr(tf.data.Dataset, "__iter__", note)
    if mode == "train":
        training.train(model, loader, 3, meter)
        held = {(name, index): set(numbers) for name, index, numbers in seen}
        first_epoch = set(range(before[1], before[2]))
        assert first_epoch and first_epoch <= held["settle", 1] & held["prepare", 2] & held["settle", 2]
        assert not first_epoch & held["prepare", 3]
        assert set(range(before[2], before[3])) <= held["settle", 3]
    else:
        load_epochs.load(loader, 2, meter)
        assert seen == [("prepare", 1, []), ("settle", 1, [0]), ("prepare", 2, []), ("settle", 2, [1])]
    assert tf.data.Dataset.__iter__ is note
