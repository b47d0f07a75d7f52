// One node's terminal in this page: an xterm.js that outlives its tab, and where it stands in what the node showed.
import { FitAddon } from "@xterm/addon-fit";
import { SerializeAddon } from "@xterm/addon-serialize";
import { WebLinksAddon } from "@xterm/addon-web-links";
import { Terminal } from "@xterm/xterm";
import { effect, signal } from "@preact/signals";
import { onOpen, say, type Frame } from "./link";
import { nodes } from "./state";
import { fontSize, readerMode, theme } from "./settings";
import { words } from "./words";

const DARK = {
  background: "#0f141b", foreground: "#d7dde5", cursor: "#8ab4ff", selectionBackground: "#31507d", black: "#1b222c",
  red: "#ff7b72", green: "#6fce82", yellow: "#e3b341", blue: "#79b0ff", magenta: "#d2a8ff", cyan: "#66d0d9", white: "#c9d1d9",
  brightBlack: "#7d8794", brightWhite: "#f0f4f8",
};
const LIGHT = {
  background: "#ffffff", foreground: "#1f2733", cursor: "#1f5fd0", selectionBackground: "#bcd6ff", black: "#1f2733",
  red: "#b3261e", green: "#1a7f37", yellow: "#7d5600", blue: "#0b57c2", magenta: "#7a3fb8", cyan: "#08717d", white: "#59636e",
  brightBlack: "#6b7480", brightWhite: "#1f2733",
};
const READY_LIMIT = 5000; // milliseconds for a shell to show its prompt
const QUIET = 150; // milliseconds without a word: the prompt is whole
const KEEP = 400; // lines that a page keeps for when it is loaded again

export const broadcast = signal(false);
const panes = new Map<string, Pane>();
type Leave = (backwards: boolean) => void;
let leave: Leave = () => undefined;

export function onLeave(action: Leave): void {
  leave = action;
}

export class Pane {
  readonly terminal: Terminal;
  private readonly fit = new FitAddon();
  private readonly serialize = new SerializeAddon();
  private session = "";
  private at = 0; // what is on the screen
  private live = 0; // what the node had shown when this page came: an old question needs no answer
  private written = 0; // when something came last
  private isWanted = false;
  private element: HTMLElement | null = null;

  constructor(readonly node: string) {
    this.terminal = new Terminal({
      fontFamily: 'ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", "Noto Sans Mono CJK KR", monospace',
      fontSize: fontSize.value, lineHeight: 1.15, scrollback: 5000, cursorBlink: true, macOptionIsMeta: true,
      theme: theme.value === "dark" ? DARK : LIGHT, screenReaderMode: readerMode.value, minimumContrastRatio: 4.5,
      linkHandler: { activate: (_, url) => openLink(url) },
    });
    this.terminal.loadAddon(this.fit);
    this.terminal.loadAddon(this.serialize);
    this.terminal.loadAddon(new WebLinksAddon((_, url) => openLink(url)));
    this.terminal.onData((data) => this.typed(data));
    this.terminal.onResize(({ rows, cols }) => say("size", { node, rows, columns: cols }));
    this.terminal.attachCustomKeyEventHandler((event) => this.key(event));
    this.restore();
    effect(() => {
      this.terminal.options.theme = theme.value === "dark" ? DARK : LIGHT;
      this.terminal.options.fontSize = fontSize.value;
      this.terminal.options.screenReaderMode = readerMode.value;
      this.refit();
    });
  }

  /** Put it on the screen. */
  mount(element: HTMLElement): void {
    if (this.element !== element) {
      this.element = element;
      if (this.terminal.element) element.append(this.terminal.element);
      else this.terminal.open(element);
      new ResizeObserver(() => this.refit()).observe(element);
      this.terminal.textarea?.setAttribute("aria-label", `${words.value.openTerminal} ${this.node}`);
    }
    this.refit();
    this.need();
  }

  /** Let the server open it, if it was not asked to: with the size that the screen gives it, if it is on one. */
  need(): void {
    if (!this.isWanted) this.attach();
  }

  refit(): void {
    if (this.element?.offsetParent) this.fit.fit();
  }

  focus(): void {
    this.terminal.focus();
  }

  /** Tell the server that this page shows the terminal, and up to where it has it. */
  attach(): void {
    this.isWanted = true;
    const size = { rows: this.terminal.rows, columns: this.terminal.cols };
    say("open", { node: this.node, session: this.session, at: this.at, ...size });
  }

