from __future__ import annotations

from pathlib import Path

import pytest

from harness.bench.launcher.confine import mounts_below
from harness.ship.base import Source, choose_source, parse_deb822, parse_lines, read_sources
from harness.ship.build_environment import find_build_arguments, find_certificates, pip_configuration_files
from harness.values.errors import ImageUnavailable

ONE = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"
TWO = "-----BEGIN CERTIFICATE-----\nBBBB\n-----END CERTIFICATE-----"
DEB822 = """# comment
Types: deb deb-src
URIs: http://archive.example/debian
Suites: bookworm
 bookworm-updates
Components: main contrib

Types: deb
URIs: http://archive.example/debian-security
Suites: bookworm-security
Components: main

Enabled: no
Types: deb
URIs: http://off.example/debian
Suites: bookworm
Components: main
"""
LINES = """# deb http://old.example/debian old main
deb [arch=amd64 signed-by=/k.gpg] https://other.example/apt stable main
deb http://archive.example/ubuntu noble main universe # comment
deb-src http://archive.example/ubuntu noble main
deb http://short.example
"""


def test_certificates_are_gathered_once_each_from_everywhere(tmp_path: Path) -> None:
    folder = tmp_path / "ca"
    folder.mkdir()
    (folder / "lab.crt").write_text(f"# the lab's\n{TWO}\n")
    (folder / "notes.txt").write_text(ONE.replace("AAAA", "CCCC"))
    bundle = tmp_path / "bundle.pem"
    bundle.write_text(f"{ONE}\n{TWO}\n")
    pip = tmp_path / "pip.conf"
    pip.write_text(f"[global]\ncert = {tmp_path}/absent.pem\n")
    environ = {"SSL_CERT_FILE": str(bundle), "PIP_CERT": str(tmp_path / "none.pem")}
    assert find_certificates(environ, folder, [pip]).decode() == f"{ONE}\n{TWO}\n"
    assert find_certificates({}, tmp_path / "no-folder", []) == b""


def test_pips_index_comes_from_variables_before_files_and_never_from_a_folder(tmp_path: Path) -> None:
    weak, strong = tmp_path / "a.conf", tmp_path / "b.conf"
    weak.write_text("[global]\nindex-url = https://weak.example/simple\ntrusted-host = weak.example\n")
    strong.write_text(
        "[install]\nindex_url = https://lab.example/simple\n"
        "extra-index-url = file:///opt/wheels\n  https://extra.example/simple\n"
    )
    assert find_build_arguments({}, [weak, strong]) == {
        "PIP_INDEX_URL": "https://lab.example/simple",
        "PIP_EXTRA_INDEX_URL": "https://extra.example/simple",
        "PIP_TRUSTED_HOST": "weak.example",
    }
    asked = find_build_arguments({"PIP_INDEX_URL": "https://mine.example", "https_proxy": "http://p:3128"}, [strong])
    assert asked["PIP_INDEX_URL"] == "https://mine.example"
    assert asked["https_proxy"] == "http://p:3128"
    assert find_build_arguments({}, [tmp_path / "absent.conf"]) == {}


def test_a_broken_pip_file_is_passed_over(tmp_path: Path) -> None:
    broken = tmp_path / "pip.conf"
    broken.write_text("no section\nindex-url = x\n")
    assert find_build_arguments({}, [broken]) == {}


def test_the_file_that_a_variable_names_is_the_strongest() -> None:
    assert pip_configuration_files({"PIP_CONFIG_FILE": "/lab/pip.conf"})[-1] == Path("/lab/pip.conf")


def test_sources_are_read_in_both_formats(tmp_path: Path) -> None:
    (tmp_path / "debian.sources").write_text(DEB822)
    (tmp_path / "other.list").write_text(LINES)
    (tmp_path / "README").write_text(LINES)
    sources = read_sources((tmp_path / "absent.list", tmp_path))
    assert sources == parse_deb822(DEB822) + parse_lines(LINES)
    assert sources[0] == Source("http://archive.example/debian", ("bookworm", "bookworm-updates"), ("main", "contrib"))
    assert [source.uri for source in parse_lines(LINES)] == [
        "https://other.example/apt",
        "http://archive.example/ubuntu",
    ]
    assert not [source for source in sources if "off.example" in source.uri]


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({"own": "bookworm"}, ("bookworm", "http://archive.example/debian")),
        ({"suite": "trixie", "own": "bookworm"}, ("trixie", "http://archive.example/debian")),
        ({"own": "bookworm", "mirror": "http://near"}, ("bookworm", "http://near")),
    ],
)
def test_the_machines_own_archive_is_taken(asked: dict[str, str], expected: tuple[str, str]) -> None:
    fields = {"suite": None, "mirror": None, "own": None, **asked}
    assert choose_source(parse_deb822(DEB822), **fields) == expected


def test_no_archive_is_an_error_with_the_way_out() -> None:
    with pytest.raises(ImageUnavailable) as caught:
        choose_source([], suite=None, mirror=None, own="fedora")
    assert "--base-image" in str(caught.value.hint)


def test_mounts_below_a_folder_are_found_outermost_first() -> None:
    mountinfo = "\n".join(
        f"{number} 1 0:1 / {point} rw - proc proc rw"
        for number, point in enumerate(["/", "/c/making-1/root/proc", "/c/making-1/root/proc/sys", "/c/making-10/proc"])
    )
    found = [one.path for one in mounts_below("/c/making-1", mountinfo)]
    assert found == ["/c/making-1/root/proc", "/c/making-1/root/proc/sys"]
