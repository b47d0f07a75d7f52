"""What a browser may be told of a port: that it speaks HTTP, where nothing speaks against it.

A port is not asked: a database would note what it does not understand in its log. Its number tells, the one that is
published or the one in the container.
"""

from __future__ import annotations

__all__ = ["address_at"]

HTTP = {80, 3000, 5000, 8000, 8008, 8080, 8081, 8888, 9000, 9090}
HTTPS = {443, 6443, 8443, 9443}
# Of services that are usual in a swarm, and of those that every system knows: not HTTP.
OTHERS = {
    *(7, 9, 13, 19, 20, 21, 22, 23, 25, 37, 43, 49, 53, 69, 79, 88, 110, 111, 113, 119, 123, 135, 137, 138, 139, 143),
    *(161, 162, 179, 194, 389, 445, 465, 502, 512, 513, 514, 515, 543, 544, 548, 554, 563, 587, 636, 646, 853, 873),
    *(989, 990, 992, 993, 994, 995, 1080, 1194, 1433, 1521, 1723, 1883, 2049, 2181, 2377, 3260, 3268, 3306, 3389),
    *(4222, 5060, 5061, 5222, 5269, 5432, 5433, 5671, 5672, 5900, 6379, 6380, 6432, 6667, 7687, 7946, 8883, 9042),
    *(9092, 9093, 9094, 11211, 25565, 26257, 26379, 27017, 27018, 27019, 33060),
}


def address_at(host_port: int, protocol: str, *numbers: int) -> str:
    """Where this host reaches a port: a URL where it may speak HTTP or HTTPS, else 127.0.0.1 and its number.

    `numbers` are what the port is called elsewhere: as the swarm publishes it, in the container (0: not known).
    """
    at = f"127.0.0.1:{host_port}"
    if protocol != "tcp":
        return f"{at}/{protocol}"
    # The one in the container says most; that of this host may only be one that was free.
    known = next((number for number in reversed(numbers) if number in HTTP | HTTPS | OTHERS), 0)
    if known in OTHERS:
        return at
    return f"https://{at}" if known in HTTPS else f"http://{at}"