  attached(session: string, live: number): void {
    if (this.session && session !== this.session) this.mark(words.value.newShell);
    if (session !== this.session) this.at = 0;
    this.session = session;
    this.live = live;
    say("size", { node: this.node, rows: this.terminal.rows, columns: this.terminal.cols });
  }

  take(frame: Frame): void {
    if (frame.anew && frame.at > 0) this.terminal.reset();
    const end = frame.at + frame.data.length;
    this.written = Date.now();
    this.terminal.write(frame.data, () => {
      this.at = end;
      say("seen", { node: this.node, at: end });
    });
  }

  /** Type a block as if it were pasted, and Enter, once the shell shows its prompt. */
  async run(code: string): Promise<void> {
    await this.ready();
    const text = code.replace(/\r?\n/g, "\r");
    const pasted = this.terminal.modes.bracketedPasteMode ? `\x1b[200~${text}\x1b[201~` : text;
    say("keys", { node: this.node, data: `${pasted}\r` }); // to this node alone, also while all are typed to
    this.terminal.scrollToBottom();
  }

  selection(): string {
    return this.terminal.getSelection();
  }

  /** Keep what it shows for the next time this page is loaded. */
  keep(): void {
    try {
      const text = this.serialize.serialize({ scrollback: KEEP, excludeAltBuffer: true, excludeModes: true });
      sessionStorage.setItem(`labctl.pane.${this.node}`, JSON.stringify({ session: this.session, at: this.at, text }));
    } catch {
      // what is not kept is asked of the server
    }
  }

  private restore(): void {
    try {
      const kept = JSON.parse(sessionStorage.getItem(`labctl.pane.${this.node}`) ?? "null");
      sessionStorage.removeItem(`labctl.pane.${this.node}`);
      if (!kept) return;
      this.session = kept.session;
      this.at = kept.at;
      this.live = kept.at;
      this.terminal.write(kept.text);
    } catch {
      // as above
    }
  }

  private async ready(): Promise<void> {
    const until = Date.now() + READY_LIMIT;
    await pause(); // until it is on the screen and has its size
    this.need();
    while (Date.now() < until && !this.isAtPrompt()) await pause();
  }

  private isAtPrompt(): boolean {
    const isShown = this.at > 0 && this.at >= this.live && this.terminal.modes.bracketedPasteMode;
    return isShown && Date.now() - this.written > QUIET;
  }

  private typed(data: string): void {
    if (this.at < this.live || !document.hasFocus()) return; // an answer to a question that another page answers
    this.send(data);
  }

  private send(data: string): void {
    const names = broadcast.value ? nodes.value.map((one) => one.name) : [this.node];
    for (const node of new Set([this.node, ...names])) {
      if (node !== this.node) paneOf(node).need();
      say("keys", { node, data });
    }
  }

  private key(event: KeyboardEvent): boolean {
    if (event.key === "F6") {
      if (event.type === "keydown") leave(event.shiftKey);
      event.preventDefault();
      return false;
    }
    const isOurs = event.ctrlKey && event.shiftKey;
    if (isOurs && event.code === "KeyC") {
      event.preventDefault();
      if (event.type === "keydown" && this.selection()) void navigator.clipboard.writeText(this.selection());
      return false;
    }
    return !(isOurs && event.code === "KeyV"); // the browser pastes
  }

  private mark(text: string): void {
    this.terminal.write(`\r\n\x1b[0m\x1b[2m— ${text} —\x1b[0m\r\n`);
  }
}

export function paneOf(node: string): Pane {
  let pane = panes.get(node);
  if (!pane) panes.set(node, (pane = new Pane(node)));
  return pane;
}

export function takeFrame(frame: Frame): void {
  panes.get(frame.node)?.take(frame);
}

export function attachedTo(node: string, session: string, live: number): void {
  panes.get(node)?.attached(session, live);
}

function openLink(url: string): void {
  if (/^https?:\/\//i.test(url)) window.open(url, "_blank", "noopener,noreferrer");
}

function pause(): Promise<void> {
  return new Promise((resolve) => window.setTimeout(resolve, 50));
}

onOpen(() => panes.forEach((pane) => pane.attach()));
window.addEventListener("pagehide", () => panes.forEach((pane) => pane.keep()));
