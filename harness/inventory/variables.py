"""The variables of a host under ``harness:``, validated. Editors show the docstrings of fields (JSON Schema)."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    StrictInt,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import PydanticCustomError

from harness.bench.data.profiles import Control
from harness.inventory.slurm_settings import Slurm
from harness.values.engine_names import AUTO, engine_choices
from harness.values.units import parse_bytes

if TYPE_CHECKING:
    from pydantic.config import JsonDict

DEFAULT_SCRATCH = "~/.cache/harness"
SCRATCH_DISK = "scratch"
"""The name of the disk of the scratch folder, which every host has."""

ANY_PYTHON = "auto"
"""The value that names no interpreter: one is searched for on the host."""

_MOST_COMMAND = 1000
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")
_FINGERPRINT = re.compile(r"SHA256:[A-Za-z0-9+/]{43}=?\Z")
_PUBLIC_KEY = re.compile(r"(ssh|ecdsa|sk)-[a-z0-9@.-]+ [A-Za-z0-9+/]{40,}=*( .*)?\Z")


def _check_name(text: str) -> str:
    if not _NAME.match(text):
        raise ValueError(
            f"{text!r} cannot be a name: it becomes part of file names\n"
            "use letters, digits, '.', '_' and '-', beginning with a letter or digit, at most 64"
        )
    return text


def _check_engine(name: object) -> object:
    if name not in (choices := engine_choices()):
        *most, last = map(repr, choices)
        expected = f"{', '.join(most)} or {last}"
        raise PydanticCustomError("literal_error", "expected one of {expected}", {"expected": expected})
    return name


def _show_engines(schema: JsonDict) -> None:
    schema["enum"] = [*engine_choices()]


def _check_disk_name(text: str) -> str:
    if text == SCRATCH_DISK:
        raise ValueError("the disk name `scratch` is reserved for the scratch folder\nset `scratch: …` instead")
    return text


def _check_folder(text: str) -> str:
    if not text.strip() or any(ord(c) < 32 for c in text):
        raise ValueError("an empty or broken path\nwrite an absolute path, or one that begins with ~/")
    if "$" in text:
        raise ValueError(f"{text!r}: shell variables are not expanded\nwrite the path itself, or begin with ~/")
    if text.startswith("~") and text != "~" and not text.startswith("~/"):
        raise ValueError(
            f"{text!r}: home folders of other users are not supported\nwrite an absolute path, or begin with ~/"
        )
    return text


def _check_place(text: str) -> str:
    if text.rstrip("/") in {"", "~"}:
        raise ValueError(f"{text!r} holds other files, and caches are removed there\nname a separate folder")
    return text


def _check_image(text: str) -> str:
    if not text or any(c.isspace() for c in text) or text.startswith(("-", "http:", "https:")):
        raise ValueError(f"{text!r} is not the name of an image or registry\nwrite it as host:5000/name:tag")
    return text


def _check_text(text: str) -> str:
    if not text.strip():
        raise ValueError("an empty text\nwrite a value, or leave the key out")
    if any(ord(c) < 32 for c in text):
        raise ValueError("a control character in the text\nwrite it on one line")
    return text


def _check_part(text: str) -> str:
    if not text.strip() or "/" in text or text in {".", ".."} or any(ord(c) < 32 for c in text):
        raise ValueError(f"{text!r} cannot be a part of a data set\nwrite the name of a folder in it, such as `val`")
    return text


def _check_host_key(text: str) -> str:
    if not _FINGERPRINT.match(text) and not _PUBLIC_KEY.match(text):
        raise ValueError(
            "neither a fingerprint nor a public host key\n"
            "write SHA256:… as `ssh-keygen -lf` prints it, or `ssh-ed25519 AAAA…` without the host's name"
        )
    return text


def check_python(text: str) -> str:
    """Check the command of an interpreter and return it unchanged. Raises ValueError("message\\nhint")."""
    cure = "write a path, or a command such as `apptainer exec /srv/tf.sif python3`; it is not run by a shell"
    try:
        words = shlex.split(text)
    except ValueError:
        raise ValueError(f"{text!r}: a quote is not closed\n{cure}") from None
    if not words or not words[0] or len(text) > _MOST_COMMAND or any(ord(c) < 32 for c in text):
        raise ValueError(
            f"the command is empty, has control characters, or has more than {_MOST_COMMAND} characters\n{cure}"
        )
    for word in words:
        if "$" in word or "`" in word:
            raise ValueError(f"{word!r}: shell variables and commands are not expanded\n{cure}")
        if word.startswith("~") and not word.startswith("~/"):
            raise ValueError(
                f"{word!r}: home folders of other users are not supported\nwrite an absolute path, or begin with ~/"
            )
    if words[0].startswith("-") or ("/" in words[0] and not words[0].startswith(("/", "~/"))):
        hint = "write an absolute path, one that begins with ~/, or the name of a program in PATH"
        raise ValueError(f"{words[0]!r} cannot be the program of an interpreter\n{hint}")
    return text


def _check_ids(ids: tuple[int | str, ...]) -> tuple[int | str, ...]:
    if not ids:
        raise ValueError("an empty list\nname at least one, or write auto (all) or 0 (none)")
    if len(set(ids)) != len(ids):
        raise ValueError("a value is listed twice\nkeep one")
    return ids


def _parse_size(value: object) -> object:
    return value if value is None or not isinstance(value, str | int) else parse_bytes(value)


def _parse_reserve(value: object) -> object:
    if isinstance(value, dict):
        return {name: _parse_size(size) for name, size in value.items()}
    return _parse_size(value)


EngineName = Annotated[str, BeforeValidator(_check_engine), Field(json_schema_extra=_show_engines)]
Name = Annotated[str, AfterValidator(_check_name)]
DiskName = Annotated[Name, AfterValidator(_check_disk_name)]
Folder = Annotated[str, AfterValidator(_check_folder)]
Place = Annotated[Folder, AfterValidator(_check_place)]
Python = Annotated[str, AfterValidator(check_python)]
Image = Annotated[str, AfterValidator(_check_image)]
_SIZE_SCHEMA = {
    "anyOf": [
        {"type": "integer", "minimum": 0},
        {"type": "string", "pattern": r"^\s*[0-9]+(\.[0-9]+)?\s*([kKmMgGtT]?[iI]?[bB])?\s*$"},
    ],
    "examples": ["4GiB", "16GB"],
}
Size = Annotated[int, BeforeValidator(_parse_size), WithJsonSchema(_SIZE_SCHEMA)]
Reserve = Annotated[
    int | dict[Name, int],
    BeforeValidator(_parse_reserve),
    WithJsonSchema({"anyOf": [_SIZE_SCHEMA, {"type": "object", "additionalProperties": _SIZE_SCHEMA}]}),
]
Number = Annotated[StrictInt, Field(ge=0)]
Ids = Annotated[tuple[Number | str, ...], AfterValidator(_check_ids)]
CpuIds = Annotated[tuple[Number, ...], AfterValidator(_check_ids)]


class _Checked(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Generate(_Checked):
    """A data set that is generated on the host; the same seed gives the same bytes on every host."""

    profile: Literal["coco", "dogs-and-cats"]
    """`coco`: COCO's sizes, 80 classes, about 160 kB per image; `dogs-and-cats`: 2 classes, about 22 kB per image."""
    images: Annotated[StrictInt, Field(ge=1)]
    """The number of images."""
    seed: Number = 1
    """The seed of the random generator; the same seed gives the same images."""
    size: Annotated[StrictInt, Field(ge=16, le=8192)] | None = None
    """Side of the images in pixels, which are then square; default: the profile's various sizes."""
    quality: Annotated[StrictInt, Field(ge=1, le=100)] | None = None
    """Quality of the JPEGs; default: the profile's."""
    progressive: StrictBool = False
    """Progressive JPEGs; default: baseline."""

    @property
    def control(self) -> Control:
        """Return the properties that all images have in common."""
        return Control(self.size, self.quality, self.progressive)

    @property
    def words(self) -> str:
        """Return a description such as ``coco, 64 images, seed 1, 1024px-q75``."""
        said = f"{self.profile}, {self.images} images, seed {self.seed}"
        return f"{said}, {self.control.key}" if self.control.key else said


