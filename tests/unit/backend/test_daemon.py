"""daemon.json of a node: what a lab needs is there, and the spec has the last word."""

from __future__ import annotations

import json
from typing import Any

import pytest

from labctl.backend.daemon import ENGINE_PORT, engine_config, fitted


def config(**given: Any) -> dict[str, Any]:
    plain: dict[str, Any] = {
        "mtu": 1500,
        "uplink_mtu": 1500,
        "registry": True,
        "options": {},
        "node_options": {},
    }
    return engine_config(**(plain | given))


def test_it_is_json() -> None:
    assert json.loads(json.dumps(config())) == config()


def test_the_engine_listens_for_itself_and_for_who_has_a_key() -> None:
    made = config()

    assert made["hosts"] == ["unix:///var/run/docker.sock", f"tcp://0.0.0.0:{ENGINE_PORT}"]
    assert made["tlsverify"] is True


def test_overlays_get_the_outer_networks_mtu_whole() -> None:
    assert config(mtu=1400)["default-network-opts"]["overlay"] == {"com.docker.network.driver.mtu": "1400"}


def test_containers_are_held_to_the_narrower_of_the_two_ways() -> None:
    assert config(mtu=1500, uplink_mtu=1420)["mtu"] == 1420
    assert config(mtu=1400, uplink_mtu=9000)["mtu"] == 1400


def test_a_lab_with_a_registry_trusts_it_and_asks_its_mirror() -> None:
    made = config(registry=True)

    assert "registry:5000" in made["insecure-registries"]
    assert "http://registry:5001" in made["registry-mirrors"]


def test_a_lab_without_a_registry_asks_nobody_else() -> None:
    made = config(registry=False)

    assert "insecure-registries" not in made
    assert "registry-mirrors" not in made


def test_the_engines_circle_can_be_looked_at_and_led_together() -> None:
    assert config()["network-diagnostic-port"] == 61999


def test_the_nodes_options_win_over_the_labs_and_those_over_ours() -> None:
    made = config(options={"log-level": "info", "debug": True}, node_options={"log-level": "debug"})

    assert (made["log-level"], made["debug"]) == ("debug", True)


def test_lists_are_added_to_and_not_replaced() -> None:
    ours = config()["insecure-registries"]

    made = config(options={"insecure-registries": ["a:1"]}, node_options={"insecure-registries": ["b:2"]})

    assert made["insecure-registries"] == [*ours, "a:1", "b:2"]


def test_the_specs_own_lists_stay_as_they_were() -> None:
    options = {"labels": ["a=b"]}

    config(options=options, node_options={"labels": ["c=d"]})

    assert options == {"labels": ["a=b"]}


@pytest.mark.parametrize(
    ("version", "left_out"),
    [
        ("Docker version 20.10.24+dfsg1, build 297e128", ["default-network-opts"]),
        ("Docker version 23.0.6, build 9dbdbd4", ["default-network-opts"]),
        ("Docker version 24.0.0, build 98fdcd7", []),
        ("Docker version 26.1.5+dfsg1, build a72d7cd", []),
        ("", []),
    ],
)
def test_an_older_engine_is_not_told_what_it_does_not_know(version: str, left_out: list[str]) -> None:
    made, keys = fitted(config(), version)

    assert keys == left_out
    assert set(config()) - set(made) == set(left_out)
