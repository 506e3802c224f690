"""Follow a page of ``docs/contributing``: write its code block as the file that it names, where it is looked for."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

PAGES = Path(__file__).resolve().parents[2] / "docs" / "contributing"


def read_page(page: str) -> tuple[str, str]:
    """The name and the content of the one file that a page shows; a page is short."""
    text = (PAGES / page).read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 40
    (name,) = re.findall(r"the file\s+`(\w+\.py)`", text)
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    return name, code


@contextmanager
def followed(page: str, package: ModuleType, folder: Path) -> Iterator[Path]:
    """The file of a page, in a folder that a package has beside its own; the package forgets it in the end."""
    name, code = read_page(page)
    folder.mkdir(parents=True)
    (folder / name).write_text(code, encoding="utf-8")
    package.__path__.append(str(folder))
    importlib.invalidate_caches()
    try:
        yield folder / name
    finally:
        package.__path__.remove(str(folder))
        sys.modules.pop(f"{package.__name__}.{Path(name).stem}", None)
        importlib.invalidate_caches()
