/**
 * What comments refer to is there: `THREATS t-C9` in `docs/threats.md`, `PROTOCOL §6.2` in `docs/protocol.md`, and no
 * document that a reader does not have.
 *
 * @module
 */

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

const FOLDERS = ["core", "adapters", "protocols", "sim", "cli", "examples", "test", "docs"];
/** Names of documents that are not among these. */
const ELSEWHERE =
  /(?<=\* |\/\/ |; |\. )(DESIGN|FACTS|PROTOCOL-FACTS|PEERS|STYLE)(?= §|: )|\b(DESIGN|FACTS|PEERS|STYLE)(?= §)/;

/** Which references lead nowhere. */
export function problemsOfReferences(root: string): string[] {
  const threats = readFileSync(join(root, "docs", "threats.md"), "utf8");
  const protocol = readFileSync(join(root, "docs", "protocol.md"), "utf8");
  const known = new Set([...threats.matchAll(/^\| `(t-[A-Z]\d+)`/gm)].map((match) => match[1] as string));
  const sections = new Set([...protocol.matchAll(/^#+ ([\d.]+) /gm)].map((match) => match[1] as string));
  const problems: string[] = [];
  for (const file of FOLDERS.flatMap((folder) => filesOf(root, folder))) {
    if (file === join("docs", "threats.md")) continue;
    const text = readFileSync(join(root, file), "utf8").replace(/\n \* /g, " ");
    for (const match of text.matchAll(/\bt-[A-J]\d+\b/g)) {
      if (!known.has(match[0]) && !isReserved(threats, match[0])) {
        problems.push(`${file}: docs/threats.md has no ${match[0]}`);
      }
    }
    for (const match of text.matchAll(/PROTOCOL §([\d.]*\d)/g)) {
      if (!sections.has(match[1] as string)) problems.push(`${file}: docs/protocol.md has no §${match[1]}`);
    }
    const elsewhere = ELSEWHERE.exec(text)?.[0];
    if (elsewhere !== undefined) problems.push(`${file}: there is no ${elsewhere} here to refer to`);
  }
  return [...new Set(problems)];
}

/** Whether an entry is in one of the page's ranges of numbers that are kept free, such as `t-B1` to `t-B6`. */
function isReserved(page: string, entry: string): boolean {
  const [letter, number] = [entry[2] as string, Number(entry.slice(3))];
  const ranges = page.matchAll(/`t-([A-Z])(\d+)` to `t-\1(\d+)`/g);
  return [...ranges].some(([, one, from, to]) => one === letter && number >= Number(from) && number <= Number(to));
}

function filesOf(root: string, folder: string): string[] {
  return readdirSync(join(root, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return entry.name === "node_modules" ? [] : filesOf(root, path);
    return /\.(ts|mjs|md)$/.test(entry.name) ? [path] : [];
  });
}
