/**
 * The pages that list the error codes against `core/error.ts`: `docs/errors.md` says of each code what happened and
 * what to do, in the order of the source; the protocol has each with its number.
 *
 * @module
 */

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { ERRORS } from "../core/error.ts";

/** What is wrong with the pages. */
export function problemsOfErrorPages(root: string): string[] {
  const codes = Object.keys(ERRORS);
  const errors = readFileSync(join(root, "docs", "errors.md"), "utf8");
  const protocol = sectionOf(readFileSync(join(root, "docs", "protocol.md"), "utf8"), "9 Error codes");
  const numbers = Object.entries(ERRORS).map(([code, { wire }]) => `0x${wire.toString(16).padStart(2, "0")} ${code}`);
  return [
    ...differences("docs/errors.md", codes, [...errors.matchAll(/^\| `(\w+)` +\| \S.* \| \S.* \|$/gm)], 1),
    ...differences(
      "docs/protocol.md, §9",
      numbers,
      [...protocol.matchAll(/^\| (0x\w+) +\| `(\w+)` +\| \S.* \|$/gm)],
      2,
    ),
  ];
}

function sectionOf(page: string, title: string): string {
  return page.split(/^## /m).find((text) => text.startsWith(`${title}\n`)) ?? "";
}

function differences(where: string, expected: readonly string[], rows: RegExpMatchArray[], columns: 1 | 2): string[] {
  const found = rows.map((row) => row.slice(1, 1 + columns).join(" "));
  const problems: string[] = [];
  for (const one of expected) if (!found.includes(one)) problems.push(`${where}: '${one}' is missing`);
  for (const one of found) if (!expected.includes(one)) problems.push(`${where}: there is no '${one}'`);
  if (problems.length === 0 && found.join() !== expected.join()) {
    problems.push(`${where}: the rows are not in the order of core/error.ts, or one is there twice`);
  }
  return problems;
}
