"""The labels are what a lab is found by, so their names never change by accident."""

from __future__ import annotations

from labctl.spec import labels


def test_a_labs_objects_are_filtered_by_its_name() -> None:
    assert labels.of_lab("demo") == ["labctl.lab=demo"]


def test_one_kind_of_a_labs_objects_is_filtered_by_kind_too() -> None:
    assert labels.of_lab("demo", "node") == ["labctl.lab=demo", "labctl.kind=node"]


def test_labs_of_an_older_version_are_still_found() -> None:
    assert (labels.LAB, labels.KIND, labels.NODE, labels.ROLE) == (
        "labctl.lab",
        "labctl.kind",
        "labctl.node",
        "labctl.role",
    )


def test_no_two_labels_have_one_name() -> None:
    names = [getattr(labels, name) for name in labels.__all__ if name.isupper()]

    assert len(set(names)) == len(names)
