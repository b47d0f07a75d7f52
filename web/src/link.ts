// The one websocket: it comes back by itself, asks and is answered, and hands terminals their bytes.
import { signal } from "@preact/signals";
import type { Message } from "./messages";

export type LinkState = "connecting" | "open" | "away" | "refused";
export const linkState = signal<LinkState>("connecting");

export interface Frame { node: string; at: number; anew: boolean; data: Uint8Array }
export class Refusal extends Error {
  constructor(message: string, readonly hint: string) { super(message); }
}

type Waiting = { resolve: (value: any) => void; reject: (why: Refusal) => void };
const PAUSES = [200, 500, 1000, 2000]; // milliseconds between two attempts to come back
const decoder = new TextDecoder();

let socket: WebSocket | null = null;
let attempts = 0;
let asked = 0;
let timer = 0;
const waiting = new Map<number, Waiting>();
const openings: (() => void)[] = [];
let hear: (message: Message) => void = () => undefined;
let show: (frame: Frame) => void = () => undefined;

export function listen(message: (message: Message) => void, frame: (frame: Frame) => void): void {
  hear = message;
  show = frame;
}

export function onOpen(action: () => void): void {
  openings.push(action);
}

export function connect(): void {
  window.clearTimeout(timer);
  const opened = new WebSocket(`ws://${location.host}/ws`);
  opened.binaryType = "arraybuffer";
  socket = opened;
  opened.onopen = () => {
    attempts = 0;
    linkState.value = "open";
    openings.forEach((action) => action());
  };
  opened.onmessage = (event) => take(event.data);
  opened.onclose = () => { if (socket === opened) void comeBack(); };
}

async function comeBack(): Promise<void> {
  socket = null;
  for (const one of waiting.values()) one.reject(new Refusal("the connection was lost", ""));
  waiting.clear();
  linkState.value = "away";
  timer = window.setTimeout(connect, PAUSES[Math.min(attempts++, PAUSES.length - 1)]);
  if (attempts > 1) linkState.value = (await isRefused()) ? "refused" : linkState.value;
}

async function isRefused(): Promise<boolean> {
  try {
    return (await fetch("/icon.svg", { cache: "no-store" })).status === 403;
  } catch {
    return false; // nobody serves here now
  }
}

function take(data: string | ArrayBuffer): void {
  if (typeof data !== "string") return show(frameOf(data));
  const message = JSON.parse(data) as Message;
  if (message.type !== "reply") return hear(message);
  const asker = waiting.get(message.id);
  waiting.delete(message.id);
  if (message.ok) asker?.resolve(message.value);
  else asker?.reject(new Refusal(message.error, message.hint ?? ""));
}

function frameOf(data: ArrayBuffer): Frame {
  const view = new DataView(data);
  const length = view.getUint8(0);
  const at = view.getUint32(1 + length) * 2 ** 32 + view.getUint32(5 + length);
  return {
    node: decoder.decode(new Uint8Array(data, 1, length)),
    at,
    anew: view.getUint8(9 + length) === 1,
    data: new Uint8Array(data, 10 + length),
  };
}

/** Say something that is not answered; nobody hears it while the server is away. */
export function say(verb: string, more: object = {}): void {
  if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify({ do: verb, ...more }));
}

/** Ask for something, and wait for what came of it. */
export function ask<T = unknown>(verb: string, more: object = {}): Promise<T> {
  if (socket?.readyState !== WebSocket.OPEN) return Promise.reject(new Refusal("the server is away", ""));
  const id = ++asked;
  say(verb, { id, ...more });
  return new Promise((resolve, reject) => waiting.set(id, { resolve, reject }));
}

window.addEventListener("online", () => { if (!socket) connect(); });
