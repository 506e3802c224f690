import csv
import io
import json

import pytest
from builder import SessionBuilder, build_lab, make_case, make_oom, make_record

from harness.report.columns import COLUMNS, make_frame, tabulate_rows
from harness.report.export import EXPORTERS, export_records
from harness.values.errors import SessionError
from harness.values.record import Record


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    return build_lab().write(tmp_path_factory.mktemp("lab") / "lab")


def test_each_format_has_a_row_for_each_invocation(lab):
    import pandas

    count = len((lab / "records.jsonl").read_text().splitlines())
    assert len(list(csv.DictReader(io.StringIO(export_records(lab, "csv").decode(), newline="")))) == count
    assert len(json.loads(export_records(lab, "json"))) == count
    assert len(pandas.read_parquet(io.BytesIO(export_records(lab, "parquet")))) == count
    assert len(export_records(lab, "markdown").decode().splitlines()) == count + 2


def test_json_is_the_records_as_they_were(lab):
    values = json.loads(export_records(lab, "json"))
    lines = [json.loads(line) for line in (lab / "records.jsonl").read_text().splitlines()]
    judged = ("validity", "findings")  # a report judges again
    assert [{**value, **dict.fromkeys(judged)} for value in values] == [
        {**line, **dict.fromkeys(judged)} for line in lines
    ]
    assert all(Record.model_validate(value) for value in values)


def test_the_table_keeps_types_and_absence():
    case = make_case(cache="memory")
    frame = make_frame([make_record(make_case(memory_limit="none")), make_oom(case)])
    assert frame["memory_limit_bytes"].dtype == "Int64" and frame["memory_limit_bytes"].isna().tolist() == [True, False]
    assert frame["steady_images_per_s"].isna().tolist() == [False, True]
    assert frame["oom_kills"].tolist()[1] == 1
    assert frame["status"].tolist() == ["ok", "oom"]


def test_parquet_and_csv_have_the_documented_columns(lab):
    import pandas

    names = [column.name for column in COLUMNS]
    assert export_records(lab, "csv").decode().splitlines()[0].split(",") == names
    assert list(pandas.read_parquet(io.BytesIO(export_records(lab, "parquet"))).columns) == names
    assert len(set(names)) == len(names)
    assert all(column.meaning for column in COLUMNS)


def test_no_records_are_an_empty_table(tmp_path):
    folder = SessionBuilder().write(tmp_path / "s")
    assert export_records(folder, "csv").decode().count("\n") == 1
    assert json.loads(export_records(folder, "json")) == []
    assert export_records(folder, "parquet") and export_records(folder, "markdown")


def test_only_the_newest_attempt_is_exported(tmp_path):
    builder = SessionBuilder().add(make_record(make_case(), attempt=1), make_record(make_case(), attempt=2))
    (row,) = csv.DictReader(io.StringIO(export_records(builder.write(tmp_path / "s"), "csv").decode()))
    assert row["attempt"] == "2"


def test_hostile_text_breaks_no_format(tmp_path):
    text = '=1+1,"x"\n| <script>'
    builder = SessionBuilder().add(
        make_record(make_case(data=text), host="ws\0", status="error", cause=text, epochs=())
    )
    folder = builder.write(tmp_path / "s")
    (row,) = csv.DictReader(io.StringIO(export_records(folder, "csv").decode(), newline=""))
    assert row["cause"] == "'" + text
    *_, line = export_records(folder, "markdown").decode().splitlines()
    assert "\\| \\<script>" in line
    assert json.loads(export_records(folder, "json"))[0]["cause"] == text


def test_written_whole_or_not_at_all(lab, tmp_path):
    content = export_records(lab, "csv", tmp_path / "new" / "out.csv")
    assert (tmp_path / "new" / "out.csv").read_bytes() == content
    (tmp_path / "taken").mkdir()
    with pytest.raises(SessionError, match="cannot be written"):
        export_records(lab, "csv", tmp_path / "taken")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new", "taken"]


def test_an_unknown_format_names_the_known_ones(lab):
    with pytest.raises(SessionError, match="no format 'xls'") as caught:
        export_records(lab, "xls")
    assert all(name in caught.value.hint for name in EXPORTERS)


def test_numbers_are_those_of_the_epochs():
    record = make_record(make_case(), rate=100)
    (row,) = tabulate_rows([record])
    first, *rest = record.epochs
    assert row["first_epoch_s"] == first.seconds
    assert row["steady_images_per_s"] == pytest.approx(sum(e.images for e in rest) / sum(e.seconds for e in rest))
    assert row["images_per_epoch"] == 400
