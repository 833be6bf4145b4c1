/**
 * House rules that no other tool checks: what core may use, who may import whom, names, lengths, words.
 *
 * @module
 */

import { readdirSync, readFileSync } from "node:fs";
import { basename, dirname, join, normalize, relative } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";

/** A rule that was broken. */
export interface Finding {
  readonly file: string;
  readonly line: number;
  readonly message: string;
}

const LINE_LENGTH_MAX = 120;
const FILE_LINES_MAX = 600;
const PURE_PACKAGES = ["@noble/curves", "@noble/hashes", "@noble/ciphers"];
const SOURCE_FOLDERS = ["core", "adapters", "cli", "sim", "protocols", "examples", "tools"];

/** What core must not touch, and what it uses instead. */
const BANNED_IN_CORE: readonly (readonly [RegExp, string])[] = [
  [/\bDate\b(?!`)/, "time comes in as `now`"],
  [/\bMath\.random\b/, "randomness comes in as `env.random` or `env.jitter`"],
  [/\b(async|await)\b/, "core never waits: give an event"],
  [/\bPromise\b/, "core never waits: give an event"],
  [/\bSymbol\.asyncIterator\b/, "core never waits: give an event"],
  [
    /\b(globalThis|setTimeout|setInterval|queueMicrotask|performance\.now|process\.|Buffer\.|Deno\.|Bun\.)\b/,
    "no runtime in core",
  ],
  [/\bMath\.(pow|exp|cbrt|log)\b/, "engines may approximate it: use whole numbers"],
  [/\bprivate\s+\w/, "use a # field"],
];

/** Layers of core: each may import those listed. */
const LAYERS: Readonly<Record<string, readonly string[]>> = {
  wire: [],
  crypto: ["wire"],
  connection: ["crypto", "wire"],
  node: ["connection", "crypto", "wire"],
  relay: ["node", "connection", "crypto", "wire"],
};

/** Folders outside core: each may import those listed. */
const FOLDERS: Readonly<Record<string, readonly string[]>> = {
  core: [],
  adapters: ["core"],
  protocols: ["adapters", "core"],
  sim: ["core", "adapters"],
  cli: ["protocols", "adapters", "core"],
  examples: ["protocols", "adapters", "core", "cli", "sim"],
  tools: ["core", "adapters", "protocols", "sim", "cli"],
};

/** Folders whose `.ts` files are not ours, or not TypeScript but AssemblyScript. */
const NOT_TYPESCRIPT: readonly string[] = ["node_modules", "assembly"];

const FORBIDDEN_WORDS = /\b(TODO|FIXME|XXX|HACK)\b/;
// Written so that this file does not hold what it looks for.
const FORBIDDEN_PLACES = new RegExp(
  `(^|[^a-z.])/(${["wo", "rk"].join("")}|${["fa", "rm"].join("")})/|${["npm", "js"].join("")}\\.org`,
);

/** Checks one file's text. `file` is relative to the project's folder, with `/`. */
export function checkFile(file: string, text: string): Finding[] {
  const findings: Finding[] = [];
  const report = (line: number, message: string): void => {
    findings.push({ file, line, message });
  };
  const name = basename(file);
  if (!/^[a-z0-9_.]+\.(ts|mjs)$/.test(name)) report(1, "File names are snake_case");
  if (/^(utils?|helpers?|common)\b/.test(name)) report(1, "A file is named after what it holds");
  const lines = text.split("\n");
  if (lines.length > FILE_LINES_MAX)
    report(lines.length, `A file has at most ${FILE_LINES_MAX} lines: one file, one idea`);
  if (!/^(#!.*\n)?\/\*\*[\s\S]*?@module/.test(text)) report(1, "A file opens with what it is: /** … @module */");
  const isCore = file.startsWith("core/");
  lines.forEach((line, index) => {
    const at = index + 1;
    if (line.length > LINE_LENGTH_MAX && !/https?:\/\//.test(line) && !/^\s*("|`|const ICON)/.test(line)) {
      report(at, `A line has at most ${LINE_LENGTH_MAX} characters`);
    }
    if (!file.startsWith("tools/tidy") && FORBIDDEN_WORDS.test(line)) report(at, "Finish it, or say it in the docs");
    if (FORBIDDEN_PLACES.test(line)) report(at, "A path or host of some machine");
    const code = stripped(line);
    if (isCore) {
      for (const [pattern, instead] of BANNED_IN_CORE) if (pattern.test(code)) report(at, `Not in core: ${instead}`);
    }
    const specifier = /^(?:import|export)\b.*?from "([^"]+)"|^} from "([^"]+)"|\bimport\("([^"]+)"\)/.exec(line);
    const target = specifier?.[1] ?? specifier?.[2] ?? specifier?.[3];
    if (target !== undefined) checkImport(file, target, (message) => report(at, message));
  });
  return findings;
}

function checkImport(file: string, target: string, report: (message: string) => void): void {
  const folder = file.split("/")[0] as string;
  if (!target.startsWith(".")) {
    if (folder !== "core") return;
    const isPure = PURE_PACKAGES.some((name) => target.startsWith(`${name}/`));
    if (!isPure) report(`Core imports nothing but ${PURE_PACKAGES.join(", ")}: not '${target}'`);
    else if (!file.startsWith("core/crypto/")) report("Only core/crypto imports primitives");
    return;
  }
  if (!/\.(ts|mjs|json)$/.test(target)) report("Relative imports name the file with its ending");
  const path = normalize(join(dirname(file), target)).replaceAll("\\", "/");
  const [targetFolder, targetLayer] = path.split("/") as [string, string];
  const allowed = FOLDERS[folder];
  if (
    allowed !== undefined &&
    targetFolder !== folder &&
    FOLDERS[targetFolder] !== undefined &&
    !allowed.includes(targetFolder)
  ) {
    report(`${folder} does not import ${targetFolder}`);
  }
  if (folder !== "core" || targetFolder !== "core" || file === "core/mod.ts") return;
  const layer = file.split("/")[1] as string;
  if (LAYERS[layer] === undefined || LAYERS[targetLayer] === undefined || layer === targetLayer) return;
  if (!(LAYERS[layer] as readonly string[]).includes(targetLayer))
    report(`core/${layer} does not import core/${targetLayer}`);
}

/** A line without comments and texts, as far as one line tells. */
function stripped(line: string): string {
  if (/^\s*(\*|\/\*\*|\/\/)/.test(line)) return "";
  return line.replace(/"(?:[^"\\]|\\.)*"|`[^`]*`/g, '""').replace(/\/\/.*$/, "");
}

function sourceFiles(root: string, folder: string): string[] {
  return readdirSync(join(root, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return NOT_TYPESCRIPT.includes(entry.name) ? [] : sourceFiles(root, path);
    return entry.name.endsWith(".ts") ? [path] : [];
  });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const root = join(dirname(fileURLToPath(import.meta.url)), "..");
  const findings = SOURCE_FOLDERS.flatMap((folder) => sourceFiles(root, folder)).flatMap((path) =>
    checkFile(relative(".", path).replaceAll("\\", "/"), readFileSync(join(root, path), "utf8")),
  );
  for (const { file, line, message } of findings) process.stdout.write(`${file}:${line}: ${message}\n`);
  process.stdout.write(`${findings.length} findings\n`);
  process.exitCode = findings.length > 0 ? 1 : 0;
}
