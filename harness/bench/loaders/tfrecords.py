"""Locate image and label in TFRecord files of ``tf.train.Example``. Standard library only.

An image has a path like ``train-00000-of-00004.tfrecord@1234+160000.jpg``: its file, the offset and length of the
encoded image in bytes, and a suffix by its first bytes. So any code that reads files can read it, and nothing is read
twice. The format: https://www.tensorflow.org/tutorials/load_data/tfrecord (length, masked CRC32C of the length, data,
masked CRC32C of the data). An Example is a protocol buffer of maps, of which only two features are read. The CRC of
the data is left to TensorFlow, which checks it when it reads.
"""

from __future__ import annotations

import json
import mmap
import os
import re
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ..protocol.dataset_errors import DatasetError

IMAGE_FEATURES = ("image/encoded", "image", "image_raw", "jpeg")
LABEL_FEATURES = ("image/class/label", "label")
"""Features in which an image and its label are looked for by default: the names used by TensorFlow's converters,
by tensorflow-datasets, and in TensorFlow's tutorials."""
FORMAT = "examples.json"
"""File in a ``dataset`` folder with the features' names and the classes' labels, for readers of the records."""

RECORD_FILE = re.compile(r"\.tfrecords?(\.\d+|-\d+-of-\d+)?$|-\d{5}-of-\d{5}$|\.tfrec$", re.IGNORECASE)
_PLACE = re.compile(r"(?P<file>.*)@(?P<offset>\d+)\+(?P<length>\d+)\.(jpg|png|bin)$", re.DOTALL)
_HEAD, _FOOT = 12, 4
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
"""Wire types of protocol buffers."""
_GZIP = b"\x1f\x8b"


@dataclass(frozen=True)
class Features:
    """The names of the two features that are read, and the label that each class has in the records."""

    image: str
    label: str
    labels: tuple[int | str, ...] = ()


@dataclass(frozen=True)
class Example:
    """One record: offset and length of its encoded image (bytes), its label, and a suffix by the first bytes."""

    offset: int
    length: int
    label: int | str
    suffix: str


def read_features(dataset: Path) -> Features:
    """Return the features that the check of a set wrote beside its manifest."""
    found = json.loads((dataset / FORMAT).read_text(encoding="utf-8"))
    return Features(found["image"], found["label"], tuple(found["labels"]))


def is_record_file(name: str) -> bool:
    """Return whether a file name is one of TFRecord files: ``….tfrecord``, ``….tfrecord-00000-of-00004`` and others."""
    return RECORD_FILE.search(name) is not None


def place_of(file: str, example: Example) -> str:
    """Return the path of an image inside a TFRecord file."""
    return f"{file}@{example.offset:012d}+{example.length}{example.suffix}"


def split_place(path: str) -> tuple[str, int, int] | None:
    """Split such a path into (file, offset, length); None for other paths, and for a file that has such a name."""
    found = _PLACE.fullmatch(path)
    if found is None or os.path.exists(path):
        return None
    return found["file"], int(found["offset"]), int(found["length"])


def file_of(path: str) -> str:
    """Return the file on disk that holds an image."""
    place = split_place(path)
    return path if place is None else place[0]


def split_pattern(path: str) -> tuple[str, str]:
    """Split ``FOLDER/PATTERN`` into (folder, pattern); an empty pattern means all records in the folder."""
    folder, _, name = path.rpartition("/")
    return (folder or "/", name) if any(sign in name for sign in "*?[") else (path, "")


def read_place(path: str) -> bytes:
    """Read the encoded image at a path, which is a file or a place inside a TFRecord file."""
    place = split_place(path)
    if place is None:
        with open(path, "rb", buffering=0) as stream:
            return stream.read()
    descriptor = os.open(place[0], os.O_RDONLY)
    try:
        return os.pread(descriptor, place[2], place[1])
    finally:
        os.close(descriptor)


