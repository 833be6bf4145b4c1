/**
 * Datagrams that wait: none leaves after its time, copies follow at a distance, and what waits is bounded.
 *
 * @module
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { copiesFor, DatagramOutbox } from "../../../core/connection/datagram_outbox.ts";
import { NEVER } from "../../../core/machine.ts";

/** Sends all that may leave now; returns the first byte of each. */
function drain(outbox: DatagramOutbox, now: number): number[] {
  const sent: number[] = [];
  for (let bytes = outbox.peek(now); bytes !== undefined; bytes = outbox.peek(now)) {
    sent.push(bytes[0] as number);
    outbox.take(now);
  }
  return sent;
}

test("copies: none is lost, none is sent twice; the more is lost, the more are sent, up to the limit", () => {
  const table = [0, 0.0005, 0.001, 0.0011, 0.01, 0.03, 0.031, 0.032, 0.1, 0.3, 0.9, 1, 7];
  assert.deepEqual(
    table.map((loss) => copiesFor(loss)),
    [1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3],
  );
  for (const loss of [Number.NaN, -1, Number.NEGATIVE_INFINITY]) assert.equal(copiesFor(loss), 1, String(loss));
  assert.equal(copiesFor(0.5, { residualLoss: 0.01, copiesMax: 10 }), 7);
  assert.equal(copiesFor(0.5, { copiesMax: 1 }), 1);
  assert.equal(copiesFor(1, { copiesMax: 5 }), 5);
});

test("copies: as few as are enough, whatever the loss and the goal", () => {
  fc.assert(
    fc.property(
      fc.double({ min: 0, max: 0.95, noNaN: true }),
      fc.double({ min: 1e-6, max: 0.5, noNaN: true }),
      (loss, residualLoss) => {
        const copies = copiesFor(loss, { residualLoss, copiesMax: 1000 });
        let allLost = 1;
        for (let copy = 1; copy < copies; copy++) allLost *= loss;
        if (copies > 1) assert.ok(allLost > residualLoss, "one less is not enough");
        assert.ok(allLost * loss <= residualLoss, "so many are");
      },
    ),
    { seed: 31, numRuns: 300 },
  );
});

test("outbox: first in, first out", () => {
  const outbox = new DatagramOutbox();
  for (let byte = 0; byte < 5; byte++) assert.equal(outbox.push(Uint8Array.of(byte), {}, 0), true);
  assert.equal(outbox.size, 5);
  assert.equal(outbox.bytes, 5);
  assert.deepEqual(outbox.peek(0), Uint8Array.of(0));
  assert.deepEqual(outbox.peek(0), Uint8Array.of(0), "looking takes nothing");
  assert.deepEqual(drain(outbox, 0), [0, 1, 2, 3, 4]);
  assert.deepEqual([outbox.size, outbox.bytes, outbox.sent, outbox.copiesSent], [0, 0, 5, 0]);
  outbox.take(0);
  outbox.drop(0);
  assert.deepEqual([outbox.sent, outbox.dropped], [5, 0], "nothing is there to take");
});

test("outbox: nothing leaves at its expiry or after, the rest does", () => {
  const outbox = new DatagramOutbox();
  outbox.push(Uint8Array.of(1), { expiresAt: 100 }, 0);
  outbox.push(Uint8Array.of(2), { expiresAt: 50 }, 0);
  outbox.push(Uint8Array.of(3), {}, 0);
  assert.deepEqual(outbox.peek(99), Uint8Array.of(1));
  assert.deepEqual(outbox.peek(100), Uint8Array.of(3), "it expired while it was looked at, the second behind it");
  assert.equal(outbox.expired, 2);
  assert.deepEqual(drain(outbox, 1e9), [3]);
  assert.equal(outbox.push(Uint8Array.of(4), { expiresAt: 200 }, 200), false);
  assert.equal(outbox.push(Uint8Array.of(4), { expiresAt: Number.NaN }, 200), false);
  assert.equal(outbox.expired, 4);
  assert.equal(outbox.size, 0);
});

test("outbox: copies follow one gap apart, after what is fresh, and not after their expiry", () => {
  const outbox = new DatagramOutbox({ copyGapMs: 5 });
  outbox.push(Uint8Array.of(1), { copies: 3, expiresAt: 100 }, 0);
  outbox.push(Uint8Array.of(2), { copies: 2, expiresAt: 5 }, 0);
  assert.equal(outbox.pollTimeout(), NEVER);
  assert.deepEqual(drain(outbox, 0), [1, 2]);
  assert.equal(outbox.pollTimeout(), 5);
  assert.equal(outbox.size, 1, "the second would expire before its copy");
  assert.equal(outbox.peek(4), undefined);
  outbox.push(Uint8Array.of(3), {}, 5);
  assert.deepEqual(drain(outbox, 5), [3, 1]);
  assert.equal(outbox.pollTimeout(), 10);
  assert.deepEqual(drain(outbox, 10), [1]);
  assert.equal(outbox.pollTimeout(), NEVER);
  assert.deepEqual([outbox.sent, outbox.copiesSent, outbox.expired], [3, 2, 0]);
});

