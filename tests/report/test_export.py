# mypy: disable-error-code="operator, index"

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from builder import SessionBuilder, build_lab, make_case, make_facts, make_oom, make_record

from harness.report.columns import COLUMNS, make_frame, tabulate_rows
from harness.report.export import EXPORTERS, export_records
from harness.report.source import read_source
from harness.values.case import Case, ModelSetting
from harness.values.errors import SessionError
from harness.values.record import Record


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return build_lab().write(tmp_path_factory.mktemp("lab") / "lab")


def test_each_format_has_a_row_for_each_invocation(lab: Any) -> None:
    import pandas

    count = len((lab / "records.jsonl").read_text().splitlines())
    assert len(list(csv.DictReader(io.StringIO(export_records(lab, "csv").decode(), newline="")))) == count
    assert len(json.loads(export_records(lab, "json"))) == count
    assert len(pandas.read_parquet(io.BytesIO(export_records(lab, "parquet")))) == count
    assert len(export_records(lab, "markdown").decode().splitlines()) == count + 2


def test_records_are_as_they_were(lab: Any) -> None:
    values = [json.loads(line) for line in export_records(lab, "records").splitlines()]
    lines = [json.loads(line) for line in (lab / "records.jsonl").read_text().splitlines()]
    judged = ("validity", "findings")  # a report judges again
    assert [{**value, **dict.fromkeys(judged)} for value in values] == [
        {**line, **dict.fromkeys(judged)} for line in lines
    ]
    assert all(Record.model_validate(value) for value in values)


KINDS = {column.name: column.kind for column in COLUMNS}
TRUTH = {"true": True, "false": False}
PARSE: dict[str, Callable[[str], Any]] = {"string": str, "Int64": int, "Float64": float, "boolean": TRUTH.__getitem__}


def read_cell(name: str, text: str) -> Any:
    return None if text == "" else PARSE[KINDS[name]](text)


def read_csv(content: Any) -> list[Any]:
    rows = csv.DictReader(io.StringIO(content.decode(), newline=""))
    return [{name: read_cell(name, re.sub(r"^'(?=[=+\-@])", "", text)) for name, text in row.items()} for row in rows]


def read_markdown(content: Any) -> list[Any]:
    head, _, *lines = [
        [re.sub(r"\\(.)", r"\1", cell.strip()) for cell in re.split(r"(?<!\\)(?:\\\\)*\|", line)[1:-1]]
        for line in content.decode().splitlines()
    ]
    return [{name: read_cell(name, cell) for name, cell in zip(head, line, strict=True)} for line in lines]


NATIVE = {"string": str, "Int64": int, "Float64": float, "boolean": bool}
READERS = {"json": json.loads, "csv": read_csv, "markdown": read_markdown}


def read_parquet(content: Any) -> list[Any]:
    import pandas

    rows = pandas.read_parquet(io.BytesIO(content), dtype_backend="numpy_nullable").to_dict("records")
    return [{k: None if pandas.isna(value) else NATIVE[KINDS[k]](value) for k, value in row.items()} for row in rows]


