/**
 * Loss detection and probe timeouts of a path of datagrams, at the edges that RFC 9002 draws.
 *
 * @module
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import { NEVER } from "../../../core/machine.ts";
import { DatagramPath, SMALL_BYTES } from "./datagram_path.ts";

const NAMES = ["cubic", "new_reno"] as const;

test("recovery: three later packages prove a loss at once, two do not", () => {
  const path = new DatagramPath();
  path.sendMany(5);
  path.wait(100).ack([2]);
  assert.deepEqual(path.requeued, [], "two later ones may have overtaken it");
  path.ack([3]);
  assert.deepEqual(path.requeued, [0]);
  path.ack([4]);
  assert.deepEqual(path.requeued, [0, 1]);
  assert.equal(path.recovery.packagesLost, 2);
  assert.equal(path.path.bytesInFlight, 0, "what is lost is in flight no more");
});

test("recovery: nine eighths of a round trip prove a loss, and not a moment less", () => {
  const path = new DatagramPath();
  path.sendMany(2);
  path.wait(100).ack([1]);
  assert.deepEqual(path.requeued, []);
  assert.equal(path.path.pollTimeout(), 1112.5);
  path.wait(12.4).fire();
  assert.deepEqual(path.requeued, []);
  path.now = 1112.5;
  path.fire();
  assert.deepEqual(path.requeued, [0]);
  assert.equal(path.path.pollTimeout(), NEVER, "nothing is in flight");
});

test("recovery: time counts for what something later overtook, and for nothing else", () => {
  const path = new DatagramPath();
  path.measure(100);
  path.sendMany(3);
  path.wait(200);
  path.fire();
  assert.deepEqual(path.requeued, [], "no later one was acknowledged");
  path.send();
  path.wait(100).ack([4]);
  assert.deepEqual(path.requeued, [1, 2, 3]);
});

test("recovery: the larger of the last and the smoothed round trip counts", () => {
  const grown = new DatagramPath();
  grown.measure(100);
  grown.sendMany(2);
  grown.wait(180).ack([2]);
  assert.deepEqual(grown.requeued, [], "180 ms are less than nine eighths of the last sample");
  assert.equal(grown.recovery.lossAt, grown.now + 22.5);

  const shrunk = new DatagramPath();
  shrunk.measure(100);
  shrunk.sendMany(2);
  shrunk.wait(20).ack([2]);
  const smoothedMs = 0.875 * 100 + 0.125 * 20;
  assert.equal(shrunk.recovery.lossAt, shrunk.now - 20 + (9 / 8) * smoothedMs);
});

test("recovery: below a millisecond nothing is lost by time", () => {
  const path = new DatagramPath();
  path.sendMany(2);
  path.wait(0.01).ack([1]);
  assert.deepEqual(path.requeued, []);
  assert.equal(path.recovery.lossAt, 1001);
});

test("recovery: a timer that fires late, early or twice changes nothing", () => {
  const path = new DatagramPath();
  path.sendMany(3);
  path.wait(100).ack([2]);
  for (let count = 0; count < 3; count++) path.fire();
  assert.deepEqual(path.requeued, []);
  path.wait(5000);
  for (let count = 0; count < 3; count++) path.fire();
  assert.deepEqual(path.requeued, [0, 1]);
  assert.equal(path.recovery.packagesLost, 2);
});

test("recovery: an acknowledgement that was overtaken does not call the loss timer off", () => {
  const path = new DatagramPath();
  path.sendMany(5);
  path.wait(100).ack([4]);
  assert.deepEqual(path.requeued, [0, 1]);
  path.wait(1).ack([2]);
  assert.equal(path.recovery.largestAcked, 4);
  assert.ok(path.path.pollTimeout() < 1120, "3 is lost soon");
  path.wait(20).fire();
  assert.deepEqual(path.requeued, [0, 1, 3]);
});

test("recovery: the late acknowledgement of a loss is waited for as long as three probe timeouts, and no longer", () => {
  for (const [isForgotten, waitMs] of [
    [false, 300],
    [true, 20_000],
  ] as const) {
    const path = new DatagramPath();
    path.measure(100);
    path.sendMany(5);
    path.wait(100).ack([[2, 6]]);
    assert.deepEqual(path.requeued, [1]);
    path.wait(waitMs).measure(100);
    assert.equal(path.ack([1]), !isForgotten);
    assert.equal(path.recovery.spuriousLosses, isForgotten ? 0 : 1);
  }
});

// Probe timeouts.

test("recovery: the probe timeout is that of RFC 9002, before and after the first sample", () => {
  const path = new DatagramPath();
  path.send();
  assert.equal(path.path.pollTimeout(), 1000 + 999, "333 ms and four times half of it");
  path.wait(100).ack([0]);
  assert.equal(path.path.pollTimeout(), NEVER, "nothing is in flight");
  path.send();
  assert.equal(path.path.pollTimeout() - path.now, 100 + 4 * 50 + 25);
  path.wait(50);
  path.send();
  assert.equal(path.path.pollTimeout() - path.now, 325, "it counts from the last package");
  const seeded = new DatagramPath({ rttMs: 40 });
  seeded.send();
  assert.equal(seeded.path.pollTimeout() - seeded.now, 40 + 4 * 20 + 25, "the handshake's round trip is a first idea");
});

test("recovery: each probe timeout doubles the next, up to 5 s; an acknowledgement ends that", () => {
  const path = new DatagramPath();
  path.measure(100);
  path.send();
  assert.deepEqual(
    Array.from({ length: 7 }, () => path.toTimer()),
    [325, 650, 1300, 2600, 5000, 5000, 5000],
  );
  for (let count = 0; count < 40; count++) assert.equal(path.toTimer(), 5000, "and no longer ever");
  path.ack([1]);
  path.send();
  assert.ok(path.path.pollTimeout() - path.now <= 5000);
  assert.equal(path.recovery.timeouts, 0);
});

test("recovery: an acknowledgement of nothing new does not end the back-off", () => {
  const path = new DatagramPath();
  path.measure(100);
  path.send();
  path.toTimer();
  path.toTimer();
  assert.equal(path.ack([0]), false);
  assert.equal(path.recovery.timeouts, 2);
  assert.equal(path.recovery.isProbeDue, true);
});

test("recovery: two probes may leave whatever the window and the pacer say, with the frames of the two oldest", () => {
  const path = new DatagramPath();
  path.measure(100);
  path.fillWindow();
  assert.equal(path.recovery.canSend(path.path.bytesInFlight, path.now), false);
  path.now = path.path.pollTimeout();
  path.fire();
  assert.deepEqual(path.requeued, [1, 2]);
  assert.equal(path.recovery.packagesLost, 0, "a timeout proves no loss. RFC 9002 §6.2.4");
  for (let count = 0; count < 2; count++) {
    assert.equal(path.recovery.isProbeDue, true);
    assert.equal(path.recovery.canSend(path.path.bytesInFlight, path.now), true);
    path.send();
  }
  assert.equal(path.recovery.isProbeDue, false);
  assert.equal(path.recovery.canSend(path.path.bytesInFlight, path.now), false);
});

test("recovery: a probe for size has nothing in it that a probe timeout could send again", () => {
  const path = new DatagramPath();
  path.measure(100);
  path.send(1200, { isMtuProbe: true });
  path.sendMany(3);
  path.toTimer();
  assert.deepEqual(path.requeued, [2, 3]);
});

test("recovery: packages that ask for nothing arm no probe timeout and use up no probe", () => {
  const path = new DatagramPath();
  path.sendSilent();
  assert.equal(path.path.pollTimeout(), NEVER);
  assert.equal(path.path.bytesInFlight, 0);
  path.send();
  path.toTimer();
  path.sendSilent();
  path.sendSilent();
  assert.equal(path.recovery.isProbeDue, true);
});

test("recovery: after two timeouts packages are small, after three the path is doubted, one answer mends both", () => {
  const path = new DatagramPath();
  path.measure(100);
  path.send(1452, { isMtuProbe: true });
  path.wait(100).ack([1]);
  assert.equal(path.recovery.packageBytesMax, 1452);
  path.send(1452);
  path.toTimer();
  assert.equal(path.recovery.packageBytesMax, 1452);
  path.toTimer();
  assert.equal(path.recovery.packageBytesMax, SMALL_BYTES);
  assert.equal(path.recovery.isDoubted, false);
  path.toTimer();
  assert.equal(path.recovery.isDoubted, true);
  path.wait(10).ack([2]);
  assert.equal(path.recovery.isDoubted, false);
  assert.equal(path.recovery.packageBytesMax, 1452, "a large one got through after all");
});

test("recovery: when only small packages answer after timeouts, the size was what did not get through", () => {
  const path = new DatagramPath();
  path.measure(100);
  path.send(1452, { isMtuProbe: true });
  path.wait(100).ack([1]);
  path.send(1452);
  path.toTimer();
  path.toTimer();
  const small = path.send(SMALL_BYTES);
  path.wait(100).ack([small]);
  assert.equal(path.recovery.packageBytesMax, SMALL_BYTES);
  assert.equal(path.recovery.mtu.blackHoles, 1);
});

// Persistent congestion. RFC 9002 §7.6.

/** Packages with pauses between them, of which only the last is acknowledged; returns the window after it. */
function blackout(path: DatagramPath, pauses: readonly number[]): number {
  path.send();
  for (const pause of pauses) {
    path.wait(pause);
    path.send();
  }
  path.wait(20).send();
  path.wait(100).ack([path.path.nextPackageNumber - 1]);
  return path.windowBytes;
}