test("outbox: a copy that expires while it waits is gone, and was sent", () => {
  const outbox = new DatagramOutbox({ copyGapMs: 5 });
  outbox.push(Uint8Array.of(1), { copies: 2, expiresAt: 8 }, 0);
  assert.deepEqual(drain(outbox, 0), [1]);
  assert.deepEqual(drain(outbox, 8), []);
  assert.deepEqual([outbox.size, outbox.expired, outbox.sent], [0, 0, 1]);
});

test("outbox: numbers of copies that are none send once, too many send eight times", () => {
  for (const [copies, expected] of [
    [0, 1],
    [-3, 1],
    [Number.NaN, 1],
    [1.5, 1],
    [1000, 8],
    [Number.POSITIVE_INFINITY, 8],
  ] as const) {
    const outbox = new DatagramOutbox();
    outbox.push(Uint8Array.of(1), { copies }, 0);
    let sent = 0;
    for (let now = 0; now < 1000; now += 5) sent += drain(outbox, now).length;
    assert.equal(sent, expected, `${copies}`);
  }
});

test("outbox: when too much waits, copies go first, then the oldest", () => {
  const outbox = new DatagramOutbox({ datagramsMax: 3 });
  outbox.push(Uint8Array.of(1), { copies: 2 }, 0);
  assert.deepEqual(drain(outbox, 0), [1]);
  for (const byte of [2, 3, 4]) outbox.push(Uint8Array.of(byte), {}, 1);
  assert.deepEqual([outbox.size, outbox.dropped, outbox.pollTimeout()], [3, 0, NEVER]);
  outbox.push(Uint8Array.of(5), {}, 1);
  assert.equal(outbox.dropped, 1);
  assert.deepEqual(drain(outbox, 1), [3, 4, 5]);
});

test("outbox: bytes are bounded as well, and one that is too large is refused", () => {
  const outbox = new DatagramOutbox({ bytesMax: 100 });
  assert.equal(outbox.push(new Uint8Array(101), {}, 0), false);
  assert.equal(outbox.push(new Uint8Array(60).fill(1), {}, 0), true);
  assert.equal(outbox.push(new Uint8Array(60).fill(2), {}, 0), true);
  assert.deepEqual([outbox.bytes, outbox.dropped], [60, 2]);
  assert.deepEqual(drain(outbox, 0), [2]);
  assert.equal(new DatagramOutbox({ datagramsMax: 0 }).push(Uint8Array.of(1), {}, 0), false);
});

test("outbox: what makes room and expired before counts as expired", () => {
  const outbox = new DatagramOutbox({ datagramsMax: 1 });
  outbox.push(Uint8Array.of(1), { expiresAt: 5 }, 0);
  outbox.push(Uint8Array.of(2), {}, 5);
  assert.deepEqual([outbox.expired, outbox.dropped], [1, 0]);
});

test("outbox: one that does not fit the path is dropped with its copies; clear forgets all", () => {
  const outbox = new DatagramOutbox();
  outbox.push(Uint8Array.of(1), { copies: 3 }, 0);
  outbox.push(Uint8Array.of(2), { copies: 3 }, 0);
  outbox.drop(0);
  assert.equal(outbox.dropped, 1);
  assert.deepEqual(drain(outbox, 0), [2]);
  outbox.push(Uint8Array.of(3), {}, 0);
  outbox.clear();
  assert.deepEqual([outbox.size, outbox.bytes, outbox.peek(1e9), outbox.pollTimeout()], [0, 0, undefined, NEVER]);
});

test("outbox: copies and parities wait for company, alone no longer than the slack", () => {
  const outbox = new DatagramOutbox({ copyGapMs: 15, copySlackMs: 5 });
  outbox.push(Uint8Array.of(1), { copies: 2 }, 0);
  assert.deepEqual(drain(outbox, 0), [1]);
  outbox.pushParity(Uint8Array.of(99), {}, 0);
  assert.equal(outbox.pollTimeout(), 20);
  assert.deepEqual(drain(outbox, 19), []);
  assert.deepEqual(drain(outbox, 20), [1, 99], "alone");
  outbox.push(Uint8Array.of(2), { copies: 2 }, 100);
  assert.deepEqual(drain(outbox, 100), [2]);
  outbox.push(Uint8Array.of(3), {}, 114);
  assert.deepEqual(drain(outbox, 114), [3], "too soon");
  outbox.push(Uint8Array.of(4), {}, 115);
  assert.deepEqual(drain(outbox, 115), [4, 2], "with what is fresh");
  assert.deepEqual([outbox.sent, outbox.copiesSent, outbox.paritiesSent], [4, 2, 1]);
  assert.equal(outbox.pollTimeout(), NEVER);
});

