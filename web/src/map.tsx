// The lab as it is: nodes on their network, tasks by service, ports; and what to do with a node.
import { useSignal } from "@preact/signals";
import { Component } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { ask, Refusal } from "./link";
import { Icon } from "./icons";
import type { LabNode, Port, Task } from "./messages";
import { doing, faults, hasExercise, lab, nodes, notice, tab, tried, view } from "./state";
import { filled, words } from "./words";

export function LabMap() {
  const now = lab.value;
  return (
    <section id="map" class="panel map" aria-label={words.value.map} tabIndex={-1}>
      {now?.trouble && <p class="why wrong" role="status">{now.trouble}</p>}
      <ul class="nodes">
        {nodes.value.map((node) => <NodeCard key={node.name} node={node} />)}
        {!hasExercise.value && <AddNode />}
      </ul>
      {now && now.waiting.length > 0 && (
        <div class="waiting"><span class="eyebrow">{words.value.waiting}</span>
          {now.waiting.map((task) => <TaskChip key={task.name} task={task} />)}
        </div>
      )}
      {now && now.networks.length > 0 && (
        <ul class="networks" aria-label={words.value.networks}>
          {now.networks.map((network) => (
            <li key={network.name} class="network"><span class="eyebrow">{network.name}</span>
              {network.services.map((one) => <span key={one} class="task" style={{ "--hue": hue(one) }}>{one}</span>)}
            </li>
          ))}
        </ul>
      )}
      {now && now.ports.length > 0 && (
        <div class="ports"><span class="eyebrow">{words.value.ports}</span>
          {now.ports.map((port) => <PortChip key={`${port.service}.${port.port}`} port={port} />)}
        </div>
      )}
    </section>
  );
}

/** A card is drawn anew when its node is another than it was, or what it asks itself. */
class NodeCard extends Component<{ node: LabNode }> {
  shouldComponentUpdate(next: { node: LabNode }): boolean {
    return next.node !== this.props.node;
  }
  render({ node }: { node: LabNode }) {
    return <Card node={node} />;
  }
}

function Card({ node }: { node: LabNode }) {
  const own = faults.value.filter((one) => one.on === node.name);
  const isDown = node.machine !== "running";
  const isCut = own.some((one) => one.kind === "cut");
  const icon = node.leader ? "leader" : node.role === "manager" ? "manager" : "worker";
  const open = () => { tab.value = node.name; view.value = "dock"; };
  const busy = doing.value[node.name];
  return (
    <li class={`node ${isDown ? "down" : ""} ${isCut ? "cut" : ""} ${tab.value === node.name ? "selected" : ""}`}>
      <div class="node-head">
        <button class="node-name" onClick={open} title={`${words.value.openTerminal} ${node.name}`}>
          <Icon name={icon} label={node.leader ? words.value.leader : node.role === "manager" ? words.value.manager : words.value.worker} />
          <span>{node.name}</span>
        </button>
        <NodeMenu node={node} faults={own.length} />
      </div>
      <p class="node-state">
        <span class={`light ${stateTone(node)}`} aria-hidden="true" />
        {node.machine === "running" ? node.state : node.machine}
        {node.availability && node.availability !== "active" ? `, ${node.availability}` : ""}
        <span class="muted"> {node.address}</span>
      </p>
      {own.map((one) => <p key={one.id} class="fault"><Icon name="alert" /> {one.kind}{one.left !== null ? ` ${Math.round(one.left)} s` : ""}</p>)}
      {busy && <p class="status" role="status">{busy}</p>}
      <div class="tasks">{node.tasks.map((task) => <TaskChip key={task.name} task={task} />)}</div>
    </li>
  );
}

function stateTone(node: LabNode): string {
  if (node.machine !== "running" || node.state === "down") return "bad";
  return node.state === "ready" ? "good" : "";
}

const hues = new Map<string, number>();

/** A colour for each service, far from those of the services that were seen before it. */
function hue(service: string): number {
  if (!hues.has(service)) hues.set(service, Math.round(145 + hues.size * 137.5) % 360);
  return hues.get(service)!;
}

