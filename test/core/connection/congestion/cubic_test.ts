/**
 * CUBIC against the figures of RFC 9438, and its window against whatever is acknowledged and lost.
 *
 * @module
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { createCongestionController } from "../../../../core/connection/congestion/create_controller.ts";
import { Cubic } from "../../../../core/connection/congestion/cubic.ts";
import { ackOf, lossOf, PACKAGE_BYTES, roundTrips } from "./window.ts";

/** One whose window is `packages`, just reduced from `packages / 0.7` at the instant 0. */
function reducedTo(packages: number): Cubic {
  const cubic = new Cubic({ packageBytes: PACKAGE_BYTES });
  const bytes = (packages / 0.7) * PACKAGE_BYTES - cubic.windowBytes;
  cubic.onAcked(ackOf({ now: -1, sentAt: -2, bytes }));
  cubic.onLost(lossOf({ now: 0, sentAt: -1 }));
  assert.ok(Math.abs(cubic.windowBytes - packages * PACKAGE_BYTES) < 1e-6 * cubic.windowBytes);
  return cubic;
}

test("cubic: names make controllers", () => {
  assert.equal(createCongestionController("cubic", { packageBytes: 1200 }).name, "cubic");
  assert.equal(createCongestionController("new_reno", { packageBytes: 1200 }).name, "new_reno");
});

test("cubic: slow start doubles; a loss leaves seven tenths, once in a round trip. RFC 9438 §4.6", () => {
  const cubic = new Cubic({ packageBytes: PACKAGE_BYTES });
  assert.deepEqual(roundTrips(cubic, { from: 0, count: 3 }), [24_000, 48_000, 96_000]);
  cubic.onLost(lossOf({ now: 400, sentAt: 350 }));
  assert.equal(cubic.windowBytes, 67_200);
  assert.equal(cubic.slowStartThreshold, 67_200);
  cubic.onLost(lossOf({ now: 401, sentAt: 400 }));
  assert.equal(cubic.windowBytes, 67_200, "it left before the reduction");
  cubic.onAcked(ackOf({ now: 450, sentAt: 400, packages: 20 }));
  assert.equal(cubic.windowBytes, 67_200, "nor does it grow the window");
  cubic.onLost(lossOf({ now: 501, sentAt: 401 }));
  assert.equal(cubic.windowBytes, 47_040);
});

test("cubic: it comes back to where it was after K seconds, slowly there, faster after. RFC 9438 §4.2", () => {
  // 1,000 packages before the loss: K = cbrt(300 / 0.4) = 9.09 s. The RTT is long, so that Reno would be slower.
  const cubic = reducedTo(700);
  const windows = roundTrips(cubic, { from: 0, count: 80, rttMs: 200 }).map((bytes) => bytes / PACKAGE_BYTES);
  const at = (seconds: number): number => windows[Math.round(seconds / 0.2) - 1] as number;
  const curve = (seconds: number): number => 1000 + 0.4 * (seconds - Math.cbrt(750)) ** 3;
  // The epoch begins with the first acknowledgement, 0.2 s after the loss; the window aims one round trip ahead, and
  // each acknowledgement brings it nearer by its share: it lags where the curve is steep.
  for (const seconds of [1, 2, 4, 6, 8, 9, 10, 12, 14, 16]) {
    const expected = curve(seconds);
    assert.ok(Math.abs(at(seconds) - expected) < 0.04 * expected, `${at(seconds)} after ${seconds} s, not ${expected}`);
  }
  assert.ok(at(9) - at(8) < at(2) - at(1), "concave before");
  assert.ok(at(16) - at(15) > at(11) - at(10), "convex after");
});

test("cubic: where Reno is faster it is as fast as Reno. RFC 9438 §4.3", () => {
  // 20 packages and 10 ms: K = 2.46 s are 246 round trips, in which Reno gains 0.53 packages each.
  const cubic = reducedTo(14);
  const windows = roundTrips(cubic, { from: 0, count: 60, rttMs: 10 }).map((bytes) => bytes / PACKAGE_BYTES);
  const alpha = (3 * 0.3) / 1.7;
  const gained = (windows[9] as number) - 14;
  assert.ok(gained > 0.8 * 10 * alpha && gained < 1.2 * 10 * alpha, `${gained} packages in 10 round trips`);
  // Once it is where it was, a package for each round trip.
  const from = windows.findIndex((packages) => packages >= 21);
  const later = (windows[from + 10] as number) - (windows[from] as number);
  assert.ok(later > 8 && later < 12, `${later} packages in 10 round trips`);
});

