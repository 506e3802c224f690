"""Generate data sets: a seed gives the same bytes on every CPU, and an interrupted set never looks finished.

``python -m bench.data.generate JOB_FOLDER`` runs the task ``generate``; ``make`` does the same without a job.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import TypedDict

from ..protocol.dataset_errors import DatasetError
from ..protocol.protocol import as_count, as_object, as_text, read_json, write_json
from .dataset import Description, Report, describe
from .parallel import Pace, spread
from .picture import Plan, encode_picture, encoder, encoder_key, plan_picture
from .profiles import GENERATOR, PROFILES, QUALITIES, SIZES, Control, Profile
from .synthesis import Draws, mix
from .task import Job, run_task

CERTIFICATE = "generated.json"
"""The file that describes a generated folder: profile, images, seed, encoder."""

PLAIN = Control()
"""No control: the set is as its profile says."""

IMAGES, ANNOTATIONS = "images", "annotations.json"


def set_name(profile: str, images: int, seed: int, control: Control = PLAIN) -> str:
    """Return the name of a set's folder; it contains everything that the set's bytes depend on."""
    return "-".join(filter(None, (profile, str(images), str(seed), control.key, encoder_key())))


def layout_of(kind: str) -> dict[str, str | None]:
    """Return where images and annotations are, relative to a generated folder."""
    return {"images": IMAGES, "annotations": ANNOTATIONS} if kind == "coco" else {"images": ".", "annotations": None}


def make(
    profile: str,
    images: int,
    seed: int,
    folder: Path,
    *,
    control: Control = PLAIN,
    cpus: int | None = None,
    on_progress: Report | None = None,
) -> bool:
    """Generate a set in ``folder``, which appears only when it is complete; return False if the same set exists.

    The set is written to ``<folder>.part-…`` beside it; leftovers of an earlier attempt there are removed. Raises
    DatasetError for a bad request, a folder with other contents, a second process that generates the same set, or a
    full disk.
    """
    chosen = _checked(profile, images, control)
    certificate = _certificate(chosen, images, seed, control)
    folder = Path(os.path.abspath(folder))
    if _is_made(folder, certificate):
        return False
    with ExitStack() as stack:
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            _remove_leftovers(folder)
            _require_space(folder.parent, images * chosen.mean_bytes)
            part = folder.with_name(f"{folder.name}.part-{os.getpid()}")
            part.mkdir()
            stack.callback(shutil.rmtree, part, ignore_errors=True)
            stack.callback(os.close, _hold(part))
            _fill(part, chosen, images, seed, cpus=cpus, on_progress=on_progress)
            write_json(part / CERTIFICATE, certificate)
            os.sync()
            part.rename(folder)
        except OSError as error:
            raise _translate(error, folder) from error
    return True


def _checked(profile: str, images: int, control: Control) -> Profile:
    if profile not in PROFILES:
        raise DatasetError(f"there is no profile {profile!r}", hint=f"profiles are {', '.join(PROFILES)}")
    if images < 1:
        raise DatasetError(f"a data set of {images} images cannot be made", hint="ask for at least one image")
    for what, value, (least, most) in (("size", control.size, SIZES), ("quality", control.quality, QUALITIES)):
        if value is not None and not least <= value <= most:
            raise DatasetError(f"a {what} of {value} cannot be made", hint=f"ask for {least} to {most}")
    return control.apply(PROFILES[profile])


def _certificate(profile: Profile, images: int, seed: int, control: Control) -> dict[str, str | int]:
    """Return the description of a set; settings that are not controlled are left out, as in older descriptions."""
    controlled = {name: value for name, value in asdict(control).items() if value is not None and value is not False}
    return {
        **controlled,
        "format": 1,
        "profile": profile.name,
        "kind": profile.kind,
        "images": images,
        "seed": seed,
        "encoder": encoder(),
        "generator": GENERATOR,
    }


def _is_made(folder: Path, certificate: dict[str, str | int]) -> bool:
    """Return whether exactly this set exists in ``folder``. Raises DatasetError if something else is there."""
    if not os.path.lexists(folder):
        return False
    if read_json(folder / CERTIFICATE) == certificate:
        return True
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()
        return False
    raise DatasetError(f"{folder} exists and is not this data set", hint="name another folder, or remove it")


def _remove_leftovers(folder: Path) -> None:
    """Remove what interrupted attempts left. Raises DatasetError if one is still running."""
    for part in folder.parent.glob(f"{_literal(folder.name)}.part-*"):
        os.close(_hold(part))
        shutil.rmtree(part)


def _literal(name: str) -> str:
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in name)


def _hold(part: Path) -> int:
    """Lock a folder that is being written; the kernel releases the lock when this process ends, however it ends."""
    handle = os.open(part, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(handle)
        raise DatasetError(f"{part} is being made by another process", hint="wait for it, or end it") from error
    return handle


def _require_space(parent: Path, needed: int) -> None:
    free = shutil.disk_usage(parent).free
    if free < needed:
        raise DatasetError(
            f"the data set needs about {needed} bytes in {parent}, but {free} are free: {needed - free} are missing",
            hint="free some space there, choose another scratch folder, or make fewer images",
            kind="disk_full",
        )


def _translate(error: OSError, folder: Path) -> DatasetError:
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        message = f"the disk of {folder.parent} is full; the unfinished data set is removed"
        hint = "free some space there, choose another scratch folder, or make fewer images"
        return DatasetError(message, hint=hint, kind="disk_full")
    where = error.filename or folder
    return DatasetError(
        f"cannot make the data set: {where}: {error.strerror}", hint=f"give uid {os.getuid()} write permission there"
    )


def _fill(
    part: Path, profile: Profile, images: int, seed: int, *, cpus: int | None, on_progress: Report | None
) -> None:
    """Write all files of a set."""
    if profile.kind == "coco":
        (part / IMAGES).mkdir()
    else:
        for _, name in profile.classes:
            (part / name).mkdir()
    pace = Pace(on_progress, images)
    for _, written in spread(partial(_write_pictures, str(part), profile, seed), range(images), cpus=cpus):
        pace.add(len(written))
    if profile.kind == "coco":
        _annotate(part / ANNOTATIONS, profile, images, seed)


def _write_pictures(part: str, profile: Profile, seed: int, indices: Sequence[int]) -> list[int]:
    """Write some files and return their sizes; this is the work of one process."""
    sizes = []
    for index in indices:
        plan = plan_picture(profile, seed, index)
        content = encode_picture(plan, profile.subsampling, progressive=profile.progressive)
        with open(os.path.join(part, _path(profile, plan)), "wb") as stream:
            stream.write(content)
        sizes.append(len(content))
    return sizes


def _path(profile: Profile, plan: Plan) -> str:
    """Return where a picture is, relative to the set's folder."""
    if profile.kind == "coco":
        return f"{IMAGES}/{plan.index + 1:012d}.jpg"
    name = profile.classes[plan.label][1]
    return f"{name}/{name}.{plan.index // len(profile.classes):05d}.jpg"


