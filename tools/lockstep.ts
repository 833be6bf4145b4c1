/**
 * `npm run lockstep`: how many inputs of a lock-step game come too late or never over a line that loses packages, by
 * the way in which they are sent; in the simulator's virtual time, as the tables of docs/lockstep.md.
 *
 *   --seconds N    of each game: 60
 *   --seed N       of the first: 1
 *
 * @module
 */

import process from "node:process";
import { parseArgs } from "node:util";
import { dangerousSimEnvironments } from "../sim/environment.ts";
import type { LockstepOutcome, LockstepWay } from "../test/sim/lockstep.ts";
import { playLockstep } from "../test/sim/lockstep.ts";

const WAYS: readonly (readonly [string, LockstepWay])[] = [
  ["datagrams", {}],
  ["`redundancy: 2`", { redundancy: 2 }],
  ["`redundancy: 3`", { redundancy: 3 }],
  ['`redundancy: "adaptive"`', { redundancy: "adaptive" }],
  ["`fec: 2`", { fec: 2 }],
  ["`fec: 3`", { fec: 3 }],
  ["`fec: 3, redundancy: 2`", { fec: 3, redundancy: 2 }],
  ["a stream", "stream"],
];
const LOSSES = [0.01, 0.02, 0.05, 0.1];
const OUTAGES: readonly (readonly [string, LockstepWay])[] = [
  ["datagrams", {}],
  ["`outgoingMaxAge = 100`", { maxAgeMs: 100 }],
  ["`redundancy: 2`", { redundancy: 2 }],
  ["`redundancy: 2`, `outgoingMaxAge = 100`", { redundancy: 2, maxAgeMs: 100 }],
  ["a stream", "stream"],
];

const { values } = parseArgs({ options: { seconds: { type: "string" }, seed: { type: "string" } } });
const frames = Math.round(Number(values.seconds ?? 60) * 60);
const seed = Number(values.seed ?? 1);
const environmentOf = await dangerousSimEnvironments();

printRow(["late or never", ...LOSSES.map((loss) => `${loss * 100} % loss`), "never, at 5 %", "bytes each, at 5 %"]);
printRow(["---", ...LOSSES.map(() => "---"), "---", "---"]);
for (const [name, way] of WAYS) {
  const outcomes = LOSSES.map((loss) => playLockstep(environmentOf, { way, loss, seed, frames }));
  const atFive = outcomes[2] as LockstepOutcome;
  const cells = outcomes.map((outcome) => percent(outcome, "late"));
  printRow([name, ...cells, percent(atFive, "lost"), atFive.bytesPerInput.toFixed(0)]);
}
process.stdout.write("\n");
printRow(["300 bytes each, a line that is dead for 1 s", "stale", "late or never"]);
printRow(["---", "---", "---"]);
for (const [name, way] of OUTAGES) {
  const outcome = playLockstep(environmentOf, { way, loss: 0.01, seed, frames: 600, outageMs: 1_000, inputBytes: 300 });
  printRow([name, `${outcome.stale}`, `${outcome.late}`]);
}

function percent(outcome: LockstepOutcome, what: "late" | "lost"): string {
  return `${((100 * outcome[what]) / outcome.sent).toFixed(2)} %`;
}

function printRow(cells: readonly string[]): void {
  process.stdout.write(`| ${cells.join(" | ")} |\n`);
}
