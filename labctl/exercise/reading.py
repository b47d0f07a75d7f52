"""exercise.md -> Exercise, with the line of every problem. Plain Markdown, as GitHub shows it.

---                       front matter: see Front
## Title {#id}            begins a step; behind the id: minutes=5, optional, passing
```sh node=m1 solve       a block that runs on m1; solve, edit, setup and more: see Fence
```question id=leader     a question: see questions.py
<details><summary>Hint</summary> ... </details>      hints in order, then a Solution, then a Debrief
"""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from labctl.checks.sentences import ENGLISH
from labctl.errors import NotFoundError, SpecError
from labctl.exercise.fences import NODE, read_fence, words_of
from labctl.exercise.front import read_front
from labctl.exercise.language import (
    FILLED_IN,
    Frame,
    differences,
    file_in,
    frame_of,
    language_of,
    languages_of,
    text_file,
)
from labctl.exercise.layout import unclosed
from labctl.exercise.model import GROUPS, HOST, ID, Exercise, Fence, Front, Step, checks_name
from labctl.exercise.questions import LANGUAGE as QUESTION
from labctl.exercise.questions import Question, read_question

if TYPE_CHECKING:
    from markdown_it.token import Token

__all__ = ["AUTHORS_GUIDE", "read_exercise", "read_in", "read_original"]

AUTHORS_GUIDE = "docs/exercises.md tells how an exercise is written; `labctl exercise new` makes one to begin with."
LARGEST = 1 << 20  # bytes
HEADING = re.compile(r"(.*?)\s*(?:\{#([^}]*)\})?\s*")
DETAILS = re.compile(r"\s*<details>\s*<summary>\s*(.*?)\s*</summary>(.*)", re.DOTALL | re.IGNORECASE)
END = re.compile(r"</details>\s*$", re.IGNORECASE)
LONGEST_STEP = 60  # minutes
FOLDED = ("hint", "solution", "debrief")  # in the order in which they stand
SAME = {"answer": "solution", "answers": "solution", "tip": "hint"}  # what others call these parts
GAP = "???"  # what a learner fills in
RUNNABLE = re.compile(r"^([ \t]*)(`{3,}|~{3,})[ \t]*(\w*)[^\n`]*?\bnode=(\S+)[^\n]*$", re.MULTILINE)


def read_exercise(folder: Path, file: Path | None = None) -> Exercise:
    """Read the exercise in a folder, in the language that is chosen, or in a `file` of it.

    A translation that lags behind the original is not taken: a learner reads the original then, and `stale` tells.
    Raises SpecError with all problems of its text.
    """
    return _read(folder, file) if file is not None else _up_to_date(folder, text_file(folder))


def read_original(folder: Path) -> Exercise:
    """Read the exercise in a folder in English, whatever language is chosen. Raises SpecError as `read_exercise`."""
    return _read(folder, file_in(folder, ENGLISH))


def _up_to_date(folder: Path, file: Path) -> Exercise:
    found = _read(folder, file)
    if found.language == ENGLISH:
        return found
    original = read_original(folder)
    line, what = next(differences(original, found), (0, ""))
    return replace(original, stale=f"exercise.{found.language}.md:{line}: {what}") if what else found


def _read(folder: Path, path: Path) -> Exercise:
    reader = _Reader(path, _text_of(path))
    exercise = reader.read(folder)
    if reader.problems or exercise is None:
        problems = [f"{path}:{line}: {text}" if line else f"{path}: {text}" for line, text in sorted(reader.problems)]
        raise SpecError(problems, source=str(path), hint=AUTHORS_GUIDE)
    return exercise


def read_in(folder: Path, code: str) -> Exercise:
    """Read the exercise in a folder in one of its languages. Raises NotFoundError for another, SpecError as above."""
    known = languages_of(folder)
    if code not in known:
        raise NotFoundError("language", code, known)
    return _up_to_date(folder, file_in(folder, code))


def _text_of(path: Path) -> str:
    try:
        if path.stat().st_size > LARGEST:
            raise SpecError([f"{path} is larger than 1 MiB"], source=str(path), hint=AUTHORS_GUIDE)
        return path.read_text(encoding="utf-8-sig")  # editors on Windows begin with a mark
    except FileNotFoundError:
        problem = f"there is no file {path}"
    except UnicodeDecodeError:
        problem = f"{path} is not text in UTF-8"
    except OSError as error:
        problem = f"cannot read {path}: {error.strerror}"
    raise SpecError([problem], source=str(path), hint=AUTHORS_GUIDE)