@pytest.fixture(scope="module")
def hard(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What is hard to write: text that each format must escape, all that is absent, numbers of many digits."""
    builder = SessionBuilder().add_host("ws01", make_facts())
    texts = ['=1+1,"x" | `y` \\ *_[a](b)_* <script>', "-7", "a\n\tb\r\0c", "\u202eevil", "x" * 900, " ", "é, 猫"]
    for number, text in enumerate(texts, start=1):
        builder.add(make_record(make_case(data=text or "d"), round=number, status="error", cause=text, epochs=()))
    builder.add(make_record(make_case(loader="grain", mode="load", memory_limit="none", max_images=300), cache=None))
    builder.add(make_record(make_case(cache="file"), rate=1234.56789, validity="invalid"))
    return builder.write(tmp_path_factory.mktemp("hard") / "hard")


@pytest.mark.parametrize("session", ["lab", "hard"])
def test_all_four_read_back_give_the_same_columns_and_values(session: str, request: pytest.FixtureRequest) -> None:
    folder = request.getfixturevalue(session)
    (read,) = read_source(folder)
    expected = tabulate_rows(read.records)
    assert [list(row) for row in expected] == [[column.name for column in COLUMNS]] * len(expected)
    for name, reader in {**READERS, "parquet": read_parquet}.items():
        found = reader(export_records(folder, name))
        assert [list(row) for row in found] == [list(row) for row in expected], name
        assert found == expected, name


def test_the_table_says_outcome_status_and_validity(hard: Any) -> None:
    rows = json.loads(export_records(hard, "json"))
    shown = {(row["outcome"], row["status"], row["validity"]) for row in rows}
    assert shown == {("error", "error", "valid"), ("ok", "ok", "valid"), ("invalid: test invalid", "ok", "invalid")}
    assert [row["max_images"] for row in rows if row["loader"] == "grain"] == [300]


def test_each_parameter_of_a_case_has_a_column() -> None:
    renamed = {"memory_limit": "memory_limit_bytes", "image_size": "image_height_px", "model": "model"}
    assert {renamed.get(name, name) for name in Case.model_fields} <= set(KINDS)
    assert {"model" if name == "name" else f"model_{name}" for name in ModelSetting.model_fields} <= set(KINDS)


def test_the_table_keeps_types_and_absence() -> None:
    case = make_case(cache="memory")
    frame = make_frame([make_record(make_case(memory_limit="none")), make_oom(case)])
    assert frame["memory_limit_bytes"].dtype == "Int64" and frame["memory_limit_bytes"].isna().tolist() == [True, False]
    assert frame["steady_images_per_s"].isna().tolist() == [False, True]
    assert frame["oom_kills"].tolist()[1] == 1
    assert frame["status"].tolist() == ["ok", "oom"]


def test_columns_have_names_of_their_own_and_meanings() -> None:
    assert len({column.name for column in COLUMNS}) == len(COLUMNS)
    assert all(column.meaning for column in COLUMNS)


def test_no_records_are_an_empty_table(tmp_path: Path) -> None:
    folder = SessionBuilder().write(tmp_path / "s")
    assert export_records(folder, "csv").decode().count("\n") == 1
    assert json.loads(export_records(folder, "json")) == []
    assert export_records(folder, "parquet") and export_records(folder, "markdown")


def test_only_the_newest_attempt_is_exported(tmp_path: Path) -> None:
    builder = SessionBuilder().add(make_record(make_case(), attempt=1), make_record(make_case(), attempt=2))
    (row,) = csv.DictReader(io.StringIO(export_records(builder.write(tmp_path / "s"), "csv").decode()))
    assert row["attempt"] == "2"


def test_hostile_text_is_defused(hard: Any) -> None:
    text = '=1+1,"x" | `y` \\ *_[a](b)_* <script>'
    (first, second, third, *_) = csv.DictReader(io.StringIO(export_records(hard, "csv").decode(), newline=""))
    assert (first["cause"], second["cause"], third["cause"]) == ("'" + text, "'-7", "a b �c")
    *_, line = [line for line in export_records(hard, "markdown").decode().splitlines() if "script" in line]
    assert "\\| \\`y\\` \\\\ \\*\\_\\[a](b)\\_\\* \\<script>" in line


def test_written_whole_or_not_at_all(lab: Any, tmp_path: Path) -> None:
    content = export_records(lab, "csv", tmp_path / "new" / "out.csv")
    assert (tmp_path / "new" / "out.csv").read_bytes() == content
    (tmp_path / "taken").mkdir()
    with pytest.raises(SessionError, match="cannot be written"):
        export_records(lab, "csv", tmp_path / "taken")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new", "taken"]


def test_an_unknown_format_names_the_known_ones(lab: Any) -> None:
    with pytest.raises(SessionError, match="no format 'xls'") as caught:
        export_records(lab, "xls")
    assert all(name in caught.value.hint for name in EXPORTERS)


def test_numbers_are_those_of_the_epochs() -> None:
    record = make_record(make_case(), rate=100)
    (row,) = tabulate_rows([record])
    first, *rest = record.epochs
    assert row["first_epoch_s"] == first.seconds
    assert row["steady_images_per_s"] == pytest.approx(sum(e.images for e in rest) / sum(e.seconds for e in rest))
    assert row["images_per_epoch"] == 400


def test_what_counts_in_the_averages_is_said() -> None:
    case = make_case()
    quiet = [make_record(case, round=number) for number in (1, 2, 3)]
    busy, bad = make_record(case, round=4, validity="degraded"), make_record(case, round=5, validity="invalid")
    assert [row["averaged"] for row in tabulate_rows([*quiet, busy, bad])] == [True, True, True, False, False]
    assert [row["averaged"] for row in tabulate_rows([*quiet[:2], busy, bad])] == [True, True, True, False]
