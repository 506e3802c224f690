"""Real sessions on hosts of the lab: harness itself, the TensorFlow image that it ships, pictures made on the hosts."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from lab_session import Controller

pytestmark = [pytest.mark.lab, pytest.mark.timeout(3000)]

Make = Callable[..., Controller]
LOADING = """\
name: loading-small
parameters:
  data: coco-mini
  mode: load
  loader: [keras-idg, tfdata]
  memory_limit: 600MB
  image_size: 96
  interpolation: nearest
  batch_size: 32
  epochs: 2
  max_images: 200
rounds: {rounds}
baseline: {{loader: keras-idg}}
timeout: 5min
"""
CACHES = """\
name: caches-small
parameters:
  data: coco-mini
  mode: load
  loader: tfdata-tuned
  cache: [none, array]
  element: uint8
  deliver: [float32, uint8]
  cache_reuse: [fresh, reused]
  memory_limit: 700MB
  image_size: 96
  interpolation: nearest
  batch_size: 32
  epochs: 2
  max_images: 200
rounds: {rounds}
baseline: {{loader: tfdata-tuned, cache: none}}
timeout: 5min
"""
DATA = {"data": {"coco-mini": {"generate": {"profile": "coco", "images": 200, "seed": 1}}}}


def test_two_hosts_load_pictures_with_the_shipped_image(session: Make) -> None:
    controller = session("ws1", "ws3", experiment=LOADING, shared=DATA, has_stub=False)
    process = controller.start()
    ended = controller.end(process, timeout_s=2400)
    assert ended.code == 0, ended.said
    controller.assert_complete()
    shipped = {event["host"]: event for event in controller.events() if event["event"] == "ImageShipped"}
    assert set(shipped) == {"ws1", "ws3"}
    assert all(event["bytes_sent"] > 100_000_000 for event in shipped.values())
    made = {event["host"]: event for event in controller.events() if event["event"] == "DataReady"}
    assert len({event["fingerprint"] for event in made.values()}) == 1
    for record in controller.records():
        assert [epoch.images for epoch in record.epochs] == [200, 200]
        assert record.validity != "invalid", record.findings
        assert record.memory.peak_anon is not None and record.memory.peak_anon <= 600_000_000
    assert len({record.hardware for record in controller.records()}) == 2
    page = controller.session().report_file.read_text()
    assert all(hardware in page for hardware in {record.hardware.split(" #")[0] for record in controller.records()})
    controller.assert_nothing_left()


@pytest.mark.lab_full
def test_an_array_cache_and_uint8_delivered_on_a_host_over_ssh(session: Make) -> None:
    """Of preset ``caches`` what is written and read by us: filled, reused, as float32 and as uint8."""
    controller = session("ws1", experiment=CACHES, shared=DATA, has_stub=False)
    ended = controller.end(controller.start(), timeout_s=2400)
    assert ended.code == 0, ended.said
    controller.assert_complete()
    records = controller.records()
    assert {(r.case.cache, r.case.deliver, r.case.cache_reuse) for r in records} == {
        *(("array", deliver, reuse) for deliver in ("float32", "uint8") for reuse in ("fresh", "reused")),
        *(("none", deliver, "fresh") for deliver in ("float32", "uint8")),
    }
    for record in records:
        assert record.status == "ok" and record.validity != "invalid", record.findings
        assert [epoch.images for epoch in record.epochs] == [200, 200]
        assert "asked-differs" not in {finding.id for finding in record.findings}, "each epoch has a new order"
        assert record.case.cache == "none" or (record.cache is not None and record.cache.bytes is not None)
        if record.cache is not None and record.cache.bytes is not None:
            assert record.cache.bytes == pytest.approx(200 * (96 * 96 * 3 + 8), abs=400)
    controller.assert_nothing_left()


@pytest.mark.lab_full
def test_preset_quick_on_two_hosts(session: Make) -> None:
    data = {"data": {"coco-mini": {"generate": {"profile": "coco", "images": 2000, "seed": 1}}}}
    controller = session("ws1", "ws2", shared=data, has_stub=False)
    controller.write()
    words = ["run", str(controller.inventory), "--experiment", "quick", "--output", str(controller.output)]
    ended = controller.end(controller.start_command(*words), timeout_s=2900)
    assert ended.code == 0, ended.said
    assert {record.host for record in controller.records()} == {"ws1", "ws2"}
    assert {"ok", "oom"} == {record.status for record in controller.records()}
    controller.assert_nothing_left()
