// The page as a whole: a head, the exercise at the left, the lab and its terminals at the right.
import { useEffect } from "preact/hooks";
import { Dock } from "./dock";
import { Icon } from "./icons";
import { Lesson } from "./lesson";
import { linkState } from "./link";
import { LabMap } from "./map";
import { onLeave, paneOf } from "./pane";
import { hasExercise, isGone, labName, nodes, notice, outline, tab, tried, view } from "./state";
import { theme } from "./settings";
import { words } from "./words";

export function App() {
  useEffect(() => {
    onLeave(leave);
    const keys = (event: KeyboardEvent) => {
      if (event.key !== "F6" || event.defaultPrevented) return;
      event.preventDefault();
      leave(event.shiftKey);
    };
    document.addEventListener("keydown", keys);
    return () => document.removeEventListener("keydown", keys);
  }, []);
  useEffect(() => {
    if (tab.value === "events" && nodes.value[0] && !begun) { begun = true; tab.value = nodes.value[0].name; }
  }, [nodes.value.length]);
  return (
    <div class={`page ${hasExercise.value ? "" : "playground"}`} data-view={view.value}>
      <Head />
      <Banner />
      <main class="body">
        {hasExercise.value && <Lesson />}
        <div class="right"><LabMap /><Dock /></div>
      </main>
      <Bottom />
    </div>
  );
}

let begun = false;

function Head() {
  const isDark = theme.value === "dark";
  return (
    <header class="head">
      <img class="logo" src="/icon.svg" alt="" width="26" height="26" />
      <strong>labctl</strong>
      <span class="muted lab-name">{labName.value}</span>
      <span class="grow" />
      <span class={`light ${linkState.value === "open" ? "good" : "bad"}`} role="img" aria-label={linkState.value === "open" ? words.value.open : words.value.connecting} />
      <Languages />
      <button class="button small quiet" aria-label={words.value.theme} title={words.value.theme} onClick={() => (theme.value = isDark ? "light" : "dark")}>
        <Icon name={isDark ? "sun" : "moon"} />
      </button>
    </header>
  );
}

function Languages() {
  const all = outline.value?.languages ?? [];
  if (all.length < 2) return null;
  return (
    <div class="languages" role="group" aria-label={words.value.language}>
      {all.map((code) => (
        <button key={code} class="button small quiet" lang={code} aria-pressed={outline.value?.language === code} onClick={() => void tried("language", { code })}>
          {code === "ko" ? "한국어" : code === "en" ? "English" : code}
        </button>
      ))}
    </div>
  );
}

function Banner() {
  if (isGone.value) return <p class="banner bad" role="alert">{words.value.gone}</p>;
  if (linkState.value === "away" || linkState.value === "refused") return <p class="banner" role="alert">{words.value[linkState.value]}</p>;
  const said = notice.value;
  if (!said) return null;
  return (
    <div class="banner bad" role="alert">
      <span class="grow">{said.text} {said.hint && <span class="muted">{said.hint}</span>}</span>
      <button class="button small quiet" aria-label={words.value.close} onClick={() => (notice.value = null)}><Icon name="cross" /></button>
    </div>
  );
}

function Bottom() {
  const all = [...(hasExercise.value ? ["exercise"] : []), "lab", "dock"] as ("exercise" | "lab" | "dock")[];
  const told = { exercise: words.value.exercise, lab: words.value.lab, dock: words.value.terminals };
  return (
    <nav class="bottom" aria-label="labctl">
      {all.map((one) => (
        <button key={one} aria-current={view.value === one ? "page" : undefined} onClick={() => (view.value = one)}>{told[one]}</button>
      ))}
    </nav>
  );
}

/** F6 goes from the exercise to the map to the terminal, and on: also out of a terminal, which takes every other key. */
function leave(backwards: boolean): void {
  const stops = [...(hasExercise.value ? ["lesson"] : []), "map", "dock"];
  const at = stops.findIndex((id) => document.getElementById(id)?.contains(document.activeElement));
  const next = stops[(at + (backwards ? -1 : 1) + stops.length) % stops.length]!;
  view.value = next === "lesson" ? "exercise" : next === "map" ? "lab" : "dock";
  if (next === "dock" && nodes.value.some((one) => one.name === tab.value)) paneOf(tab.value).focus();
  else document.getElementById(next)?.focus();
}
