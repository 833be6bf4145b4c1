/**
 * Tests of what a relay measures clients with: token buckets and rates for many keys.
 *
 * @module
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { RateTable } from "../../../core/relay/rate_table.ts";
import { TokenBucket } from "../../../core/relay/token_bucket.ts";

const SEED = 20_250_112;

test("TokenBucket: begins full, goes into debt once, and tells when to go on", () => {
  const bucket = new TokenBucket({ perSecond: 1000, burst: 500 }, 0);
  assert.ok(bucket.canTake(0));
  bucket.take(700, 0);
  assert.ok(!bucket.canTake(0));
  assert.equal(bucket.readyAt(1, 0), 201);
  assert.ok(!bucket.canTake(200));
  assert.ok(bucket.canTake(201));
  assert.equal(bucket.readyAt(10_000, 201), 700); // No more than its burst will ever be there.
});

test("TokenBucket: without a rate there is no limit", () => {
  const bucket = new TokenBucket({ perSecond: 0, burst: 0 }, 0);
  bucket.take(1e12, 0);
  assert.ok(bucket.isUnlimited && bucket.canTake(0) && bucket.tryTakeOne(0));
  assert.equal(bucket.readyAt(1e12, 5), 5);
});

test("TokenBucket: over any time at most the burst, the rate times the time and one taking come out", () => {
  const step = fc.record({ waitMs: fc.nat({ max: 50 }), wanted: fc.integer({ min: 1, max: 100 }) });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const bucket = new TokenBucket({ perSecond: 2000, burst: 300 }, 0);
      let now = 0;
      let taken = 0;
      for (const { waitMs, wanted } of steps) {
        now += waitMs;
        if (!bucket.canTake(now)) continue;
        bucket.take(wanted, now);
        taken += wanted;
        assert.ok(taken <= 300 + 2 * now + 100);
      }
    }),
    { seed: SEED, numRuns: 100 },
  );
});

test("RateTable: counts each key in its window, and blocks for as long as it says", () => {
  const table = new RateTable({ count: 2, windowMs: 100, blockMs: 1000 }, 10);
  assert.deepEqual([table.allow("a", 0), table.allow("a", 1), table.allow("b", 1)], [true, true, true]);
  assert.ok(!table.isExceeded("a", 2));
  assert.ok(!table.allow("a", 50));
  assert.ok(table.isExceeded("a", 1049));
  assert.equal(table.retryAfterMs("a", 50), 1000);
  assert.ok(!table.allow("a", 1049));
  assert.ok(table.allow("a", 1050));
  assert.ok(table.allow("b", 1050));
});

test("RateTable: a flood of keys does not grow it", () => {
  const table = new RateTable({ count: 1, windowMs: 1000 }, 10);
  for (let index = 0; index < 1000; index += 1) table.allow(`key-${index}`, 0);
  assert.equal(table.size, 10);
  assert.ok(!table.allow("key-999", 1));
  const unlimited = new RateTable({ count: 0, windowMs: 1000 }, 10);
  for (let index = 0; index < 100; index += 1) assert.ok(unlimited.allow("a", 0));
  assert.equal(unlimited.size, 0);
});
