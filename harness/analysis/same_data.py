"""Whether data sets with the same name have the same files on all hosts. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from harness.values.text import cap_list, join_words
from harness.values.units import format_bytes

CLASH_HINT = (
    "give the other files a different name under `harness: data:`; or remove that entry and send one set to all hosts "
    "(`harness ship --data`); or measure each host on its files (`harness run --own-data`), which are then not compared"
)


@dataclass(frozen=True)
class HeldSet:
    """A data set on a host; what is not known is None.

    ``kind`` is its form (folder, coco, tfrecord), ``source`` where it is from or how it was made, in words.
    """

    source: str = ""
    kind: str | None = None
    images: int | None = None
    bytes: int | None = None
    fingerprint: str | None = None

    def may_equal(self, other: HeldSet) -> bool:
        """Return whether both may be the same files: by their fingerprints, else by the other fields."""
        if self.fingerprint is not None and other.fingerprint is not None:
            return self.fingerprint == other.fingerprint
        return not any(self.differences(other))

    def differences(self, other: HeldSet) -> Iterator[str]:
        """Yield the names of fields that are known of both and differ."""
        for name in ("kind", "images", "bytes"):
            mine, others = getattr(self, name), getattr(other, name)
            if mine is not None and others is not None and mine != others:
                yield name

    def learn(self, other: HeldSet) -> HeldSet:
        """Return the set with the fields that another host knows of these files."""
        known = {name: value for name, value in vars(other).items() if value is not None}
        return replace(self, **{name: value for name, value in known.items() if getattr(self, name) is None})

    def describe(self) -> str:
        """Return a description in words."""
        said = [self.kind or "", "" if self.images is None else f"{self.images:,} images"]
        said.append("" if self.bytes is None else format_bytes(self.bytes))
        said.append(f"fingerprint {self.fingerprint[:12]}" if self.fingerprint else "fingerprint not known yet")
        return "; ".join(part for part in (self.source, ", ".join(filter(None, said))) if part)


@dataclass(frozen=True)
class DataClash:
    """A name that hosts use for different sets of files: each set with its hosts."""

    name: str
    sides: tuple[tuple[tuple[str, ...], HeldSet], ...]

    @property
    def hosts(self) -> tuple[str, ...]:
        """Return all hosts that have a set of this name."""
        return tuple(host for hosts, _ in self.sides for host in hosts)

    @property
    def message(self) -> str:
        """Return the sides, and what differs."""
        said = [
            f"{cap_list(hosts, 6)} {'has' if len(hosts) == 1 else 'have'} {held.describe()}"
            for hosts, held in self.sides
        ]
        first = self.sides[0][1]
        found = dict.fromkeys(name for _, held in self.sides[1:] for name in first.differences(held))
        what = join_words(found) or "contents"
        verb = "differs" if list(found) == ["kind"] else "differ"
        return f"data set {self.name!r} has different files on different hosts ({what} {verb}): {'; '.join(said)}"

    @property
    def hint(self) -> str:
        """Return what can be done about it."""
        return CLASH_HINT


def find_clashes(held: Mapping[str, Mapping[str, HeldSet]], names: Iterable[str] | None = None) -> list[DataClash]:
    """Find the data sets that are not the same on all hosts; ``held`` is by host, then by the set's name."""
    wanted = dict.fromkeys(name for sets in held.values() for name in sets) if names is None else names
    found = [DataClash(name, _sort(name, held)) for name in wanted]
    return [clash for clash in found if len(clash.sides) > 1]


def _sort(name: str, held: Mapping[str, Mapping[str, HeldSet]]) -> tuple[tuple[tuple[str, ...], HeldSet], ...]:
    sides: list[tuple[list[str], HeldSet]] = []
    # hosts with a fingerprint come first: others are compared with them
    order = sorted((host for host in held if name in held[host]), key=lambda host: held[host][name].fingerprint is None)
    for host in order:
        own = held[host][name]
        place = next((n for n, (_, other) in enumerate(sides) if own.may_equal(other)), None)
        if place is None:
            sides.append(([host], own))
        else:
            hosts, known = sides[place]
            sides[place] = ([*hosts, host], known.learn(own))
    ranked = list(held)
    ordered = [(tuple(sorted(hosts, key=ranked.index)), known) for hosts, known in sides]
    return tuple(sorted(ordered, key=lambda side: ranked.index(side[0][0])))
