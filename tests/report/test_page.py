# mypy: disable-error-code="index"

from __future__ import annotations

import base64
import gzip
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from builder import SessionBuilder, build_lab, make_case, make_facts, make_finding, make_oom, make_record

from harness.bench.protocol.bounded_json import clean_halves
from harness.records.content import SessionContent
from harness.records.reading import parse_event, refuse
from harness.records.session_data import SessionData
from harness.report.composition import build_view
from harness.report.embed import BLOCK_ID, compress_sessions, pack_sessions, unpack_sessions
from harness.report.export import export_records
from harness.report.page import hash_source, render_page, write_report
from harness.report.palette import DARK, LIGHT
from harness.report.source import read_source
from harness.values.errors import SessionError

VOID = {"meta", "link", "br", "hr", "img", "input"}
DRAWN = {"path", "line", "rect", "circle"}


class Reading(HTMLParser):
    """Elements, attributes, ids and text of a page; fails on tags that do not nest."""

    def __init__(self, page: Any) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.elements: list[Any] = []
        self.text: list[str] = []
        self.ids: list[str] = []
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag: Any, attrs: Any) -> None:
        values = dict(attrs)
        self.elements.append((tag, values))
        if "id" in values:
            self.ids.append(values["id"])
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: Any, attrs: Any) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: Any) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: Any) -> None:
        if "script" not in self.open and "style" not in self.open:
            self.text.append(data)

    def all(self, tag: Any) -> list[Any]:
        return [values for name, values in self.elements if name == tag]

    @property
    def words(self) -> str:
        return " ".join(" ".join(self.text).split())


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return build_lab().write(tmp_path_factory.mktemp("lab") / "lab-test-12345678")


@pytest.fixture(scope="module")
def page(lab: Any) -> Any:
    return render_page(read_source(lab))


@pytest.fixture(scope="module")
def reading(page: Any) -> Any:
    return Reading(page)


def render(builder: Any, folder: Path) -> Any:
    return render_page(read_source(builder.write(folder / builder.name)))


