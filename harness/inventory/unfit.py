"""A value of the inventory that cannot be used."""

from __future__ import annotations

from harness.inventory.layers import Setting
from harness.values.errors import Mistake


class UnfitError(ValueError):
    """A value that cannot be used: each reason with what to do about it."""

    def __init__(self, *reasons: tuple[str, str]) -> None:
        super().__init__(reasons[0][0])
        self.reasons = reasons

    def mistakes(self, name: str, setting: Setting) -> list[Mistake]:
        """Return the reasons, at the place of the variable."""
        return [setting.mistake(f"{name}: {message}", hint) for message, hint in self.reasons]