function TaskChip({ task }: { task: Task }) {
  const tone = task.state === "running" || task.state === "complete" ? "running" : ["failed", "rejected"].includes(task.state) ? "failed" : "moving";
  return (
    <span class={`task ${tone}`} style={{ "--hue": hue(task.service) }} title={`${task.image}: ${task.state}${task.reason ? ` (${task.reason})` : ""}`}>
      {task.name}{tone !== "running" && <small> {task.state}</small>}
    </span>
  );
}

function PortChip({ port }: { port: Port }) {
  const text = `${port.service} :${port.port}`;
  if (!/^https?:/.test(port.url)) return <span class="port" title={port.mode}>{port.url || text}</span>;
  return <a class="port" href={port.url} target="_blank" rel="noopener noreferrer">{text} <Icon name="link" /></a>;
}

function AddNode() {
  const busy = doing.value[""];
  return (
    <li class="node add">
      <button class="button quiet" disabled={Boolean(busy)} onClick={() => void tried("add-node")}>
        <Icon name="plus" /> {words.value.addNode}
      </button>
      {busy && <p class="status" role="status">{busy}</p>}
    </li>
  );
}

function NodeMenu({ node, faults: broken }: { node: LabNode; faults: number }) {
  const isOpen = useSignal(false);
  const box = useRef<HTMLDivElement>(null);
  const opener = useRef<HTMLButtonElement>(null);
  useEffect(() => {
    if (!isOpen.value) return undefined;
    box.current?.querySelector<HTMLElement>("[role=menuitem]")?.focus();
    const away = (event: MouseEvent) => {
      if (!box.current?.parentElement?.contains(event.target as Node)) isOpen.value = false;
    };
    document.addEventListener("mousedown", away);
    return () => document.removeEventListener("mousedown", away);
  }, [isOpen.value]);
  const close = () => { isOpen.value = false; opener.current?.focus(); };
  const keys = (event: KeyboardEvent) => {
    const items = [...(box.current?.querySelectorAll<HTMLElement>("[role=menuitem]") ?? [])];
    const at = items.indexOf(document.activeElement as HTMLElement);
    if (event.key === "Escape") close();
    else if (event.key === "ArrowDown") items[(at + 1) % items.length]?.focus();
    else if (event.key === "ArrowUp") items[(at + items.length - 1) % items.length]?.focus();
    else return;
    event.preventDefault();
  };
  const does = (verb: string) => () => { close(); void (verb === "cut" ? cut(node.name) : tried(verb, { node: node.name })); };
  const runs = node.machine === "running";
  const items: [string, () => void][] = [
    [words.value.openTerminal, () => { close(); tab.value = node.name; view.value = "dock"; }],
    ...(runs ? [[words.value.stop, does("stop")], [words.value.kill, does("kill")]] as [string, () => void][] : [[words.value.start, does("start")]] as [string, () => void][]),
    ...(runs && !broken ? [[words.value.cut, does("cut")]] as [string, () => void][] : []),
    ...(broken ? [[words.value.heal, does("heal")]] as [string, () => void][] : []),
    ...(!hasExercise.value ? [[words.value.remove, does("remove-node")]] as [string, () => void][] : []),
  ];
  return (
    <div class="menu" onKeyDown={keys}>
      <button ref={opener} class="button small quiet" aria-haspopup="menu" aria-expanded={isOpen.value}
        aria-label={filled(words.value.menuOf, node.name)} onClick={() => (isOpen.value = !isOpen.value)}>
        <Icon name="menu" />
      </button>
      {isOpen.value && (
        <div class="menu-box" role="menu" ref={box} aria-label={filled(words.value.menuOf, node.name)}>
          {items.map(([text, action]) => <button key={text} role="menuitem" tabIndex={-1} onClick={action}>{text}</button>)}
        </div>
      )}
    </div>
  );
}

/** Cut a node off; where the managers would lose their majority, the reader is asked. */
async function cut(node: string): Promise<void> {
  try {
    await ask("cut", { node });
  } catch (problem) {
    const refusal = problem instanceof Refusal ? problem : new Refusal(String(problem), "");
    if (window.confirm(`${refusal.message}\n\n${words.value.anyway}`)) await tried("cut", { node, sure: true });
    else notice.value = null;
  }
}
