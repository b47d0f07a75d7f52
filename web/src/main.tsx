import "@xterm/xterm/css/xterm.css";
import "./style/base.css";
import "./style/page.css";
import "./style/lesson.css";
import "./style/lab.css";
import { effect } from "@preact/signals";
import { render } from "preact";
import { App } from "./app";
import { connect, listen, onOpen } from "./link";
import { attachedTo, takeFrame } from "./pane";
import { begunAnew, hear, labName, outline } from "./state";

listen((message) => {
  if (message.type === "terminal" && message.session) attachedTo(message.node, message.session, message.live);
  hear(message);
}, takeFrame);
onOpen(begunAnew);
effect(() => {
  document.title = [outline.value?.title, labName.value, "labctl"].filter(Boolean).join(" · ");
});
render(<App />, document.getElementById("page")!);
connect();
