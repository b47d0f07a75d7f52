// What the page knows: only what the server told, and what this reader chose.
import { computed, signal } from "@preact/signals";
import { ask, Refusal } from "./link";
import type {
  Check, Failure, Fault, Finished, Given, Happened, Hint, Lab, LabNode, Message, Outline, Part, StepShown,
} from "./messages";
import { language, words } from "./words";

export const labName = signal("");
export const hasExercise = signal(false);
export const isGone = signal(false);
export const lab = signal<Lab | null>(null);
export const timeline = signal<Happened[]>([]);
export const outline = signal<Outline | null>(null);
export const step = signal<StepShown | null>(null);
export const checks = signal<Check[] | null>(null);
export const failure = signal<Failure | null>(null);
export const isDone = signal(false);
export const debrief = signal("");
export const hints = signal<Hint[]>([]);
export const solution = signal<Part[] | null>(null);
export const answers = signal<Record<string, Given>>({});
export const finished = signal<Finished | null>(null);
export const isPreparing = signal(false);
export const notice = signal<{ text: string; hint: string; bad: boolean } | null>(null);
export const doing = signal<Record<string, string>>({});
export const consoles = signal<Record<string, { state: string; why: string }>>({});

export const view = signal<"exercise" | "lab" | "dock">("exercise"); // on a phone, where one is seen at a time
export const tab = signal("events"); // a node's name, `files` or `events`
export const nodes = computed<LabNode[]>(() => lab.value?.nodes ?? []);
export const faults = computed<Fault[]>(() => lab.value?.faults ?? []);

const MOST = 200;

/** The nodes that an exercise means: m1, w2, a name, or a group. */
export function nodesMeant(name: string): LabNode[] {
  const all = nodes.value;
  if (name === "@all") return all;
  if (name.startsWith("@")) return all.filter((one) => `@${one.role}` === name);
  const exact = all.filter((one) => one.name === name || one.short === name);
  if (exact.length) return exact;
  const numbered = /^([mw])(\d+)$/.exec(name);
  const ofRole = all.filter((one) => one.role[0] === numbered?.[1]);
  const one = ofRole[Number(numbered?.[2] ?? 0) - 1];
  return one ? [one] : [];
}

export function begunAnew(): void {
  timeline.value = [];
  isGone.value = false;
}

export function hear(message: Message): void {
  switch (message.type) {
    case "hello":
      labName.value = message.lab;
      hasExercise.value = message.exercise;
      if (!message.exercise && view.value === "exercise") view.value = "lab";
      break;
    case "lab": lab.value = withOldNodes(message as unknown as Lab); break;
    case "gone": isGone.value = true; break;
    case "happened": timeline.value = [message as unknown as Happened, ...timeline.value].slice(0, MOST); break;
    case "outline":
      outline.value = message as unknown as Outline;
      language.value = message.language;
      document.documentElement.lang = message.language;
      break;
    case "doing": doing.value = { ...doing.value, [message.node]: message.text }; break;
    case "terminal":
      consoles.value = { ...consoles.value, [message.node]: { state: message.state, why: message.why } };
      break;
    case "trouble": notice.value = { text: message.text, hint: "", bad: true }; break;
    case "run": hearRun(message); break;
  }
}

/** What is as it was stays the same object, so that a node's card need not be drawn anew. */
function withOldNodes(next: Lab): Lab {
  const known = new Map(nodes.peek().map((one) => [one.name, one]));
  const same = (one: LabNode) => JSON.stringify(known.get(one.name)) === JSON.stringify(one);
  const hasOldFaults = JSON.stringify(faults.peek()) === JSON.stringify(next.faults);
  const kept = next.nodes.map((one) => (same(one) ? known.get(one.name)! : one));
  return { ...next, faults: hasOldFaults ? faults.peek() : next.faults, nodes: kept };
}

function hearRun(event: Message): void {
  switch (event.event) {
    case "preparing": isPreparing.value = true; break;
    case "step-shown": {
      const shown = event as unknown as StepShown;
      const isOther = step.value?.step !== shown.step;
      step.value = shown;
      checks.value = failure.value = solution.value = finished.value = null;
      hints.value = [];
      answers.value = shown.answers;
      debrief.value = shown.debrief;
      isDone.value = outline.value?.steps.find((one) => one.id === shown.step)?.done ?? Boolean(shown.debrief);
      isPreparing.value = false;
      if (isOther) document.getElementById("lesson")?.scrollTo({ top: 0 });
      break;
    }
    case "checked": checks.value = event.results; failure.value = event.failure; break;
    case "step-done": isDone.value = true; debrief.value = event.debrief; break;
    case "hint-given": hints.value = [...hints.value.filter((one) => !sameHint(one, event)), event as unknown as Hint]; break;
    case "solution-given": solution.value = event.parts; break;
    case "answered":
      answers.value = {
        ...answers.value,
        [event.question]: { answer: event.answer, right: event.is_right, reason: event.reason },
      };
      break;
    case "trouble": failure.value = { outcome: "broken", text: event.message, found: "", look: "" }; isPreparing.value = false; break;
    case "finished": finished.value = event as unknown as Finished; break;
  }
}

function sameHint(one: Hint, event: Message): boolean {
  return one.number === event.number && (one.number > 0 || JSON.stringify(one.parts) === JSON.stringify(event.parts));
}

/** Ask, and tell in the page what went wrong; null then. */
export async function tried<T>(verb: string, more: object = {}): Promise<T | null> {
  const about = (more as { node?: string }).node ?? "";
  notice.value = null;
  doing.value = { ...doing.value, [about]: words.value.working };
  try {
    return await ask<T>(verb, more);
  } catch (problem) {
    const refusal = problem instanceof Refusal ? problem : new Refusal(String(problem), "");
    notice.value = { text: refusal.message, hint: refusal.hint, bad: true };
    return null;
  } finally {
    const { [about]: _, ...others } = doing.value;
    doing.value = others;
  }
}

/** Ask for something about the step that the reader looks at; where another page has left it, nothing is done. */
export function askStep<T>(verb: string, more: object = {}): Promise<T | null> {
  return tried<T>(verb, { step: step.value?.step, ...more });
}
