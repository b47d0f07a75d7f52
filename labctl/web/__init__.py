"""The lab in a browser: a server on this machine's localhost, one more client of `Lab` and of an exercise's `Run`.

It needs the extra `web`; nothing else of labctl imports it before `labctl web` runs.
"""
