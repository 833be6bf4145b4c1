/**
 * Deadlines in a heap against a plain map, and the pauses between copies of a handshake message.
 *
 * @module
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { NEVER } from "../../../core/machine.ts";
import { HandshakeResends } from "../../../core/node/handshake_resends.ts";
import { TimerHeap } from "../../../core/node/timer_heap.ts";

test("timer heap: deadlines come out in their order, moved ones where they were moved to, none that was taken away", () => {
  const heap = new TimerHeap();
  assert.equal(heap.earliest, NEVER);
  for (const [key, at] of [
    [1, 50],
    [2, 10],
    [3, 30],
    [4, 20],
    [5, 40],
  ] as const) {
    heap.set(key, at);
  }
  heap.set(2, 45);
  heap.set(1, 5);
  heap.set(3, NEVER);
  heap.set(6, NEVER);
  assert.equal(heap.earliest, 5);
  assert.equal(heap.takeDue(4.9), undefined, "a moment too early");
  assert.deepEqual(
    [1, 2, 3, 4, 5].map(() => heap.takeDue(1000)),
    [1, 4, 5, 2, undefined],
  );
  assert.equal(heap.earliest, NEVER);
});

test("timer heap: whatever is set, moved and taken, it agrees with a plain map", () => {
  const step = fc.oneof(
    { weight: 4, arbitrary: fc.record({ key: fc.nat(12), at: fc.oneof(fc.nat(100), fc.constant(NEVER)) }) },
    { weight: 1, arbitrary: fc.record({ take: fc.nat(100) }) },
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 100 }), (steps) => {
      const heap = new TimerHeap();
      const model = new Map<number, number>();
      for (const one of steps) {
        if ("take" in one) {
          const least = Math.min(NEVER, ...model.values());
          const key = heap.takeDue(one.take);
          assert.equal(key === undefined, least > one.take);
          if (key === undefined) continue;
          assert.equal(model.get(key), least);
          model.delete(key);
        } else {
          heap.set(one.key, one.at);
          if (one.at === NEVER) model.delete(one.key);
          else model.set(one.key, one.at);
        }
        assert.equal(heap.earliest, Math.min(NEVER, ...model.values()));
      }
    }),
    { seed: 0x4ea9, numRuns: 200 },
  );
});

test("handshake resends: 300 ms, then twice as long up to a second, until it is answered", () => {
  const resends = new HandshakeResends();
  assert.equal(resends.pollTimeout(), NEVER);
  assert.equal(resends.start(7, 1000, 80), false);
  const pauses: number[] = [];
  let now = 1000;
  for (let copy = 0; copy < 5; copy++) {
    const at = resends.pollTimeout();
    assert.equal(resends.takeDue(at - 0.1), undefined);
    assert.equal(resends.takeDue(at), 7);
    pauses.push(at - now);
    now = at;
  }
  assert.deepEqual(pauses, [300, 600, 1000, 1000, 1000]);
  assert.equal(resends.start(8, now, 49), true, "so short that its answer would be held back");
  resends.start(7, now, 200);
  assert.equal(resends.pollTimeout(), now + 300, "another message begins anew");
  resends.stop(7);
  assert.equal(resends.takeDue(now + 300), 8);
  resends.stop(8);
  resends.stop(9);
  assert.equal(resends.pollTimeout(), NEVER);
});
