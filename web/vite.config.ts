import { existsSync, readFileSync } from "node:fs";
import { defineConfig, type Plugin } from "vite";

const read = (file: string) => JSON.parse(readFileSync(file, "utf8"));
const parts = [...Object.keys(read("package.json").dependencies), "@preact/signals-core"];

/** What others wrote goes with its licence. */
const licences: Plugin = {
  name: "licences",
  generateBundle() {
    const texts = parts.map((name) => {
      const { version, license } = read(`node_modules/${name}/package.json`);
      const file = `node_modules/${name}/LICENSE`;
      // An add-on of xterm.js has no file of its own: that of xterm.js stands for it.
      const text = existsSync(file) ? readFileSync(file, "utf8") : `${license}, as @xterm/xterm`;
      return `${name} ${version}\n\n${text.trim()}\n`;
    });
    this.emitFile({ type: "asset", fileName: "licences.txt", source: texts.join(`\n${"-".repeat(79)}\n\n`) });
  },
};

// The page goes into the Python package, from where `labctl web` serves it and the wheel takes it.
export default defineConfig({
  plugins: [licences],
  build: {
    outDir: "../labctl/web/page",
    emptyOutDir: true,
    target: "es2022",
    assetsInlineLimit: 0, // the page's policy takes no script or font from within itself
    modulePreload: { polyfill: false },
  },
});
