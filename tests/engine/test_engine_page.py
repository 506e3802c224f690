"""``docs/contributing/engine.md``, followed: its engine is written as its file, and everything knows it."""

# mypy: disable-error-code="index"

from __future__ import annotations

import importlib
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from contract import EngineTest
from test_contract import this_machine

from harness.console import Console
from harness.engine import kinds
from harness.engine.interface import Engine
from harness.engine.registry import load_engine, load_engines
from harness.inventory import load_inventory
from harness.inventory.schema import inventory_schema
from harness.values.engine_names import engine_names
from harness.values.errors import ConfigurationError, EngineUnavailable
from harness.workflow.machines.check_hosts import check_hosts
from harness.workflow.resolve import wanted_engine

PAGE = Path(__file__).resolve().parents[2] / "docs" / "contributing" / "engine.md"
INVENTORY = "all: {hosts: {here: {ansible_connection: local, harness: {engine: %s, scratch: %s, allow_busy: true}}}}"


@pytest.fixture(autouse=True)
def niced(tmp_path: Path) -> Iterator[None]:
    """The page's engine, in a folder that the package of engines has beside its own."""
    (file,) = re.findall(r"the file `(\w+\.py)`", PAGE.read_text())
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    folder = tmp_path / "kinds"
    folder.mkdir()
    (folder / file).write_text(code)
    kinds.__path__.append(str(folder))
    importlib.invalidate_caches()
    yield
    kinds.__path__.remove(str(folder))
    sys.modules.pop("harness.engine.kinds.niced", None)
    importlib.invalidate_caches()


def test_the_page_is_short() -> None:
    assert len(PAGE.read_text().splitlines()) <= 40


def test_it_can_be_asked_for_by_name(tmp_path: Path) -> None:
    names, tried = engine_names(), [spec.name for spec in load_engines()]
    assert names == tuple(sorted(tried))
    assert [name for name in tried if name in ("docker", "process", "niced")] == ["docker", "process", "niced"]
    inventory = tmp_path / "inventory.yaml"
    inventory.write_text(INVENTORY % ("niced", "/s"))
    (host,) = load_inventory(inventory).hosts
    assert (wanted_engine(host, None), wanted_engine(host, "process")) == ("niced", "process")
    with pytest.raises(ConfigurationError, match="unknown engine 'nicde'") as caught:
        wanted_engine(host, "nicde")
    assert caught.value.hint == "did you mean niced?"
    inventory.write_text(INVENTORY % ("nicde", "/s"))
    known = f"{', '.join(names[:-1])} or {names[-1]}"
    with pytest.raises(ConfigurationError, match=rf"expected auto, {known}[\s\S]*did you mean niced\?"):
        load_inventory(inventory)
    schema = inventory_schema()["$defs"]["HostVariables"]["properties"]["engine"]
    assert schema["enum"] == ["auto", *names]


def test_check_speaks_of_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    try:
        facts = load_engine("niced").make(this_machine(tmp_path)).probe("")
    except EngineUnavailable as error:
        pytest.skip(str(error))
    (tmp_path / "inventory.yaml").write_text(INVENTORY % ("niced", tmp_path / "scratch"))
    file = tmp_path / "inventory.yaml"
    check_hosts(Console(), file, limit=None, engine=None, ship=False, base_image=None, forks=1, as_json=False)
    said = capsys.readouterr().out
    assert f"✓ engine niced: niced {facts.version}\n" in said
    packages = f"this Python's packages, digest {str(facts.image_digest)[:19]}"
    assert f"✓ image niced: none is used: jobs run with {packages}\n" in said
    assert ("a limit of 67.1 MB is enforced" in said) == facts.can_limit_memory


@pytest.mark.cgroup
class TestItsJobs(EngineTest):
    @pytest.fixture
    def engine(self, tmp_path: Path) -> Engine:
        engine = load_engine("niced").make(this_machine(tmp_path / "scratch"))
        try:
            if not engine.probe("").can_limit_memory:
                pytest.skip("no memory cgroup can be made here")
        except EngineUnavailable as error:
            pytest.skip(str(error))
        return engine

    def test_they_give_way(self, engine: Engine, make: Any, tmp_path: Path) -> None:
        handle = engine.submit(make("wait"))
        pid = self.said(engine, handle, tmp_path / "out")["pid"]
        assert os.getpriority(os.PRIO_PROCESS, pid) == 19
