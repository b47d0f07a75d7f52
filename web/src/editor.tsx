// A small editor for files on a node: a stack file, a note.
import { signal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { nodes, outline, tried } from "./state";
import { words } from "./words";

const node = signal("");
const folder = signal("");
const names = signal<string[]>([]);
const path = signal("");
const text = signal("");
const saved = signal("");
const said = signal("");

export function Editor() {
  useEffect(() => {
    node.value ||= nodes.value[0]?.name ?? "";
    folder.value ||= outline.value ? `/exercise/${outline.value.id}` : "/home/docker";
    void list();
  }, []);
  const isChanged = text.value !== saved.value;
  const keys = (event: KeyboardEvent) => {
    if (event.ctrlKey && event.key === "s") { event.preventDefault(); void save(); }
  };
  return (
    <div class="editor" onKeyDown={keys}>
      <div class="row wrap">
        <label class="row">{words.value.node}
          <select class="input" value={node.value} onChange={(event) => { node.value = event.currentTarget.value; void list(); }}>
            {nodes.value.map((one) => <option key={one.name} value={one.name}>{one.name}</option>)}
          </select>
        </label>
        <input class="input grow" aria-label={words.value.path} value={path.value} placeholder={`${folder.value}/`} spellcheck={false}
          onInput={(event) => (path.value = event.currentTarget.value)} onKeyDown={(event) => { if (event.key === "Enter") void open(path.value); }} />
        <button class="button" onClick={() => void open(path.value)}>{words.value.openFile}</button>
        <button class="button primary" disabled={!path.value || !isChanged} onClick={() => void save()}>{words.value.save}</button>
        <span class="muted" role="status">{isChanged ? words.value.unsaved : said.value}</span>
      </div>
      <div class="editor-body">
        <nav aria-label={words.value.folder}>
          <p class="muted path">{folder.value}</p>
          <ul>
            <li><button class="file" onClick={() => enter(folder.value.replace(/\/[^/]*$/, "") || "/")}>../</button></li>
            {names.value.map((name) => (
              <li key={name}><button class="file" onClick={() => pick(name)}>{name}</button></li>
            ))}
          </ul>
        </nav>
        <textarea class="code" spellcheck={false} value={text.value} aria-label={path.value || words.value.files}
          onInput={(event) => (text.value = event.currentTarget.value)} />
      </div>
    </div>
  );
}

async function list(): Promise<void> {
  if (!node.value) return;
  const found = await tried<{ names: string[] }>("list-files", { node: node.value, path: folder.value });
  names.value = found?.names ?? [];
}

function enter(where: string): void {
  folder.value = where;
  void list();
}

function pick(name: string): void {
  const whole = `${folder.value.replace(/\/$/, "")}/${name}`;
  if (name.endsWith("/")) enter(whole.replace(/\/$/, ""));
  else void open(whole);
}

async function open(where: string): Promise<void> {
  const found = await tried<{ text: string }>("read-file", { node: node.value, path: where });
  if (!found) return;
  path.value = where;
  text.value = saved.value = found.text;
  said.value = "";
}

async function save(): Promise<void> {
  const content = text.value;
  const done = await tried("write-file", { node: node.value, path: path.value, text: content });
  if (!done) return;
  saved.value = content;
  said.value = words.value.saved;
  void list();
}