test("cubic: a second loss below the first makes room for others. RFC 9438 §4.7", () => {
  const cubic = reducedTo(700); // Was 1,000.
  cubic.onLost(lossOf({ now: 1000, sentAt: 900 })); // At 700: it aims at 595, not at 700.
  assert.ok(Math.abs(cubic.windowBytes / PACKAGE_BYTES - 490) < 0.01);
  const k = Math.cbrt((595 - 490) / 0.4);
  const windows = roundTrips(cubic, { from: 1000, count: 60, rttMs: 200 }).map((bytes) => bytes / PACKAGE_BYTES);
  const atK = windows[Math.round(k / 0.2) - 1] as number;
  assert.ok(Math.abs(atK - 595) < 6, `${atK} after ${k} s`);
});

test("cubic: the window grows by half in a round trip at most. RFC 9438 §4.4", () => {
  const cubic = reducedTo(100);
  roundTrips(cubic, { from: 0, count: 3 });
  const before = cubic.windowBytes;
  // An hour without an acknowledgement, but never idle: the curve is somewhere in the sky.
  const [after] = roundTrips(cubic, { from: 3_600_000, count: 1 });
  assert.ok((after as number) > before && (after as number) <= 1.66 * before, `${before}, then ${after}`);
});

test("cubic: time in which the window was not used does not count. RFC 9438 §5.8", () => {
  const cubic = reducedTo(100);
  roundTrips(cubic, { from: 0, count: 10 });
  const before = cubic.windowBytes;
  for (let now = 2000; now < 60_000; now += 100) cubic.onAcked(ackOf({ now, isAppLimited: true }));
  assert.equal(cubic.windowBytes, before);
  const [after] = roundTrips(cubic, { from: 60_000, count: 1 });
  assert.ok((after as number) < 1.1 * before, `${before}, then ${after} at once`);
});

test("cubic: slow start ends when the round trip grows, before anything is lost. RFC 9406", () => {
  const cubic = new Cubic({ packageBytes: PACKAGE_BYTES });
  let next = 0;
  let now = 0;
  const round = (rttMs: number): void => {
    const packages = Math.floor(cubic.windowBytes / PACKAGE_BYTES);
    const first = next;
    next += packages;
    cubic.onSent(PACKAGE_BYTES, next - 1);
    now += rttMs;
    for (let index = 0; index < packages; index++) cubic.onAcked(ackOf({ now, rttMs, largest: first + index }));
  };
  for (let count = 0; count < 4; count++) round(100);
  assert.equal(cubic.slowStartThreshold, Number.POSITIVE_INFINITY);
  const before = cubic.windowBytes;
  for (let count = 0; count < 12; count++) round(130);
  assert.notEqual(cubic.slowStartThreshold, Number.POSITIVE_INFINITY, "it is over");
  assert.ok(cubic.slowStartThreshold < 8 * before, "a quarter of the growth for five rounds, and not twelve doublings");
});

test("cubic: a loss that was none brings all of it back, the curve as well. RFC 9438 §4.9", () => {
  const [cubic, other] = [reducedTo(700), reducedTo(700)];
  for (const one of [cubic, other]) roundTrips(one, { from: 0, count: 20 });
  const before = cubic.windowBytes;
  cubic.onLost(lossOf({ now: 2000, sentAt: 1950 }));
  assert.ok(cubic.windowBytes < before);
  cubic.onSpuriousLoss();
  assert.equal(cubic.windowBytes, before);
  assert.equal(cubic.slowStartThreshold, other.slowStartThreshold);
  assert.deepEqual(
    roundTrips(cubic, { from: 2000, count: 40 }),
    roundTrips(other, { from: 2000, count: 40 }),
    "as if it had never been",
  );
});

test("cubic: an undo happens once, never shrinks, and not after congestion that is certain", () => {
  const grown = new Cubic({ packageBytes: PACKAGE_BYTES });
  grown.onLost(lossOf({ now: 0, sentAt: 0 }));
  roundTrips(grown, { from: 0, count: 100 });
  const before = grown.windowBytes;
  grown.onSpuriousLoss();
  assert.equal(grown.windowBytes, before);
  for (const certain of ["mark", "persistent", "reset"] as const) {
    const cubic = new Cubic({ packageBytes: PACKAGE_BYTES });
    roundTrips(cubic, { from: 0, count: 5 });
    cubic.onLost(lossOf({ now: 1000, sentAt: 900 }));
    if (certain === "mark") cubic.onEcnCe(1001, 1100);
    else if (certain === "persistent") cubic.onPersistentCongestion();
    else cubic.reset();
    const reduced = cubic.windowBytes;
    cubic.onSpuriousLoss();
    assert.equal(cubic.windowBytes, reduced, certain);
  }
});

test("cubic: a mark of the network counts as a loss, once in a round trip. RFC 9002 §7.1", () => {
  const cubic = new Cubic({ packageBytes: PACKAGE_BYTES });
  cubic.onEcnCe(90, 100);
  assert.equal(cubic.windowBytes, 8400);
  cubic.onEcnCe(100, 101);
  assert.equal(cubic.windowBytes, 8400);
  cubic.onEcnCe(101, 102);
  assert.ok(Math.abs(cubic.windowBytes - 5880) < 1e-9);
});

