/**
 * Runs a module given as an argument, as if it stood in the project's folder.
 *
 * @module
 */

import { rmSync, writeFileSync } from "node:fs";
import process from "node:process";
import { fileURLToPath, pathToFileURL } from "node:url";

const path = fileURLToPath(new URL(`../../.evaluate-${process.pid}.ts`, import.meta.url));
writeFileSync(path, process.argv[2] ?? "");
process.on("exit", () => rmSync(path, { force: true }));
setTimeout(() => rmSync(path, { force: true }), 2_000).unref();
await import(pathToFileURL(path).href);
