"""Output is kept within a bound, and what was dropped is counted."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labctl.kept import Kept, read_bytes


@given(st.lists(st.binary(max_size=50)), st.integers(1, 60))
def test_the_last_part_is_kept(chunks: list[bytes], most: int) -> None:
    kept = Kept(most)
    for chunk in chunks:
        kept.add(chunk)
    whole = b"".join(chunks)

    assert kept.dropped == max(0, len(whole) - most)
    assert kept.content() == whole[-most:]
    assert kept.dropped == max(0, len(whole) - most), "asking changes nothing"


def test_much_takes_little_memory() -> None:
    script = (
        "import resource; from labctl.kept import Kept\n"
        "resource.setrlimit(resource.RLIMIT_AS, (300 << 20, 300 << 20))\n"
        "kept = Kept()\n"
        "for _ in range(50_000): kept.add(bytes(1 << 16))\n"
        "for _ in range(100_000): kept.add(b'x')\n"
        "print(len(kept.content()), kept.dropped)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=300, check=True)

    kept, dropped = map(int, done.stdout.split())
    assert kept == 16 << 20
    assert kept + dropped == 50_000 * (1 << 16) + 100_000


@pytest.mark.parametrize(("count", "said"), [(5, "5 B"), (3 << 19, "1.5 MiB"), (900 << 20, "900 MiB")])
def test_a_count_is_told_in_words(count: int, said: str) -> None:
    assert read_bytes(count) == said
