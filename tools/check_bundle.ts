/**
 * What a browser pays: the browser entry point, bundled, minified and compressed, must stay within its budget and pull
 * in nothing of Node.
 *
 * @module
 */

import { dirname, join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";

/** What it may cost today. The goal is 55 KB: see docs/figures.md for what it is made of. */
const BUDGET_BYTES = 120 * 1000;

const root: string = join(dirname(fileURLToPath(import.meta.url)), "..");
const result = await build({
  stdin: {
    contents: `export { createNode } from "./adapters/browser/mod.ts";`,
    resolveDir: root,
    loader: "ts",
  },
  bundle: true,
  minify: true,
  format: "esm",
  target: "es2022",
  platform: "browser",
  write: false,
  metafile: true,
  logLevel: "silent",
});
const code = result.outputFiles[0]?.contents ?? new Uint8Array(0);
const bytes = gzipSync(code, { level: 9 }).length;
const inputs = Object.entries(
  result.metafile.outputs["<stdout>"]?.inputs ?? result.metafile.outputs["stdin.js"]?.inputs ?? {},
);
const largest = inputs.sort((left, right) => right[1].bytesInOutput - left[1].bytesInOutput).slice(0, 12);
process.stdout.write(`Browser bundle: ${(bytes / 1000).toFixed(1)} KB gzip of ${(code.length / 1000).toFixed(1)} KB\n`);
for (const [name, { bytesInOutput }] of largest)
  process.stdout.write(`  ${(bytesInOutput / 1000).toFixed(1)} ${name}\n`);
if (bytes > BUDGET_BYTES) {
  process.stdout.write(`Over the budget of ${BUDGET_BYTES / 1000} KB\n`);
  process.exitCode = 1;
}
