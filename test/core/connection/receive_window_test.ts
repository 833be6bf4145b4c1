/**
 * Receive windows: how they grow, that they never shrink, and that nothing but reading makes them grow.
 *
 * @module
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { ReceiveWindow } from "../../../core/connection/receive_window.ts";
import { DEFAULT_SESSION_CONFIG, transportParametersOf } from "../../../core/connection/session_defaults.ts";
import { readAll, SessionPair } from "./session_pair.ts";

const RTT = 300;

/** Reads everything that was granted in so many steps of equal time; what is granted after each. */
function readWindow(window: ReceiveWindow, from: number, began: number, ms: number, steps = 4): number {
  const count = (window.max - from) / steps;
  for (let step = 1; step <= steps; step++) {
    const now = began + (ms * step) / steps;
    if (window.onRead(count, now)) window.grant(now, RTT);
  }
  return window.max;
}

test("receive window: a quarter that was read is due to be granted again, less is not, and it is due once", () => {
  const window = new ReceiveWindow(1000, 1000);
  assert.equal(window.max, 1000);
  assert.equal(window.onRead(249, 0), false);
  assert.equal(window.onRead(1, 0), true);
  assert.equal(window.onRead(100, 0), false);
  assert.equal(window.grant(0, undefined), 1350);
  assert.equal(window.onRead(249, 0), false);
  assert.equal(window.onRead(1, 0), true);
});

test("receive window: half of it within one round trip doubles it, a moment more does not", () => {
  for (const [ms, bytes] of [
    [RTT, 2000],
    [RTT + 0.01, 1000],
  ] as const) {
    const window = new ReceiveWindow(1000, 8000);
    window.onRead(1, 0);
    window.onRead(499, ms);
    assert.equal(window.grant(ms, RTT), 500 + bytes);
    assert.equal(window.bytes, bytes);
  }
});

test("receive window: less than half of it is no measure, however fast", () => {
  const window = new ReceiveWindow(1000, 8000);
  window.onRead(499, 0);
  window.grant(0, RTT);
  assert.equal(window.bytes, 1000);
  // The measure goes on over the grant.
  window.onRead(1, 0);
  window.grant(0, RTT);
  assert.equal(window.bytes, 2000);
});

test("receive window: a pause spoils the measure that it falls into and no other", () => {
  const window = new ReceiveWindow(1000, 8000);
  window.onRead(100, 0);
  window.onRead(400, 60_000);
  window.grant(60_000, RTT);
  assert.equal(window.bytes, 1000);
  window.onRead(500, 60_010);
  window.grant(60_010, RTT);
  assert.equal(window.bytes, 2000);
});

test("receive window: without a round trip nothing grows; a short one counts as 250 ms", () => {
  const unknown = new ReceiveWindow(1000, 8000);
  unknown.onRead(1000, 0);
  unknown.grant(0, undefined);
  assert.equal(unknown.bytes, 1000);
  for (const [ms, bytes] of [
    [250, 2000],
    [250.01, 1000],
  ] as const) {
    const window = new ReceiveWindow(1000, 8000);
    window.onRead(1, 0);
    window.onRead(499, ms);
    window.grant(ms, 20);
    assert.equal(window.bytes, bytes);
  }
});

test("receive window: it ends at its limit, also where that is no power of two, and raise keeps to it", () => {
  const window = new ReceiveWindow(1000, 3500);
  let from = 0;
  for (let round = 0; round < 10; round++) {
    const until = window.max;
    readWindow(window, from, round * 10, 1, 2);
    from = until;
  }
  assert.equal(window.bytes, 3500);
  window.raise(1e12);
  assert.equal(window.bytes, 3500);
  window.raise(1);
  assert.equal(window.bytes, 3500);
});

test("receive window: what is dropped unread gives its credit back and never makes it grow", () => {
  const window = new ReceiveWindow(1000, 1e9);
  let max = window.max;
  for (let round = 0; round < 1000; round++) {
    if (window.onDropped(500)) max = window.grant(0, RTT);
    assert.equal(window.bytes, 1000);
  }
  assert.equal(max, 1000 + 500_000);
});

test("receive window: a flow that is held back by it reaches the limit, a slower one stays within five times its need", () => {
  fc.assert(
    fc.property(
      fc.record({
        start: fc.integer({ min: 1000, max: 100_000 }),
        limit: fc.integer({ min: 1000, max: 10_000_000 }),
        rtt: fc.integer({ min: 250, max: 1000 }),
        bytesPerMs: fc.integer({ min: 1, max: 10_000 }),
      }),
      ({ start, limit, rtt, bytesPerMs }) => {
        const first = Math.min(start, limit);
        const perStep = Math.ceil((bytesPerMs * rtt) / 20);
        const window = new ReceiveWindow(first, limit);
        let max = window.max;
        let sent = 0;
        // Credit takes a round trip until bytes come by it.
        const credits: { at: number; max: number }[] = [];
        for (let now = 0; now < rtt * 60; now += rtt / 20) {
          while (credits[0] !== undefined && credits[0].at <= now) max = (credits.shift() as { max: number }).max;
          const count = Math.min(max - sent, perStep);
          sent += count;
          const before = window.max;
          if (window.onRead(count, now)) credits.push({ at: now + rtt, max: window.grant(now, rtt) });
          assert.ok(window.max >= before && window.max >= sent && window.max - sent <= window.bytes);
          assert.ok(window.bytes >= first && window.bytes <= limit);
        }
        const need = perStep * 20;
        assert.ok(window.bytes <= Math.max(first, 5 * need), `${window.bytes} for ${need}`);
        assert.ok(window.bytes >= Math.min(limit, need), `${window.bytes} for ${need}`);
      },
    ),
    { seed: 8, numRuns: 50 },
  );
});

