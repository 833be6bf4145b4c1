/**
 * Node, Deno and Bun with each other over real sockets and a bad network: every byte arrives as it was sent, and no
 * session ends.
 *
 * @module
 */

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { hasRuntime, PeerProcess, type RuntimeName } from "../network/peer_process.ts";
import { blackout, type RealOutcome, type RealScenario, runReal } from "../network/real_scenarios.ts";

const TIMEOUT_MS = 30_000;
/** The link of the QUIC interop runner, with a queue for a real clock: a timer of 1 ms is late now and then. */
const LINK = { rateBitsPerSecond: 20_000_000, delayMs: 10, queuePackages: 50 } as const;

const SCENARIOS: readonly RealScenario[] = [
  {
    name: "2 % loss",
    up: { ...LINK, loss: { kind: "uniform", rate: 0.02, burstMax: 3 } },
    push: 700_000,
    fetch: 700_000,
  },
  {
    name: "a black hole of 2 s",
    up: LINK,
    push: 1_500_000,
    fetch: 1_500_000,
    plan: ([proxy]) => proxy !== undefined && blackout(proxy, 300, 2_000),
  },
  {
    name: "another port every 300 ms",
    up: LINK,
    rebindEveryMs: 300,
    push: 2_000_000,
    fetch: 2_000_000,
  },
  {
    name: "handshakes under 30 % loss, bursts up to 3",
    up: { ...LINK, loss: { kind: "uniform", rate: 0.3, burstMax: 3 } },
    connects: 5,
  },
  {
    name: "bytes changed, ends cut off, duplicates, late ones, losses in bursts",
    up: {
      ...LINK,
      jitterMs: 4,
      loss: { kind: "gilbertElliott", p: 0.005, r: 0.3, lossGood: 0, lossBad: 0.7 },
      corruptRate: 0.01,
      truncateRate: 0.01,
      duplicateRate: 0.03,
      reorderRate: 0.03,
      reorderDelayMs: 8,
    },
    push: 500_000,
    fetch: 500_000,
  },
  {
    name: "the path shrinks to 700 bytes",
    up: LINK,
    push: 700_000,
    fetch: 700_000,
    plan: ([proxy]) =>
      proxy?.after(200, () => {
        proxy.setOptions("up", { mtuBytes: 700 });
        proxy.setOptions("down", { mtuBytes: 700 });
      }),
  },
];

const RUNTIMES: readonly RuntimeName[] = ["node", "deno", "bun"];
/** Client and server: each of the three is both. */
const PAIRS: readonly (readonly [RuntimeName, RuntimeName])[] = [
  ["node", "deno"],
  ["deno", "bun"],
  ["bun", "node"],
];

describe("pairs of runtimes on a bad network", () => {
  const peers = new Map<RuntimeName, PeerProcess>();

  before(async () => {
    const started = RUNTIMES.filter(hasRuntime).map((runtime) => PeerProcess.start(runtime));
    for (const result of await Promise.allSettled(started)) {
      if (result.status === "fulfilled") peers.set(result.value.runtime, result.value);
    }
    await Promise.all(started);
  });

  after(async () => {
    await Promise.all([...peers.values()].map((peer) => peer[Symbol.asyncDispose]()));
  });

  for (const [index, scenario] of SCENARIOS.entries()) {
    describe(scenario.name, { concurrency: PAIRS.length }, () => {
      for (const [from, to] of PAIRS) {
        // Every other scenario the other way round: each runtime dials and is dialled by each other one.
        const [clientName, serverName] = index % 2 === 0 ? [from, to] : [to, from];
        test(`${scenario.name}: ${clientName} to ${serverName}`, { timeout: 2 * TIMEOUT_MS }, async (t) => {
          const client = peers.get(clientName);
          const server = peers.get(serverName);
          if (client === undefined || server === undefined) return t.skip("A runtime is not on this machine");
          const seed = 100 * (index + 1);
          const { result, proxies } = await runReal(scenario, { client, server }, { seed, timeoutMs: TIMEOUT_MS });
          const what = JSON.stringify({ seed, result, proxies });
          assert.ok(result.isWhole, what);
          assert.equal(result.connected, scenario.connects ?? 1, what);
          assert.equal(result.suspensions, 0, what);
          checkFault(scenario, what, proxies);
        });
      }
    });
  }
});

/** The fault that the scenario is about did happen. */
function checkFault(scenario: RealScenario, what: string, proxies: RealOutcome["proxies"]): void {
  const [stats] = proxies;
  assert.ok(stats !== undefined);
  const { up, down, rebinds } = stats;
  if (scenario.up.loss !== undefined) assert.ok(up.droppedByLoss > 0 && down.droppedByLoss > 0, what);
  if (scenario.rebindEveryMs !== undefined) assert.ok(rebinds >= 2, what);
  if (scenario.name.startsWith("a black hole")) assert.ok(up.droppedDown + down.droppedDown > 0, what);
  if (scenario.name.startsWith("the path shrinks")) assert.ok(up.droppedBySize + down.droppedBySize > 0, what);
}
