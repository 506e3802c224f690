"""The hours in which cases may start, for hosts that people use during the day. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, time

from harness.values.errors import ConfigurationError

_FORM = re.compile(r"(?P<from_h>\d{1,2}):(?P<from_m>\d\d)\s*-\s*(?P<to_h>\d{1,2}):(?P<to_m>\d\d)\Z")


@dataclass(frozen=True)
class Hours:
    """A range of hours in which cases may start, in the controller's local time, without ``end`` itself.

    An ``end`` before ``begin`` is on the next day.
    """

    begin: time
    end: time

    def is_open(self, now: datetime) -> bool:
        """Whether a case may start at this time."""
        at = now.time()
        if self.begin < self.end:
            return self.begin <= at < self.end
        return at >= self.begin or at < self.end

    def __str__(self) -> str:
        return f"{self.begin:%H:%M}-{self.end:%H:%M}"


def parse_hours(text: str) -> Hours:
    """Parse a range of hours like ``20:00-07:00``. Raises ConfigurationError."""
    found = _FORM.match(text.strip())
    hint = "write it like 20:00-07:00"
    if found is None:
        raise ConfigurationError(f"{text!r} is not a range of hours", where="--between", hint=hint)
    try:
        begin, end = _read_time(found["from_h"], found["from_m"]), _read_time(found["to_h"], found["to_m"])
    except ValueError:
        raise ConfigurationError(
            f"{text!r} has an hour or minute that does not exist", where="--between", hint=hint
        ) from None
    if begin == end:
        raise ConfigurationError(
            f"{text!r} begins and ends at the same time", where="--between", hint=f"leave it out, or {hint}"
        )
    return Hours(begin, end)


def _read_time(hour: str, minute: str) -> time:
    """Return a time of day; 24:00 counts as 00:00."""
    return time(0, 0) if (hour, minute) == ("24", "00") else time(int(hour), int(minute))
