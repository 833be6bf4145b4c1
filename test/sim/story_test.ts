/**
 * Stories of many seeds, and that a seed tells the same story in every runtime. Each runtime tells stories of seeds of
 * its own: a run of the suite under all four tells 1,000.
 *
 *   SIM_SEED=77 npm test -- --only suite --filter sim       one seed
 *   SIM_SEEDS=5000 npm test -- --only suite --filter sim    the first 5,000, in each runtime
 *
 * @module
 */

import assert from "node:assert/strict";
import process from "node:process";
import { test } from "node:test";
import { dangerousSimEnvironments } from "../../sim/environment.ts";
import hashes from "../vectors/sim_hashes.json" with { type: "json" };
import { tellStory } from "./story.ts";

/** Of each kind in each runtime; stories of a swarm are longer. */
const SEEDS = 110;
const SWARM_SEEDS = 30;
const environmentOf = await dangerousSimEnvironments();
const only = process.env.SIM_SEED;
const wanted = process.env.SIM_SEEDS;
const first = wanted === undefined ? 1 + runtimeIndex() * SEEDS : 1;
const seeds =
  only === undefined ? Array.from({ length: Number(wanted ?? SEEDS) }, (_, index) => first + index) : [Number(only)];

/** Node 20, later ones, Deno, Bun. */
function runtimeIndex(): number {
  const { deno, bun, node } = process.versions;
  if (deno !== undefined) return 2;
  if (bun !== undefined) return 3;
  return Number.parseInt(node, 10) < 22 ? 0 : 1;
}

for (const kind of ["pipes", "datagrams"] as const) {
  test(`sim: over ${kind}, delivered is sent, once and in order, or a typed error (seeds ${seeds[0]} to ${seeds.at(-1)})`, () => {
    let delivered = 0;
    let faults = 0;
    for (const seed of seeds) {
      const result = tellStory(seed, environmentOf, kind);
      delivered += result.delivered;
      faults += result.faults;
    }
    // A suite in which nothing fails, or nothing arrives, proves nothing.
    if (seeds.length >= SEEDS)
      assert.ok(delivered > 2 * seeds.length && faults > seeds.length, `${delivered}, ${faults}`);
  });

  test(`sim: over ${kind}, the hash of a seed's events is the same in every runtime`, () => {
    for (const [seed, hash] of Object.entries(hashes[kind])) {
      assert.equal(tellStory(Number(seed), environmentOf, kind).hash, hash, `seed ${seed}`);
    }
  });
}

test("sim: in a swarm machines stand still, clocks jump and streams are given up as well", () => {
  let delivered = 0;
  const swarm = only === undefined && process.env.SIM_SEEDS === undefined ? seeds.slice(0, SWARM_SEEDS) : seeds;
  for (const seed of swarm) delivered += tellStory(seed, environmentOf, "swarm").delivered;
  if (swarm.length >= SWARM_SEEDS) assert.ok(delivered > swarm.length, `${delivered}`);
});
