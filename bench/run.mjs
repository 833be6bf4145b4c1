/**
 * `npm run bench`: Viaduct beside others, two processes on loopback, in one run; prints medians and ratios.
 *
 *   npm run bench -- [--rounds 3] [--scheme none,tcp,udp] [--runtime node20,node24,deno,bun] [--only bulk,requests,…]
 *                    [--systems viaduct,net,…] [--tries 1] [--patience 0]
 *                    [--flags=--no-incremental-marking] [--json FILE]
 *
 * Fairness: the same message sizes, encrypted and authenticated but for the bare sockets of the runtime, which are the
 * floor; rounds of the systems are interleaved; a warm-up is not counted. On a shared machine `--patience 30` waits up
 * to so many seconds for others to leave four fifths of the processors, and `--tries 3` measures again where they took
 * more meanwhile, and keeps the calmest try. What is told per second of the busiest process depends on others less: it
 * is what comes to pass where each process has a processor to itself, but for what interruptions cost.
 *
 * @module
 */

import { appendFileSync, existsSync } from "node:fs";
import { dirname, join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { ensureDependencies, run } from "../tools/setup.mjs";
import { untilCalm } from "./machine_load.mjs";
import { measure } from "./measure.mjs";
import { RUNTIMES_OF, WORKLOADS } from "./plan.mjs";
import { findRuntimes } from "./runtimes.mjs";

const HERE = dirname(fileURLToPath(import.meta.url));
const ROOT = join(HERE, "..");
/** The share of the processors that others may take before a figure is not to be relied on. */
const OTHERS_MAX = 0.2;
const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: "3" },
    scheme: { type: "string", default: "none,tcp,udp" },
    runtime: { type: "string", default: "node24" },
    only: { type: "string" },
    systems: { type: "string" },
    tries: { type: "string", default: "1" },
    patience: { type: "string", default: "0" },
    flags: { type: "string", default: "" },
    json: { type: "string" },
  },
});
const rounds = Number(values.rounds);
const isAmong = (list, name) => list === undefined || list.split(",").includes(name);
const workloads = WORKLOADS.filter(({ name, scheme }) => isAmong(values.only, name) && isAmong(values.scheme, scheme));

await ensureDependencies();
await step(process.execPath, [join(ROOT, "node_modules", "tsdown", "dist", "run.mjs")], ROOT);
if (["libp2p", "hyperdht", "selfsigned", "werift"].some((name) => !existsSync(join(HERE, "node_modules", name)))) {
  await step("npm", ["install", "--no-save", "--ignore-scripts", "--no-audit", "--no-fund"], HERE);
}
process.stdout.write(`${process.platform} ${process.arch}, medians of ${rounds} rounds\n`);
for (const runtime of await findRuntimes(values.runtime.split(","), values.flags.split(" ").filter(Boolean))) {
  for (const workload of workloads) await compare(runtime, workload);
}

async function compare(runtime, workload) {
  const systems = workload.systems.filter(
    (system) => isAmong(values.systems, system) && (RUNTIMES_OF[system] ?? [runtime.name]).includes(runtime.name),
  );
  const results = new Map(systems.map((system) => [system, []]));
  for (let round = 0; round < rounds; round++) {
    for (const system of systems) {
      try {
        results.get(system).push(await measureCalmly({ system, runtime, workload }));
      } catch (error) {
        process.stdout.write(`  ${runtime.name} ${system}: ${error.message.split("\n")[0]}\n`);
      }
    }
  }
  show(runtime, workload, results);
}

/** Measures again while others took much of the machine, and keeps the calmest try. */
async function measureCalmly(what) {
  let calmest;
  for (let attempt = 0; attempt < Number(values.tries); attempt++) {
    await untilCalm(OTHERS_MAX, 1000 * Number(values.patience));
    const result = await measure(what);
    if (calmest === undefined || result.others < calmest.others) calmest = result;
    if (!(calmest.others > OTHERS_MAX)) break;
  }
  return calmest;
}

function show(runtime, workload, results) {
  const { name, scheme, title, unit } = workload;
  process.stdout.write(`\n${runtime.name} ${scheme} ${name}: ${title}\n`);
  const own = results.get("viaduct") ?? [];
  for (const [system, measured] of results) {
    if (measured.length === 0) continue;
    const figures = measured.map(({ figure }) => figure);
    const middle = middleOf(measured);
    const range = `${format(Math.min(...figures))} to ${format(Math.max(...figures))}`;
    const { p50, p99, heap, table, others } = middle;
    const { busiest } = middleOf(measured, "busiest");
    const parts = [`  ${system.padEnd(8)} ${format(middle.figure)} ${unit} (${range})`];
    if (p99 !== undefined) parts.push(`p50 ${format(p50)} us, p99 ${format(p99)} us`);
    if (heap !== undefined) parts.push(`${format(heap)} of it on the heap`);
    if (system !== "viaduct" && own.length > 0) {
      parts.push(`viaduct is ${(middleOf(own).figure / middle.figure).toFixed(2)} of it`);
      if (p99 !== undefined) parts.push(`its p99 ${(middleOf(own).p99 / p99).toFixed(2)} of it`);
    }
    if (busiest !== undefined) {
      const part = `${format(busiest)} per second of the busiest process`;
      const ratio = middleOf(own, "busiest")?.busiest / busiest;
      parts.push(system === "viaduct" || Number.isNaN(ratio) ? part : `${part} (${ratio.toFixed(2)})`);
    }
    if (others > OTHERS_MAX) parts.push(`others took ${Math.round(100 * others)} % of the machine`);
    process.stdout.write(`${parts.join(", ")}\n`);
    for (const [what, figure] of Object.entries(table ?? {})) {
      process.stdout.write(`           ${what}: ${figure.toFixed(2)}\n`);
    }
    if (values.json !== undefined) {
      const what = { date: new Date().toISOString(), runtime: runtime.name, flags: values.flags, scheme, name, system };
      appendFileSync(values.json, `${JSON.stringify({ ...what, unit, ...middle, busiest, all: figures })}\n`);
    }
  }
}

/** The measurement whose figure, or another of its parts, is the median. */
function middleOf(measured, name = "figure") {
  const sorted = [...measured].sort((left, right) => left[name] - right[name]);
  return sorted[Math.floor(sorted.length / 2)];
}

function format(figure) {
  return figure >= 100 ? Math.round(figure).toLocaleString("en") : figure.toFixed(1);
}

async function step(command, args, cwd) {
  const { code, output } = await run(command, args, { cwd });
  if (code !== 0) throw new Error(`${command} failed\n${output.slice(-2000)}`);
}
