// The right's lower half: a tab for each node's terminal, the files, and what happened.
import { useEffect, useRef } from "preact/hooks";
import { Editor } from "./editor";
import { Icon } from "./icons";
import { say } from "./link";
import { broadcast, paneOf } from "./pane";
import { consoles, nodes, tab, timeline } from "./state";
import { fontSize, readerMode, resizeFont } from "./settings";
import { words } from "./words";

export function Dock() {
  const names = nodes.value.map((one) => one.name);
  const all = [...names, "files", "events"];
  const keys = (event: KeyboardEvent) => {
    const by = event.key === "ArrowRight" ? 1 : event.key === "ArrowLeft" ? -1 : 0;
    if (!by) return;
    event.preventDefault();
    tab.value = all[(all.indexOf(tab.value) + by + all.length) % all.length]!;
    document.getElementById(`tab-${tab.value}`)?.focus();
  };
  const isNode = names.includes(tab.value);
  return (
    <section id="dock" class="panel dock" aria-label={words.value.terminals} tabIndex={-1}>
      <div class="tabs">
        <div role="tablist" aria-label={words.value.terminals} onKeyDown={keys}>
          {nodes.value.map((node) => (
            <Tab key={node.name} name={node.name}>
              <Icon name={node.leader ? "leader" : node.role === "manager" ? "manager" : "worker"} label={words.value[node.role === "manager" ? "manager" : "worker"]} />
              {node.name}
              {node.machine !== "running" && <span class="light bad" aria-label={words.value.nodeDown} role="img" />}
            </Tab>
          ))}
          <Tab name="files">{words.value.files}</Tab>
          <Tab name="events">{words.value.events}</Tab>
        </div>
        {isNode && <Tools />}
      </div>
      {isNode && <TerminalView key={tab.value} name={tab.value} />}
      {tab.value === "files" && <div role="tabpanel" id="panel-files" aria-labelledby="tab-files" class="tabpanel"><Editor /></div>}
      {tab.value === "events" && <Timeline />}
    </section>
  );
}

function Tab({ name, children }: { name: string; children: any }) {
  const isHere = tab.value === name;
  return (
    <button role="tab" id={`tab-${name}`} class="tab" aria-selected={isHere} aria-controls={isHere ? `panel-${name}` : undefined}
      tabIndex={isHere ? 0 : -1} onClick={() => (tab.value = name)}>
      {children}
    </button>
  );
}

function Tools() {
  const all = broadcast.value;
  return (
    <div class="tools">
      <button class={`button small ${all ? "danger" : "quiet"}`} aria-pressed={all} title={words.value.broadcastOn}
        onClick={() => (broadcast.value = !all)}>{words.value.broadcast}</button>
      <button class="button small quiet" aria-label={words.value.smaller} title={words.value.smaller} onClick={() => resizeFont(-1)}><Icon name="smaller" /></button>
      <span class="muted font-size" aria-live="polite">{fontSize.value}</span>
      <button class="button small quiet" aria-label={words.value.bigger} title={words.value.bigger} onClick={() => resizeFont(1)}><Icon name="bigger" /></button>
      <button class="button small quiet" aria-pressed={readerMode.value} aria-label={words.value.reader} title={words.value.reader}
        onClick={() => (readerMode.value = !readerMode.value)}><Icon name="reader" /></button>
    </div>
  );
}

function TerminalView({ name }: { name: string }) {
  const place = useRef<HTMLDivElement>(null);
  const state = consoles.value[name];
  useEffect(() => {
    paneOf(name).mount(place.current!);
    if (window.matchMedia("(pointer: fine)").matches && document.activeElement?.id === `tab-${name}`) return;
  }, [name]);
  return (
    <div role="tabpanel" id={`panel-${name}`} aria-labelledby={`tab-${name}`} class={`tabpanel terminal ${broadcast.value ? "all" : ""}`}>
      {state?.state === "down" && (
        <p class="veil" role="status">{state.why || words.value.nodeDown}{" "}
          <button class="button small" onClick={() => say("again", { node: name })}>{words.value.openFile}</button>
        </p>
      )}
      <div class="xterm-place" ref={place} onMouseDown={() => window.setTimeout(() => paneOf(name).focus())} />
    </div>
  );
}

function Timeline() {
  const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit" });
  return (
    <div role="tabpanel" id="panel-events" aria-labelledby="tab-events" class="tabpanel timeline" tabIndex={0}>
      {!timeline.value.length && <p class="muted">{words.value.nothingYet}</p>}
      <ol>
        {timeline.value.map((one) => (
          <li key={one.number} class={one.tone}>
            <time>{clock.format(new Date(one.at * 1000))}</time>
            <span class="who">{one.node}</span>
            <span>{one.text}</span>
          </li>
        ))}
      </ol>
    </div>
  );
}
