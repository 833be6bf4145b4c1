/**
 * Runs the core in an empty realm: no clock, no randomness, no host at all. What it needs comes in by parameters.
 *
 * @module
 */

import { dirname, join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { createContext, runInContext } from "node:vm";
import { build } from "esbuild";

const root: string = join(dirname(fileURLToPath(import.meta.url)), "..");
const result = await build({
  entryPoints: [join(root, "test", "vacuum_scenario.ts")],
  bundle: true,
  format: "iife",
  globalName: "scenario",
  target: "es2023",
  platform: "neutral",
  mainFields: ["module", "main"],
  write: false,
  logLevel: "silent",
});
const context = createContext(Object.create(null), { codeGeneration: { strings: false, wasm: false } });
runInContext(
  `Date.now = () => { throw new Error("The core read a clock"); };
   Math.random = () => { throw new Error("The core drew a random number"); };
   delete globalThis.WebAssembly;`,
  context,
);
const report: unknown = runInContext(`${result.outputFiles[0]?.text ?? ""};scenario.runInVacuum()`, context, {
  timeout: 30_000,
});
process.stdout.write(`${String(report)}\n`);
if (!String(report).startsWith("ok")) process.exitCode = 1;
