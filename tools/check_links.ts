/**
 * Every link of the docs to a file or a heading leads somewhere.
 *
 * @module
 */

import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";

const root: string = join(dirname(fileURLToPath(import.meta.url)), "..");
const files: string[] = ["README.md", ...readdirSync(join(root, "docs")).map((name) => join("docs", name))].filter(
  (name) => name.endsWith(".md"),
);
let problems = 0;

function anchors(path: string): Set<string> {
  const text = readFileSync(path, "utf8").replace(/```[\s\S]*?```/g, "");
  return new Set(
    [...text.matchAll(/^#+ (.+)$/gm)].map((match) =>
      (match[1] as string)
        .toLowerCase()
        .replace(/[^\p{L}\p{N} _-]/gu, "")
        .trim()
        .replaceAll(" ", "-"),
    ),
  );
}

for (const file of files) {
  const text = readFileSync(join(root, file), "utf8").replace(/```[\s\S]*?```/g, "");
  for (const match of text.matchAll(/\[[^\]]*\]\(([^)\s]+)\)/g)) {
    const target = match[1] as string;
    if (/^[a-z]+:/.test(target)) continue;
    const [path = "", anchor] = target.split("#");
    const where = path === "" ? join(root, file) : join(root, dirname(file), path);
    const isFound = existsSync(where) && (anchor === undefined || anchors(where).has(anchor));
    if (isFound) continue;
    problems++;
    process.stdout.write(`${file}: '${target}' leads nowhere (${relative(root, where)})\n`);
  }
}
process.exitCode = problems > 0 ? 1 : 0;
