"""validate and schema: what a lab.yaml may say, and whether one does."""

from __future__ import annotations

from pathlib import Path

import click

from labctl.cli.common import file_or_stdin, output_option, print_json
from labctl.words import counted

__all__ = ["schema", "validate"]


@click.command("validate")
@click.argument("file", default="lab.yaml", type=click.Path(path_type=Path, allow_dash=True))
@output_option
def validate(file: Path, output: str) -> int:
    """Check a lab.yaml, and print every problem with its line. Exits with 2 if there is one. - reads stdin.

    \b
    labctl validate
    labctl validate course/lab.yaml
    """
    from labctl.errors import SpecError
    from labctl.spec import read_file

    try:
        spec = read_file(file_or_stdin(file))
    except SpecError as error:
        if output != "json":
            raise
        print_json({"file": str(file), "good": False, "problems": list(error.problems)})
        return 2
    if output == "json":
        print_json({"file": str(file), "good": True, "problems": []})
        return 0
    nodes = spec.all_nodes()
    managers = sum(node.role == "manager" for node in nodes)
    parts = [counted(managers, "manager"), counted(len(nodes) - managers, "worker")]
    click.echo(f"{file} is good: lab {spec.name}, {', '.join(parts)}, {spec.backend}")
    return 0


@click.command("schema")
def schema() -> None:
    """Print the JSON Schema of lab.yaml, for editors.

    \b
    labctl schema > lab.schema.json
    """
    from labctl.spec import json_schema

    print_json(json_schema())
