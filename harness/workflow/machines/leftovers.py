"""What ``harness clean`` finds on a host: what is removed, and what stays, with size and reason."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from harness.engine.daemon import talking
from harness.engine.dockerinfo import ListedImage, list_images
from harness.engine.interface import Engine, ImageEngine
from harness.engine.jobs import CUDA_FOLDER
from harness.engine.registry import load_engine
from harness.hosts.own_folders import OwnFolder
from harness.ship.data_inspection import DESCRIBED_FOLDER
from harness.ship.dataset_check import DATA_FOLDER, DATASETS_FOLDER
from harness.ship.datatransfer import SHIPPED_FOLDER
from harness.ship.environment import ENVIRONMENTS_FOLDER
from harness.ship.image import LABEL_DEFINITION
from harness.ship.rehearsing import REHEARSAL
from harness.ship.same_work_proof import PROOFS_FOLDER
from harness.ship.stage_costing import STAGE_COSTS
from harness.ship.transfer.image_sources import tagged
from harness.ship.weights import WEIGHTS_FOLDER
from harness.values.errors import EngineError
from harness.values.text import cap_list, clean_text

if TYPE_CHECKING:
    from docker.api.client import APIClient

    from harness.engine.reached import Reached

_DATA = "data sets, weights and file lists"
DATA_FOLDERS = (DATA_FOLDER, DATASETS_FOLDER, DESCRIBED_FOLDER, SHIPPED_FOLDER, WEIGHTS_FOLDER)

_RESULTS = "results of same-work checks, trial runs and stage timings"
RESULT_FOLDERS = (REHEARSAL.folder, PROOFS_FOLDER, STAGE_COSTS.folder, CUDA_FOLDER)

_ENVIRONMENTS = "environments of the engine process"

_CACHE = "cache of the controller"
_CACHE_FOLDERS = ("images", "base", "hashes", "wheels")
"""Caches of the controller. They lie in the scratch folder of its own machine, unless the inventory names another."""

_WHY_KEPT = {
    _DATA: "the next session can use it; --data removes it",
    _RESULTS: "the next session can use them; --all removes them",
    _ENVIRONMENTS: "the next session can use them; --environments removes them",
    _CACHE: "it is filled again when needed; to remove it, delete it while no command runs",
}

KNOWN_FOLDERS = (*DATA_FOLDERS, *RESULT_FOLDERS, ENVIRONMENTS_FOLDER, *_CACHE_FOLDERS)


@dataclass(frozen=True)
class Leftover:
    """Something that harness left on a host. ``is_removed``: it was removed; ``stays``: it is meant to stay.

    ``bytes`` is its size; None if not known.
    """

    host: str
    what: str
    name: str
    why: str
    is_removed: bool = True
    stays: bool = False
    bytes: int | None = None


def leave_folder(host: str, folder: OwnFolder, why: str, *, is_removed: bool = False, stays: bool = False) -> Leftover:
    """Describe a folder in the scratch folder, and whether it was removed."""
    return Leftover(host, _kind(folder), folder.path, why, is_removed, stays, folder.bytes)


def keep_folder(host: str, folder: OwnFolder, living: str | None) -> Leftover:
    """Describe a folder that stays. ``living`` is the session that runs on the host, if any."""
    kind = _kind(folder)
    why = f"session {living} uses it" if living is not None and kind != _CACHE else _WHY_KEPT[kind]
    return leave_folder(host, folder, why, stays=True)


def say_asked(folder: OwnFolder) -> str:
    """Return which option asks for a folder's removal."""
    asked = {_DATA: "--data", _ENVIRONMENTS: "--environments"}
    return f"{asked.get(_kind(folder), '--all')} removes it"


def _kind(folder: OwnFolder) -> str:
    name = posixpath.basename(folder.path)
    if name == ENVIRONMENTS_FOLDER:
        return _ENVIRONMENTS
    return _CACHE if name in _CACHE_FOLDERS else _RESULTS if name in RESULT_FOLDERS else _DATA


def settle_images(
    reached: Reached, engines: Sequence[Engine], living: str | None, *, is_asked: bool, dry_run: bool
) -> Iterator[Leftover]:
    """Yield the images that harness built or sent; remove them if asked to and no session runs.

    These are built from harness's definitions, or named in the inventory and sent from this machine.
    """
    host, named = reached.name, None if reached.is_local else reached.host.variables.image
    for engine in engines:
        if not load_engine(engine.name).uses_images:
            continue
        of_images = cast("ImageEngine", engine)
        with talking(host, "list its images", lambda: None, of_images.spoken):
            client = of_images.client
            images = {image.id: image for image in list_images(client, label=LABEL_DEFINITION)}
            if named is not None and "@" not in named:
                images |= {image.id: image for image in list_images(client, reference=tagged(named))}
        for image in images.values():
            what, name = f"{engine.name} image", cap_list(image.repo_tags) or image.id[:19]
            if living is not None or not is_asked:
                why = "the next session can use it; --images removes it"
                why = why if living is None else f"session {living} uses it"
                yield Leftover(host, what, name, why, is_removed=False, stays=True, bytes=image.size)
                continue
            refusal = None if dry_run else _remove_image(host, client, image)
            why = refusal or "--images removes it"
            is_removed = refusal is None and not dry_run
            yield Leftover(host, what, name, why, is_removed, stays=refusal is not None, bytes=image.size)


def _remove_image(host: str, client: APIClient, image: ListedImage) -> str | None:
    """Remove an image by all its names. Returns why the engine refused, or None."""
    from docker.errors import APIError, NotFound

    for name in image.repo_tags or (image.id,):
        try:
            with talking(host, f"remove the image {name}", lambda: None):
                client.remove_image(name)
        except NotFound:
            continue
        except (APIError, EngineError) as error:
            return f"the engine did not remove it: {clean_text(error)}"
    return None
