// What the reader chose; kept in this browser.
import { effect, signal } from "@preact/signals";

function kept(name: string, otherwise: string): string {
  try {
    return localStorage.getItem(`labctl.${name}`) ?? otherwise;
  } catch {
    return otherwise;
  }
}

const prefersDark = window.matchMedia("(prefers-color-scheme: dark)").matches;
export const theme = signal(kept("theme", prefersDark ? "dark" : "light"));
export const fontSize = signal(Number(kept("font", "14")));
export const readerMode = signal(kept("reader", "off") === "on");

effect(() => {
  document.documentElement.dataset.theme = theme.value;
  try {
    localStorage.setItem("labctl.theme", theme.value);
    localStorage.setItem("labctl.font", String(fontSize.value));
    localStorage.setItem("labctl.reader", readerMode.value ? "on" : "off");
  } catch {
    // private windows may keep nothing
  }
});

export function resizeFont(by: number): void {
  fontSize.value = Math.min(28, Math.max(9, fontSize.value + by));
}
