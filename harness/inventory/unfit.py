"""The error for a value of the inventory that cannot be used."""

from __future__ import annotations

from harness.inventory.layers import Setting
from harness.values.errors import Mistake


class UnfitError(ValueError):
    """Raised when a value cannot be used; ``reasons`` are pairs of a message and a hint."""

    def __init__(self, *reasons: tuple[str, str]) -> None:
        super().__init__(reasons[0][0])
        self.reasons = reasons

    def mistakes(self, name: str, setting: Setting) -> list[Mistake]:
        """Return the reasons as mistakes at the place of the variable ``name``."""
        return [setting.mistake(f"{name}: {message}", hint) for message, hint in self.reasons]