def read_examples(path: Path, features: Features) -> list[Example]:
    """Return every record of a file. Raises DatasetError, with the record's number and byte, for a damaged one."""
    if path.stat().st_size == 0:
        return []
    with open(path, "rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
        return [_read_example(data, *span, features, path, number) for number, span in enumerate(_spans(data, path), 1)]


def find_features(path: Path, image: str | None, label: str | None) -> Features:
    """Return the features to read, as requested or as the first record has them. Raises DatasetError."""
    if path.stat().st_size == 0:
        raise DatasetError(f"{path} is empty (zero bytes)", hint="remove it, or write it again")
    with open(path, "rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
        span = next(_spans(data, path), None)
        names = [name for name, _, _ in _entries(data, *span, path, 1)] if span else []
    has = _shown(names)
    chosen = []
    for key, asked, known in (("image", image, IMAGE_FEATURES), ("label", label, LABEL_FEATURES)):
        name = asked if asked is not None else next((each for each in known if each in names), None)
        if name is None or name not in names:
            what = f"no feature {name}" if name else f"none of the features {', '.join(known)}"
            hint = f"name it in the inventory: `{key}_feature: …` beside `tfrecord: …`"
            raise DatasetError(f"the first record of {path} has {what}; it has {has}", hint=hint)
        chosen.append(name)
    return Features(chosen[0], chosen[1])


def _spans(data: mmap.mmap, path: Path) -> Iterator[tuple[int, int]]:
    """Yield (first byte, end) of the data of each record. Raises DatasetError."""
    at, number = 0, 0
    while at < len(data):
        number += 1
        where = f"{path}: record {number} at byte {at}"
        hint = "write the file again; it may be an incomplete copy"
        if at + _HEAD > len(data):
            raise DatasetError(f"{where}: the file ends inside this record", hint=hint)
        if _masked_crc(data[at : at + 8]) != _number(data, at + 8):
            if data[:2] == _GZIP:
                cure = "unpack it (gzip -d), or write it without compression: images are compressed already"
                raise DatasetError(f"{path} is compressed with gzip", hint=cure)
            raise DatasetError(f"{where}: not a TFRecord, or damaged (checksum of its length)", hint=hint)
        begin = at + _HEAD
        end = begin + struct.unpack("<Q", data[at : at + 8])[0]
        if end + _FOOT > len(data):
            raise DatasetError(f"{where}: the file ends inside this record", hint=hint)
        yield begin, end
        at = end + _FOOT


def _read_example(data: mmap.mmap, begin: int, end: int, features: Features, path: Path, number: int) -> Example:
    places = {name: (first, last) for name, first, last in _entries(data, begin, end, path, number)}
    where = f"{path}: record {number} at byte {begin - _HEAD}"
    for name in (features.image, features.label):
        if name not in places:
            raise DatasetError(f"{where} has no feature {name}; it has {_shown(places)}", hint=_FORM)
    try:
        kind, first, last = _only_value(data, *places[features.image])
        if kind != _BYTES_LIST or last > end:
            raise ValueError
    except (ValueError, IndexError):
        raise DatasetError(f"{where}: its {features.image} is not a single bytes value", hint=_FORM) from None
    try:
        label = _read_label(data, *_only_value(data, *places[features.label]))
    except (ValueError, IndexError):
        raise DatasetError(f"{where}: its {features.label} is not a single integer or text", hint=_FORM) from None
    return Example(first, last - first, label, _suffix(data[first : first + 4]))


_FORM = "each record must be a tf.train.Example with one encoded image (bytes) and one label (int64, or text as bytes)"
_BYTES_LIST, _INT64_LIST = 1, 3
"""Field numbers of ``tf.train.Feature``."""


def _shown(names: Iterable[str]) -> str:
    """Return the names of features for a message, shortened."""
    return ", ".join(ascii(name)[1:-1] for name in sorted(names))[:400] or "none"


def _suffix(head: bytes) -> str:
    return ".jpg" if head.startswith(b"\xff\xd8") else ".png" if head == b"\x89PNG" else ".bin"


def _entries(data: mmap.mmap, begin: int, end: int, path: Path, number: int) -> Iterator[tuple[str, int, int]]:
    """Yield (name, first byte, end) of each feature of an Example, whose ``features.feature`` is a map."""
    try:
        for field, first, last in _fields(data, begin, end):
            for _, low, high in _fields(data, first, last) if field == 1 else ():
                entry = {part: (left, right) for part, left, right in _fields(data, low, high)}
                yield data[slice(*entry[1])].decode(), *entry.get(2, (high, high))
    except (ValueError, KeyError, IndexError):
        raise DatasetError(f"{path}: record {number} at byte {begin - _HEAD} is not an Example", hint=_FORM) from None


def _only_value(data: mmap.mmap, begin: int, end: int) -> tuple[int, int, int]:
    """Return (kind of list, first byte, end) of a Feature's only value. Raises ValueError if it has none or several."""
    ((kind, first, last),) = _fields(data, begin, end)
    if kind == _BYTES_LIST:
        ((_, first, last),) = _fields(data, first, last)
    return kind, first, last


def _read_label(data: mmap.mmap, kind: int, first: int, last: int) -> int | str:
    if kind == _BYTES_LIST:
        return data[first:last].decode()
    if kind != _INT64_LIST or first >= last or data[first] >> 3 != 1:
        raise ValueError
    at = first + 1
    if data[first] & 7 == _BYTES:  # packed, as is usual
        size, at = _varint(data, at)
        if at + size != last:
            raise ValueError
    value, at = _varint(data, at)
    if at != last:
        raise ValueError  # more than one
    return value - (1 << 64) if value >> 63 else value


def _fields(data: mmap.mmap, begin: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Yield (number, first byte, end) of each length-delimited field of a message; other fields are skipped."""
    at = begin
    while at < end:
        key, at = _varint(data, at)
        kind = key & 7
        if kind == _BYTES:
            size, at = _varint(data, at)
            yield key >> 3, at, at + size
            at += size
        elif kind == _VARINT:
            _, at = _varint(data, at)
        elif kind in (_FIXED64, _FIXED32):
            at += 8 if kind == _FIXED64 else 4
        else:
            raise ValueError("no field of this version")
    if at != end:
        raise ValueError("a field ends after its message")


def _varint(data: mmap.mmap, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at += 1
        if byte < 0x80:
            return value, at
        shift += 7
        if shift > 63:
            raise ValueError("a varint is too long")


def _number(data: mmap.mmap | bytes, at: int) -> int:
    found: int = struct.unpack("<I", data[at : at + 4])[0]
    return found


def _crc_table() -> list[int]:
    table = []
    for value in range(256):
        for _ in range(8):
            value = (value >> 1) ^ (0x82F63B78 if value & 1 else 0)  # noqa: PLW2901 - Castagnoli's polynomial, reversed
        table.append(value)
    return table


_TABLE = _crc_table()


def _masked_crc(data: bytes) -> int:
    """Return the CRC32C, masked as in TFRecord. Bytewise and slow: for lengths and small sets."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = (crc >> 8) ^ _TABLE[(crc ^ byte) & 0xFF]
    crc ^= 0xFFFFFFFF
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF


def pack_record(image: bytes, label: int, features: Features) -> bytes:
    """Encode one record of a small set as TensorFlow does."""

    def field(number: int, content: bytes) -> bytes:
        return _write_varint(number << 3 | _BYTES) + _write_varint(len(content)) + content

    def entry(name: str, feature: bytes) -> bytes:
        return field(1, field(1, name.encode()) + field(2, feature))

    of_image = field(_BYTES_LIST, field(1, image))
    of_label = field(_INT64_LIST, field(1, _write_varint(label)))
    data = field(1, entry(features.image, of_image) + entry(features.label, of_label))
    length = struct.pack("<Q", len(data))
    crcs = [struct.pack("<I", _masked_crc(part)) for part in (length, data)]
    return length + crcs[0] + data + crcs[1]


def _write_varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])
