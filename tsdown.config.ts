import { defineConfig } from "tsdown";

export default defineConfig({
  entry: [
    "adapters/node/mod.ts",
    "adapters/deno/mod.ts",
    "adapters/bun/mod.ts",
    "adapters/browser/mod.ts",
    "adapters/trace/mod.ts",
    "adapters/admission/mod.ts",
    "core/mod.ts",
    "sim/mod.ts",
    "protocols/mod.ts",
    "cli/main.ts",
  ],
  format: "esm",
  platform: "neutral",
  target: "es2022",
  unbundle: true,
  outDir: "dist",
  dts: true,
  sourcemap: true,
  clean: true,
  external: [/^node:/, /^@noble\//, "ws", "hash-wasm", "@msgpack/msgpack"],
  outExtensions: () => ({ js: ".js", dts: ".d.ts" }),
});
