"""Stands in for the check of a data set in the lab's sessions: ten images that nobody looks at.

Their fingerprint is what the file ``fingerprint`` beside them says, where there is one; of a set that was sent it is
the real one.
"""

import hashlib
import json
import sys
from pathlib import Path

from ..protocol.protocol import DATASET, RESULTS, write_json

FOUND = {
    "kind": "folder",
    "form": "folder",
    "images": 10,
    "classes": 2,
    "class_names": ["a", "b"],
    "bytes": 1000,
    "fingerprint": "2" * 64,
    "mean_width": 640.0,
    "mean_height": 480.0,
    "mean_pixels": 307200.0,
    "odd": {},
    "unreadable": [],
    "unreadable_count": 0,
    "seconds": 0.0,
}


def hash_files(folder: Path) -> str:
    """As ``fingerprint_of`` in ``dataset.py`` does, of plain names."""
    lines = []
    for path in sorted(folder.rglob("*.jpg")):
        content = path.read_bytes()
        lines.append(f"{path.relative_to(folder)}\t{len(content)}\t{hashlib.sha256(content).hexdigest()}\n")
    return hashlib.sha256("".join(lines).encode()).hexdigest()


if __name__ == "__main__":
    job = Path(sys.argv[1])
    request = json.loads((job / "request.json").read_text())
    paths = request["paths"]
    other = Path(paths["data"]) / "fingerprint"
    found = {**FOUND, "fingerprint": other.read_text()} if other.is_file() else FOUND
    if "/shipped/" in request.get("shown", {}).get("data", ""):
        found = {**FOUND, "fingerprint": hash_files(Path(paths["data"]))}
    write_json(Path(paths["dataset"]) / DATASET, found)
    write_json(job / RESULTS / DATASET, found)
