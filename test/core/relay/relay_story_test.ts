/**
 * Random stories of a relay and nodes: connections die, the relay is killed and comes back, networks part and heal,
 * nodes are killed. What was sent arrives once and in order, or there is a code; nothing throws; nothing is left.
 *
 * @module
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import { SimRandom } from "../../../sim/random.ts";
import type { AnyEvent, Resident } from "./relay_world.ts";
import { RelayWorld } from "./relay_world.ts";
import { Transfer } from "./transfer.ts";

const SEEDS = 40;
const STEPS = 8;

/** One story; its seed repeats it. */
function tell(seed: number): { readonly hash: string; readonly completed: number; readonly failed: number } {
  const random = new SimRandom(seed);
  const world = new RelayWorld({ seed, model: { bytesPerMs: 500, delayMs: random.between(1, 60) } });
  const relay = world.addRelay("relay");
  const nodes = ["a", "b", "c"].map((name) => world.add(name, { name: `node-${name}` }));
  world.settle(...nodes);
  const transfers: Transfer[] = [];
  const join = (from: Resident, to: Resident): void => {
    const outcome = world.connect(from, { id: to.identity.id });
    if (outcome.type === "connectFailed") return;
    const sessions = { left: outcome.session, right: to.node.sessionOf(from.identity.id) ?? 0 };
    transfers.push(new Transfer(world, { from, to, sessions, bytes: random.between(1, 400_000) }));
  };
  for (let step = 0; step < STEPS; step++) {
    const who = random.pick(nodes);
    const other = random.pick(nodes.filter((node) => node !== who));
    const what = random.between(0, 5);
    if (what <= 1) join(who, other);
    else if (what === 2) for (const end of [...who.host.pipes.values()]) world.network.killLink(end.link);
    else if (what === 3) {
      const snapshot = relay.relay.snapshot(world.now);
      relay.host.kill();
      world.run(random.between(0, 15_000));
      world.restartRelay(relay, {}, random.chance(0.5) ? snapshot : undefined);
    } else if (what === 4) {
      world.network.partition(who.name, "relay");
      world.run(random.between(0, 20_000));
      world.network.heal(who.name, "relay");
    } else {
      relay.relay.drain({ reconnectInMs: random.between(0, 2_000), tryForMs: 10_000 }, world.now);
      world.run(1_000);
      relay.host.kill();
      world.run(random.between(0, 5_000));
      world.restartRelay(relay);
    }
    world.run(random.between(0, 3_000));
  }
  const isOver = (): boolean => transfers.every((transfer) => transfer.isDone || transfer.failure !== undefined);
  assert.ok(world.run(200_000, isOver), "A transfer neither ends nor fails");
  for (const transfer of transfers) if (transfer.failure === undefined) transfer.check();

  const completed = transfers.filter((transfer) => transfer.failure === undefined).length;

  for (const node of nodes) node.node.close("closed", "", world.now);
  assert.ok(
    world.run(120_000, () => relay.relay.stats().clients === 0),
    "A client is left",
  );
  world.run(120_000);
  assert.equal(relay.relay.stats().circuits, 0);
  for (const { node, events } of nodes) {
    const { sessions, pipes, dials, connects } = node.stats();
    assert.deepEqual({ sessions, pipes, dials, connects }, { sessions: 0, pipes: 0, dials: 0, connects: 0 });
    assert.deepEqual(
      events.filter((event: AnyEvent) => event.type === "peerClosed" && event.closed.code === "internal"),
      [],
    );
  }
  return {
    hash: world.network.hash,
    completed,
    failed: transfers.length - completed,
  };
}

test("random stories of a relay: what is sent arrives once and in order, or fails with a code", () => {
  let completed = 0;
  let failed = 0;
  for (let seed = 1; seed <= SEEDS; seed++) {
    try {
      const told = tell(seed);
      completed += told.completed;
      failed += told.failed;
    } catch (error) {
      throw new Error(`Story ${seed} went wrong: ${error instanceof Error ? error.stack : error}`, { cause: error });
    }
  }
  // Nothing in these stories lasts longer than sessions wait.
  assert.ok(completed > SEEDS, `${completed} transfers were completed`);
  assert.ok(failed * 10 <= completed, `${failed} transfers failed, ${completed} were completed`);
});

test("the same story has the same hash", () => {
  assert.equal(tell(7).hash, tell(7).hash);
});
