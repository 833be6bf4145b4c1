/**
 * `npm start`: from a fresh clone to a relay, a node and a page.
 *
 * @module
 */

import { spawn } from "node:child_process";
import { join } from "node:path";
import process from "node:process";
import { ensureDependencies, ROOT } from "./setup.mjs";

await ensureDependencies();
const entry = join(ROOT, "examples", "bridge", "main.ts");
const child = spawn(process.execPath, ["--import", "tsx", entry, ...process.argv.slice(2)], {
  cwd: ROOT,
  stdio: "inherit",
});
for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => child.kill(signal));
child.on("exit", (code, signal) => {
  process.exitCode = code ?? (signal === null ? 0 : 130);
});