def test_nothing_leaves_the_page(page: Any, reading: Any) -> None:
    policy = next(m["content"] for m in reading.all("meta") if m.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'; ") and "unsafe" not in policy and "http" not in policy
    style = re.search(r"<style>(.*?)</style>", page, re.DOTALL)[1]
    (script,) = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    assert f"style-src '{hash_source(style)}'" in policy and f"script-src '{hash_source(script)}'" in policy
    assert not re.search(r"url\(|@import", style)
    links = [a["href"] for a in reading.all("a")]
    assert links and all(link.startswith("#") for link in links)
    assert not any("src" in values or "style" in values for _, values in reading.elements)
    assert not any(name.startswith("on") for _, values in reading.elements for name in values)
    assert [script.get("type") for script in reading.all("script")] == ["application/json", "application/json", None]
    assert reading.all("link") == []


def test_each_link_has_its_place_and_each_id_is_one(reading: Any) -> None:
    assert len(set(reading.ids)) == len(reading.ids)
    assert {a["href"][1:] for a in reading.all("a")} <= set(reading.ids)
    labels = [values["aria-labelledby"] for _, values in reading.elements if "aria-labelledby" in values]
    assert {name for names in labels for name in names.split()} <= set(reading.ids)


def test_tables_can_be_read_aloud(reading: Any) -> None:
    assert reading.all("html")[0]["lang"] == "en"
    assert len(reading.all("table")) == len(reading.all("caption")) > 0
    assert all(th.get("scope") in ("col", "row") for th in reading.all("th"))
    assert len(reading.all("h1")) == 1


def test_the_page_says_what_was_found(reading: Any) -> None:
    words = reading.words
    assert "3 of 3 rounds" in words and "so far" not in words
    assert "Test Eight (test data), 16 CPUs, 33 GB RAM, no GPU, nvme disk" in words
    assert "2 hosts: ws01, ws02" in words
    assert re.search(
        r"From 1\.5 GB on: tfdata with file cache , 4\.\d\d× "
        r"\(\d\.\d\d–\d\.\d\d\) the images/s of keras-idg after the first epoch, 2 of 2 hosts agree, 6 pairs of runs; "
        r"from 6 GB on: tfdata with memory cache",
        words,
    )
    assert "The file cache pays for itself from epoch 4, or from the second training of 3 epochs if it is kept" in words
    assert "tfdata with memory cache runs out of memory at 1.5 GB." in words
    assert "in epoch 1, step 21–23" in words
    assert "cache pays for itself from epoch 4" in words
    assert "the model is the bottleneck" in words
    assert "needs 40.0 GB, the host can give 21.4 GB" in words
    assert "Pixels differ" in words
    assert "With no limit (21.4 GB available)" in words
    assert "117,266 × 256 × 256 × 3 × 4 = 92.2 GB" in words
    assert "harness run inventory/lab.yaml --experiment test --only" in words
    assert "image digest" in words and "1" * 64 in words and "seed 42" in words


def test_no_status_or_verdict_is_colour_alone(reading: Any, page: Any) -> None:
    for tint in ("good", "bad", "open", "quiet"):
        for cell in re.findall(rf'<td class="{tint}(?: heat-\d)?">(.*?)</td>', page, re.DOTALL):
            sign, _, rest = cell.partition("</span>")
            assert sign.rpartition(">")[2].strip()
            assert re.search(r"\w", re.sub(r"<[^>]+>", "", rest))


def test_the_same_records_give_the_same_bytes(lab: Any, tmp_path: Path) -> None:
    first = write_report([lab], tmp_path / "a.html").read_bytes()
    assert write_report([lab], tmp_path / "b.html").read_bytes() == first


def test_an_old_page_gives_the_same_page_and_records_again(lab: Any, tmp_path: Path) -> None:
    page = write_report([lab], tmp_path / "report.html")
    again = write_report([page], tmp_path / "again.html")
    assert again.read_bytes() == page.read_bytes()
    assert export_records(page, "json") == export_records(lab, "json")


def test_a_page_without_records_says_so(tmp_path: Path) -> None:
    (tmp_path / "other.html").write_text("<html></html>")
    with pytest.raises(SessionError, match="no block of records"):
        write_report([tmp_path / "other.html"], tmp_path / "out.html")
    block = f'<script type="application/json" id="{BLOCK_ID}">"QUJD"</script>'
    (tmp_path / "cut.html").write_text(block)
    with pytest.raises(SessionError, match="damaged"):
        write_report([tmp_path / "cut.html"], tmp_path / "out.html")
    assert not (tmp_path / "out.html").exists()


def test_too_many_records_lie_beside_the_page_and_are_read_from_there(
    lab: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.report.embed.MOST_EMBEDDED_BYTES", 100)
    assert pack_sessions(compress_sessions(read_source(lab))) is None
    page = write_report([lab], tmp_path / "large.html")
    reading = Reading(page.read_text())
    assert f'id="{BLOCK_ID}"' not in page.read_text()
    assert "they are beside it in large-records.json.gz" in reading.words
    assert "large-records.json.gz" in [a["href"] for a in reading.all("a")]
    assert export_records(page, "json") == export_records(lab, "json")
    monkeypatch.undo()
    write_report([lab], page)
    assert [path.name for path in tmp_path.iterdir()] == ["large.html"]


def test_the_block_carries_all_attempts(tmp_path: Path) -> None:
    record = make_record(make_case(), status="error", epochs=(), cause="first try")
    builder = SessionBuilder().add(record, make_record(make_case(), attempt=2))
    page = render(builder, tmp_path)
    session: Any
    (session,) = unpack_sessions(page)
    assert [value["attempt"] for value in session["records"]] == [1, 2]
    assert "tfdata, no cache, limit 1.5 GB: error (ws01, round 1, attempt 1)" in Reading(page).words


SURROGATE = "\ud800"
HOSTILE = [
    "<script>alert(1)</script>",
    "\"><img src=x onerror='alert(1)'>",
    "</script><script>alert(1)</script>",
    "{{ 7 * 7 }}{% raw %}",
    "x" * 5000,
    "evil\u202egnp.exe\u2066\u0000\u001b[31m",
    f'<script type="application/json" id="{BLOCK_ID}">"QUJD"</script>',
    SURROGATE,
]


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_text_shows_as_text(text: Any, tmp_path: Path) -> None:
    facts = make_facts(text[:2000] + "cpu", gpu=text)
    case = make_case(loader=text, data=text, memory_limit="none")
    bad = {"status": "error", "cause": text, "log_tail": text * 20, "log": text, "epochs": ()}
    builder = SessionBuilder("name", baseline={"loader": text})
    builder.add(make_record(case, host=text, facts=facts, findings=(make_finding(text, "warning", text),)))
    builder.add(make_record(make_case(cache="memory"), host=text, facts=facts, evidence={"engine_error": text}, **bad))
    builder.add_event("EngineChosen", host=text, engine=text, version=text, reason=text)
    builder.add_event("SessionFinding", id=text, severity=text, message=text, hint=text, host=text)
    builder.add_event("HostStateChanged", host=text, state=text, message=text, hint=text)
    argv = ["harness", "run", text]
    builder.add_event("SessionStarted", session=text, folder=text, resumed=False, done=0, planned=9, argv=argv)
    builder.description |= {"experiment_name": text, "created_at": text, "versions": {text: text}}
    builder.description["experiment"] |= {"description": text, "notes": [text]}
    # No file of ours can hold a lone surrogate, an old page can.
    sessions = [make_session(builder)] if text == SURROGATE else read_source(builder.write(tmp_path / "session"))
    page = render_page(sessions)
    page.encode()
    reading = Reading(page)
    assert len(reading.all("script")) == 3 and reading.all("img") == []
    assert not re.search("[\u0000-\u0008\u000b-\u001f\u200b-\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]", page)
    assert max(len(line) for text in reading.text for line in text.splitlines()) < 2500
    if text.startswith("<script>"):
        assert text in reading.words
    assert unpack_sessions(page)[0]["session"]["created_at"] == clean_halves(text)


def make_session(builder: Any) -> Any:
    return SessionData(
        origin=builder.name,
        content=SessionContent.model_validate(builder.description),
        facts={},
        records=tuple(builder.records),
        superseded=(),
        events=tuple(filter(None, (parse_event(event, refuse, "events.jsonl") for event in builder.events))),
    )


def test_a_failed_writing_keeps_the_old_page(lab: Any, tmp_path: Path) -> None:
    target = tmp_path / "report.html"
    target.mkdir()
    with pytest.raises(SessionError, match="cannot be written"):
        write_report([lab], target)
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


def test_no_records_yet_is_a_page_too(tmp_path: Path) -> None:
    words = Reading(render(SessionBuilder().add_host("ws01", make_facts()), tmp_path)).words
    assert "No results yet" in words and "0 of 3 rounds so far" in words


def test_one_round_gives_no_verdict(tmp_path: Path) -> None:
    builder = SessionBuilder(rounds=3)
    builder.add(make_record(make_case(loader="keras-idg"), rate=30), make_record(make_case(), rate=90))
    words = Reading(render(builder, tmp_path)).words
    assert "1 of 3 rounds so far" in words
    assert "not settled: " in words and "one pair of runs gives no interval" in words
    assert "▲" not in words


def test_a_dead_baseline_gives_no_verdict(tmp_path: Path) -> None:
    builder = SessionBuilder()
    for number in (1, 2, 3):
        builder.add(make_oom(make_case(loader="keras-idg"), round=number), make_record(make_case(), round=number))
    words = Reading(render(builder, tmp_path)).words
    assert "the baseline keras-idg has no result here (out of memory)" in words


def test_equal_images_per_cpu_second_are_called_cores(tmp_path: Path) -> None:
    builder = SessionBuilder()
    for number in (1, 2, 3):
        builder.add(make_record(make_case(loader="keras-idg"), round=number, rate=30, per_cpu=350))
        builder.add(make_record(make_case(), round=number, rate=90, per_cpu=350))
    words = Reading(render(builder, tmp_path)).words
    assert "tfdata is faster because it uses more threads, not because it does less work: per CPU second it" in words


def test_all_at_the_ceiling_is_no_race(tmp_path: Path) -> None:
    builder = SessionBuilder()
    for number in (1, 2, 3):
        for loader in ("keras-idg", "tfdata", "ceiling"):
            builder.add(make_record(make_case(loader=loader), round=number, rate=60))
    words = Reading(render(builder, tmp_path)).words
    assert "the model is the bottleneck: keras-idg and tfdata reach its limit, so no loader can win here" in words


def test_invalid_and_degraded_are_shown(tmp_path: Path) -> None:
    builder = SessionBuilder()
    for number in (1, 2, 3):
        builder.add(make_record(make_case(loader="keras-idg"), round=number, rate=30, validity="degraded"))
        builder.add(make_record(make_case(), round=number, rate=90, validity="invalid" if number == 3 else "valid"))
    words = Reading(render(builder, tmp_path)).words
    assert "✓ 2 ok ~ 3 disturbed ✗ 1 invalid" in words
    assert "1 invalid run, left out of all averages" in words
    assert "3 disturbed runs (the host was busy, throttled, …)" in words
    assert "tfdata, no cache, limit 1.5 GB: invalid: test invalid (ws01, round 3)" in words
    assert "keras-idg, limit 1.5 GB: disturbed: test degraded (ws01, rounds 1, 2, 3)" in words
    assert "1 invalid run left out of the average" in words
    assert "2 pairs of runs give no interval: 2 of 3 rounds have a result of both, disturbed (test degraded)" in words


def test_caveats(tmp_path: Path) -> None:
    builder = SessionBuilder()
    for host, boot in (("a", "same"), ("b", "same")):
        builder.add_host(host, make_facts(boot=boot))
        builder.add(make_record(make_case(), host=host, engine="docker" if host == "a" else "process"))
    hint = "`harness check` says what the other engine lacks"
    builder.add_event("SessionFinding", id="engine-fallback", severity="warning", message="no container", hint=hint)
    builder.add_event("HostStateChanged", host="c", state="unreachable", message="no route", hint="look at the cable")
    builder.add_event("SessionFinding", id="x", severity="warning", message="the payload changed", hint="use --fresh")
    builder.add_event("AnythingElse", host="a")
    words = Reading(render(builder, tmp_path)).words
    assert "2 hosts share one machine" in words
    assert "no container → `harness check` says what the other engine lacks" in words
    assert "host is unreachable: no route → look at the cable" in words
    assert "the payload changed → use --fresh" in words
    assert "measured with different engines: docker and process" in words
    assert "AnythingElse" not in words


def test_a_caveat_of_short_epochs_asks_for_as_many_images_as_verdicts_and_advice_do(tmp_path: Path) -> None:
    builder = SessionBuilder()
    short: dict[str, Any] = {"images": 50, "evidence": {"child_exit_code": 0}}
    for number in (1, 2, 3):
        builder.add(make_record(make_case(loader="keras-idg"), round=number, rate=3_000, **short))
        builder.add(make_record(make_case(), round=number, rate=30_000, **short))
    view = build_view(read_source(builder.write(tmp_path / "s")))
    (caveat,) = [caveat for caveat in view.beliefs if caveat.id == "too-short"]
    cure = r"about ([\d,]+) to ([\d,]+) images in an epoch are enough, depending on the case: .*"
    found = re.fullmatch(cure, caveat.hint)
    assert found is not None, caveat.hint
    words = Reading(render(builder, tmp_path)).words
    said = set(re.findall(r"about ([\d,]+) images in an epoch", words))
    assert said and said <= set(found.groups())


def test_what_was_paused_has_one_cure(tmp_path: Path) -> None:
    def invalid(*ids: str) -> list[str]:
        builder = SessionBuilder()
        for number, name in enumerate(ids, start=1):
            finding = make_finding(name, "error")
            builder.add(make_record(make_case(), round=number, validity="invalid", findings=(finding,), evidence={}))
        beliefs = build_view(read_source(builder.write(tmp_path / "-".join(ids)))).beliefs
        return [caveat.hint for caveat in beliefs if "left out of all averages" in caveat.message]

    mend = "fix what the findings name, then run the command again with --rerun-failed"
    assert invalid("host-paused") == ["the same command measures them again"]
    assert invalid("test-invalid") == [mend]
    assert invalid("host-paused", "test-invalid") == [
        f"the same command measures the paused runs again; for the others {mend}"
    ]


def test_caveats_name_hosts_as_they_are_called_now_and_none_that_was_left_out_since(tmp_path: Path) -> None:
    builder = SessionBuilder()
    builder.add(make_record(make_case(), host="omega"))
    command: dict[str, Any] = {"session": "s", "folder": "f", "resumed": True}
    builder.add_event("CommandStarted", hosts=["delta", "gone"], **command)
    builder.add_event("SessionFinding", id="x", severity="warning", message="it is odd", hint="", host="delta")
    for host in ("delta", "gone"):
        builder.add_event("HostStateChanged", host=host, state="unreachable", message=f"no route to {len(host)}")
    assert "no route to 4" in Reading(render(builder, tmp_path)).words
    builder.add_event("CommandStarted", hosts=["omega"], **command)
    builder.add_event("HostRenamed", host="omega", old="delta", records=1)
    view = build_view(read_source(builder.write(tmp_path / "renamed")))
    caveats = [(caveat.message, caveat.where) for caveat in view.beliefs]
    assert ("it is odd", "omega") in caveats and ("host is unreachable: no route to 5", "omega") in caveats
    assert "delta" not in str(caveats) and "gone" not in str(caveats)


def test_findings_of_one_id_are_one_caveat_with_all_their_hosts(tmp_path: Path) -> None:
    builder = SessionBuilder()
    builder.add(make_record(make_case()))
    for number in range(5):
        said = {
            "message": f"case {number} spreads by {10 + number} %",
            "hint": "run more rounds",
            "host": f"ws{number}",
        }
        builder.add_event("SessionFinding", id="drift", severity="warning", **said)
    words = Reading(render(builder, tmp_path)).words
    each = "; ".join(f"ws{number}: case {number} spreads by {10 + number} %" for number in range(3))
    assert f"{each} (and 2 more like it)" in words
    assert words.count("run more rounds") == 1
    assert "ws0, ws1, ws2, ws3, ws4" in words


def test_a_twin_that_differs_from_itself_is_said(tmp_path: Path) -> None:
    builder = SessionBuilder()
    for number in (1, 2, 3):
        builder.add(make_record(make_case(), round=number, rate=100))
        builder.add(make_record(make_case(), round=number, rate=130, alias="b"))
    words = Reading(render(builder, tmp_path)).words
    assert "noise: one case was measured twice in each round, and the second runs had 1.30×" in words
    assert "differences of this size mean nothing here" in words


def test_many_records_stay_small(tmp_path: Path) -> None:
    builder = SessionBuilder(rounds=5)
    for host in range(10):
        facts = make_facts(f"kind {host % 4}")
        builder.add_host(f"ws{host}", facts)
        for number in range(1, 6):
            for limit in (10**9, 2 * 10**9, 4 * 10**9, 8 * 10**9):
                for loader, cache in (
                    ("keras-idg", "none"),
                    ("tfdata", "none"),
                    ("tfdata", "memory"),
                    ("tfdata", "file"),
                ):
                    case = make_case(loader=loader, cache=cache, memory_limit=limit)
                    builder.add(make_record(case, host=f"ws{host}", facts=facts, round=number))
    assert len(builder.records) == 800
    assert len(render(builder, tmp_path).encode()) < 1_500_000


def test_sessions_merge_without_pairing_across_them(tmp_path: Path) -> None:
    folders = []
    for name in ("one-1", "two-2"):
        builder = SessionBuilder(name).add_host("ws01", make_facts())
        builder.add(make_record(make_case(loader="keras-idg" if name == "one-1" else "tfdata")))
        folders.append(builder.write(tmp_path / name))
    page = write_report(folders, tmp_path / "both.html").read_text()
    words = Reading(page).words
    assert "one-1: 1 of 3 rounds so far; two-2: 1 of 3 rounds so far" in words
    assert "▲" not in words
    assert len(unpack_sessions(page)) == 2


def luminance(colour: Any) -> Any:
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: Any, other: Any) -> Any:
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("colours", [LIGHT, DARK], ids=["light", "dark"])
def test_text_stands_out_in_both_themes(colours: Any) -> None:
    texts = ("ink", "soft", "link")
    pairs = [(text, paper) for text in texts for paper in ("paper", "panel")]
    pairs += [(f"{tint}-ink", tint) for tint in ("good", "bad", "open", "quiet")]
    assert {pair for pair in pairs if contrast(colours[pair[0]], colours[pair[1]]) < 4.5} == set()
    marks = {name for name in colours if name.startswith("c")}
    assert len(marks) == 8
    assert {name for name in marks if contrast(colours[name], colours["paper"]) < 3} == set()


def test_both_themes_have_the_same_colours(page: Any) -> None:
    assert set(LIGHT) == set(DARK)
    used = set(re.findall(r"var\(--([\w-]+)\)", page))
    assert used <= set(LIGHT)


def test_the_block_is_plain_json_of_gzip(page: Any) -> None:
    block = re.search(rf'id="{BLOCK_ID}"[^>]*>(.*?)</script>', page)[1]
    value = json.loads(gzip.decompress(base64.b64decode(json.loads(block))))
    assert value["format"] == 1 and value["sessions"][0]["records"][0]["status"] == "ok"


def test_the_page_says_what_each_measured_loader_is_and_that_image_data_generator_is_deprecated(reading: Any) -> None:
    words = reading.words
    assert "keras-idg Keras ImageDataGenerator (deprecated by Keras) with its defaults: PIL, one thread" in words
    assert "Loaders in this report" in words and "grain" not in words.partition("Loaders in this report")[2]
