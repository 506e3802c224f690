"""Find what an image build needs of the machine that builds: certificates, package index, proxies."""

from __future__ import annotations

import configparser
import os
import re
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

_PEM = re.compile(rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)
_CERTIFICATE_VARIABLES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "PIP_CERT")
_CERTIFICATE_FOLDER = Path("/usr/local/share/ca-certificates")
_PIP_SETTINGS = ("index-url", "extra-index-url", "trusted-host")
_PROXIES = ("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")


def find_certificates(
    environ: Mapping[str, str] | None = None,
    folder: Path = _CERTIFICATE_FOLDER,
    pip_files: Iterable[Path] | None = None,
) -> bytes:
    """Return the certificates that this machine trusts beyond Debian's, as one PEM file; empty where there are none.

    They are read from the places where an administrator behind a TLS proxy puts them: the usual variables, pip's
    ``cert``, and ``/usr/local/share/ca-certificates``.
    """
    variables = os.environ if environ is None else environ
    places = [Path(variables[name]) for name in _CERTIFICATE_VARIABLES if variables.get(name)]
    configured = _read_pip_files(pip_files).get("cert")
    places += [Path(configured)] if configured else []
    places += sorted(folder.rglob("*.crt")) if folder.is_dir() else []
    blocks: dict[bytes, None] = {}
    for place in places:
        for block in _PEM.findall(_bytes_of(place)):
            blocks.setdefault(block.replace(b"\r\n", b"\n"))
    return b"".join(block + b"\n" for block in sorted(blocks))


def find_build_arguments(
    environ: Mapping[str, str] | None = None, pip_files: Iterable[Path] | None = None
) -> dict[str, str]:
    """Return build arguments: this machine's settings of pip's index (variables before files), and its proxies.

    An index in a folder of this machine is left out, because a build cannot access it.
    """
    variables = os.environ if environ is None else environ
    configured = _read_pip_files(pip_files)
    arguments: dict[str, str] = {}
    for setting in _PIP_SETTINGS:
        name = "PIP_" + setting.upper().replace("-", "_")
        words = (variables.get(name) or configured.get(setting) or "").split()
        kept = [word for word in words if setting == "trusted-host" or word.startswith(("http://", "https://"))]
        if kept:
            arguments[name] = " ".join(kept)
    arguments.update({name: variables[name] for name in _PROXIES if variables.get(name)})
    return arguments


def pip_configuration_files(environ: Mapping[str, str] | None = None) -> list[Path]:
    """Return the files of pip's settings, weakest first (pip's documentation, "Configuration")."""
    variables = os.environ if environ is None else environ
    home = Path(variables.get("HOME") or "~").expanduser()
    user = Path(variables.get("XDG_CONFIG_HOME") or home / ".config")
    files = [
        Path("/etc/xdg/pip/pip.conf"),
        Path("/etc/pip.conf"),
        home / ".pip/pip.conf",
        user / "pip/pip.conf",
        Path(sys.prefix) / "pip.conf",
    ]
    if variables.get("PIP_CONFIG_FILE"):
        files.append(Path(variables["PIP_CONFIG_FILE"]))
    return files


def _read_pip_files(files: Iterable[Path] | None) -> dict[str, str]:
    settings: dict[str, str] = {}
    for file in pip_configuration_files() if files is None else files:
        parser = configparser.RawConfigParser()
        try:
            parser.read_string(_bytes_of(file).decode(errors="replace"))
        except configparser.Error:
            continue
        for section in ("global", "install"):
            if parser.has_section(section):
                settings.update({key.replace("_", "-"): value for key, value in parser.items(section)})
    return settings


def _bytes_of(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""
