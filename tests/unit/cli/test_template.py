"""Templates as docker-machine's users write them, and columns as Go's tabwriter makes them."""

from __future__ import annotations

import pytest

from labctl.cli.template import HEADINGS, as_table, render, tabulate
from labctl.errors import UsageError

NODE = {"Name": "w1", "Driver": {"IPAddress": "10.0.0.2", "Port": 22}, "Tls": True, "Labels": ["a", "b"], "None": None}


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{{.Name}}", "w1"),
        ("{{ .Name }}:{{ .Driver.Port }}", "w1:22"),
        ("{{.Tls}} {{.Labels}} {{.None}}", "true [a b] <nil>"),
        ("{{.Driver}}", "map[IPAddress:10.0.0.2 Port:22]"),
        ("{{json .Driver}}", '{"IPAddress": "10.0.0.2", "Port": 22}'),
        ("{{.Labels | json}}", '["a", "b"]'),
        ("{{prettyjson .Labels}}", '[\n    "a",\n    "b"\n]'),
        ("a {{- .Name -}} b", "aw1b"),
        ("no action at all", "no action at all"),
    ],
)
def test_a_template_is_filled(template: str, text: str) -> None:
    assert render(template, NODE) == text


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        ("{{.Nam}}", "there is no Nam; there is Name, Driver"),
        ("{{.Name.First}}", "there is no First"),
        ("{{.Name", "nothing closes"),
        ("{{upper .Name}}", "not understood"),
        ("{{.Name | upper}}", "'upper' is not known"),
        ("{{}}", "not understood"),
        ("{{range .Labels}}", "not understood"),
    ],
)
def test_what_is_no_template_is_refused_with_the_reason(template: str, reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        render(template, NODE)


def test_columns_have_three_blanks_between_and_are_five_wide_at_least() -> None:
    assert tabulate("A\tNAME\tX\nb\tworker10\t\n") == "A    NAME       X\nb    worker10   \n"


def test_the_last_cell_is_left_as_it_is() -> None:
    assert tabulate("a\tlong last cell\nb\tx\n") == "a    long last cell\nb    x\n"


def test_a_line_without_tabs_ends_a_column() -> None:
    assert tabulate("a\tx\nwithout\nlong-name\ty\n") == "a    x\nwithout\nlong-name   y\n"


def test_table_puts_headings_first() -> None:
    rows = [{key: key.lower() for key in HEADINGS}]

    assert as_table("table {{.Name}}\\t{{.DockerVersion}}", rows) == "NAME   DOCKER\nname   dockerversion\n"
    assert as_table("{{.Name}}", rows) == "name\n"
