/**
 * Tests of a node whose ways lead over a relay: the policy of connecting with real circuits, and a close in the right
 * order.
 *
 * @module
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import { of, RelayWorld } from "../relay/relay_world.ts";

function pattern(length: number, salt: number): Uint8Array {
  return Uint8Array.from({ length }, (_, index) => (index * 17 + salt) & 0xff);
}

test("a relay that a node is registered with is no peer of its application", () => {
  const world = new RelayWorld();
  world.addRelay();
  const [a, b] = [world.add("a"), world.add("b")];
  world.settle(a, b);
  assert.deepEqual(of(a, "peerConnected"), []);
  world.join(a, b);
  assert.deepEqual(
    of(a, "peerConnected").map((event) => event.remoteId),
    [b.identity.id],
  );
});

test("what was sent over a relay just before the node closed arrives before the end, which says why", () => {
  for (const size of [10, 200_000]) {
    const world = new RelayWorld();
    world.addRelay();
    const [a, b] = [world.add("a"), world.add("b")];
    world.settle(a, b);
    const { left } = world.join(a, b);
    for (let index = 0; index < 5; index++) a.node.sendMessage(left, `${index}`, pattern(size, index), world.now);
    a.node.close("going_away", "bye", world.now);
    world.run(10_000, () => of(b, "peerClosed").length > 0);
    assert.deepEqual(
      of(b, "message").map((event) => event.bytes),
      [0, 1, 2, 3, 4].map((index) => pattern(size, index)),
    );
    const closed = of(b, "peerClosed").find((event) => event.closed.reason === "bye");
    assert.deepEqual([closed?.closed.code, closed?.closed.isRemote], ["going_away", true], `${size}`);
    world.run(1_000);
    assert.equal(a.events.at(-1)?.type, "closed");
    assert.equal(a.node.pollTimeout(), Number.POSITIVE_INFINITY);
  }
});

test("a node closes although its relay hangs", () => {
  const world = new RelayWorld();
  world.addRelay();
  const [a, b] = [world.add("a"), world.add("b")];
  world.settle(a, b);
  const { left } = world.join(a, b);
  world.network.partition("a", "relay");
  a.node.sendMessage(left, "lost", pattern(10, 1), world.now);
  a.node.close("closed", "", world.now);
  world.run(15_000);
  assert.equal(of(a, "closed").length, 1);
  assert.equal(
    b.events.some((event) => event.type === "message"),
    false,
  );
});

test("connect over a relay and directly at once: one session, nothing lost, on every seed", () => {
  for (let seed = 1; seed <= 12; seed++) {
    // The direct way is about as slow as the head start, so that both handshakes meet.
    const world = new RelayWorld({ seed, model: { delayMs: 230 + seed * 3, jitterMs: 40 } });
    world.addRelay();
    const [a, b] = [world.add("a"), world.add("b")];
    world.settle(a, b);
    const connected = world.connect(a, { id: b.identity.id, addresses: ["tcp://b:1"] });
    assert.ok(connected.type === "connected", `seed ${seed}`);
    for (let index = 0; index < 3; index++)
      a.node.sendMessage(connected.session, `${index}`, pattern(9, index), world.now);
    world.run(20_000);
    assert.deepEqual(
      of(b, "message").map((event) => event.topic),
      ["0", "1", "2"],
      `seed ${seed}`,
    );
    assert.deepEqual([of(a, "peerClosed").length, of(b, "peerClosed").length], [0, 0], `seed ${seed}`);
    assert.equal(of(b, "peerConnected").length, 1, `seed ${seed}`);
  }
});
