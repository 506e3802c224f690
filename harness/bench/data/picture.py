"""One file of a generated data set: its size and class, its pixels, and its JPEG."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, features

from .profiles import GENERATOR, Profile
from .synthesis import Draws, Scene, draw, mix


@dataclass(frozen=True)
class Plan:
    """Everything about picture ``index`` (from 0) of a set except its pixels; ``label`` indexes the classes."""

    index: int
    label: int
    quality: int
    key: int
    scene: Scene


def plan_picture(profile: Profile, seed: int, index: int) -> Plan:
    """Return the plan of a picture: it depends on the arguments alone, not on the machine or the number of pictures."""
    key = mix(GENERATOR, seed, index, *profile.name.encode())
    draws = Draws(key)
    width, height = _size(profile, draws)
    quality = _pick(profile.qualities, draws)
    scene = Scene(
        height=height,
        width=width,
        texture=profile.texture * draws.below(256) * draws.below(256) >> 16,
        grain=draws.below(profile.grain + 1),
        smoothness=profile.smoothness + draws.below(3),
        is_grey=draws.below(10_000) < profile.grey_of_10000,
    )
    if profile.kind == "folder":
        label = index % len(profile.classes)
    else:
        label = _pick([(weight, label) for label, weight in enumerate(profile.class_weights)], draws)
    return Plan(index=index, label=label, quality=quality, key=mix(key, 1), scene=scene)


def _size(profile: Profile, draws: Draws) -> tuple[int, int]:
    """Draw (width, height) in pixels."""
    choice = _pick(
        [(weight, number) for number, (weight, _, _) in enumerate(profile.sizes)] + [(profile.other_sizes, -1)], draws
    )
    if choice >= 0:
        return profile.sizes[choice][1:]
    longer = _pick(profile.long_sides, draws)
    shortest = min(longer, profile.shortest)
    shorter = shortest + draws.bell(longer - shortest + 1)
    return (longer, shorter) if draws.below(3) else (shorter, longer)


def _pick(choices: Sequence[tuple[int, int]], draws: Draws) -> int:
    """Draw one value from (weight, value) pairs."""
    left = draws.below(sum(weight for weight, _ in choices))
    for weight, value in choices:
        left -= weight
        if left < 0:
            return value
    raise AssertionError("weights add up")


def encode_picture(plan: Plan, subsampling: int, *, progressive: bool = False) -> bytes:
    """Draw the picture and return it as a JPEG, baseline or progressive."""
    luma, blue, red = draw(plan.scene, plan.key)
    if blue is None or red is None:
        image = Image.fromarray(luma)
    else:
        image = Image.merge("YCbCr", [Image.fromarray(plane) for plane in (luma, blue, red)])
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=plan.quality, subsampling=subsampling, optimize=False, progressive=progressive)
    return stream.getvalue()


def encoder() -> str:
    """Return the JPEG library and its version: another one may write other bytes for the same pixels."""
    turbo = features.version_feature("libjpeg_turbo")
    return f"libjpeg-turbo {turbo}" if turbo else f"libjpeg {features.version_codec('jpg')}"


def encoder_key() -> str:
    """Return the encoder and the generator's version in a form fit for a folder's name."""
    return f"{encoder().replace('libjpeg-turbo ', 'turbo').replace(' ', '')}-g{GENERATOR}"
