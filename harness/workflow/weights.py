"""Where a model's weights lie. Never a silent fallback, and nothing is ever downloaded."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from harness.hosts.folders import resolve_path
from harness.ship.datatransfer import ship_weights
from harness.values.case import Case, ModelSetting
from harness.values.errors import ConfigurationError
from harness.values.event import Event, Progress

if TYPE_CHECKING:
    from harness.workflow.reaching import Reached
    from harness.workflow.transfers import Transfers

_MOBILENET_SIZES = (128, 160, 192, 224)
_ALPHA_WORDS = {1.0: "1_0", 0.75: "7_5", 0.5: "5_0", 0.25: "2_5"}


def find_weights(
    cases: Sequence[Case],
    reached: Reached,
    transfers: Transfers | None = None,
    emit: Callable[[Event], None] = lambda event: None,
) -> dict[str, str]:
    """Path on the host by the ``weights`` of these cases. Raises ConfigurationError for one that is not there.

    A file of this machine goes to another host's scratch by its content, so that all hosts have the same one.
    """
    found: dict[str, str] = {}
    for case in cases:
        if case.model is None or case.model.weights == "none" or case.model.weights in found:
            continue
        wanted = case.model.weights
        path = keras_cache_path(case.model, case.image_size) if wanted == "imagenet" else wanted
        shipped = _ship(path, reached, transfers, emit)
        if shipped is not None:
            found[wanted] = shipped
            continue
        resolved = resolve_path(reached.connection, path)
        if reached.connection.run(["test", "-r", resolved]).returncode != 0:
            raise ConfigurationError(
                f"weights: {wanted}: no file {resolved} that can be read",
                where=reached.name,
                hint="put it there, name another with `weights: PATH`, or use `weights: none` (the same cost per step)",
            )
        found[wanted] = resolved
    return found


def _ship(path: str, reached: Reached, transfers: Transfers | None, emit: Callable[[Event], None]) -> str | None:
    """Where the file lies on the host after it was sent; None where nothing is to be sent."""
    here = Path(path).expanduser()
    if transfers is None or reached.host.connection == "local" or not here.is_file():
        return None

    def show(text: str, share: float | None = None) -> None:
        emit(Progress(reached.name, f"weights {here.name}: {text}", share))

    return ship_weights(reached.connection, reached.scratch, here, transfers.slots, show)


def keras_cache_path(model: ModelSetting, image_size: tuple[int, int]) -> str:
    """Where Keras itself keeps MobileNet's ImageNet weights without the top (keras.applications.mobilenet)."""
    height, width = image_size
    rows = height if height == width and height in _MOBILENET_SIZES else 224
    return f"~/.keras/models/mobilenet_{_ALPHA_WORDS.get(model.alpha, model.alpha)}_{rows}_tf_no_top.h5"
