/**
 * `npm run mutations`: puts each bug of the lists beside this file into a copy of the tree, one at a time, and runs the
 * tests that should notice. The working tree is never touched.
 *
 *   --only TEXT    only bugs whose name or file holds TEXT
 *   --jobs N       copies side by side: 2
 *   --seconds N    a bug has so many seconds; tests that take longer have noticed it, as they hang: 60
 *   --list         names the bugs
 *
 * Prints a table at the end. Exits with 1 when a bug was not noticed, or its text is not in its file any more.
 *
 * @module
 */

import { spawn } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import type { Mutation } from "./mutation.ts";
import { RECOVERY_MUTATIONS } from "./recovery_mutations.ts";
import { SESSION_MUTATIONS } from "./session_mutations.ts";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
/** What tests of core need. */
const PARTS = ["core", "adapters", "sim", "protocols", "test/core", "test/sim", "test/vectors", "package.json"];

/** What became of a bug. */
interface Verdict {
  readonly mutation: Mutation;
  readonly outcome: "noticed" | "survived" | "stale";
  /** By which test. */
  readonly by: string;
  readonly seconds: number;
}

/** How a run of one test file ended. */
interface Run {
  readonly isPassed: boolean;
  readonly by: string;
}

const { values } = parseArgs({
  options: {
    only: { type: "string" },
    jobs: { type: "string" },
    seconds: { type: "string" },
    list: { type: "boolean" },
  },
});
const limitMs = Number(values.seconds ?? 60) * 1000;
const { only = "" } = values;
const chosen = [...RECOVERY_MUTATIONS, ...SESSION_MUTATIONS].filter(
  ({ name, file }) => name.includes(only) || file.includes(only),
);
if (values.list === true) for (const { name, file } of chosen) process.stdout.write(`${file}: ${name}\n`);
else process.exitCode = await main();

async function main(): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), "viaduct-mutations-"));
  try {
    const copies = Array.from({ length: Number(values.jobs ?? 2) }, (_, index) => makeCopy(join(folder, `${index}`)));
    const broken = await brokenTests(copies);
    if (broken.length > 0) {
      process.stdout.write(`These tests fail without any bug: ${broken.join(", ")}\n`);
      return 1;
    }
    const verdicts: Verdict[] = [];
    await eachIn(copies, chosen, async (copy, mutation) => {
      const verdict = await judge(copy, mutation);
      verdicts.push(verdict);
      process.stdout.write(`${verdicts.length} of ${chosen.length}  ${verdict.outcome}  ${mutation.name}\n`);
    });
    return report(verdicts);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** A copy of the tree; what is large and never changed is linked. */
function makeCopy(copy: string): string {
  for (const part of PARTS) cpSync(join(ROOT, part), join(copy, part), { recursive: true });
  symlinkSync(join(ROOT, "node_modules"), join(copy, "node_modules"), "dir");
  return copy;
}

/** Spreads work over the copies: each has one piece at a time. */
async function eachIn<Item>(
  copies: readonly string[],
  items: readonly Item[],
  work: (copy: string, item: Item) => Promise<void>,
): Promise<void> {
  let next = 0;
  await Promise.all(
    copies.map(async (copy) => {
      while (next < items.length) await work(copy, items[next++] as Item);
    }),
  );
}

/** Tests that fail as it is: they would notice everything. */
async function brokenTests(copies: readonly string[]): Promise<string[]> {
  const broken: string[] = [];
  const tests = [...new Set(chosen.flatMap((mutation) => mutation.tests))];
  await eachIn(copies, tests, async (copy, test) => {
    if (!(await runTest(copy, test, limitMs)).isPassed) broken.push(test);
  });
  return broken;
}

async function judge(copy: string, mutation: Mutation): Promise<Verdict> {
  const { file, before, after, tests } = mutation;
  const began = performance.now();
  const path = join(copy, file);
  const original = readFileSync(path, "utf8");
  const verdict = (outcome: Verdict["outcome"], by: string): Verdict => {
    return { mutation, outcome, by, seconds: (performance.now() - began) / 1000 };
  };
  if (original.split(before).length !== 2) return verdict("stale", `not once in ${file}: ${before.trim()}`);
  writeFileSync(
    path,
    original.replace(before, () => after),
  );
  try {
    for (const test of tests) {
      const leftMs = limitMs - (performance.now() - began);
      const { isPassed, by } = await runTest(copy, test, Math.max(1000, leftMs));
      if (!isPassed) return verdict("noticed", by);
    }
    return verdict("survived", tests.join(", "));
  } finally {
    writeFileSync(path, original);
  }
}

function runTest(copy: string, test: string, ms: number): Promise<Run> {
  return new Promise((resolve) => {
    const args = [...process.execArgv, "--test", "--test-reporter=tap", test];
    // The runner starts a process of its own for each file: a group ends with all of it.
    const child = spawn(process.execPath, args, { cwd: copy, stdio: ["ignore", "pipe", "pipe"], detached: true });
    let output = "";
    let isOver = false;
    for (const stream of [child.stdout, child.stderr]) stream.on("data", (bytes) => (output += String(bytes)));
    const timer = setTimeout(() => {
      isOver = true;
      process.kill(-(child.pid as number), "SIGKILL");
    }, ms);
    child.once("close", (code) => {
      clearTimeout(timer);
      const failed = /^ *not ok \d+ - (?!test\/|\/)(.*)$/m.exec(output)?.[1] ?? test;
      resolve({ isPassed: code === 0 && !isOver, by: isOver ? `${test} hangs` : failed });
    });
  });
}

function report(verdicts: readonly Verdict[]): number {
  const order = new Map(chosen.map((mutation, index) => [mutation, index]));
  const sorted = verdicts.toSorted((a, b) => (order.get(a.mutation) as number) - (order.get(b.mutation) as number));
  process.stdout.write("\n| bug | file | s | noticed by |\n| --- | --- | --- | --- |\n");
  for (const { mutation, outcome, by, seconds } of sorted) {
    const cause = outcome === "noticed" ? by : `**${outcome}**: ${by}`;
    const file = mutation.file.replace("core/", "");
    process.stdout.write(`| ${mutation.name} | ${file} | ${seconds.toFixed(1)} | ${cause} |\n`);
  }
  const bad = sorted.filter(({ outcome }) => outcome !== "noticed");
  process.stdout.write(`\n${sorted.length - bad.length} of ${sorted.length} noticed\n`);
  return bad.length > 0 ? 1 : 0;
}