test("cubic: the pace is twice the window in a round trip in slow start, five quarters after it. RFC 9002 §7.7", () => {
  const cubic = new Cubic({ packageBytes: PACKAGE_BYTES });
  assert.equal(cubic.pacingBytesPerMs, 0, "nothing is known of the path yet");
  cubic.onAcked(ackOf({ now: 100 }));
  assert.equal(cubic.pacingBytesPerMs, (2 * 13_200) / 100);
  cubic.onLost(lossOf({ now: 200, sentAt: 150 }));
  cubic.onAcked(ackOf({ now: 210, sentAt: 160, rttMs: 50 }));
  assert.ok(Math.abs(cubic.pacingBytesPerMs - (1.25 * 9240) / 50) < 1e-9);
  cubic.onAcked(ackOf({ now: 220, sentAt: 170, rttMs: 0 }));
  assert.ok(Number.isFinite(cubic.pacingBytesPerMs), "a round trip of nothing");
});

test("cubic: packages of another size: the first window follows, later it is bytes that count", () => {
  const fresh = new Cubic({ packageBytes: 548 });
  fresh.setPackageBytes(1452);
  assert.equal(fresh.windowBytes, 14_520);
  fresh.setPackageBytes(548);
  assert.equal(fresh.windowBytes, 14_520);
  const small = new Cubic({ packageBytes: 548 });
  small.onLost(lossOf({ now: 0, sentAt: 0 }));
  small.onPersistentCongestion();
  assert.equal(small.windowBytes, 1096);
  small.setPackageBytes(1452);
  assert.equal(small.windowBytes, 2904, "two packages fit, whatever their size");
});

type Step =
  | { readonly type: "acked"; readonly packages: number; readonly age: number; readonly rttMs: number }
  | { readonly type: "idle" | "lost" | "mark" | "persistent" | "spurious" | "reset" }
  | { readonly type: "size"; readonly bytes: number };

const STEP: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 12,
    arbitrary: fc.record({
      type: fc.constant("acked" as const),
      packages: fc.integer({ min: 1, max: 400 }),
      age: fc.constantFrom(0, 1, 100, 10_000),
      rttMs: fc.constantFrom(0, 0.01, 5, 100, 4000),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      type: fc.constantFrom("idle", "lost", "lost", "mark", "persistent", "spurious", "reset"),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ type: fc.constant("size" as const), bytes: fc.constantFrom(548, 1200, 1452, 65_507) }),
  },
);

test("cubic: whatever happens, the window is finite, holds two packages, and an acknowledgement never shrinks it", () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(STEP, fc.constantFrom(0, 0.5, 20, 300, 600_000)), { maxLength: 120 }), (steps) => {
      const cubic = new Cubic({ packageBytes: 1200 });
      let packageBytes = 1200;
      let now = 0;
      let next = 0;
      for (const [step, wait] of steps) {
        now += wait;
        const before = cubic.windowBytes;
        cubic.onSent(packageBytes, next);
        if (step.type === "acked") {
          cubic.onAcked(ackOf({ ...step, now, sentAt: now - step.age, bytes: packageBytes, largest: next++ }));
          assert.ok(cubic.windowBytes >= before, `${before}, then ${cubic.windowBytes}`);
          assert.ok(cubic.windowBytes <= before + step.packages * packageBytes + packageBytes, "too fast");
        } else if (step.type === "idle") cubic.onAcked(ackOf({ now, isAppLimited: true, largest: next++ }));
        else if (step.type === "lost") cubic.onLost(lossOf({ now, sentAt: now }));
        else if (step.type === "mark") cubic.onEcnCe(now, now);
        else if (step.type === "persistent") cubic.onPersistentCongestion();
        else if (step.type === "spurious") cubic.onSpuriousLoss();
        else if (step.type === "size") {
          packageBytes = step.bytes;
          cubic.setPackageBytes(packageBytes);
        } else cubic.reset();
        assert.ok(cubic.windowBytes >= 2 * packageBytes && cubic.windowBytes <= 2 ** 31, `${cubic.windowBytes}`);
        assert.ok(Number.isFinite(cubic.pacingBytesPerMs) && cubic.pacingBytesPerMs >= 0, "rate");
        assert.ok(cubic.slowStartThreshold > 0, "threshold");
      }
    }),
    { seed: 0x9438, numRuns: 400 },
  );
});

test("cubic: the same events give the same window in every engine", () => {
  const cubic = reducedTo(700);
  roundTrips(cubic, { from: 0, count: 37, rttMs: 73 });
  cubic.onLost(lossOf({ now: 3000, sentAt: 2990 }));
  roundTrips(cubic, { from: 3000, count: 41, rttMs: 73 });
  assert.equal(cubic.windowBytes, 875_767.400621312);
});