test("outbox: a parity expires, makes room before what is fresh, and counts neither as expired nor as dropped", () => {
  const outbox = new DatagramOutbox({ datagramsMax: 2, copyGapMs: 5 });
  outbox.pushParity(Uint8Array.of(99), { expiresAt: 8 }, 0);
  assert.equal(outbox.front(5)?.kind, "parity");
  assert.deepEqual(drain(outbox, 8), []);
  outbox.pushParity(Uint8Array.of(98), {}, 10);
  outbox.push(Uint8Array.of(1), {}, 10);
  outbox.push(Uint8Array.of(2), {}, 10);
  assert.equal(outbox.pollTimeout(), NEVER, "the parity made room");
  outbox.drop(10);
  assert.deepEqual(drain(outbox, 10), [2]);
  assert.deepEqual([outbox.expired, outbox.dropped, outbox.paritiesSent], [0, 1, 0]);
});

test("outbox: what is sent may be told when it is sent: its copies hold that, and what they add is bounded", () => {
  const outbox = new DatagramOutbox({ bytesMax: 6, copyGapMs: 5 });
  outbox.push(Uint8Array.of(1), { copies: 1 }, 0);
  outbox.take(0, { bytes: Uint8Array.of(7, 1), copies: 3 });
  assert.deepEqual([outbox.bytes, outbox.size], [2, 1]);
  assert.deepEqual(outbox.front(5), outbox.front(5));
  assert.deepEqual([outbox.front(5)?.kind, outbox.peek(5)], ["copy", Uint8Array.of(7, 1)]);
  assert.deepEqual([drain(outbox, 5), drain(outbox, 10), drain(outbox, 15)], [[7], [7], []]);
  outbox.push(Uint8Array.of(1), {}, 20);
  outbox.take(20, { bytes: new Uint8Array(7), copies: 2 });
  assert.deepEqual([outbox.bytes, outbox.size], [0, 0], "a copy above the limit is not kept");
  outbox.push(Uint8Array.of(1), {}, 30);
  outbox.take(30, { bytes: Uint8Array.of(1), copies: 100 });
  let copies = 0;
  for (let now = 35; now < 200; now += 5) copies += drain(outbox, now).length;
  assert.equal(copies, 7);
});

test("outbox: whatever is pushed and whenever it is drained, no late one leaves and none is lost uncounted", () => {
  const step = fc.record({
    waitMs: fc.nat({ max: 12 }),
    lifeMs: fc.integer({ min: -2, max: 30 }),
    copies: fc.integer({ min: 1, max: 4 }),
    bytes: fc.integer({ min: 1, max: 40 }),
    drains: fc.nat({ max: 3 }),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
      const outbox = new DatagramOutbox({ datagramsMax: 6, bytesMax: 120, copyGapMs: 5 });
      const facts = new Map<Uint8Array, { expiresAt: number; copies: number; sentAt: number[] }>();
      let now = 0;
      for (const { waitMs, lifeMs, copies, bytes, drains } of steps) {
        now += waitMs;
        const datagram = new Uint8Array(bytes);
        facts.set(datagram, { expiresAt: now + lifeMs, copies, sentAt: [] });
        assert.equal(outbox.push(datagram, { expiresAt: now + lifeMs, copies }, now), lifeMs > 0);
        for (let count = 0; count < drains; count++) {
          const next = outbox.peek(now);
          if (next === undefined) break;
          const fact = facts.get(next) as { expiresAt: number; copies: number; sentAt: number[] };
          assert.ok(now < fact.expiresAt, "late");
          const last = fact.sentAt.at(-1);
          assert.ok(last === undefined || now >= last + 5, "too soon after the one before");
          fact.sentAt.push(now);
          assert.ok(fact.sentAt.length <= fact.copies);
          outbox.take(now);
        }
        assert.ok(outbox.size <= 6 && outbox.bytes <= 120);
      }
      const sentOnce = [...facts.values()].filter(({ sentAt }) => sentAt.length > 0).length;
      assert.equal(outbox.sent, sentOnce);
      drain(outbox, now + 1000);
      assert.equal(outbox.size, 0);
      assert.equal(outbox.sent + outbox.expired + outbox.dropped, facts.size, "each is accounted for once");
    }),
    { seed: 522, numRuns: 300 },
  );
});
