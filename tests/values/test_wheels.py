"""Wheels and locks: which file fits where, how a lock is read, and what names an environment."""

from __future__ import annotations

import hashlib

import pytest

from harness.values.wheels import Lock, LockedPackage, Platform, Wheel, fit, platform_tags, read_lock, write_lock

NEW = Platform((3, 11), "x86_64", (2, 36))
OLD = Platform((3, 10), "x86_64", (2, 17))
ARM = Platform((3, 12), "aarch64", (2, 31))


@pytest.mark.parametrize(("file", "fitting"), [
    ("six-1.17.0-py2.py3-none-any.whl", [NEW, OLD, ARM]),
    ("keras-3.15.1-py3-none-any.whl", [NEW, OLD, ARM]),
    ("later-1-py311-none-any.whl", [NEW, ARM]),
    ("h5py-3.14.0-cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64.whl", [NEW]),
    ("grpcio-1.85.3-cp310-cp310-manylinux2014_x86_64.whl", [OLD]),
    ("tensorflow-2.21.0-cp310-cp310-manylinux_2_27_x86_64.whl", []),
    ("psutil-7.2.2-cp36-abi3-manylinux2010_x86_64.manylinux_2_12_x86_64.whl", [NEW, OLD]),
    ("psutil-7.2.2-cp36-abi3-manylinux2014_aarch64.whl", [ARM]),
    ("libclang-18.1.1-py2.py3-none-manylinux2014_aarch64.whl", [ARM]),
    ("nvidia_cudnn-9-py3-none-manylinux_2_27_x86_64.whl", [NEW]),
    ("a-1-cp311-cp311-musllinux_1_2_x86_64.whl", []),
    ("a-1-cp311-cp311-macosx_11_0_arm64.whl", []),
    ("a-1-cp311-cp311-win_amd64.whl", []),
    ("a-1-cp313-cp313t-manylinux2014_x86_64.whl", []),
    ("a-1-cp313-abi3-manylinux2014_x86_64.whl", []),
    ("a-1-pp311-pypy311_pp73-manylinux2014_x86_64.whl", []),
    ("a-1-1-cp311-cp311-linux_x86_64.whl", [NEW]),
    ("a.whl", []),
])  # fmt: skip
def test_a_wheel_fits_by_its_name(file: str, fitting: list[Platform]) -> None:
    assert [one for one in (NEW, OLD, ARM) if fit(file, one) is not None] == fitting


def wheel(file: str, package: str = "a", version: str = "1") -> Wheel:
    return Wheel(package, version, file, 10, hashlib.sha256(file.encode()).hexdigest())


PLAIN, STABLE = wheel("a-1-py3-none-any.whl"), wheel("a-1-cp38-abi3-manylinux_2_17_x86_64.whl")
OWN, NEWER = wheel("a-1-cp311-cp311-manylinux_2_17_x86_64.whl"), wheel("a-1-cp311-cp311-manylinux_2_34_x86_64.whl")


def lock(*wheels: Wheel, platform: Platform = NEW) -> Lock:
    return Lock(platform, (LockedPackage("a", "1", (platform.name,), wheels),))


def test_the_wheel_that_fits_best_is_taken() -> None:
    assert lock(PLAIN, STABLE, OWN, NEWER).choose() == (NEWER,)
    assert lock(PLAIN, STABLE, OWN, NEWER, platform=NEW._replace(libc=(2, 31))).choose() == (OWN,)
    assert lock(PLAIN, STABLE).choose() == (STABLE,)
    with pytest.raises(LookupError, match="a 1"):
        lock(NEWER, platform=OLD).choose()


def test_an_environment_is_named_by_what_is_locked_not_by_the_library_that_is_there() -> None:
    both = [lock(PLAIN, NEWER, platform=NEW._replace(libc=libc)) for libc in ((2, 31), (2, 39))]
    assert both[0].digest == both[1].digest and both[0].choose() != both[1].choose()
    others = [lock(PLAIN), lock(PLAIN, NEWER, platform=NEW._replace(python=(3, 12)))]
    assert len({both[0].digest, *(one.digest for one in others)}) == 3
    assert lock(PLAIN, wheel("a-1-cp310-cp310-win_amd64.whl")).digest == lock(PLAIN).digest


def test_a_lock_is_read_as_it_was_written() -> None:
    packages = (
        LockedPackage("a", "1", (OLD.name, NEW.name, ARM.name), (PLAIN,)),
        LockedPackage(
            "numpy", "2.2.6", ("3.10/x86_64", "3.10/aarch64"), (wheel("n-1-py3-none-any.whl", "numpy", "2.2.6"),)
        ),
        LockedPackage("numpy", "2.5.5", ("3.11/x86_64",), (wheel("n-2-py3-none-any.whl", "numpy", "2.5.5"),)),
    )
    text = "# a lock\n" + write_lock(packages)
    assert [one.version for one in read_lock(text, OLD).packages] == ["1", "2.2.6"]
    assert read_lock(text, NEW).packages == (packages[0], packages[2])
    assert [one.name for one in read_lock(text, ARM).packages] == ["a"]


@pytest.mark.parametrize(
    "line", ["a==1", "a ==1 3.11/x86_64", "    00 12 a.whl", "a==1 3.11/x86_64\n    12", f"    {'0' * 64} 1 ../a.whl"]
)
def test_a_damaged_lock_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match="has an invalid line"):
        read_lock(line + "\n", NEW)


def test_the_tags_of_wheels_are_told() -> None:
    assert platform_tags([PLAIN, OWN, wheel("h-1-cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64.whl")]) == (
        "manylinux2014_x86_64",
        "manylinux_2_17_x86_64",
    )