def _annotate(path: Path, profile: Profile, images: int, seed: int) -> None:
    """Write the instances JSON: the largest annotation of each image has its class; a few smaller ones are added."""
    number = 0
    with open(path, "w", encoding="utf-8") as stream:
        stream.write('{"info": {"description": "generated"},\n"licenses": [],\n"images": [\n')
        listed: list[str] = []
        lines: list[str] = []
        for index in range(images):
            plan = plan_picture(profile, seed, index)
            size = {"width": plan.scene.width, "height": plan.scene.height}
            listed.append(json.dumps({"id": index + 1, "file_name": f"{index + 1:012d}.jpg", **size}))
            for entry in _instances(profile, plan):
                number += 1
                lines.append(json.dumps({"id": number, "image_id": index + 1, **entry}))
        stream.write(",\n".join(listed) + '\n],\n"annotations": [\n' + ",\n".join(lines) + '\n],\n"categories": [\n')
        stream.write(",\n".join(json.dumps({"id": one, "name": name}) for one, name in profile.classes) + "\n]}\n")


class _Instance(TypedDict):
    category_id: int
    bbox: list[int]
    area: int
    iscrowd: int
    segmentation: list[int]


def _instances(profile: Profile, plan: Plan) -> list[_Instance]:
    """Return boxes with areas in whole pixels; the first is the largest and has the image's class."""
    draws = Draws(mix(plan.key, 2))
    width, height = plan.scene.width, plan.scene.height
    wide, tall = width // 4 + draws.below(width // 2), height // 4 + draws.below(height // 2)
    boxes = [(plan.label, wide, tall)]
    boxes += [
        (draws.below(len(profile.classes)), 8 + draws.below(wide // 2), 8 + draws.below(tall // 2))
        for _ in range(draws.bell(10))
    ]
    return [
        {
            "category_id": profile.classes[label][0],
            "bbox": [draws.below(width - across + 1), draws.below(height - down + 1), across, down],
            "area": across * down * 5 // 8,
            "iscrowd": 0,
            "segmentation": [],
        }
        for label, across, down in boxes
    ]


def describe_made(folder: Path, *, on_progress: Report | None = None) -> Description:
    """Describe a set that ``make`` generated."""
    certificate = as_object(read_json(folder / CERTIFICATE))
    source = f"generated: {certificate.get('profile')}, seed {certificate.get('seed')}"
    description = describe(folder, on_progress=on_progress)
    return replace(description, encoder=as_text(certificate.get("encoder")), source=source)


def run(job: Job) -> Mapping[str, object]:
    """Run the task ``generate``: make the set below ``paths["data"]``, in a folder with the set's name."""
    wanted = as_object(job.request.said.get("generate"))
    profile, images, seed = str(wanted["profile"]), as_count(wanted["images"]) or 0, as_count(wanted["seed"]) or 0
    size, quality, progressive = (wanted.get(name) for name in ("size", "quality", "progressive"))
    control = Control(as_count(size), as_count(quality), progressive is True)
    job.enter("generate")
    folder = job.path("data") / set_name(profile, images, seed, control)
    is_new = make(profile, images, seed, folder, control=control, cpus=job.cpus, on_progress=job.progress)
    kind = PROFILES[profile].kind
    certificate = _certificate(PROFILES[profile], images, seed, control)
    return {
        **certificate,
        "kind": kind,
        "images": images,
        "folder": folder.name,
        "layout": layout_of(kind),
        "made": is_new,
    }


if __name__ == "__main__":
    sys.exit(run_task(run, sys.argv[1:]))
