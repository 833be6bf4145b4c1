/**
 * The scenarios of the simulator on real sockets: the same link, the same faults, the same bounds.
 *
 * @module
 */

import { INTEROP_LINK } from "../sim/datagram_pair.ts";
import { SCENARIOS, type Scenario } from "../sim/scenarios.ts";
import type { JobResult } from "./peer_lines.ts";
import { blackout, type RealScenario } from "./real_scenarios.ts";

/** A scenario with its bound, and how it is run. */
export interface ScenarioRow {
  readonly scenario: Scenario;
  readonly real: RealScenario;
  /** The figure that the bound is about; `undefined` when it came to nothing. */
  figureOf(result: JobResult): number | undefined;
}

const MB = 1_000_000;
/** Handshakes at once share one line: more of them would be lost to its queue. */
const HANDSHAKES_AT_ONCE = 50;

const seconds = (result: JobResult): number | undefined => (result.isWhole ? result.ms / 1000 : undefined);

/** By the name of the scenario, so that a new one without an entry is noticed. */
const REAL: Readonly<Record<string, Omit<RealScenario, "name">>> = {
  "handshake under 30 % loss both ways, bursts up to 3": {
    up: { ...INTEROP_LINK, loss: { kind: "uniform", rate: 0.3, burstMax: 3 } },
    connects: HANDSHAKES_AT_ONCE,
  },
  "2 MB at 2 % loss": {
    up: { ...INTEROP_LINK, loss: { kind: "uniform", rate: 0.02, burstMax: 3 } },
    push: 2 * MB,
  },
  "10 MB across a black hole of 2 s": {
    up: INTEROP_LINK,
    push: 10 * MB,
    plan: ([proxy]) => proxy !== undefined && blackout(proxy, 3_000, 2_000),
  },
  "10 MB, another port every 5 s": {
    up: INTEROP_LINK,
    push: 10 * MB,
    plan: ([proxy]) => {
      for (const at of [2_500, 7_500, 12_500]) proxy?.after(at, () => void proxy.rebind());
    },
  },
  "goodput of 10 MB": { up: INTEROP_LINK, push: 10 * MB },
  "2 MB over two paths of 10 Mbit/s": { up: INTEROP_LINK, paths: 2, push: 2 * MB },
  "2 MB over two paths, one dies at 0.4 s": {
    up: INTEROP_LINK,
    paths: 2,
    push: 2 * MB,
    plan: ([, second]) => second?.after(400, () => second.setDown(true)),
  },
  "1 MB with 750 ms one way": { up: { ...INTEROP_LINK, delayMs: 750 }, push: MB },
  "2 MB, 10 Mbit/s down and 100 kbit/s back": {
    up: INTEROP_LINK,
    down: { ...INTEROP_LINK, rateBitsPerSecond: 100_000 },
    push: 2 * MB,
  },
  "2 MB through a path of 1,280 bytes at most": { up: { ...INTEROP_LINK, mtuBytes: 1280 }, push: 2 * MB },
  "2 MB, the path shrinks to 700 bytes half way": {
    up: INTEROP_LINK,
    push: 2 * MB,
    plan: ([proxy]) => proxy?.after(800, () => proxy.setOptions("up", { mtuBytes: 700 })),
  },
  "2 MB, 10 % of the datagrams 20 ms late": {
    up: { ...INTEROP_LINK, reorderRate: 0.1, reorderDelayMs: 20, duplicateRate: 0.05 },
    push: 2 * MB,
  },
};

/** How each scenario of the simulator is run on real sockets; those that cannot be are left out. */
export const SCENARIO_ROWS: readonly ScenarioRow[] = SCENARIOS.flatMap((scenario) => {
  const options = REAL[scenario.name];
  if (options === undefined) return [];
  const { unit } = scenario;
  const figureOf = (result: JobResult): number | undefined => {
    if (unit === "of 50") return result.connected;
    if (unit === "Mbit/s") return result.isWhole ? ((options.push ?? 0) * 8) / result.ms / 1000 : undefined;
    return seconds(result);
  };
  return [{ scenario, real: { name: scenario.name, ...options }, figureOf }];
});
