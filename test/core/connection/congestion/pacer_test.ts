/**
 * The pacer: never more than a burst at once, never faster than its rate, and never asleep for good. RFC 9002 §7.7.
 *
 * @module
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Pacer } from "../../../../core/connection/congestion/pacer.ts";

test("pacer: without a rate everything may leave at once", () => {
  const pacer = new Pacer();
  pacer.setRate(0, 1200);
  for (let count = 0; count < 100; count++) {
    assert.equal(pacer.readyAt(1200, 7), 7);
    pacer.onSent(1200, 7);
  }
});

test("pacer: ten packages at once, then one each time its share has passed", () => {
  const pacer = new Pacer();
  pacer.setRate(100, 1200); // 12 ms for a package; 2 ms of the rate are less than ten packages.
  for (let count = 0; count < 10; count++) {
    assert.equal(pacer.readyAt(1200, 0), 0, `package ${count}`);
    pacer.onSent(1200, 0);
  }
  assert.equal(pacer.readyAt(1200, 0), 12);
  assert.equal(pacer.readyAt(1200, 6), 12, "asking takes nothing");
  assert.equal(pacer.readyAt(1200, 12), 12);
  pacer.onSent(1200, 12);
  assert.equal(pacer.readyAt(1200, 12), 24);
});

test("pacer: on a fast path a burst is what 2 ms of the rate are, as no timer is finer", () => {
  const pacer = new Pacer();
  pacer.setRate(120_000, 1200);
  let sent = 0;
  for (; pacer.readyAt(1200, 0) === 0; sent++) pacer.onSent(1200, 0);
  assert.equal(sent, 200);
});

test("pacer: silence saves no more than a burst", () => {
  const pacer = new Pacer();
  pacer.setRate(1000, 1200);
  for (let count = 0; count < 10; count++) pacer.onSent(1200, 0);
  let sent = 0;
  for (; pacer.readyAt(1200, 1_000_000) === 1_000_000; sent++) pacer.onSent(1200, 1_000_000);
  assert.equal(sent, 10);
});

test("pacer: a package larger than a burst waits for a whole burst, and then leaves", () => {
  const pacer = new Pacer();
  pacer.setRate(10, 100); // A burst of 1,000 bytes.
  pacer.onSent(1000, 0);
  assert.equal(pacer.readyAt(65_000, 0), 100);
  assert.equal(pacer.readyAt(65_000, 100), 100);
});

test("pacer: whatever is sent whenever it allows, no stretch of time carries more than its rate and one burst", () => {
  const seed = 0x9ace;
  fc.assert(
    fc.property(
      fc.record({
        bytesPerMs: fc.double({ min: 0.01, max: 1e6, noNaN: true }),
        packageBytes: fc.integer({ min: 100, max: 65_507 }),
        steps: fc.array(
          fc.record({
            bytes: fc.integer({ min: 1, max: 65_507 }),
            wait: fc.oneof(fc.constant(0), fc.double({ min: 0, max: 500, noNaN: true })),
          }),
          { minLength: 1, maxLength: 60 },
        ),
      }),
      ({ bytesPerMs, packageBytes, steps }) => {
        const pacer = new Pacer();
        pacer.setRate(bytesPerMs, packageBytes);
        const burstBytes = Math.max(10 * packageBytes, 2 * bytesPerMs);
        let now = 0;
        let sentBytes = 0;
        for (const { bytes: wanted, wait } of steps) {
          const bytes = Math.min(wanted, packageBytes);
          now += wait;
          // Whoever waits as told may send: a rounding asks for one more look, never for ever.
          for (let looks = 0; ; looks++) {
            const at = pacer.readyAt(bytes, now);
            assert.ok(at >= now && Number.isFinite(at));
            if (at === now) break;
            assert.ok(looks < 3, `still waiting after ${looks} timers`);
            now = at;
          }
          pacer.onSent(bytes, now);
          sentBytes += bytes;
          assert.ok(sentBytes <= burstBytes + now * bytesPerMs + 1e-3 * bytesPerMs + 1, "too fast");
        }
      },
    ),
    { seed, numRuns: 200 },
  );
});
