/**
 * `docs/limits.md` against the code: every entry of the defaults is on the page, in the section of its object, with the
 * default that is in force, and nothing else is.
 *
 * @module
 */

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { DEFAULT_LIMITS } from "../adapters/api/options.ts";
import { DEFAULT_SESSION_CONFIG } from "../core/connection/session_defaults.ts";
import { DEFAULT_ENDPOINT_LIMITS } from "../core/node/endpoint_defaults.ts";
import { DEFAULT_NODE_LIMITS } from "../core/node/node_defaults.ts";
import { DEFAULT_RELAY_CONFIG } from "../core/relay/relay_defaults.ts";

const { registry, ...relay } = DEFAULT_RELAY_CONFIG;

/** The sections of the page, each with the defaults that it lists. */
const SECTIONS: Readonly<Record<string, object>> = {
  "What a program sets": DEFAULT_LIMITS,
  "A session": DEFAULT_SESSION_CONFIG,
  "An endpoint": DEFAULT_ENDPOINT_LIMITS,
  "A node": DEFAULT_NODE_LIMITS,
  "A relay": relay,
  "Names at a relay": registry,
};

/** Units from the largest; one is used where it goes into a number without a rest. */
const BYTE_UNITS: readonly (readonly [number, string])[] = [
  [2 ** 30, "GiB"],
  [2 ** 20, "MiB"],
  [2 ** 10, "KiB"],
  [1, "bytes"],
];
const TIME_UNITS: readonly (readonly [number, string])[] = [
  [86_400_000, "d"],
  [3_600_000, "h"],
  [60_000, "min"],
  [1_000, "s"],
  [1, "ms"],
];

/** What is wrong with the page. */
export function problemsOfLimitsPage(root: string): string[] {
  const page = readFileSync(join(root, "docs", "limits.md"), "utf8");
  const problems: string[] = [];
  for (const [title, defaults] of Object.entries(SECTIONS)) {
    const found = rowsOf(page, title);
    for (const [name, value] of entriesOf(defaults, "")) {
      const text = defaultText(name, value);
      const stated = found.get(name);
      if (stated === undefined)
        problems.push(`docs/limits.md, "${title}" does not say what '${name}' (${text}) bounds`);
      else if (stated !== text) problems.push(`docs/limits.md, "${title}": '${name}' is ${text}, not ${stated}`);
      found.delete(name);
    }
    for (const name of found.keys()) problems.push(`docs/limits.md, "${title}": there is no '${name}'`);
  }
  return problems;
}

/** Names and defaults of a section's table. */
function rowsOf(page: string, title: string): Map<string, string> {
  const section = page.split(/^## /m).find((text) => text.startsWith(`${title}\n`)) ?? "";
  const rows = section.matchAll(/^\| `([\w.]+)` +\| (.+?) +\| \S/gm);
  return new Map([...rows].map((match) => [match[1] as string, match[2] as string]));
}

/** Entries, those of nested objects with a path as their name. */
function* entriesOf(defaults: object, prefix: string): Generator<readonly [string, unknown]> {
  for (const [key, value] of Object.entries(defaults)) {
    const name = `${prefix}${key}`;
    if (typeof value === "object" && value !== null && !Array.isArray(value)) yield* entriesOf(value, `${name}.`);
    else yield [name, value];
  }
}

/** The text of a default; its unit follows from the name. */
function defaultText(name: string, value: unknown): string {
  if (Array.isArray(value)) return value.length === 0 ? "none" : grouped(value.length);
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (typeof value !== "number") return `\`${String(value)}\``;
  const isRate = /PerSecond$/.test(name);
  if (/bytes/i.test(name)) return value === 0 ? "none" : `${withUnit(value, BYTE_UNITS)}${isRate ? "/s" : ""}`;
  return /Ms(\.\w+)?$/.test(name) ? withUnit(value, TIME_UNITS) : grouped(value);
}

function withUnit(value: number, units: readonly (readonly [number, string])[]): string {
  const [size, unit] = units.find(([one]) => value >= one && value % one === 0) ?? [1, ""];
  return `${grouped(value / size)} ${unit}`.trim();
}

function grouped(value: number): string {
  return String(value).replace(/\B(?=(\d{3})+$)/g, ",");
}