for (const congestion of NAMES) {
  test(`recovery, ${congestion}: losses over three probe timeouts collapse the window, over less they halve it`, () => {
    // The probe timeout once the last package was acknowledged: samples of 100 ms, the second one halfway smoothed.
    const probe = new DatagramPath({ config: { congestion } });
    probe.measure(100);
    probe.measure(100);
    const periodMs = 3 * probe.recovery.probeTimeoutMs;

    const short = new DatagramPath({ config: { congestion } });
    short.measure(100);
    const shortWindow = blackout(short, [periodMs]);
    assert.equal(short.recovery.packagesLost, 2);
    assert.ok(shortWindow > 2 * SMALL_BYTES, "not longer than the period");

    const long = new DatagramPath({ config: { congestion } });
    long.measure(100);
    assert.equal(blackout(long, [periodMs + 0.001]), 2 * SMALL_BYTES);
  });

  test(`recovery, ${congestion}: one acknowledged in between, or no sample before, is no persistent congestion`, () => {
    const path = new DatagramPath({ config: { congestion } });
    path.measure(100);
    path.send();
    path.wait(600);
    const middle = path.send();
    path.wait(600);
    path.send();
    path.wait(20).send();
    path.wait(100).ack([path.path.nextPackageNumber - 1, middle]);
    assert.equal(path.recovery.packagesLost, 2);
    assert.ok(path.windowBytes > 2 * SMALL_BYTES);

    const fresh = new DatagramPath({ config: { congestion } });
    assert.ok(blackout(fresh, [5000, 5000]) > 2 * SMALL_BYTES, "nobody knows how long a round trip is");
    assert.equal(fresh.recovery.packagesLost, 3);
  });

  test(`recovery, ${congestion}: after persistent congestion a late arrival does not bring the old window back`, () => {
    const path = new DatagramPath({ config: { congestion } });
    path.measure(100);
    const least = blackout(path, [400, 400, 400]);
    assert.equal(least, 2 * SMALL_BYTES);
    path.ack([
      [5, 6],
      [1, 5],
    ]);
    assert.ok(path.windowBytes <= least + 5 * SMALL_BYTES, `${path.windowBytes}`);
  });

  // Losses that were none.

  test(`recovery, ${congestion}: a loss that was only late is undone when all of it has arrived`, () => {
    const path = new DatagramPath({ config: { congestion } });
    path.measure(100);
    path.sendMany(9);
    const before = path.windowBytes;
    path.wait(100).ack([
      [6, 10],
      [3, 4],
    ]);
    assert.deepEqual(path.requeued, [1, 2, 4, 5]);
    const reduced = path.windowBytes;
    assert.ok(reduced < before);
    path.wait(10).ack([[1, 3]]);
    assert.ok(path.windowBytes < before, "two of four are still missing");
    path.ack([4]);
    assert.ok(path.windowBytes < before);
    assert.equal(path.recovery.spuriousLosses, 3);
    path.ack([5]);
    assert.ok(path.windowBytes >= before, `${path.windowBytes} after ${before}`);
    assert.equal(path.recovery.controller.slowStartThreshold, Number.POSITIVE_INFINITY);
    assert.equal(path.path.bytesInFlight, 0, "what counted as lost is not taken off twice");
  });

  test(`recovery, ${congestion}: what arrives late of an older event does not undo a newer one`, () => {
    const path = new DatagramPath({ config: { congestion } });
    path.measure(100);
    path.sendMany(6); // 1 to 6
    path.wait(100).ack([[3, 7]]);
    assert.deepEqual(path.requeued, [1, 2]);
    path.wait(10).sendMany(6); // 7 to 12
    path.wait(100).ack([[9, 13]]);
    assert.deepEqual(path.requeued, [1, 2, 7, 8]);
    const reduced = path.windowBytes;
    path.ack([[1, 3]]);
    assert.equal(path.windowBytes, reduced, "both of the second event are still missing");
    path.ack([[7, 9]]);
    assert.ok(path.windowBytes > reduced);
  });

  test(`recovery, ${congestion}: one late package of many lost in one round trip undoes nothing`, () => {
    const path = new DatagramPath({ config: { congestion } });
    path.measure(100);
    path.sendMany(12); // 1 to 12, together
    path.wait(100).ack([[7, 10]]);
    assert.deepEqual(path.requeued, [1, 2, 3, 4, 5, 6], "they are really gone");
    const reduced = path.windowBytes;
    path.wait(1).ack([12]); // 10 and 11 are late
    path.wait(50).fire();
    assert.deepEqual(path.requeued, [1, 2, 3, 4, 5, 6, 10, 11]);
    assert.equal(path.windowBytes, reduced, "one reduction for one round trip. RFC 9002 §7.3.2");
    path.ack([[10, 12]]);
    assert.equal(path.recovery.spuriousLosses, 2);
    assert.equal(path.windowBytes, reduced, "the event that reduced the window was none of these two");
  });

  test(`recovery, ${congestion}: the loss of a probe for size says nothing of congestion`, () => {
    const path = new DatagramPath({ config: { congestion } });
    path.measure(100);
    const before = path.windowBytes;
    const probe = path.send(1200, { isMtuProbe: true });
    path.sendMany(3);
    path.wait(100).ack([[probe + 1, probe + 4]]);
    assert.equal(path.recovery.packagesLost, 1);
    assert.ok(path.windowBytes >= before);
    assert.equal(path.recovery.packageBytesMax, SMALL_BYTES);
  });

  test(`recovery, ${congestion}: a probe for size that was only late leaves a window in which packages fit`, () => {
    const path = new DatagramPath({ config: { congestion, datagramPathBytesMax: 9000 } });
    path.measure(100);
    const probe = path.send(8952, { isMtuProbe: true });
    blackout(path, [400, 400, 400]);
    assert.equal(path.windowBytes, 2 * SMALL_BYTES);
    path.wait(1).ack([probe]);
    assert.equal(path.recovery.packageBytesMax, 8952);
    assert.ok(path.windowBytes >= 2 * 8952, "else nothing would ever leave again, and no timer would run");
    path.wait(1000);
    assert.equal(path.recovery.canSend(path.path.bytesInFlight, path.now), true);
  });

  test(`recovery, ${congestion}: packages may grow after the window was at its least`, () => {
    const path = new DatagramPath({ config: { congestion, datagramPathBytesMax: 9000 } });
    path.measure(100);
    blackout(path, [400, 400, 400]);
    assert.equal(path.windowBytes, 2 * SMALL_BYTES);
    const probe = path.send(8952, { isMtuProbe: true });
    path.wait(100).ack([probe]);
    assert.ok(path.windowBytes >= 2 * 8952);
  });

  test(`recovery, ${congestion}: only a window that was full grows, and the pacer fills it as well`, () => {
    const idle = new DatagramPath({ config: { congestion } });
    const before = idle.windowBytes;
    for (let round = 0; round < 10; round++) {
      idle.recovery.onIdle();
      idle.measure(100);
    }
    assert.equal(idle.windowBytes, before, "RFC 9002 §7.8");
    const busy = new DatagramPath({ config: { congestion } });
    for (let round = 0; round < 5; round++) {
      const first = busy.path.nextPackageNumber;
      busy.fillWindow();
      busy.wait(100).ack([[first, busy.path.nextPackageNumber]]);
    }
    assert.ok(busy.windowBytes >= 16 * before, `${busy.windowBytes} after ${before}`);
  });

  test(`recovery, ${congestion}: another way starts from nothing, and what the old one lost is not undone on it`, () => {
    const path = new DatagramPath({ config: { congestion } });
    const fresh = path.windowBytes;
    path.measure(100);
    for (let round = 0; round < 4; round++) {
      const first = path.path.nextPackageNumber;
      path.fillWindow();
      path.wait(100).ack([[first, path.path.nextPackageNumber]]);
    }
    const first = path.path.nextPackageNumber;
    path.sendMany(5);
    path.wait(100).ack([[first + 1, first + 5]]);
    assert.ok(path.windowBytes > fresh);
    path.path.datagrams?.reset(path.now);
    assert.equal(path.windowBytes, fresh);
    assert.equal(path.recovery.controller.slowStartThreshold, Number.POSITIVE_INFINITY);
    assert.equal(path.recovery.stats().pacingBytesPerMs, 0);
    path.ack([first + 4, first]);
    assert.ok(path.windowBytes <= fresh + SMALL_BYTES, "the old way's window is not the new one's");
    // RFC 9000 §9.4: the old round trip is a guess, the first sample replaces it.
    const number = path.send();
    path.wait(700).ack([number]);
    assert.equal(path.path.rtt.smoothedMs, 700);
  });
}