class DataSet(_Checked):
    """A data set in one of four forms: `folder`, or `images` with `annotations`, or `tfrecord`, or `generate`."""

    folder: Folder | None = None
    """A folder with one folder of images for each class."""
    images: Folder | None = None
    """The image folder of a COCO pair, or of a list of paths and labels."""
    annotations: Folder | None = None
    """The instances JSON of a COCO pair, or a list: CSV or TSV lines of path (below `images`) and label."""
    tfrecord: Folder | None = None
    """A folder of TFRecord files (each record a tf.train.Example), or FOLDER/PATTERN such as /data/flowers-train*."""
    image_feature: Annotated[str, AfterValidator(_check_text)] | None = None
    """The feature with the encoded image; default: the first present of image/encoded, image, image_raw and jpeg."""
    label_feature: Annotated[str, AfterValidator(_check_text)] | None = None
    """The feature with the label, a number or a text; default: image/class/label or label."""
    generate: Generate | None = None
    """A data set that is generated on the host."""
    split: Annotated[str, AfterValidator(_check_part)] | None = None
    """Which part of a folder with parts (`train`, `val`, …), or of a list with a column of parts; default: `train`."""
    skip_unreadable: StrictBool | None = None
    """Leave out images that not every loader reads, for all loaders alike, and list them beside the session."""

    @property
    def kind(self) -> Literal["folder", "coco", "tfrecord", "generate"]:
        """Return which of the four forms the data set has."""
        return "folder" if self.folder else "generate" if self.generate else "tfrecord" if self.tfrecord else "coco"

    @property
    def paths(self) -> dict[str, str]:
        """Return the paths in the inventory by key; empty for a generated set."""
        named = {
            "folder": self.folder,
            "images": self.images,
            "annotations": self.annotations,
            "tfrecord": self.tfrecord,
        }
        return {key: path for key, path in named.items() if path is not None}

    @property
    def place(self) -> str:
        """Return the folder of the images or records; empty for a generated set."""
        from harness.bench.loaders.tfrecords import split_pattern

        return self.folder or self.images or (split_pattern(self.tfrecord)[0] if self.tfrecord else "")

    def read_as(self, split: str | None, *, skip_unreadable: bool) -> DataSet:
        """Return the set with the command line's ``--split`` and ``--skip-unreadable``, where they apply."""
        if self.kind in ("tfrecord", "generate"):
            return self
        asked = {"split": split} if split is not None else {}
        return self.model_copy(update=asked | ({"skip_unreadable": True} if skip_unreadable else {}))

    @model_validator(mode="after")
    def _check_form(self) -> DataSet:
        forms = [
            name
            for name, is_used in (
                ("folder", self.folder is not None),
                ("images and annotations", self.images is not None or self.annotations is not None),
                ("tfrecord", self.tfrecord is not None),
                ("generate", self.generate is not None),
            )
            if is_used
        ]
        cure = "give one of `folder: …`, `images: …` with `annotations: …`, `tfrecord: …`, or `generate: {…}`"
        if len(forms) != 1:
            found = f"{len(forms)} forms of data set in one ({', '.join(forms)})" if forms else "no place of the data"
            raise ValueError(f"{found}\n{cure}")
        if forms[0].startswith("images") and (self.images is None or self.annotations is None):
            missing = "images" if self.images is None else "annotations"
            raise ValueError(
                f"a COCO pair without `{missing}`\nadd `{missing}: …`, or use `folder: …` for one folder per class"
            )
        if self.split is not None and self.tfrecord is not None:
            raise ValueError("split belongs to `folder: …` or to a list\nname the files: `tfrecord: FOLDER/train*`")
        if self.skip_unreadable and self.tfrecord is not None:
            raise ValueError("records cannot be left out of TFRecord files\nleave skip_unreadable out")
        if (self.image_feature or self.label_feature) and self.tfrecord is None:
            raise ValueError("image_feature and label_feature belong to `tfrecord: …`\nleave them out")
        return self


