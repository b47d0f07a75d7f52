"""exercise.md -> Exercise, with the line of every problem. Plain Markdown, as GitHub shows it.

---                       front matter: see Front
## Title {#id}            begins a step
```sh node=m1 solve       a block that runs on m1; solve, edit, reset, fail=ok: see Fence
<details><summary>Hint</summary> ... </details>      hints in order, and a Solution last
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from labctl.errors import SpecError
from labctl.exercise.front import read_front
from labctl.exercise.layout import unclosed
from labctl.exercise.model import GROUPS, HOST, ID, Exercise, Fence, Front, Step, checks_name

if TYPE_CHECKING:
    from markdown_it.token import Token

__all__ = ["AUTHORS_GUIDE", "read_exercise"]

AUTHORS_GUIDE = "docs/exercises.md tells how an exercise is written; `labctl exercise new` makes one to begin with."
LARGEST = 1 << 20  # bytes
HEADING = re.compile(r"(.*?)\s*(?:\{#([^}]*)\})?\s*")
DETAILS = re.compile(r"\s*<details>\s*<summary>\s*(.*?)\s*</summary>(.*)", re.DOTALL | re.IGNORECASE)
END = re.compile(r"</details>\s*$", re.IGNORECASE)
FLAGS = ("solve", "edit", "fail=ok", "reset")  # in the order of Fence's fields
RUNS = ("sh", "bash", "shell", "console")
NODE = re.compile(r"[mw][1-9]\d*|host|@manager|@worker|@all")
RUNNABLE = re.compile(r"^([ \t]*)(`{3,}|~{3,})[ \t]*(\w*)[^\n`]*?\bnode=(\S+)[^\n]*$", re.MULTILINE)
FILLED_IN = re.compile(r"\{\{\s*(node|url)\.([^}\s]*)\s*\}\}")


def read_exercise(folder: Path) -> Exercise:
    """Read the exercise in a folder. Raises SpecError with all problems of its exercise.md."""
    path = folder / "exercise.md"
    reader = _Reader(path, _text_of(path))
    exercise = reader.read(folder)
    if reader.problems or exercise is None:
        problems = [f"{path}:{line}: {text}" if line else f"{path}: {text}" for line, text in sorted(reader.problems)]
        raise SpecError(problems, source=str(path), hint=AUTHORS_GUIDE)
    return exercise


def _text_of(path: Path) -> str:
    try:
        if path.stat().st_size > LARGEST:
            raise SpecError([f"{path} is larger than 1 MiB"], source=str(path), hint=AUTHORS_GUIDE)
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        problem = f"there is no file {path}"
    except UnicodeDecodeError:
        problem = f"{path} is not text in UTF-8"
    except OSError as error:
        problem = f"cannot read {path}: {error.strerror}"
    raise SpecError([problem], source=str(path), hint=AUTHORS_GUIDE)


@dataclass(frozen=True)
class _Block:
    """A fence and its lines, which count from 0; `end` is behind the last."""

    fence: Fence
    begin: int
    end: int


@dataclass(frozen=True)
class _Details:
    """A folded part: `kind` is the first word of its summary, in lower case."""

    kind: str
    begin: int
    end: int
    text: str


@dataclass
class _Section:
    """A step while it is read: from its heading to the next one."""

    title: str
    id: str
    begin: int
    end: int = 0
    blocks: list[_Block] = field(default_factory=list)
    details: list[_Details] = field(default_factory=list)


class _Reader:
    def __init__(self, path: Path, text: str) -> None:
        self.path = path
        # The lines that a Markdown parser counts; str.splitlines knows of more.
        self.lines = re.sub(r"\r\n?", "\n", text).split("\n")
        self.problems: list[tuple[int, str]] = []

    def read(self, folder: Path) -> Exercise | None:
        front, begin, problems = read_front(self.lines, self.path.parent.resolve().name)
        self.problems += problems
        if left_open := unclosed(self.lines, begin):
            # All that follows it is read as something else, and would be complained of instead.
            self.problems += left_open
            return None
        if front is None:
            return None
        sections = self._sections(begin)
        intro_end = sections[0].begin if sections else len(self.lines)
        intro = [line for line in self.lines[begin:intro_end] if not line.startswith("# ")]
        steps = tuple(self._step(section) for section in sections)
        reset = tuple(block.fence for section in sections for block in section.blocks if block.fence.reset)
        self._check_whole(front, steps, folder)
        return Exercise(folder, front, "\n".join(intro).strip(), steps, reset)

    # -- steps

    def _sections(self, begin: int) -> list[_Section]:
        from markdown_it import MarkdownIt

        tokens = MarkdownIt("commonmark").parse("\n".join([""] * begin + self.lines[begin:]))
        sections: list[_Section] = []
        opened: tuple[str, int] | None = None
        for number, token in enumerate(tokens):
            if token.type == "heading_open" and token.tag == "h2" and token.map:
                if sections:
                    sections[-1].end = token.map[0]
                # The heading's own text is always the token after the one that opens it.
                sections.append(self._heading(tokens[number + 1].content, token.map[0]))
            elif token.type == "fence":
                self._fence(token, sections)
            elif token.type == "html_block" and sections:
                opened = self._html(token, sections[-1], opened)
        if sections:
            sections[-1].end = len(self.lines)
        return sections

    def _heading(self, text: str, line: int) -> _Section:
        found = HEADING.fullmatch(text)
        title, id_ = (found[1], found[2] or "") if found else (text, "")
        if not id_:
            self._problem(line + 1, f"the step {title!r} has no id: ## {title} {{#{_as_id(title)}}}")
        elif not ID.fullmatch(id_):
            self._problem(line + 1, f"{id_!r} is no id: lower-case words with hyphens between")
        return _Section(title, id_, line)

    def _html(self, token: Token, section: _Section, opened: tuple[str, int] | None) -> tuple[str, int] | None:
        """Take a piece of HTML; returns the kind and the line of a <details> that is open after it."""
        assert token.map is not None
        begin, end = token.map
        found = DETAILS.match(token.content)
        if found and opened is None:
            kind = (found[1].split() or [""])[0].lower()
            if not END.search(token.content):
                return kind, begin
            section.details.append(_Details(kind, begin, end, END.sub("", found[2]).strip()))
        elif opened is not None and END.search(token.content):
            inner = "\n".join(self.lines[opened[1] + 1 : end])
            section.details.append(_Details(opened[0], opened[1], end, END.sub("", inner).strip()))
            return None
        return opened

    def _fence(self, token: Token, sections: Sequence[_Section]) -> None:
        assert token.map is not None
        line = token.map[0] + 1
        language, *words = token.info.split() or [""]
        nodes = [word.removeprefix("node=") for word in words if word.startswith("node=")]
        for word in words:
            if not word.startswith("node=") and word not in FLAGS:
                self._problem(line, f"{word!r} means nothing on a code block; there is node=m1, {', '.join(FLAGS)}")
        if len(nodes) != 1:
            if nodes or language in RUNS or words:
                self._problem(line, "a block that runs says where, once: ```sh node=m1 (or ```text if it does not run)")
            return
        if not NODE.fullmatch(nodes[0]):
            self._problem(line, f"node={nodes[0]}: there is m1, m2, ..., w1, w2, ..., {', '.join(GROUPS)}, and host")
        if not token.content.strip():
            self._problem(line, "the code block is empty")
        if not sections:
            self._problem(line, "a block that runs belongs to a step: it stands before the first ## heading")
            return
        fence = Fence(nodes[0], token.content.rstrip("\n"), language, line, *(flag in words for flag in FLAGS))
        sections[-1].blocks.append(_Block(fence, *token.map))

    def _step(self, section: _Section) -> Step:
        hints = [part for part in section.details if part.kind == "hint"]
        solutions = [part for part in section.details if part.kind == "solution"]
        for part in [*hints, *solutions]:
            if not part.text:
                self._problem(part.begin + 1, f"the {part.kind} is empty")
        for part in solutions[1:]:
            self._problem(part.begin + 1, f"step {section.id}: a second solution")
        if solutions and hints and hints[-1].begin > solutions[0].begin:
            self._problem(hints[-1].begin + 1, f"step {section.id}: a hint after the solution comes too late")
        step = Step(
            id=section.id,
            title=section.title,
            line=section.begin + 1,
            text=self._visible(section, [*hints, *solutions]),
            fences=tuple(block.fence for block in section.blocks),
            hints=tuple(_plain_fences(part.text) for part in hints),
            solution=_plain_fences(solutions[0].text) if solutions else "",
        )
        if not step.played:
            self._problem(section.begin + 1, f"step {section.id}: nothing in it runs: it needs a block with node=")
        return step

    def _visible(self, section: _Section, folded: Sequence[_Details]) -> str:
        """The step's text as a learner sees it: without hints, solution, and what only the solution types."""
        hidden = {n for part in folded for n in range(part.begin, part.end)}
        hidden |= {n for b in section.blocks if b.fence.solve or b.fence.reset for n in range(b.begin, b.end)}
        kept = (self.lines[n] for n in range(section.begin + 1, section.end) if n not in hidden)
        return _plain_fences("\n".join(kept))

    # -- the whole

    def _check_whole(self, front: Front, steps: Sequence[Step], folder: Path) -> None:
        if not steps:
            self._problem(0, "it has no steps: a step begins with ## Title {#id}")
        for id_, count in Counter(step.id for step in steps if step.id).items():
            if count > 1:
                again = [step.line for step in steps if step.id == id_][1]
                self._problem(again, f"two steps have the id {id_}")
        if not (folder / checks_name(front.id)).is_file():
            self._problem(0, f"{checks_name(front.id)} is missing beside it: an exercise without checks proves nothing")
        known = {f"m{n + 1}" for n in range(front.lab.managers)} | {f"w{n + 1}" for n in range(front.lab.workers)}
        for step in steps:
            for fence in step.fences:
                if NODE.fullmatch(fence.node) and fence.node not in known | {HOST, *GROUPS}:
                    self._problem(fence.line, f"node={fence.node}: the lab of this exercise need not have that node")
        for number, line in enumerate(self.lines, 1):
            for found in FILLED_IN.finditer(line):
                self._check_filled_in(number, found[1], found[2], known, front.ports)

    def _check_filled_in(self, line: int, kind: str, rest: str, nodes: set[str], ports: Mapping[str, int]) -> None:
        name, _, what = rest.partition(".")
        if kind == "node" and (name not in nodes or what not in ("ip", "name")):
            self._problem(line, f"{{{{node.{rest}}}}}: there is {{{{node.m1.ip}}}} and {{{{node.m1.name}}}}")
        if kind == "url" and rest not in ports:
            told = ", ".join(ports) or "none"
            self._problem(line, f"{{{{url.{rest}}}}}: `ports` in the front matter has {told}")

    def _problem(self, line: int, text: str) -> None:
        self.problems.append((line, text))


def _plain_fences(text: str) -> str:
    """Say above each block that runs where it does, in the place of the words behind its language."""

    def headed(found: re.Match[str]) -> str:
        indent, ticks, language, node = found[1], found[2], found[3], found[4]
        changed = ", once you have changed it" if " edit" in found[0] else ""
        where = {HOST: "this machine", **GROUPS}.get(node, node)
        return f"{indent}On **{where}**{changed}:\n\n{indent}{ticks}{language}"

    return re.sub(r"\n{3,}", "\n\n", RUNNABLE.sub(headed, text)).strip()


def _as_id(title: str) -> str:
    return "-".join(re.findall(r"[a-z0-9]+", title.lower())) or "id"
