"""``harness data get``: download, verify and unpack a public data set where the inventory names it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from harness.ship.download import OnProgress, check_disk, download, remove_damaged_jpegs, unpack
from harness.ship.public_sets import PUBLIC_SETS, PublicSet
from harness.values.document import near_miss
from harness.values.errors import ConfigurationError
from harness.values.units import format_bytes

if TYPE_CHECKING:
    from harness.console import Console

_DEFAULT = Path("~/.cache/harness/public")


def get_data(
    console: Console, name: str, *, to: Path | None, inventory: Path | None, keep_archives: bool, as_json: bool
) -> None:
    """Download a set to ``to``, else to where the inventory names it, and print its inventory entry."""
    wanted = _find(name)
    folder = (to or _place_of(wanted, inventory) or _DEFAULT / wanted.name).expanduser().resolve()
    console.note(f"{wanted.name}: {wanted.summary}; URLs, sizes and checksums: {wanted.source}")
    check_disk(folder, _needed(wanted, folder))
    unpacked = removed = 0
    try:
        for file in wanted.files:
            target = download(file, folder, _reporter(console, file.name))
            if file.sha256 is None:
                console.warning(
                    f"no checksum of {file.name} is published: the checksum of the first download was stored beside it"
                )
            if file.is_archive:
                unpacked += unpack(file, target, folder, _reporter(console, f"unpacking {file.name}", is_bytes=False))
        if wanted.only_jfif:
            removed = remove_damaged_jpegs(folder / next(iter(wanted.inventory.values())))
        if not keep_archives:
            for file in wanted.files:
                if file.is_archive:
                    (folder / file.name).unlink(missing_ok=True)
    finally:
        console.close()
    if removed:
        console.note(f"{removed} damaged files (without JFIF header) were removed, as tensorflow-datasets does")
    entry = {key: str(folder / path) for key, path in wanted.inventory.items()}
    if as_json:
        files = [str(folder / file.name) for file in wanted.files if not file.is_archive]
        found = {"name": wanted.name, "folder": str(folder), "unpacked": unpacked, "removed": removed}
        console.result_json({**found, "inventory": entry, "files": files})
    elif entry:
        lines = [f"{wanted.inventory_name}:", *(f"  {key}: {path}" for key, path in entry.items())]
        console.result("\n".join(lines))
    else:
        console.result("\n".join(str(folder / file.name) for file in wanted.files))


def list_public(console: Console, *, as_json: bool) -> None:
    """Print the data sets that can be downloaded."""
    if as_json:
        sets = [
            {
                "name": each.name,
                "summary": each.summary,
                "bytes": _size(each),
                "urls": [file.url for file in each.files],
            }
            for each in PUBLIC_SETS.values()
        ]
        console.result_json(sets)
        return
    rows = [
        [each.name, format_bytes(_size(each)) if _size(each) else "?", each.summary] for each in PUBLIC_SETS.values()
    ]
    console.table(["name", "download", "what it is"], rows)


def _find(name: str) -> PublicSet:
    found = PUBLIC_SETS.get(name)
    if found is None:
        near = near_miss(name, PUBLIC_SETS)
        hint = f"did you mean {near}?" if near else "known: " + ", ".join(PUBLIC_SETS)
        raise ConfigurationError(f"there is no public data set named {name!r}", hint=hint)
    return found


def _size(wanted: PublicSet) -> int:
    return sum(file.bytes or 0 for file in wanted.files)


def _needed(wanted: PublicSet, folder: Path) -> int:
    """Return the bytes still to be downloaded. Room to unpack an archive is checked when its content is known."""
    need = 0
    for file in wanted.files:
        part = folder / (file.name + ".part")
        have = part.stat().st_size if part.exists() else file.bytes or 0 if (folder / file.name).exists() else 0
        need += max(0, (file.bytes or 0) - have)
    return need


def _place_of(wanted: PublicSet, inventory: Path | None) -> Path | None:
    """Return the folder in which an inventory has this set; None without an inventory.

    Raises ConfigurationError if the inventory has no such entry, or one whose paths do not end as the set's do.
    """
    if inventory is None or wanted.inventory_name is None:
        return None
    from harness.inventory import load_inventory

    for host in load_inventory(inventory).hosts:
        entry = host.variables.data.get(wanted.inventory_name)
        for key, below in wanted.inventory.items():
            path = getattr(entry, key, None)
            if path is not None and str(path).rstrip("/").endswith("/" + below):
                return Path(str(path).rstrip("/").removesuffix("/" + below))
        if entry is not None:
            key, below = next(iter(wanted.inventory.items()))
            raise ConfigurationError(
                f"the paths of {wanted.inventory_name} in {inventory} do not fit this set, which unpacks to …/{below}",
                hint=f"let its `{key}` end in /{below}, or name the folder with --to",
            )
    hint = f"add it under `data:`, or name the folder: `harness data get {wanted.name} --to FOLDER` prints the entry"
    raise ConfigurationError(f"{inventory} has no data set named {wanted.inventory_name}", hint=hint)


def _reporter(console: Console, what: str, *, is_bytes: bool = True) -> OnProgress:
    def report(done: int, total: int | None) -> None:
        if is_bytes:
            whole = format_bytes(total) if total else "?"
            console.live(f"{what}: {format_bytes(done)} of {whole}")
        else:
            console.live(f"{what}: {done} of {total}")

    return report
