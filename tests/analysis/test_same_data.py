"""Data sets of one name: what makes them the same, and what is said where they are not."""

from __future__ import annotations

from harness.analysis.same_data import HeldSet, find_clashes

MADE = HeldSet("generated: dogs-and-cats, 300 images, seed 1", "folder", 300, None, None)
REAL = HeldSet("/srv/pets", "folder", 1_399, 230 * 10**6, "4" * 64)


def test_both_sides_and_what_differs_are_named() -> None:
    (clash,) = find_clashes({"ws1": {"pets": MADE}, "ws3": {"pets": REAL}, "ws4": {"pets": REAL}})
    assert clash.hosts == ("ws1", "ws3", "ws4")
    assert clash.message == (
        "data set 'pets' has different files on different hosts (images differ): "
        "ws1 has generated: dogs-and-cats, 300 images, seed 1; folder, 300 images, fingerprint not known yet; "
        "ws3, ws4 have /srv/pets; folder, 1,399 images, 230 MB, fingerprint 444444444444"
    )


def test_what_is_not_known_differs_from_nothing() -> None:
    unread = HeldSet("/srv/pets", "coco")
    assert not find_clashes({"ws1": {"pets": unread}, "ws2": {"pets": HeldSet(images=5, bytes=7)}})
    assert not find_clashes({"ws1": {"pets": MADE}, "ws2": {"birds": REAL}})


def test_equal_fingerprints_are_the_same_files_whatever_else_is_known() -> None:
    copied = HeldSet("/data/copy", "folder", 1_400, None, "4" * 64)
    assert not find_clashes({"ws1": {"pets": copied}, "ws2": {"pets": REAL}})
    other = HeldSet("/srv/pets", "folder", 1_399, 230 * 10**6, "5" * 64)
    (clash,) = find_clashes({"ws1": {"pets": other}, "ws2": {"pets": REAL}})
    assert "(contents differ)" in clash.message


def test_only_the_sets_that_matter_are_compared() -> None:
    held = {"ws1": {"pets": MADE}, "ws2": {"pets": REAL}}
    assert find_clashes(held, ["pets"]) and not find_clashes(held, ["birds"])
