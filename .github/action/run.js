"use strict";

// GitHub runs an action's end (post) only for actions in JavaScript; what there is to do, a shell script does.
const { spawn } = require("child_process");
const path = require("path");

module.exports = (phase) => {
  const env = { ...process.env };
  for (const [name, value] of Object.entries(process.env)) {
    // A shell can read no variable with a hyphen in its name.
    if (name.startsWith("INPUT_")) env[name.replace(/-/g, "_")] = value;
  }
  const script = path.join(__dirname, "action.sh");
  // Before there is anybody to hand them to: a signal that comes meanwhile waits until this function ends.
  let child;
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) {
    process.on(signal, () => {
      try {
        process.kill(-child.pid, signal);
      } catch {
        // It has just ended.
      }
    });
  }
  // In a group of its own: a runner that cancels a job interrupts this process alone.
  child = spawn("bash", [script, phase], { env, stdio: ["ignore", "inherit", "inherit"], detached: true });
  child.on("error", (problem) => {
    console.log(`::error title=labctl::bash does not start: ${problem.message}`);
    process.exitCode = 1;
  });
  child.on("close", (code) => {
    process.exitCode = code ?? 1;
  });
};
