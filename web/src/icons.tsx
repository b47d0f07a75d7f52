// Small pictures, drawn here: nothing comes from outside.
import type { JSX } from "preact";

const PATHS: Record<string, JSX.Element> = {
  leader: <path d="M8 1.8l1.9 3.9 4.3.6-3.1 3 .7 4.3L8 11.6l-3.8 2 .7-4.3-3.1-3 4.3-.6z" fill="currentColor" stroke="none" />,
  manager: <path d="M8 1.8l1.9 3.9 4.3.6-3.1 3 .7 4.3L8 11.6l-3.8 2 .7-4.3-3.1-3 4.3-.6z" />,
  worker: <path d="M2.5 4.8L8 2l5.5 2.8v6.4L8 14l-5.5-2.8zM2.5 4.8L8 7.6l5.5-2.8M8 7.6V14" />,
  check: <path d="M3 8.5l3.2 3.2L13 4.8" />,
  cross: <path d="M4 4l8 8M12 4l-8 8" />,
  dot: <circle cx="8" cy="8" r="5" />,
  alert: <path d="M8 2l6.5 11.5h-13zM8 6.5v3.2M8 11.6v.1" />,
  play: <path d="M5 3.2v9.6L12.5 8z" fill="currentColor" />,
  copy: <path d="M5.5 5.5v-3h8v8h-3M2.5 5.5h8v8h-8z" />,
  menu: <path d="M3.5 8h.1M8 8h.1M12.5 8h.1" stroke-width="2.6" />,
  link: <path d="M6 3H3v10h10v-3M9 3h4v4M13 3L7.5 8.5" />,
  moon: <path d="M13.5 9.8A6 6 0 016.2 2.5a6 6 0 107.3 7.3z" />,
  sun: <path d="M8 5a3 3 0 100 6 3 3 0 000-6zM8 1v1.5M8 13.5V15M1 8h1.5M13.5 8H15M3 3l1.1 1.1M11.9 11.9L13 13M13 3l-1.1 1.1M4.1 11.9L3 13" />,
  smaller: <path d="M2 12.5L5 4.5l3 8M3 10h4M10.5 8h4" />,
  bigger: <path d="M1.5 13L5 3.5 8.5 13M2.8 10h4.4M10.5 8H15M12.75 5.75v4.5" />,
  plus: <path d="M8 3v10M3 8h10" />,
  bulb: <path d="M6 13.5h4M6.3 11.5h3.4c0-1.8 2-2.6 2-5A3.7 3.7 0 008 2.6a3.7 3.7 0 00-3.7 3.9c0 2.4 2 3.2 2 5z" />,
  reader: <path d="M8 3.4a.8.8 0 100-1.6.8.8 0 000 1.6zM3 5.6c3 .8 7 .8 10 0M6.5 6.2V9L5 14M9.5 6.2V9l1.5 5M6.5 9h3" />,
};

export function Icon({ name, label }: { name: string; label?: string }) {
  return (
    <svg class={`icon icon-${name}`} viewBox="0 0 16 16" role={label ? "img" : undefined} aria-label={label} aria-hidden={label ? undefined : "true"}>
      {PATHS[name]}
    </svg>
  );
}
