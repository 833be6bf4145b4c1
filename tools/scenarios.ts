/**
 * `npm run scenarios`: what a session over datagrams must stand, each with its bound and what came of it, in the
 * simulator's virtual time.
 *
 *   --real         the same on real sockets as well, through a proxy as bad as the simulator's links, between processes
 *                  of Node, Deno and Bun; takes about two minutes
 *   --only TEXT    only scenarios whose name holds TEXT
 *   --seed N       of the proxy: 1
 *
 * Exits with 1 when a figure is out of its bound.
 *
 * @module
 */

import process from "node:process";
import { parseArgs } from "node:util";
import { dangerousSimEnvironments } from "../sim/environment.ts";
import { hasRuntime, PeerProcess, type RuntimeName } from "../test/network/peer_process.ts";
import { runReal } from "../test/network/real_scenarios.ts";
import { SCENARIO_ROWS, type ScenarioRow } from "../test/network/scenario_table.ts";
import { SCENARIOS, type Scenario } from "../test/sim/scenarios.ts";

const REAL_TIMEOUT_MS = 60_000;
/** Who dials and sends, and who takes it. */
const PAIRS: readonly (readonly [RuntimeName, RuntimeName])[] = [
  ["node", "deno"],
  ["deno", "bun"],
  ["bun", "node"],
];

const { values } = parseArgs({
  options: { real: { type: "boolean" }, only: { type: "string" }, seed: { type: "string" } },
});
const seed = Number(values.seed ?? 1);
const scenarios = SCENARIOS.filter(({ name }) => values.only === undefined || name.includes(values.only));
const pairs = PAIRS.filter((pair) => values.real === true && pair.every(hasRuntime));
const widths = [Math.max(8, ...scenarios.map(({ name }) => name.length)), 20, 16, ...pairs.map(() => 16)];
const peers = new Map<RuntimeName, PeerProcess>();
let failures = 0;

try {
  for (const name of new Set(pairs.flat())) peers.set(name, await PeerProcess.start(name));
  printRow(["scenario", "bound", "simulator", ...pairs.map((pair) => pair.join(" to "))]);
  printRow(widths.map((width) => "-".repeat(width)));
  const environmentOf = await dangerousSimEnvironments();
  for (const scenario of scenarios) {
    const cells = [judged(scenario, scenario.run(environmentOf))];
    const row = SCENARIO_ROWS.find((candidate) => candidate.scenario === scenario);
    cells.push(...(await Promise.all(pairs.map((pair) => (row === undefined ? "-" : realCell(row, pair))))));
    printRow([scenario.name, scenario.bound, ...cells]);
  }
  process.stdout.write(failures === 0 ? "All within their bounds\n" : `${failures} out of their bounds\n`);
} finally {
  await Promise.all([...peers.values()].map((peer) => peer[Symbol.asyncDispose]()));
}
process.exitCode = failures === 0 ? 0 : 1;

async function realCell({ scenario, real, figureOf }: ScenarioRow, pair: readonly RuntimeName[]): Promise<string> {
  const [client, server] = pair.map((name) => peers.get(name));
  if (client === undefined || server === undefined) return "-";
  try {
    const { result } = await runReal(real, { client, server }, { seed, timeoutMs: REAL_TIMEOUT_MS });
    return judged(scenario, figureOf(result));
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
    return judged(scenario, undefined);
  }
}

function judged({ unit, isWithin }: Scenario, figure: number | undefined): string {
  const isFine = figure !== undefined && isWithin(figure);
  if (!isFine) failures++;
  const text = figure === undefined ? "nothing" : `${Number.isInteger(figure) ? figure : figure.toFixed(2)} ${unit}`;
  return isFine ? text : `${text} !`;
}

function printRow(cells: readonly string[]): void {
  process.stdout.write(
    `${cells
      .map((cell, index) => cell.padEnd(widths[index] ?? 0))
      .join("  ")
      .trimEnd()}\n`,
  );
}
