"""The documentation is true: generated pages are up to date, every command in it is one, every link leads somewhere."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import jsonschema
import pytest
import yaml

from tests.runner import ACTION

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])


def labctl_commands() -> Iterator[tuple[str, str]]:
    """Every line in a shell fence that starts with labctl, with its page; of the tutorials also what rows quote."""
    for page in PAGES:
        if page.name == "cli.md":
            continue
        for block in re.findall(r"```sh[^\n]*\n(.*?)```", page.read_text(), re.DOTALL):
            for line in block.splitlines():
                text = re.sub(r"\s+#.*$", "", line).strip().removeprefix("$ ")
                for part in re.split(r"&&|\||;", text):
                    if part.strip().startswith("labctl "):
                        yield page.name, part.strip()
    # Its tables quote commands, where other pages have them in blocks.
    for span in re.findall(r"`(labctl [^`]+)`", (ROOT / "docs" / "tutorials.md").read_text()):
        yield "tutorials.md", span.partition("\\|")[0].strip()


def test_generated_pages_are_up_to_date() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "docs" / "generate.py", "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_there_are_commands_in_the_documentation() -> None:
    assert len(list(labctl_commands())) > 10


@pytest.mark.parametrize(("page", "line"), sorted(set(labctl_commands())))
def test_every_command_in_the_documentation_is_one(page: str, line: str) -> None:
    """It is parsed as the command line would, flags and all; nothing is run."""
    from labctl.cli.main import cli

    rest = shlex.split(line.replace("…", "x"))[1:]
    command: click.Command = cli
    while isinstance(command, click.Group) and rest and not rest[0].startswith("-"):
        try:
            # A group may take more than its verbs: `labctl exercise voting-app`.
            _, found, rest = command.resolve_command(click.Context(command), rest)
        except click.UsageError as problem:
            pytest.fail(f"{page}: {line}: {problem.message}")
        assert found is not None
        command = found
    flags = {
        flag
        for param in command.params
        if isinstance(param, click.Option)
        for flag in (*param.opts, *param.secondary_opts)
    }
    if not command.context_settings.get("ignore_unknown_options"):
        used = {word.partition("=")[0] for word in _until_separator(rest) if word.startswith("--")}
        assert used <= flags | {"--help"}, f"{page}: {line}: {used - flags} is no flag of it"


def _until_separator(words: list[str]) -> list[str]:
    return words[: words.index("--")] if "--" in words else words


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_to_a_file(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+?)(?:#[^)]*)?\)", page.read_text()):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_the_readme_says_once_what_engines_before_28_let_in() -> None:
    assert (ROOT / "README.md").read_text().count("before 28") == 1


def test_the_korean_readme_has_the_headings_commands_tables_and_links_of_the_english_one() -> None:
    english, korean = ((ROOT / name).read_text() for name in ("README.md", "README.ko.md"))

    def fences(text: str) -> list[str]:
        blocks = re.findall(r"^```\w*\n.*?^```", text, re.DOTALL | re.MULTILINE)
        return [re.sub(r" +# .*$", "", block, flags=re.MULTILINE) for block in blocks]

    def headings(text: str) -> list[str]:
        return re.findall(r"^(#+) ", re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE), re.MULTILINE)

    def rows(text: str) -> list[tuple[str, str]]:
        return re.findall(r"^\| `([\w-]+)` \|.*\| (\d+) \|$", text, re.MULTILINE)

    def links(text: str) -> set[str]:
        return set(re.findall(r"\]\(([^)]+)\)", text)) - {"README.md", "README.ko.md"}

    assert headings(korean) == headings(english)
    assert fences(korean) == fences(english)
    assert rows(korean) == rows(english)
    assert links(korean) == links(english)


def test_every_label_of_labctl_is_in_the_page_about_nodes() -> None:
    from labctl.spec import labels

    page = (ROOT / "docs" / "node.md").read_text()
    ours = [getattr(labels, name) for name in labels.__all__ if name.isupper() and name != "IMAGE"]
    assert [label for label in ours if f"`{label}`" not in page] == []


def test_every_page_of_the_documentation_is_linked_from_the_readme() -> None:
    readme = (ROOT / "README.md").read_text()
    for page in (ROOT / "docs").glob("*.md"):
        assert f"docs/{page.name}" in readme, f"nobody will find docs/{page.name}"


def test_the_schema_of_lab_yaml_is_a_schema_and_takes_the_example() -> None:
    schema = json.loads((ROOT / "docs" / "lab.schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    block = re.search(r"```yaml\n(# lab.yaml\n.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert block is not None
    jsonschema.validate(yaml.safe_load(block[1]), schema)


def test_the_workflow_says_what_github_wants() -> None:
    """The parts of GitHub's workflow syntax that this file uses; its whole schema is not to be had offline."""
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())
    # YAML 1.1 reads the key `on` as true.
    triggers = workflow.get("on", workflow.get(True))
    step = {
        "type": "object",
        "properties": {
            "uses": {"type": "string", "pattern": r"^[\w.-]+/[\w.-]+@v\d+"},
            "run": {"type": "string"},
            "with": {"type": "object"},
            "if": {"type": "string"},
        },
        "additionalProperties": False,
        "anyOf": [{"required": ["uses"]}, {"required": ["run"]}],
    }
    job = {
        "type": "object",
        "required": ["runs-on", "steps"],
        "properties": {
            "runs-on": {"type": "string"},
            "if": {"type": "string"},
            "timeout-minutes": {"type": "integer", "minimum": 1},
            "steps": {"type": "array", "items": step, "minItems": 1},
        },
        "additionalProperties": False,
    }
    jsonschema.validate(workflow["jobs"], {"type": "object", "additionalProperties": job, "minProperties": 1})
    assert set(triggers) <= {"push", "pull_request", "schedule"}
    assert any(".ci/run" in step.get("run", "") for job in workflow["jobs"].values() for step in job["steps"])


