"""``harness data get``: a public data set, downloaded, checked and unpacked where the inventory says."""

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
    """Get a set into ``to``, else where the inventory has it, and print the entry for an inventory."""
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
                    f"nobody publishes a checksum of {file.name}: that of the first download was pinned beside it"
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
        console.note(f"{removed} damaged files were left out (no JFIF header), as tensorflow-datasets does")
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
    """Print what can be had."""
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
        raise ConfigurationError(f"no public data set is called {name!r} here", hint=hint)
    return found


def _size(wanted: PublicSet) -> int:
    return sum(file.bytes or 0 for file in wanted.files)


def _needed(wanted: PublicSet, folder: Path) -> int:
    """Return what is still to be downloaded; unpacking is checked when the archive says how much it is."""
    need = 0
    for file in wanted.files:
        part = folder / (file.name + ".part")
        have = part.stat().st_size if part.exists() else file.bytes or 0 if (folder / file.name).exists() else 0
        need += max(0, (file.bytes or 0) - have)
    return need


def _place_of(wanted: PublicSet, inventory: Path | None) -> Path | None:
    """Return the folder in which an inventory has this set: its entry's paths end as the set's own do."""
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
                f"{inventory} has {wanted.inventory_name} in other folders than this set unpacks to (…/{below})",
                hint=f"let its `{key}` end in /{below}, or say where with --to",
            )
    hint = (
        f"add it under `data:`, or say where with --to; `harness data get {wanted.name} --to FOLDER` prints the entry"
    )
    raise ConfigurationError(f"{inventory} has no data set named {wanted.inventory_name}", hint=hint)


def _reporter(console: Console, what: str, *, is_bytes: bool = True) -> OnProgress:
    def report(done: int, total: int | None) -> None:
        if is_bytes:
            whole = format_bytes(total) if total else "?"
            console.live(f"{what}: {format_bytes(done)} of {whole}")
        else:
            console.live(f"{what}: {done} of {total}")

    return report
