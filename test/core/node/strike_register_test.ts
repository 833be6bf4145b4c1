/**
 * The strike register: once, fresh, never before its time, and never by forgetting.
 *
 * @module
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { StrikeVerdict } from "../../../core/node/strike_register.ts";
import { STRIKE_ID_BYTES, StrikeRegister } from "../../../core/node/strike_register.ts";

/** A register that is open at 20,001. */
function opened(entriesMax?: number): StrikeRegister {
  return new StrikeRegister(entriesMax === undefined ? {} : { entriesMax }, 0);
}

const OPEN = 20_001;

/** An id that holds a number, at either end. */
function idOf(number: number, isAtEnd = false): Uint8Array {
  const id = new Uint8Array(STRIKE_ID_BYTES);
  new DataView(id.buffer).setUint32(isAtEnd ? 12 : 0, number);
  return id;
}

test("strike register: a ticket is admitted once", () => {
  const register = opened();
  assert.equal(register.strike(idOf(1), OPEN, OPEN), "admitted");
  assert.equal(register.strike(idOf(1), OPEN, OPEN), "replayed");
  assert.equal(register.strike(idOf(1), OPEN + 5, OPEN + 1), "replayed", "with another time as well");
  assert.equal(register.strike(idOf(2), OPEN, OPEN + 1), "admitted");
  assert.equal(register.size, 2);
});

test("strike register: every byte of an id counts", () => {
  const register = opened();
  assert.equal(register.strike(new Uint8Array(16), OPEN, OPEN), "admitted");
  for (let at = 0; at < 16; at++) {
    const id = new Uint8Array(16);
    id[at] = 0x80;
    assert.equal(register.strike(id, OPEN, OPEN), "admitted", `byte ${at}`);
    assert.equal(register.strike(id, OPEN, OPEN), "replayed", `byte ${at}`);
  }
  const longer = new Uint8Array(20);
  longer[19] = 1;
  assert.equal(register.strike(longer, OPEN, OPEN), "replayed", "bytes after the sixteenth do not");
  assert.equal(register.strike(new Uint8Array(15), OPEN, OPEN), "malformed");
  assert.equal(register.strike(new Uint8Array(0), OPEN, OPEN), "malformed");
});

test("strike register: it keeps no reference to the id", () => {
  const register = opened();
  const id = idOf(7);
  register.strike(id, OPEN, OPEN);
  id.fill(0xff);
  assert.equal(register.strike(idOf(7), OPEN, OPEN), "replayed");
});

test("strike register: 10 s off to either side is fresh, more is not", () => {
  const register = opened();
  const now = 100_000;
  assert.equal(register.strike(idOf(1), now - 10_000, now), "admitted");
  assert.equal(register.strike(idOf(2), now + 10_000, now), "admitted");
  assert.equal(register.strike(idOf(3), now - 10_001, now), "stale");
  assert.equal(register.strike(idOf(3), now + 10_001, now), "stale");
  for (const sentAt of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 2 ** 53, -(2 ** 53)]) {
    assert.equal(register.strike(idOf(3), sentAt, now), "stale", String(sentAt));
  }
  assert.equal(register.size, 2, "what is stale takes no room");
});

test("strike register: after a start everything is refused for one window", () => {
  const startedAt = 500;
  const register = new StrikeRegister({ freshnessMs: 1000 }, startedAt);
  assert.equal(register.strike(idOf(1), startedAt, startedAt), "starting");
  assert.equal(register.strike(idOf(1), startedAt + 2000, startedAt + 2000), "starting");
  assert.equal(register.strike(idOf(1), Number.NaN, Number.NaN), "starting");
  assert.equal(register.size, 0);
  assert.equal(register.strike(idOf(1), startedAt + 2001, startedAt + 2001), "admitted");
});

test("strike register: a ticket that a register before this one may have admitted is not admitted", () => {
  // Struck as far ahead as is allowed, at the last moment before a restart: it must be stale before it is admitted.
  const before = opened();
  const crashAt = 50_000;
  const sentAt = crashAt + 10_000;
  assert.equal(before.strike(idOf(1), sentAt, crashAt), "admitted");
  const after = new StrikeRegister({}, crashAt);
  for (let now = crashAt; now <= crashAt + 40_000; now += 100) {
    assert.notEqual(after.strike(idOf(1), sentAt, now), "admitted", `${now}`);
  }
});

