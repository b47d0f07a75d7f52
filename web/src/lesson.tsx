// The left of the page: the step, its ticks, hints, the solution, and the way to the next one.
import { useSignal } from "@preact/signals";
import { Icon } from "./icons";
import { Html, Parts } from "./parts";
import {
  askStep, checks, debrief, failure, finished, hints, isDone, isPreparing, outline, solution, step, tried,
} from "./state";
import { filled, words } from "./words";

const SIGNS: Record<string, string> = { done: "check", wrong: "cross", broken: "alert" };

export function Lesson() {
  const shown = step.value;
  return (
    <section id="lesson" class="panel lesson" aria-label={words.value.exercise} tabIndex={-1}>
      <Steps />
      {isPreparing.value && <p class="status" role="status">{words.value.preparing}</p>}
      {finished.value ? <Ending /> : shown && (
        <>
          <article class="step" key={shown.step}>
            {shown.intro && <div class="intro"><Html html={shown.intro} /></div>}
            <h2>{shown.title}</h2>
            <Parts parts={shown.parts} />
            <Help />
            <Checks />
            {isDone.value && debrief.value && (
              <div class="card debrief"><h3><Icon name="check" /> {words.value.done}</h3><Html html={debrief.value} /></div>
            )}
          </article>
        </>
      )}
      <Ways />
    </section>
  );
}

function Steps() {
  const all = outline.value;
  if (!all) return null;
  const at = all.steps.findIndex((one) => one.id === step.value?.step);
  return (
    <header class="steps">
      <h1>{all.title}</h1>
      <ol class="segments" aria-label={words.value.steps}>
        {all.steps.map((one, index) => (
          <li key={one.id}>
            <button class={`segment ${one.done ? "done" : ""} ${index === at && !finished.value ? "here" : ""}`} title={`${index + 1}. ${one.title}`}
              aria-label={`${words.value.step} ${index + 1}: ${one.title}${one.done ? `, ${words.value.done}` : ""}`}
              aria-current={index === at ? "step" : undefined} onClick={() => void tried("go", { to: one.id })} />
          </li>
        ))}
      </ol>
      {at >= 0 && (
        <p class="muted">
          {words.value.step} {at + 1} {words.value.of} {all.steps.length}
          {all.steps[at]!.minutes > 0 && ` · ${all.steps[at]!.minutes} ${words.value.minutes}`}
          {all.steps[at]!.optional && ` · ${words.value.optional}`}
        </p>
      )}
    </header>
  );
}

function Checks() {
  const found = checks.value;
  const wrong = failure.value;
  const first = found?.findIndex((one) => one.outcome !== "done" && one.outcome !== "not-run") ?? -1;
  return (
    <div class="card checks" id="checks" aria-live="polite">
      <h3>{words.value.checks}</h3>
      {!found && !wrong && <p class="muted">{words.value.waitingChecks}</p>}
      <ul>
        {found?.map((one, index) => (
          <li key={one.name} class={`check ${one.outcome}`}>
            <Icon name={SIGNS[one.outcome] ?? "dot"} label={one.outcome} />
            <div>
              <span dangerouslySetInnerHTML={{ __html: one.html }} />
              {index === first && wrong && <Why />}
            </div>
          </li>
        ))}
      </ul>
      {wrong && first < 0 && <Why />}
    </div>
  );
}

function Why() {
  const wrong = failure.value!;
  return (
    <div class={`why ${wrong.outcome}`}>
      <p>{wrong.text}</p>
      {wrong.found && <p><span class="eyebrow">{words.value.found}</span> <code>{wrong.found}</code></p>}
      {wrong.look && <p><span class="eyebrow">{words.value.look}</span> <code>{wrong.look}</code></p>}
    </div>
  );
}

function Help() {
  const has = step.value!.has;
  const given = hints.value;
  const shown = Math.max(0, ...given.map((one) => one.number));
  return (
    <div class="help">
      {given.map((one, index) => (
        <details class="fold hint" key={`${one.number}.${index}`} open={index === given.length - 1}>
          <summary><Icon name="bulb" /> {one.number ? filled(words.value.hintOf, one.number, one.total) : words.value.hint}</summary>
          <Parts parts={one.parts} />
        </details>
      ))}
      {solution.value && (
        <details class="fold solution" open>
          <summary>{words.value.solution}</summary>
          <Parts parts={solution.value} />
        </details>
      )}
      <div class="row wrap">
        {has.hints > 0 && shown < has.hints && (
          <button class="button" onClick={() => void askStep("hint")}><Icon name="bulb" /> {shown ? words.value.moreHints : words.value.hint}</button>
        )}
        {has.solution && !solution.value && (
          <button class="button" onClick={() => void askStep("solution")}>{words.value.solution}</button>
        )}
        <button class="button quiet" onClick={() => void askStep("check")}>{words.value.checkNow}</button>
      </div>
    </div>
  );
}

function Ways() {
  const wantsReset = useSignal(false);
  const at = step.value;
  if (!at) return null;
  const reset = () => {
    wantsReset.value = false;
    void tried("reset");
  };
  const isLast = at.number === at.total;
  const isOver = finished.value !== null;
  return (
    <footer class="ways">
      {wantsReset.value ? (
        <div class="row wrap" role="alertdialog" aria-label={words.value.reset}>
          <span class="grow">{words.value.resetSure}</span>
          <button class="button danger" onClick={reset}>{words.value.yes}</button>
          <button class="button" onClick={() => (wantsReset.value = false)}>{words.value.no}</button>
        </div>
      ) : (
        <div class="row">
          <button class="button" disabled={at.number === 1} onClick={() => void askStep("back")}>{words.value.back}</button>
          <button class="button quiet" onClick={() => (wantsReset.value = true)}>{words.value.reset}</button>
          <span class="grow" />
          {!isOver && <Ticks />}
          {!isOver && (
            <button class={`button ${isDone.value ? "primary" : ""}`} onClick={() => void askStep("next")}>
              {isLast && isDone.value ? words.value.finish : words.value.next}
            </button>
          )}
        </div>
      )}
    </footer>
  );
}

/** The checks in short, where they are seen whatever the reader has scrolled to. */
function Ticks() {
  const show = () => document.getElementById("checks")?.scrollIntoView({ block: "center" });
  if (!checks.value?.length) return null;
  const done = checks.value.filter((one) => one.outcome === "done").length;
  return (
    <button class="ticks" onClick={show} aria-label={`${words.value.checks}: ${done} / ${checks.value.length}`}>
      {checks.value.map((one) => <span key={one.name} class={`check ${one.outcome}`}><Icon name={SIGNS[one.outcome] ?? "dot"} /></span>)}
    </button>
  );
}

function Ending() {
  const end = finished.value!;
  return (
    <div class="card ending" role="status">
      <h2><Icon name="check" /> {words.value.allDone}</h2>
      <p>{outline.value?.summary}.</p>
      <p class="muted">{filled(words.value.tookMinutes, end.minutes)} {filled(words.value.tookHints, end.hints)}</p>
      {end.no_longer.map((gone) => <p key={gone} class="muted">{words.value.noLonger}: {gone}</p>)}
      {end.following && <p>{words.value.nextOne}: <code>labctl web {end.following}</code></p>}
    </div>
  );
}
