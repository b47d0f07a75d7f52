import { defineConfig } from "vite";

// The page goes into the Python package, from where `labctl web` serves it and the wheel takes it.
export default defineConfig({
  build: {
    outDir: "../labctl/web/page",
    emptyOutDir: true,
    target: "es2022",
    assetsInlineLimit: 0, // the page's policy takes no script or font from within itself
    modulePreload: { polyfill: false },
  },
});