test("strike register: an id from ahead is remembered to the last moment that it is fresh", () => {
  const register = opened();
  assert.equal(register.strike(idOf(1), OPEN + 10_000, OPEN), "admitted");
  assert.equal(register.strike(idOf(1), OPEN + 10_000, OPEN + 20_000), "replayed");
  assert.equal(register.strike(idOf(1), OPEN + 10_000, OPEN + 20_001), "stale");
  assert.equal(register.strike(idOf(2), OPEN + 20_001, OPEN + 20_001), "admitted");
  assert.equal(register.size, 1, "the stale one is gone");
});

test("strike register: when full it refuses and forgets nothing", () => {
  const register = opened(3);
  for (let id = 1; id <= 3; id++) assert.equal(register.strike(idOf(id), OPEN, OPEN + id), "admitted");
  for (let id = 4; id < 100; id++) assert.equal(register.strike(idOf(id), OPEN, OPEN + 4), "full");
  for (let id = 1; id <= 3; id++) assert.equal(register.strike(idOf(id), OPEN, OPEN + 5), "replayed");
  // The first is forgotten one window after it came: there is room for one again.
  const later = OPEN + 20_002;
  assert.equal(register.strike(idOf(4), later, later), "admitted");
  assert.equal(register.strike(idOf(5), later, later), "full");
  assert.equal(register.strike(idOf(5), later, later + 1), "admitted");
});

test("strike register: a full register is empty again after a window, though a call forgets two at most", () => {
  const register = opened(1000);
  for (let id = 0; id < 1000; id++) assert.equal(register.strike(idOf(id), OPEN, OPEN), "admitted");
  const later = OPEN + 20_001;
  for (let id = 0; id < 1000; id++) assert.equal(register.strike(idOf(id, true), later, later), "admitted");
  assert.equal(register.size, 1000);
  for (let id = 0; id < 1000; id++) assert.equal(register.strike(idOf(id, true), later, later), "replayed");
});

test("strike register: one entry is enough to work, the default takes 65,536", () => {
  const one = opened(1);
  assert.equal(one.strike(idOf(1), OPEN, OPEN), "admitted");
  assert.equal(one.strike(idOf(2), OPEN, OPEN), "full");
  const now = OPEN + 20_001;
  assert.equal(one.strike(idOf(2), now, now), "admitted");
  const register = opened();
  // Ids that share what is hashed first as well as those that do not.
  for (let id = 0; id < 65_536; id++) {
    if (register.strike(idOf(id, id % 2 === 0), OPEN, OPEN) !== "admitted") assert.fail(`id ${id}`);
  }
  assert.equal(register.strike(idOf(65_536), OPEN, OPEN), "full");
  for (let id = 0; id < 65_536; id += 257) {
    assert.equal(register.strike(idOf(id, id % 2 === 0), OPEN, OPEN), "replayed", `id ${id}`);
  }
});

test("strike register: limits that are none are refused", () => {
  for (const entriesMax of [0, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 25]) {
    assert.throws(() => new StrikeRegister({ entriesMax }, 0), RangeError);
  }
  for (const freshnessMs of [0, -1, Number.NaN, Number.POSITIVE_INFINITY]) {
    assert.throws(() => new StrikeRegister({ freshnessMs }, 0), RangeError);
  }
});

test("strike register: it agrees with one that never forgets, but for room, and admits nothing twice", () => {
  const step = fc.record({
    waitMs: fc.nat({ max: 700 }),
    id: fc.nat({ max: 40 }),
    offMs: fc.integer({ min: -1100, max: 1100 }),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), fc.integer({ min: 1, max: 12 }), (steps, entriesMax) => {
      const register = new StrikeRegister({ entriesMax, freshnessMs: 1000 }, 0);
      const admitted = new Set<number>();
      /** When each came that may still be remembered. */
      const cameAt = new Map<number, number>();
      let now = 0;
      for (const { waitMs, id, offMs } of steps) {
        now += waitMs;
        const verdict: StrikeVerdict = register.strike(idOf(id), now + offMs, now);
        assert.ok(register.size <= entriesMax);
        if (now <= 2000) assert.equal(verdict, "starting");
        else if (Math.abs(offMs) > 1000) assert.equal(verdict, "stale");
        else if (verdict === "admitted") {
          // An id may come again once every message with its first time is stale.
          const last = cameAt.get(id);
          assert.ok(last === undefined || now - last > 2000, `id ${id} twice within a window`);
          admitted.add(id);
          cameAt.set(id, now);
        } else if (verdict === "replayed") assert.ok(admitted.has(id), `id ${id} was never admitted`);
        else {
          assert.equal(verdict, "full");
          assert.equal(register.size, entriesMax);
        }
      }
    }),
    { seed: 82, numRuns: 300 },
  );
});
