"""An exercise's Markdown as the page shows it: pieces of safe HTML, blocks that can be run, and questions.

Raw HTML in a text is shown as text, and links lead to http and https alone: what a text says can do nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from markdown_it import MarkdownIt
from markdown_it.token import Token

from labctl.exercise.language import Frame
from labctl.exercise.model import Fence
from labctl.exercise.questions import Question

if TYPE_CHECKING:
    from markdown_it.rules_core import StateCore

__all__ = ["html_of", "parts_of"]

Part = dict[str, Any]
Fill = Callable[[str], str]
ADDRESS = re.compile(r"(https?://127\.0\.0\.1:\d{1,5}\b)")
LINK = re.compile(r"https?://", re.IGNORECASE)


def _markdown() -> MarkdownIt:
    reader = MarkdownIt("commonmark", {"html": False}).enable("table")
    reader.validateLink = lambda url: LINK.match(url) is not None  # type: ignore[method-assign]  # its own protocol
    reader.disable("image")

    def open_link(renderer: Any, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
        tokens[index].attrSet("target", "_blank")
        tokens[index].attrSet("rel", "noopener noreferrer")
        return str(renderer.renderToken(tokens, index, options, env))

    reader.add_render_rule("link_open", open_link)
    reader.core.ruler.push("addresses", _link_addresses)
    return reader


def _link_addresses(state: StateCore) -> None:
    """Make links of the lab's own addresses, which a text has where {{url.NAME}} was."""
    for token in state.tokens:
        found: list[Token] = []
        depth = 0
        for child in token.children or ():
            depth += child.nesting if child.type in ("link_open", "link_close") else 0
            found += _linked(child) if child.type == "text" and not depth else [child]
        if token.children:
            token.children = found


def _linked(text: Token) -> Iterator[Token]:
    for number, piece in enumerate(ADDRESS.split(text.content)):
        inner = Token("text", "", 0, content=piece, level=text.level)
        if number % 2:
            yield Token("link_open", "a", 1, attrs={"href": piece}, level=text.level)
            yield inner
            yield Token("link_close", "a", -1, level=text.level)
        elif piece:
            yield inner


MARKDOWN = _markdown()


def html_of(text: str) -> str:
    """Markdown as HTML that can do nothing."""
    return str(MARKDOWN.render(text))


def parts_of(
    text: str, fences: Sequence[Fence], questions: Sequence[Question], frame: Frame, fill: Fill = lambda text: text
) -> list[Part]:
    """Cut a text into its parts: {"kind": "text" | "run" | "ask", ...}.

    A block is a step's fence by what it says; `number` counts the step's fences from 0. A question is its id.
    """
    found: list[Part] = []
    left = [(number, fence) for number, fence in enumerate(fences) if not fence.is_behind_the_scenes]
    for piece in _without_questions(text, questions, frame, fill):
        if isinstance(piece, Question):
            found.append(_asked(piece, fill))
        else:
            found += _cut(piece, left, frame, fill)
    return found


def _without_questions(text: str, questions: Sequence[Question], frame: Frame, fill: Fill) -> Iterator[str | Question]:
    rest = text
    for question in questions:
        before, found, behind = rest.partition(fill(question.shown(frame.question)))
        if found:
            yield before
            yield question
            rest = behind
    yield rest


def _asked(question: Question, fill: Fill) -> Part:
    choices = zip(question.letters, question.choices, strict=True)
    return {
        "kind": "ask",
        "id": question.id,
        "html": html_of(fill(question.text)),
        "yes": question.wants_yes,
        "judged": question.is_judged_here,
        "choices": [{"letter": letter, "html": MARKDOWN.renderInline(fill(one.text))} for letter, one in choices],
    }


def _cut(text: str, left: list[tuple[int, Fence]], frame: Frame, fill: Fill) -> Iterator[Part]:
    """The parts of a text without questions; a block that is found is taken from those that are `left`."""
    tokens = MARKDOWN.parse(text)
    pending: list[Token] = []
    for token in tokens:
        match = next((one for one in left if _is_said(token, one[1], fill)), None)
        if match is None:
            pending.append(token)
            continue
        left.remove(match)
        _drop_heading(pending, match[1], frame)
        yield from _rendered(pending)
        pending = []
        number, fence = match
        code = token.content.rstrip("\n")
        yield {"kind": "run", "number": number, "node": fence.node, "code": code, "edit": fence.edit}
    yield from _rendered(pending)


def _is_said(token: Token, fence: Fence, fill: Fill) -> bool:
    return token.type == "fence" and token.level == 0 and token.content.rstrip("\n") == fill(fence.code).rstrip("\n")


def _drop_heading(tokens: list[Token], fence: Fence, frame: Frame) -> None:
    """The line above a block tells where it runs, which the page draws on the block itself."""
    where = frame.places.get(fence.node, fence.node)
    lines = (frame.on.format(where), frame.on_changed.format(where))
    if len(tokens) >= 3 and tokens[-1].type == "paragraph_close" and tokens[-2].content in lines:
        del tokens[-3:]


def _rendered(tokens: Sequence[Token]) -> Iterator[Part]:
    html = str(MARKDOWN.renderer.render(tokens, MARKDOWN.options, {})) if tokens else ""
    if html.strip():
        yield {"kind": "text", "html": html}
