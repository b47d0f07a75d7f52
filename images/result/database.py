"""How the voting app reaches its database.

The same file stands in worker and result: an image is built from its own folder and nothing else.
"""

import os
from pathlib import Path

import psycopg2
from psycopg2.extensions import connection


def setting(name: str, default: str) -> str:
    """The variable `name`, or what the file that `name`_FILE names holds (a secret), or the default."""
    file_name = os.environ.get(f"{name}_FILE")
    if file_name:
        return Path(file_name).read_text(encoding="utf-8").rstrip("\n")
    return os.environ.get(name, default)


def connect() -> connection:
    """A new connection; the name is resolved anew. If one side vanishes without a word, the other notices within 5 s.

    Raises psycopg2.Error when it cannot be had within 3 s, OSError when a secret cannot be read.
    """
    user = setting("POSTGRES_USER", "postgres")
    return psycopg2.connect(
        host=setting("POSTGRES_HOST", "db"),
        user=user,
        password=setting("POSTGRES_PASSWORD", "postgres"),
        dbname=setting("POSTGRES_DB", user),
        application_name="voting-app",
        connect_timeout=3,
        keepalives_idle=2,
        keepalives_interval=1,
        keepalives_count=3,
        tcp_user_timeout=5000,
        options="-c tcp_keepalives_idle=2 -c tcp_keepalives_interval=1 -c tcp_keepalives_count=3",
    )