test("receive window: any order of reads, drops and grants never takes credit back or passes the limit", () => {
  const step = fc.record({
    kind: fc.constantFrom("read", "drop"),
    part: fc.double({ min: 0, max: 1, noNaN: true }),
    ms: fc.integer({ min: 0, max: 300 }),
    rtt: fc.option(fc.integer({ min: 0, max: 500 }), { nil: undefined }),
    isGranted: fc.boolean(),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), fc.integer({ min: 1, max: 50_000 }), (steps, limit) => {
      const start = Math.min(1000, limit);
      const window = new ReceiveWindow(start, limit);
      let now = 0;
      let consumed = 0;
      let read = 0;
      for (const { kind, part, ms, rtt, isGranted } of steps) {
        now += ms;
        const count = Math.floor((window.max - consumed) * part);
        const before = window.max;
        consumed += count;
        if (kind === "read") read += count;
        const isDue = kind === "read" ? window.onRead(count, now) : window.onDropped(count);
        if (isDue || isGranted) assert.equal(window.grant(now, rtt), window.max);
        assert.ok(window.max >= before);
        assert.ok(window.max - consumed <= limit);
        // Each doubling takes half a window that was read.
        assert.ok(window.bytes <= start + 2 * read);
      }
    }),
    { seed: 9, numRuns: 200 },
  );
});

test("receive window: the handshake tells the first windows, or the limits where they are less", () => {
  const { streamWindowStartBytes, sessionWindowStartBytes } = DEFAULT_SESSION_CONFIG;
  const usual = transportParametersOf(DEFAULT_SESSION_CONFIG);
  assert.equal(usual.streamWindowBytes, streamWindowStartBytes);
  assert.equal(usual.sessionWindowBytes, sessionWindowStartBytes);
  const small = transportParametersOf({ ...DEFAULT_SESSION_CONFIG, streamWindowBytes: 5, sessionWindowBytes: 7 });
  assert.equal(small.streamWindowBytes, 5);
  assert.equal(small.sessionWindowBytes, 7);
});

test("receive window: a peer whose bytes are not read has no more than the first windows outstanding", () => {
  const pair = new SessionPair({ config: { streamWindowStartBytes: 20_000, sessionWindowStartBytes: 80_000 } });
  const ids: number[] = [];
  const held = (count: number): number => {
    for (let opened = 0; opened < count; opened++) {
      const id = pair.left.session.openStream() as number;
      ids.push(id);
      pair.left.session.write(id, new Uint8Array(40_000));
    }
    pair.advance(1000);
    return ids.reduce((sum, id) => sum + readAll(pair.right, id).bytes.length, 0);
  };
  assert.equal(held(1), 20_000);
  pair.advance(1000);
  assert.equal(held(20), 80_000);
});

test("receive window: streams that are filled and reset in turn never raise what is granted to a session", () => {
  const window = { streamWindowStartBytes: 10_000, sessionWindowStartBytes: 20_000 };
  const pair = new SessionPair({ config: window });
  for (let round = 0; round < 50; round++) {
    const id = pair.left.session.openStream({ isUnidirectional: true }) as number;
    pair.left.session.write(id, new Uint8Array(10_000));
    pair.advance(5);
    pair.left.session.reset(id, 1);
    pair.advance(100);
    pair.right.session.read(id);
  }
  pair.advance(100);
  const ids = Array.from({ length: 10 }, () => pair.left.session.openStream() as number);
  for (const id of ids) pair.left.session.write(id, new Uint8Array(10_000));
  pair.advance(200);
  const held = ids.reduce((sum, id) => sum + readAll(pair.right, id).bytes.length, 0);
  assert.ok(held > 0 && held <= 20_000, `${held}`);
});

test("receive window: a session reads fast and is granted more, up to its limits", () => {
  const config = {
    streamWindowStartBytes: 1000,
    sessionWindowStartBytes: 2000,
    streamWindowBytes: 8000,
    sessionWindowBytes: 10_000,
  };
  const pair = new SessionPair({ config });
  const id = pair.left.session.openStream() as number;
  const perRound: number[] = [];
  for (let round = 0; round < 30; round++) {
    pair.left.session.write(id, new Uint8Array(20_000));
    pair.advance(1);
    perRound.push(readAll(pair.right, id).bytes.length);
  }
  assert.equal(perRound[0], 1000);
  assert.equal(Math.max(...perRound), 8000);
  // Nobody reads now: the stream's limit holds, then that of the session.
  const others = [id, pair.left.session.openStream() as number, pair.left.session.openStream() as number];
  for (const other of others) pair.left.session.write(other, new Uint8Array(20_000));
  pair.advance(1000);
  const held = others.map((other) => readAll(pair.right, other).bytes.length);
  assert.deepEqual(held, [8000, 1000, 1000]);
});
