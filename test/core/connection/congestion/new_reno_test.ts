/**
 * NewReno by the rules of RFC 9002 §7: slow start, one reduction for a round trip, a package for each window after it.
 *
 * @module
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import { initialWindow, NewReno } from "../../../../core/connection/congestion/new_reno.ts";
import { ackOf, lossOf, PACKAGE_BYTES, roundTrips } from "./window.ts";

function newReno(): NewReno {
  return new NewReno({ packageBytes: PACKAGE_BYTES });
}

test("new reno: the first window is ten packages, at most 14,720 bytes, at least two", () => {
  assert.deepEqual(
    [548, 1200, 1472, 1473, 7360, 65_507].map(initialWindow),
    [5480, 12_000, 14_720, 14_720, 14_720, 131_014],
  );
  assert.equal(newReno().windowBytes, 12_000);
});

test("new reno: slow start doubles each round trip, after a loss it is one package", () => {
  const reno = newReno();
  assert.deepEqual(roundTrips(reno, { from: 0, count: 3 }), [24_000, 48_000, 96_000]);
  reno.onLost(lossOf({ now: 1000, sentAt: 900 }));
  assert.equal(reno.windowBytes, 48_000);
  assert.equal(reno.slowStartThreshold, 48_000);
  assert.deepEqual(roundTrips(reno, { from: 1100, count: 2 }), [49_200, 50_400]);
});

test("new reno: what left before the reduction neither reduces again nor grows the window", () => {
  const reno = newReno();
  reno.onLost(lossOf({ now: 1000, sentAt: 950 }));
  assert.equal(reno.windowBytes, 6000);
  reno.onLost(lossOf({ now: 1001, sentAt: 1000 }));
  assert.equal(reno.windowBytes, 6000, "sent no later than the reduction");
  reno.onAcked(ackOf({ now: 1050, sentAt: 1000, packages: 50 }));
  assert.equal(reno.windowBytes, 6000);
  reno.onLost(lossOf({ now: 1101, sentAt: 1001 }));
  assert.equal(reno.windowBytes, 3000);
});

test("new reno: never below two packages", () => {
  const reno = newReno();
  for (let now = 1000; now < 3000; now += 100) reno.onLost(lossOf({ now, sentAt: now }));
  assert.equal(reno.windowBytes, 2 * PACKAGE_BYTES);
  reno.onPersistentCongestion();
  assert.equal(reno.windowBytes, 2 * PACKAGE_BYTES);
});

test("new reno: persistent congestion begins slow start again, and ends the recovery", () => {
  const reno = newReno();
  roundTrips(reno, { from: 0, count: 4 });
  reno.onLost(lossOf({ now: 1000, sentAt: 900 }));
  reno.onPersistentCongestion();
  assert.equal(reno.windowBytes, 2400);
  reno.onAcked(ackOf({ now: 1001, sentAt: 900 }));
  assert.equal(reno.windowBytes, 3600, "slow start up to the threshold, for what left before as well");
  assert.equal(reno.slowStartThreshold, 96_000);
});

test("new reno: a loss that was none is undone once", () => {
  const reno = newReno();
  roundTrips(reno, { from: 0, count: 3 });
  reno.onLost(lossOf({ now: 1000, sentAt: 900 }));
  reno.onSpuriousLoss();
  assert.equal(reno.windowBytes, 96_000);
  assert.equal(reno.slowStartThreshold, Number.POSITIVE_INFINITY);
  reno.onLost(lossOf({ now: 1001, sentAt: 1000 }));
  assert.equal(reno.windowBytes, 48_000);
  reno.onSpuriousLoss();
  reno.onSpuriousLoss();
  assert.equal(reno.windowBytes, 96_000);
});

test("new reno: an undo never takes away what was gained meanwhile", () => {
  const reno = newReno();
  reno.onLost(lossOf({ now: 0, sentAt: 0 }));
  roundTrips(reno, { from: 0, count: 20 });
  const before = reno.windowBytes;
  assert.ok(before > 12_000);
  reno.onSpuriousLoss();
  assert.equal(reno.windowBytes, before);
});

test("new reno: after persistent congestion, or on another way, nothing is undone", () => {
  for (const how of ["persistent", "reset"] as const) {
    const reno = newReno();
    roundTrips(reno, { from: 0, count: 5 });
    reno.onLost(lossOf({ now: 1000, sentAt: 900 }));
    if (how === "persistent") reno.onPersistentCongestion();
    else reno.reset();
    const before = reno.windowBytes;
    reno.onSpuriousLoss();
    assert.equal(reno.windowBytes, before, how);
  }
});

test("new reno: what a window saved up in congestion avoidance does not outlive the way it was saved on", () => {
  const reno = newReno();
  reno.onLost(lossOf({ now: 0, sentAt: 0 }));
  reno.onAcked(ackOf({ now: 100, packages: 4, sentAt: 50 })); // 4,800 of 6,000 bytes.
  reno.reset();
  assert.equal(reno.windowBytes, 12_000);
  reno.onLost(lossOf({ now: 200, sentAt: 200 }));
  reno.onAcked(ackOf({ now: 300, packages: 1, sentAt: 250 }));
  assert.equal(reno.windowBytes, 6000);
});

test("new reno: packages that grow never leave a window in which none fits", () => {
  const fresh = new NewReno({ packageBytes: 548 });
  fresh.setPackageBytes(1452);
  assert.equal(fresh.windowBytes, 14_520, "the first window follows the size");
  const small = new NewReno({ packageBytes: 548 });
  small.onLost(lossOf({ now: 0, sentAt: 0 }));
  small.onPersistentCongestion();
  assert.equal(small.windowBytes, 1096);
  small.setPackageBytes(1452);
  assert.equal(small.windowBytes, 2904);
  small.setPackageBytes(548);
  assert.equal(small.windowBytes, 2904, "smaller packages take no bytes away");
});

test("new reno: the pace is twice the window in a round trip in slow start, five quarters after it", () => {
  const reno = newReno();
  assert.equal(reno.pacingBytesPerMs, 0, "unpaced before the first sample");
  reno.onAcked(ackOf({ now: 100, rttMs: 100, isAppLimited: true }));
  assert.equal(reno.pacingBytesPerMs, 240);
  reno.onLost(lossOf({ now: 200, sentAt: 150 }));
  reno.onAcked(ackOf({ now: 300, rttMs: 100, isAppLimited: true }));
  assert.equal(reno.pacingBytesPerMs, 75);
  reno.onAcked(ackOf({ now: 301, rttMs: 0, isAppLimited: true }));
  assert.ok(Number.isFinite(reno.pacingBytesPerMs), "also where the clock shows no time at all");
});
