"""Stands in for the proof of same work in the lab's sessions: there is no work to be the same."""

import json
import sys
from pathlib import Path

from ..protocol.protocol import DATASET, RESULTS, write_json

if __name__ == "__main__":
    job = Path(sys.argv[1])
    variants = json.loads((job / "request.json").read_text())["variants"]
    proven = {one["key"]: {"is_proven": True, "problems": []} for one in variants}
    write_json(job / RESULTS / DATASET, {"variants": proven})
