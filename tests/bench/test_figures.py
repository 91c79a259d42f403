import math

import pytest

from bench.figures import compare, percentile, table


@pytest.mark.parametrize(("share", "expected"), [(0.5, 50), (0.99, 99), (1.0, 100), (0.0, 1), (0.005, 1), (0.501, 51)])
def test_a_percentile_is_a_value_that_was_seen(share: float, expected: int) -> None:
    assert percentile(range(100, 0, -1), share) == expected


def test_a_percentile_of_one_value_is_that_value() -> None:
    assert percentile([7.0], 0.99) == 7.0


def test_a_row_has_medians_and_the_median_of_the_rounds_ratios() -> None:
    ours = [{"cpu": 2.0}, {"cpu": 30.0}, {"cpu": 4.0}]
    node = [{"cpu": 1.0}, {"cpu": 10.0}, {"cpu": 4.0}]
    (row,) = compare({"ours": ours, "Node": node})
    assert (row.name, row.ratio, row.lowest, row.highest) == ("cpu", 2.0, 1.0, 3.0)
    assert row.medians == {"ours": 4.0, "Node": 4.0}


def test_rows_keep_the_order_of_the_figures() -> None:
    rows = compare({"ours": [{"b": 1.0, "a": 1.0}], "Node": [{"a": 1.0, "b": 1.0}]})
    assert [row.name for row in rows] == ["b", "a"]


def test_rounds_without_a_counterpart_are_refused() -> None:
    with pytest.raises(ValueError, match="shorter"):
        compare({"ours": [{"cpu": 1.0}, {"cpu": 1.0}], "Node": [{"cpu": 1.0}]})


def test_a_figure_that_is_nothing_has_no_ratio() -> None:
    (row,) = compare({"ours": [{"kB": 3.0}], "Node": [{"kB": 0.0}]})
    assert math.isnan(row.ratio)
    assert table([row]).splitlines()[2] == "| kB | 3 | 0 | - | - |"


def test_a_further_server_has_a_column_and_no_share_in_the_ratio() -> None:
    (row,) = compare({"ours": [{"cpu": 2.0}], "Node": [{"cpu": 4.0}], "floor": [{"cpu": 1.0}]})
    assert table([row]).splitlines() == [
        "| figure | ours | Node | ours/Node | over the rounds | floor |",
        "|---|--:|--:|--:|--:|--:|",
        "| cpu | 2 | 4 | 0.50 | 0.50 to 0.50 | 1 |",
    ]


def test_what_a_further_server_was_not_measured_for_is_left_out() -> None:
    (row,) = compare({"ours": [{"cpu": 2.0}], "Node": [{"cpu": 4.0}], "floor": [{}]})
    assert table([row]).endswith("| - |")


def test_the_table_is_markdown() -> None:
    lines = table(compare({"ours": [{"calls": 1234.5}], "Node": [{"calls": 2.3456}]})).splitlines()
    assert lines[2] == "| calls | 1234 | 2.35 | 526.30 | 526.30 to 526.30 |"
    assert {line.count("|") for line in lines} == {6}