@dataclass(frozen=True)
class _Block:
    """A fence, or a question, and its lines, which count from 0; `end` is behind the last."""

    fence: Fence | Question
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
    minutes: int = 0
    optional: bool = False
    passing: bool = False
    blocks: list[_Block] = field(default_factory=list)
    details: list[_Details] = field(default_factory=list)

    @property
    def fences(self) -> tuple[Fence, ...]:
        """Its blocks that run."""
        return tuple(block.fence for block in self.blocks if isinstance(block.fence, Fence))

    @property
    def questions(self) -> tuple[Question, ...]:
        """Its questions."""
        return tuple(block.fence for block in self.blocks if isinstance(block.fence, Question))


class _Reader:
    def __init__(self, path: Path, text: str) -> None:
        self.path = path
        self.frame = frame_of(path)
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
        reset = tuple(fence for section in sections for fence in section.fences if fence.reset)
        self._check_whole(front, steps, folder)
        return Exercise(folder, front, "\n".join(intro).strip(), steps, reset, language_of(self.path))

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
        title, said = (found[1], found[2] or "") if found else (text, "")
        id_, *words = said.split() or [""]
        if not id_:
            self._problem(line + 1, f"the step {title!r} has no id: ## {title} {{#{_as_id(title)}}}")
        elif not ID.fullmatch(id_):
            self._problem(line + 1, f"{id_!r} is no id: lower-case words with hyphens between")
        section = _Section(title, id_, line)
        for word in words:
            key, _, value = word.partition("=")
            if key == "minutes" and value.isdigit() and 1 <= int(value) <= LONGEST_STEP:
                section.minutes = int(value)
            elif word in ("optional", "passing"):
                setattr(section, word, True)
            else:
                there = f"minutes=1 to minutes={LONGEST_STEP}, optional and passing"
                self._problem(line + 1, f"{word!r} means nothing behind a step's id; there is {there}")
        return section

    def _html(self, token: Token, section: _Section, opened: tuple[str, int] | None) -> tuple[str, int] | None:
        """Take a piece of HTML; returns the kind and the line of a <details> that is open after it."""
        assert token.map is not None
        begin, end = token.map
        found = DETAILS.match(token.content)
        if found and opened is None:
            kind = (found[1].split() or [""])[0].lower()
            # Any other part is the author's own; what is misspelt would be shown at once, and to everybody.
            near = [] if kind in FOLDED else difflib.get_close_matches(SAME.get(kind, kind), FOLDED, n=1, cutoff=0.75)
            if near:
                meant = near[0].capitalize()
                self._problem(begin + 1, f"<summary>{found[1]}</summary> is shown at once; did you mean {meant}?")
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
        read = words_of(token.info)
        if read is None:
            if "node=" in token.info or token.info.startswith(QUESTION):
                self._problem(line, "a quote on the first line of the block is not closed")
            return
        language, words = read
        fence: Fence | Question | None
        if language == QUESTION:
            fence, problems = read_question(words, token.content, line)
        else:
            fence, problems = read_fence(language, words, token.content, line)
        self.problems += problems
        if fence is None:
            return
        if not sections:
            what = "a question" if language == QUESTION else "a block that runs"
            self._problem(line, f"{what} belongs to a step: it stands before the first ## heading")
            return
        sections[-1].blocks.append(_Block(fence, *token.map))

    def _step(self, section: _Section) -> Step:
        folded = {kind: [part for part in section.details if part.kind == kind] for kind in FOLDED}
        self._check_folded(section, folded)
        texts = {kind: [_plain_fences(part.text, self.frame) for part in parts] for kind, parts in folded.items()}
        step = Step(
            id=section.id,
            title=section.title,
            line=section.begin + 1,
            text=self._visible(section, [part for parts in folded.values() for part in parts]),
            fences=section.fences,
            hints=tuple(texts["hint"]),
            solution=next(iter(texts["solution"]), ""),
            debrief=next(iter(texts["debrief"]), ""),
            minutes=section.minutes,
            optional=section.optional,
            passing=section.passing,
            questions=section.questions,
        )
        self._check_step(step)
        return step

    def _check_folded(self, section: _Section, folded: Mapping[str, Sequence[_Details]]) -> None:
        """Hints come first, then at most one solution, then at most one debrief; none is empty."""
        for kind, parts in folded.items():
            for part in parts:
                if not part.text:
                    self._problem(part.begin + 1, f"the {kind} is empty")
            for part in parts[1:] if kind != "hint" else ():
                self._problem(part.begin + 1, f"step {section.id}: a second {kind}")
        for n, kind in enumerate(FOLDED):
            later = [part for other in FOLDED[n + 1 :] for part in folded[other]]
            late = folded[kind][-1:] if later else []
            for part in late:
                first = min(later, key=lambda one: one.begin)
                if part.begin > first.begin:
                    self._problem(part.begin + 1, f"step {section.id}: a {kind} after the {first.kind} comes too late")

    def _check_step(self, step: Step) -> None:
        if not step.played and not step.questions:
            self._problem(step.line, f"step {step.id}: nothing in it runs: it needs a block with node=")
        asked = {question.id for question in step.questions}
        answered = {fence.answer for fence in step.fences if fence.answer and fence.solve}
        for fence in step.fences:
            if fence.answer and fence.answer not in asked:
                self._problem(fence.line, f"answer={fence.answer}: step {step.id} asks no such question")
        for question in step.questions:
            if not question.solution and question.id not in answered:
                how = f"```sh node=m1 solve answer={question.id} prints one"
                self._problem(question.line, f"nothing answers the question {question.id}: {how}")
        behind = [fence for fence in step.fences if fence.wrong or fence.right or fence.undo]
        if behind and behind[0].undo:
            what = "an `undo` block takes back the `wrong` or `right` block before it, and there is none"
            self._problem(behind[0].line, what)
        for way in step.ways:
            if not way.undone_by and not step.setup:
                self._problem(
                    way.gone_by.line, "nothing takes this `right` block back: it needs an `undo` block behind it"
                )

    def _visible(self, section: _Section, folded: Sequence[_Details]) -> str:
        """The step's text as a learner sees it: without what is folded, and what only others type; questions asked."""
        hidden = {n for part in folded for n in range(part.begin, part.end)}
        shown: dict[int, str] = {}
        for block in section.blocks:
            if isinstance(block.fence, Question):
                shown[block.begin] = block.fence.shown(self.frame.question)
            if isinstance(block.fence, Question) or not block.fence.is_seen:
                hidden |= set(range(block.begin, block.end))
        kept = (
            shown.get(n, self.lines[n]) for n in range(section.begin + 1, section.end) if n not in hidden or n in shown
        )
        return _plain_fences("\n".join(kept), self.frame)

    # -- the whole

    def _check_whole(self, front: Front, steps: Sequence[Step], folder: Path) -> None:
        if not steps:
            self._problem(0, "it has no steps: a step begins with ## Title {#id}")
        self._check_ids(steps)
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

    def _check_ids(self, steps: Sequence[Step]) -> None:
        for what, ids in {
            "steps": [(step.id, step.line) for step in steps if step.id],
            "questions": [(question.id, question.line) for step in steps for question in step.questions],
        }.items():
            for id_, count in Counter(name for name, _ in ids).items():
                if count > 1:
                    again = [line for name, line in ids if name == id_][1]
                    self._problem(again, f"two {what} have the id {id_}")

    def _check_filled_in(self, line: int, kind: str, rest: str, nodes: set[str], ports: Mapping[str, int]) -> None:
        name, _, what = rest.partition(".")
        if kind == "node" and (name not in nodes or what not in ("ip", "name")):
            self._problem(line, f"{{{{node.{rest}}}}}: there is {{{{node.m1.ip}}}} and {{{{node.m1.name}}}}")
        if kind == "url" and rest not in ports:
            told = ", ".join(ports) or "none"
            self._problem(line, f"{{{{url.{rest}}}}}: `ports` in the front matter has {told}")

    def _problem(self, line: int, text: str) -> None:
        self.problems.append((line, text))


def _plain_fences(text: str, frame: Frame) -> str:
    """Say above each block that runs where it does, in the place of the words behind its language."""

    def headed(found: re.Match[str]) -> str:
        indent, ticks, language, node = found[1], found[2], found[3], found[4]
        code = text[found.end() : text.find(found[2], found.end())]
        told = frame.on_changed if " edit" in found[0] and GAP in code else frame.on
        where = frame.places.get(node, node)
        return f"{indent}{told.format(where)}\n\n{indent}{ticks}{language}"

    return re.sub(r"\n{3,}", "\n\n", RUNNABLE.sub(headed, text)).strip()


def _as_id(title: str) -> str:
    return "-".join(re.findall(r"[a-z0-9]+", title.lower())) or "id"