def _give(source: object, passed: dict[str, object]) -> object:
    """Return a data set as written, with the values of ``passed`` for keys that it does not set."""
    if not isinstance(source, dict) or not ("folder" in source or "images" in source):
        return source
    return passed | {key: value for key, value in source.items() if value is not None}


class HostVariables(_Checked):
    """The variables of a host or group under `harness:`."""

    engine: EngineName = AUTO
    """The engine that runs the benchmark; `auto` takes the first that answers: Docker, Podman, processes."""
    python: Python = ANY_PYTHON
    """The Python interpreter for the engine `process`: a path, or a command; `auto` finds the host's own."""
    slurm: Slurm | None = None
    """The Slurm cluster of which this host is the login node; only with `engine: slurm`."""
    image: Image | None = None
    """The container image; default: the project's own, which is built or sent."""
    registry: Image | None = None
    """An image registry that hosts can pull from."""
    data: dict[Name, DataSet] = {}
    """Data sets by name. The experiment names the one to use."""
    scratch: Place = DEFAULT_SCRATCH
    """Folder for caches, generated and sent data. Never inside a data folder."""
    disks: dict[DiskName, Place] = {}
    """More folders for caches, by name; `scratch` is always available."""
    experiment: Annotated[str, AfterValidator(_check_text)] | None = None
    """The experiment where no `--experiment` is given: a preset's name, or a YAML file relative to this one."""
    cpus: Literal["auto"] | Annotated[StrictInt, Field(ge=1)] | CpuIds = "auto"
    """The most CPUs an experiment may have: `auto` (all), a number, or a list of CPU numbers."""
    gpus: Literal["auto"] | Number | Ids = "auto"
    """The most GPUs an experiment may have: `auto` (all), 0 (none), a number, or a list of ids."""
    memory_reserve: Size | None = None
    """Memory that stays free, such as 4GiB. Default: the larger of 2 GiB and 10 %."""
    disk_reserve: Reserve | None = None
    """Free space to keep: on each disk, such as 20GB, or by disk name. Default: the larger of 5 GiB and 5 %."""
    split: Annotated[str, AfterValidator(_check_part)] | None = None
    """The part of each data set in folders or lists that does not name its own `split`."""
    skip_unreadable: StrictBool = False
    """Leave out images that not every loader reads; for each data set without its own `skip_unreadable`."""
    allow_busy: StrictBool = False
    """Measure even while other programs use the host."""
    host_key: Annotated[str, AfterValidator(_check_host_key)] | None = None
    """The host's SSH key or its SHA256 fingerprint, checked beside known_hosts."""

    @property
    def python_words(self) -> tuple[str, ...]:
        """Return the words of the interpreter's command; none where none is named."""
        return () if self.python == ANY_PYTHON else tuple(shlex.split(self.python))

    @property
    def cache_disks(self) -> dict[str, str]:
        """Return all disks for caches by name, including scratch."""
        return {SCRATCH_DISK: self.scratch, **self.disks}

    @model_validator(mode="before")
    @classmethod
    def _pass_on(cls, value: object) -> object:
        """Pass the host's ``split`` and ``skip_unreadable`` to data sets that do not set them."""
        if not isinstance(value, dict) or not isinstance(sets := value.get("data"), dict):
            return value
        passed = {key: value[key] for key in ("split", "skip_unreadable") if value.get(key) is not None}
        return value | {"data": {name: _give(one, passed) for name, one in sets.items()}}

    @model_validator(mode="after")
    def _check_reserves(self) -> HostVariables:
        if isinstance(self.disk_reserve, dict):
            for name in self.disk_reserve:
                if name not in self.cache_disks:
                    known = ", ".join(self.cache_disks)
                    raise ValueError(
                        f"disk_reserve: the host has no disk {name!r} (it has {known})\nadd it under `disks:`"
                    )
        return self


MERGED_BY_NAME = ("data", "disks")
"""Keys whose entries merge name by name; the value of any other key is replaced by the stronger layer's."""
