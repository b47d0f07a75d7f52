// What the server tells; labctl/web/socket.py and lesson.py have the other half.

export interface Task { name: string; service: string; state: string; desired: string; reason: string; image: string }
export interface LabNode {
  name: string; short: string; role: string; leader: boolean; state: string; machine: string;
  availability: string; address: string; tasks: Task[];
}
export interface Port { service: string; port: number; mode: string; url: string }
export interface Network { name: string; services: string[] }
export interface Fault { id: string; kind: string; on: string; left: number | null }
export interface Lab {
  name: string; nodes: LabNode[]; waiting: Task[]; ports: Port[]; networks: Network[]; faults: Fault[]; trouble: string;
}
export interface Happened { number: number; at: number; node: string; kind: string; text: string; tone: string }

export type Part =
  | { kind: "text"; html: string }
  | { kind: "run"; number: number; node: string; code: string; edit: boolean }
  | { kind: "ask"; id: string; html: string; yes: boolean; judged: boolean; choices: { letter: string; html: string }[] };
export type Ask = Extract<Part, { kind: "ask" }>;
export type Block = Extract<Part, { kind: "run" }>;

export interface Given { answer: string; right: boolean | null; reason: string }
export interface StepShown {
  step: string; number: number; total: number; title: string; parts: Part[]; intro: string; debrief: string;
  minutes: number; optional: boolean; answers: Record<string, Given>; has: { hints: number; solution: boolean };
}
export interface Check { name: string; html: string; outcome: string }
export interface Failure { outcome: string; text: string; found: string; look: string }
export interface Hint { number: number; total: number; parts: Part[] }
export interface Finished { minutes: number; hints: number; no_longer: string[]; following: string }
export interface Outline {
  id: string; title: string; summary: string; language: string; languages: string[]; current: string;
  steps: { id: string; title: string; minutes: number; optional: boolean; done: boolean }[];
}
export type Message = { type: string } & Record<string, any>;
