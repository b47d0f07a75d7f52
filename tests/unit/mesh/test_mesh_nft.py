"""The text that nft and iptables-restore are given."""

from __future__ import annotations

from labctl.mesh.model import NO_RULES, Rules, Uplink
from labctl.mesh.nft import balancer_script, forward_script, node_script, removal_script

TWO = ("10.0.1.3", "10.0.1.4")

BALANCER = """\
table ip labctl_mesh
delete table ip labctl_mesh
table ip labctl_mesh {
  chain tasks_0 {
    dnat to numgen inc mod 2 map { 0 : 10.0.1.3, 1 : 10.0.1.4 }
  }
  chain tasks_1 {
    dnat to 10.0.1.9
  }
  map ports {
    type inet_proto . inet_service : verdict
    elements = { tcp . 8080 : goto tasks_0, udp . 53 : goto tasks_1 }
  }
  map vips {
    type ipv4_addr : verdict
    elements = { 10.0.1.2 : goto tasks_0 }
  }
  chain prerouting {
    type nat hook prerouting priority dstnat; policy accept;
    meta l4proto != { tcp, udp, sctp } return
    meta l4proto . th dport vmap @ports
    ip daddr vmap @vips
  }
  chain postrouting {
    type nat hook postrouting priority srcnat; policy accept;
    ct status dnat masquerade
  }
}
"""


def test_a_balancer() -> None:
    ports = {("tcp", 8080): TWO, ("udp", 53): ("10.0.1.9",), ("tcp", 81): ()}
    assert balancer_script(Rules({"10.0.1.2": TWO, "10.0.1.6": ()}, ports)).replace(";\n", "\n").split() == (
        BALANCER.replace(";\n", "\n").split()
    )


def test_a_balancer_without_ports_asks_for_none() -> None:
    script = balancer_script(Rules({"10.0.1.2": TWO}, {}))
    assert "@ports" not in script
    assert "map ports" not in script


def test_where_nobody_serves_there_is_no_table() -> None:
    assert balancer_script(NO_RULES) == removal_script()
    assert balancer_script(Rules({"10.0.1.2": ()}, {("tcp", 80): ()})) == removal_script()
    assert node_script(Uplink("172.18.0.2", "172.18.0.0/16", frozenset())) == removal_script()


def test_each_script_replaces_the_table_in_one_transaction_and_touches_no_other() -> None:
    uplink = Uplink("172.18.0.2", "172.18.0.0/16", frozenset({("tcp", 8080)}))
    for script in (balancer_script(Rules({"10.0.1.2": TWO}, {})), node_script(uplink)):
        assert script.startswith("table ip labctl_mesh\ndelete table ip labctl_mesh\ntable ip labctl_mesh {\n")
        assert script.count("table ") == 3
        assert "flush" not in script
        assert script.count("{") == script.count("}")


def test_the_node_diverts_its_published_ports() -> None:
    script = node_script(Uplink("172.18.0.2", "172.18.0.0/16", frozenset({("udp", 53), ("tcp", 8080)})))
    assert "elements = { tcp . 8080, udp . 53 }" in script
    assert "fib daddr type local meta l4proto . th dport @ports dnat to 172.18.0.2" in script
    assert "ip saddr 172.18.0.0/16 masquerade" in script
    assert 'iifname "docker_gwbridge" ip daddr 127.0.0.0/8 drop' in script


def test_only_what_the_mesh_diverted_is_forwarded() -> None:
    rules = [line for line in forward_script("172.18.0.2").splitlines() if line.startswith("-A")]
    assert len(rules) == 2
    assert all("172.18.0.2" in rule and "--ctstate DNAT" in rule and "docker_gwbridge" in rule for rule in rules)
