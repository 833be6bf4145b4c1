/**
 * Send buffer, receive buffer and range set against naive models.
 *
 * @module
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { RangeSet } from "../../../core/connection/range_set.ts";
import { ReceiveBuffer } from "../../../core/connection/receive_buffer.ts";
import { SendBuffer } from "../../../core/connection/send_buffer.ts";

test("range set: the same numbers as a plain set, in disjoint ascending ranges", () => {
  const step = fc.record({ isAdding: fc.boolean(), start: fc.nat(60), length: fc.nat(20) });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const ranges = new RangeSet();
      const model = new Set<number>();
      for (const { isAdding, start, length } of steps) {
        if (isAdding) ranges.add(start, start + length);
        else ranges.remove(start, start + length);
        for (let value = start; value < start + length; value++) {
          if (isAdding) model.add(value);
          else model.delete(value);
        }
      }
      for (let value = -1; value < 90; value++) assert.equal(ranges.has(value), model.has(value), `${value}`);
      let end = -1;
      for (const range of ranges.ranges) {
        assert.ok(range.start > end && range.end > range.start);
        end = range.end;
      }
    }),
    { seed: 1, numRuns: 300 },
  );
});

test("send buffer: whatever is lost and acknowledged, what is sent is what was written, until all is acknowledged", () => {
  const step = fc.oneof(
    fc.record({ type: fc.constant("write" as const), size: fc.oneof(fc.nat(600), fc.nat(150_000)) }),
    fc.record({ type: fc.constant("send" as const), size: fc.integer({ min: 1, max: 70_000 }) }),
    fc.record({ type: fc.constant("ack" as const), size: fc.nat(1_000) }),
    fc.record({ type: fc.constant("lose" as const), size: fc.nat(1_000) }),
    // Sent once more although it may still arrive, as after a probe timeout or by a second path.
    fc.record({ type: fc.constant("repeat" as const), size: fc.nat(1_000) }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const buffer = new SendBuffer();
      const acked = new RangeSet();
      const inFlight: { start: number; end: number }[] = [];
      const byteAt = (offset: number): number => (offset * 7 + (offset >> 8)) & 0xff;
      let written = 0;
      const send = (most: number): boolean => {
        const end = buffer.next(most, Number.MAX_SAFE_INTEGER);
        const start = buffer.nextStart;
        if (end <= start) return false;
        for (const range of acked.ranges) {
          assert.ok(end <= range.start || start >= range.end, "what was acknowledged is sent again");
        }
        const out = new Uint8Array(end - start + 2);
        buffer.copy(start, end, out, 1);
        for (let offset = start; offset < end; offset++) {
          if (out[offset - start + 1] !== byteAt(offset)) assert.fail(`byte ${offset} is wrong`);
        }
        buffer.onSent(start, end);
        inFlight.push({ start, end });
        return true;
      };
      for (const { type, size } of steps) {
        if (type === "write") {
          const base = written;
          buffer.append(Uint8Array.from({ length: size }, (_, index) => byteAt(base + index)));
          written += size;
        } else if (type === "send") send(size);
        else {
          const [part] = inFlight.splice(size % Math.max(1, inFlight.length), 1);
          if (part === undefined) continue;
          if (type === "repeat") inFlight.push(part);
          if (type !== "ack") buffer.onLost(part.start, part.end);
          else {
            buffer.onAcked(part.start, part.end);
            acked.add(part.start, part.end);
          }
        }
        assert.equal(buffer.end, written);
        const [first] = acked.ranges;
        const floor = first?.start === 0 ? first.end : 0;
        assert.equal(buffer.heldBytes, written - floor);
      }
      while (send(100_000));
      for (const part of inFlight.splice(0)) buffer.onAcked(part.start, part.end);
      assert.equal(buffer.isAllAcked, true);
      assert.equal(buffer.heldBytes, 0);
    }),
    { seed: 2, numRuns: 60 },
  );
});

test("send buffer: a copy that is lost after another one arrived is not sent once more", () => {
  const buffer = new SendBuffer();
  buffer.append(new Uint8Array(300));
  for (const start of [0, 100, 200]) buffer.onSent(start, start + 100);
  buffer.onLost(100, 200);
  assert.equal(buffer.next(1000, 1000), 200);
  buffer.onSent(100, 200);
  buffer.onAcked(100, 200);
  buffer.onLost(100, 200);
  assert.equal(buffer.hasLost, false);
  buffer.onLost(50, 250);
  assert.deepEqual([buffer.next(1000, 1000), buffer.nextStart], [100, 50]);
  buffer.onSent(50, 100);
  assert.deepEqual([buffer.next(1000, 1000), buffer.nextStart], [250, 200]);
  assert.equal(buffer.isHeldFrom(0), true);
  assert.equal(buffer.onAcked(0, 100), 200, "up to the next gap");
  assert.equal(buffer.isHeldFrom(199), false);
  assert.equal(buffer.isHeldFrom(200), true);
});

test("receive buffer: pieces that touch without overlap are one, whichever came first", () => {
  for (const order of [
    [0, 10, 20],
    [20, 10, 0],
    [10, 20, 0],
    [20, 0, 10],
  ]) {
    const buffer = new ReceiveBuffer();
    for (const start of order) buffer.insert(start, new Uint8Array(10).fill(start));
    assert.equal(buffer.contiguousEnd, 30, `${order}`);
  }
});

test("receive buffer: any order, any overlap, each byte once", () => {
  const piece = fc.record({ start: fc.nat(300), length: fc.nat(60) });
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 40 }), fc.boolean(), (pieces, isReadingAsItGoes) => {
      const buffer = new ReceiveBuffer();
      const received: number[] = [];
      const read = (): void => {
        for (let bytes = buffer.read(); bytes !== undefined; bytes = buffer.read()) received.push(...bytes);
      };
      const all = [...pieces, { start: 0, length: 400 }];
      const came = new Set<number>();
      for (const { start, length } of all) {
        for (let offset = start; offset < start + length; offset++) came.add(offset);
        buffer.insert(
          start,
          Uint8Array.from({ length }, (_, index) => (start + index) & 0xff),
        );
        if (isReadingAsItGoes) read();
        let end = 0;
        while (came.has(end)) end++;
        assert.equal(buffer.contiguousEnd, end, "all that is in order can be read");
      }
      read();
      assert.equal(received.length, 400);
      assert.ok(received.every((byte, index) => byte === (index & 0xff)));
      assert.equal(buffer.readOffset, 400);
    }),
    { seed: 3, numRuns: 300 },
  );
});
