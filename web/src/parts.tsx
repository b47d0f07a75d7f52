// A step's text: HTML that the server made safe, blocks that run, and questions.
import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { Icon } from "./icons";
import type { Ask, Block, Part } from "./messages";
import { paneOf } from "./pane";
import { answers, askStep, nodes, nodesMeant, tab, view } from "./state";
import { filled, words } from "./words";

const GAP = "???"; // what a learner has to fill in

export function Parts({ parts }: { parts: Part[] }) {
  return (
    <>
      {parts.map((part, index) => {
        if (part.kind === "text") return <Html key={index} html={part.html} />;
        if (part.kind === "run") return <Runnable key={`${index}.${part.code}`} block={part} />;
        return <Question key={part.id} question={part} />;
      })}
    </>
  );
}

export function Html({ html }: { html: string }) {
  const place = useRef<HTMLDivElement>(null);
  const known = nodes.value.length;
  useEffect(() => place.current?.querySelectorAll("code").forEach(leadToTerminal), [html, known]);
  return <div class="prose" ref={place} dangerouslySetInnerHTML={{ __html: html }} />;
}

/** A node's name in a text, or the command that opens a shell there, leads to the terminal that stands beside it. */
function leadToTerminal(code: HTMLElement): void {
  const named = /^(?:labctl ssh )?([a-z][a-z0-9-]*)$/.exec(code.textContent ?? "");
  const node = named && nodesMeant(named[1]!)[0];
  if (!node || code.closest("pre, summary") || code.dataset.node) return;
  code.dataset.node = node.name;
  code.tabIndex = 0;
  code.setAttribute("role", "button");
  const open = () => { tab.value = node.name; view.value = "dock"; };
  code.addEventListener("click", open);
  code.addEventListener("keydown", (event) => { if (event.key === "Enter") open(); });
}

export function Runnable({ block }: { block: Block }) {
  const text = useSignal(block.code);
  const output = useSignal<string | null>(null);
  const isBusy = useSignal(false);
  const isHost = block.node === "host";
  const targets = nodesMeant(block.node);
  const hasGap = block.code.includes(GAP); // some that are to be changed may also be typed as they are
  const isChanged = !block.edit || (hasGap ? !text.value.includes(GAP) : Boolean(text.value.trim()));
  const run = async () => {
    if (isHost) {
      isBusy.value = true;
      const said = await askStep<{ output: string }>("run-here", { number: block.number });
      output.value = said ? said.output.trim() || "✓" : null;
      isBusy.value = false;
      return;
    }
    for (const node of targets) void paneOf(node.name).run(text.value);
    tab.value = targets[0]?.name ?? tab.value;
    view.value = "dock";
  };
  const place = isHost ? words.value.thisMachine : block.node;
  return (
    <div class={`block ${block.edit ? "block-edit" : ""}`}>
      <div class="block-head">
        <span class="block-node">{place}</span>
        {block.edit && hasGap && <span class="block-note">{words.value.edit}</span>}
        <span class="grow" />
        <CopyButton text={() => text.value} />
        <button class="button small primary" onClick={run} disabled={!isChanged || isBusy.value || (!isHost && !targets.length)}
          aria-label={filled(words.value.runOn, place)}>
          <Icon name="play" /> {words.value.run}
        </button>
      </div>
      {block.edit
        ? <textarea class="block-code" spellcheck={false} rows={Math.max(1, text.value.split("\n").length)} value={text.value}
            aria-label={`${words.value.edit}: ${place}`} onInput={(event) => { text.value = event.currentTarget.value; grow(event.currentTarget); }} />
        : <pre class="block-code" tabIndex={0}><code>{block.code}</code></pre>}
      {output.value !== null && <pre class="block-output" role="status">{output.value}</pre>}
    </div>
  );
}

function grow(area: HTMLTextAreaElement): void {
  area.style.height = "auto";
  area.style.height = `${area.scrollHeight}px`;
}

function CopyButton({ text }: { text: () => string }) {
  const isCopied = useSignal(false);
  const copy = async () => {
    await navigator.clipboard.writeText(text());
    isCopied.value = true;
    window.setTimeout(() => (isCopied.value = false), 1500);
  };
  return (
    <button class="button small quiet" onClick={copy} aria-label={words.value.copy} title={words.value.copy}>
      <Icon name={isCopied.value ? "check" : "copy"} />
    </button>
  );
}

function Question({ question }: { question: Ask }) {
  const given = answers.value[question.id];
  const text = useSignal(given && !question.choices.length ? given.answer : "");
  const send = (answer: string) => void askStep("answer", { question: question.id, text: answer });
  const submit = (event: Event) => {
    event.preventDefault();
    if (text.value.trim()) send(text.value);
  };
  return (
    <form class="question" onSubmit={submit}>
      <fieldset>
        <legend><span class="eyebrow">{words.value.question}</span><Html html={question.html} /></legend>
        {question.choices.map((choice) => (
          <label class="choice" key={choice.letter}>
            <input type="radio" name={`ask-${question.id}`} value={choice.letter} checked={given?.answer === choice.letter}
              onChange={() => send(choice.letter)} />
            <span dangerouslySetInnerHTML={{ __html: choice.html }} />
          </label>
        ))}
        {question.yes && <button type="button" class="button" onClick={() => send("yes")}>{words.value.itIsSo}</button>}
        {!question.yes && !question.choices.length && (
          <div class="row">
            <input class="input grow" value={text.value} aria-label={words.value.answer} autocomplete="off" maxLength={500}
              onInput={(event) => (text.value = event.currentTarget.value)} />
            <button class="button">{words.value.answer}</button>
          </div>
        )}
      </fieldset>
      <Worth question={question} />
    </form>
  );
}

function Worth({ question }: { question: Ask }) {
  const given = answers.value[question.id];
  if (!given) return <p class="worth" role="status" />;
  const isKnown = question.judged;
  const tone = !isKnown ? "" : given.right ? "good" : "bad";
  const said = !isKnown ? words.value.taken : given.right ? words.value.right : words.value.notRight;
  const icon = isKnown && <Icon name={given.right ? "check" : "cross"} label={said} />;
  return <p class={`worth ${tone}`} role="status">{icon} {given.reason || said}</p>;
}