def blocks_of_the_page_about_ci() -> list[Any]:
    """Its blocks of YAML, read; a key said twice is refused."""
    from ruamel.yaml import YAML

    page = (ROOT / "docs" / "ci.md").read_text()
    return [YAML(typ="safe").load(block) for block in re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)]


def test_the_workflows_of_the_page_about_ci_use_the_action_as_it_is() -> None:
    whole, cached, _ = blocks_of_the_page_about_ci()
    uses = re.compile(r"[\w.-]+/[\w.-]+@(v\d+|main)")
    (job,) = whole["jobs"].values()
    for steps in (job["steps"], cached):
        assert all(set(step) <= {"uses", "id", "with", "run", "env", "if"} for step in steps)
        assert all(uses.fullmatch(step["uses"]) for step in steps if "uses" in step)
        (ours,) = (step for step in steps if "labctl@" in step.get("uses", ""))
        assert set(ours["with"]) <= set(ACTION["inputs"])
    used = re.findall(r"steps\.lab\.outputs\.([\w-]+)", json.dumps(whole))
    assert set(used) == set(ACTION["outputs"]) - {"lab"}
    assert cached[0]["with"]["path"] == cached[1]["with"]["cache-path"]


def test_the_job_for_gitlab_has_the_keys_of_a_job() -> None:
    (job,) = blocks_of_the_page_about_ci()[2].values()
    assert set(job) == {"tags", "timeout", "variables", "before_script", "script", "after_script", "artifacts"}
    for part in ("before_script", "script", "after_script"):
        assert all(isinstance(line, str) for line in job[part]), f"{part}: a colon made a mapping of a line"


def test_every_input_and_output_of_the_action_is_on_its_page() -> None:
    page = (ROOT / "docs" / "ci.md").read_text()
    told = set(ACTION["inputs"]) - {"job-status"} | set(ACTION["outputs"])
    assert [name for name in sorted(told) if f"`{name}`" not in page] == []
