/**
 * The search for the size of packages: against paths that carry what they carry, lose at random, shrink and grow.
 *
 * @module
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { MtuProbeOptions } from "../../../core/connection/mtu_probe.ts";
import { MtuProbe } from "../../../core/connection/mtu_probe.ts";
import { NEVER } from "../../../core/machine.ts";
import { seededNumbers } from "../test_environment.ts";

const HOUR_MS = 3_600_000;

/** A path with a round trip of 100 ms on which only packages up to `mtuBytes` get through. */
class ProbedPath {
  readonly mtu: MtuProbe;
  mtuBytes: number;
  now = 1000;
  probes: number[] = [];
  isLossy: () => boolean = () => false;
  #packageNumber = 0;

  constructor(options: MtuProbeOptions & { readonly mtuBytes: number }) {
    this.mtu = new MtuProbe(options);
    this.mtuBytes = options.mtuBytes;
  }

  /** One round trip: whatever may leave leaves, then all of it is acknowledged or lost. Returns the probes. */
  roundTrip(): number[] {
    const sent: [number, number][] = [];
    for (let size = this.mtu.nextProbe(this.now); size !== undefined; size = this.mtu.nextProbe(this.now)) {
      this.mtu.onProbeSent(size, ++this.#packageNumber, this.now);
      sent.push([this.#packageNumber, size]);
    }
    this.now += 100;
    for (const [packageNumber, size] of sent) {
      if (size <= this.mtuBytes && !this.isLossy()) this.mtu.onProbeAcked(packageNumber, this.now);
      else this.mtu.onProbeLost(packageNumber, this.now);
    }
    const sizes = sent.map(([, size]) => size);
    this.probes.push(...sizes);
    return sizes;
  }

  /** Round trips until a search ends; there is a bound. */
  search(): number {
    let trips = 0;
    while (this.roundTrip().length > 0) assert.ok(++trips < 60, "the search does not end");
    return trips;
  }

  /** Ten packages of the largest size in one round trip. Returns whether they showed a black hole. */
  send(bytes: number = this.mtu.packageBytesMax): boolean {
    this.now += 100;
    if (bytes <= this.mtuBytes) {
      for (let count = 0; count < 10; count++) this.mtu.onPackageAcked(bytes, this.now);
      return false;
    }
    let isHole = false;
    for (let count = 0; count < 10; count++) isHole = this.mtu.onPackageLost(bytes, this.now) || isHole;
    return isHole;
  }
}

test("mtu probe: it starts with 548 bytes and leaves them within one round trip", () => {
  const path = new ProbedPath({ maxBytes: 1452, mtuBytes: 65_535 });
  assert.equal(path.mtu.packageBytesMax, 548);
  assert.deepEqual(path.roundTrip(), [1200, 1452], "the next size and the largest, side by side");
  assert.equal(path.mtu.packageBytesMax, 1452);
  assert.equal(path.mtu.nextProbe(path.now + HOUR_MS), undefined, "nothing is above");
  assert.equal(path.mtu.raiseAt, NEVER);
  assert.equal(path.mtu.pollTimeout(), NEVER);
});

test("mtu probe: each path ends with the largest size of the ladder that it carries", () => {
  const cases: readonly (readonly [number, number])[] = [
    [548, 548],
    [1199, 548],
    [1200, 1200],
    [1231, 1200],
    [1280, 1232],
    [1400, 1372],
    [1451, 1372],
    [1452, 1452],
    [1472, 1472],
    [65_535, 1472],
  ];
  for (const [mtuBytes, expected] of cases) {
    const path = new ProbedPath({ maxBytes: 1472, mtuBytes });
    const trips = path.search();
    assert.equal(path.mtu.packageBytesMax, expected, `a path that carries ${mtuBytes}`);
    assert.ok(trips <= 9, `${trips} round trips for ${mtuBytes}`);
  }
});

test("mtu probe: jumbo frames and a loopback interface are probed one after another, only where allowed", () => {
  const path = new ProbedPath({ maxBytes: 65_507, mtuBytes: 65_507 });
  assert.deepEqual(path.roundTrip(), [1200, 1452]);
  for (const size of [2048, 4048, 8952, 16_384, 32_768, 65_507]) assert.deepEqual(path.roundTrip(), [size]);
  assert.equal(path.mtu.packageBytesMax, 65_507);
  const jumbo = new ProbedPath({ maxBytes: 65_507, mtuBytes: 9000 });
  jumbo.search();
  assert.equal(jumbo.mtu.packageBytesMax, 8952);
  const bounded = new ProbedPath({ maxBytes: 1200, mtuBytes: 65_507 });
  bounded.search();
  assert.deepEqual(bounded.probes, [1200]);
});

test("mtu probe: a base below or above the usual, a limit below the base, a gain that is none", () => {
  assert.equal(new MtuProbe({ maxBytes: 500 }).packageBytesMax, 500);
  assert.equal(new MtuProbe({ maxBytes: 500 }).nextProbe(0), undefined);
  assert.equal(new MtuProbe({ maxBytes: 548 }).nextProbe(0), undefined);
  assert.equal(new MtuProbe({ maxBytes: 560 }).nextProbe(0), undefined);
  assert.equal(new MtuProbe({ maxBytes: 700 }).nextProbe(0), 700);
  const six = new MtuProbe({ maxBytes: 1452, baseBytes: 1232 });
  assert.equal(six.packageBytesMax, 1232);
  assert.equal(six.baseBytes, 1232);
  assert.equal(six.nextProbe(0), 1372);
  for (const maxBytes of [0, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY]) {
    assert.throws(() => new MtuProbe({ maxBytes }), RangeError);
    assert.throws(() => new MtuProbe({ maxBytes: 1452, baseBytes: maxBytes }), RangeError);
  }
});

test("mtu probe: a probe that was offered and not sent is offered again, one in flight is not", () => {
  const mtu = new MtuProbe({ maxBytes: 1200 });
  assert.equal(mtu.nextProbe(0), 1200);
  assert.equal(mtu.nextProbe(0), 1200);
  mtu.onProbeSent(1200, 7, 0);
  assert.equal(mtu.nextProbe(0), undefined);
  mtu.onProbeAcked(8, 1);
  mtu.onProbeLost(8, 1);
  assert.equal(mtu.packageBytesMax, 548, "another number says nothing");
  mtu.onProbeAcked(7, 2);
  mtu.onProbeAcked(7, 2);
  assert.equal(mtu.packageBytesMax, 1200);
});

test("mtu probe: a probe that came out smaller than asked for confirms what was sent and ends the search", () => {
  const mtu = new MtuProbe({ maxBytes: 1200 });
  mtu.onProbeSent(1199, 1, 0);
  mtu.onProbeAcked(1, 1);
  assert.equal(mtu.packageBytesMax, 1199);
  assert.equal(mtu.nextProbe(1), undefined);
});

test("mtu probe: the larger of two probes decides when the smaller comes later", () => {
  const mtu = new MtuProbe({ maxBytes: 1452 });
  mtu.onProbeSent(1200, 1, 0);
  mtu.onProbeSent(1452, 2, 0);
  mtu.onProbeAcked(2, 1);
  mtu.onProbeAcked(1, 2);
  assert.equal(mtu.packageBytesMax, 1452);
});

test("mtu probe: the larger of two probes decides when the smaller is lost", () => {
  const mtu = new MtuProbe({ maxBytes: 1452 });
  mtu.onProbeSent(1200, 1, 0);
  mtu.onProbeSent(1452, 2, 0);
  mtu.onProbeLost(1, 1);
  mtu.onProbeAcked(2, 1);
  assert.equal(mtu.packageBytesMax, 1452);
  assert.equal(mtu.nextProbe(2), undefined);
});

test("mtu probe: a size is given up after three lost probes and tried again after 600 s, on use", () => {
  const path = new ProbedPath({ maxBytes: 1452, mtuBytes: 1400 });
  path.search();
  assert.equal(path.probes.filter((size) => size === 1452).length, 3);
  assert.equal(path.mtu.packageBytesMax, 1372);
  const { raiseAt } = path.mtu;
  assert.ok(raiseAt > path.now + 599_000 && raiseAt <= path.now + 600_000);
  assert.equal(path.mtu.nextProbe(raiseAt - 1), undefined);
  assert.equal(path.mtu.nextProbe(raiseAt), 1452);
  path.now = raiseAt;
  path.mtuBytes = 1500;
  path.search();
  assert.equal(path.mtu.packageBytesMax, 1452);
  assert.equal(path.mtu.raiseAt, NEVER);
});

test("mtu probe: a search that never left the base is tried again after 60 s, and for ever", () => {
  const path = new ProbedPath({ maxBytes: 1452, mtuBytes: 600 });
  path.search();
  for (let round = 0; round < 5; round++) {
    const { raiseAt } = path.mtu;
    assert.ok(raiseAt > path.now && raiseAt <= path.now + 60_000);
    path.now = raiseAt;
    assert.ok(path.search() > 0);
    assert.equal(path.mtu.packageBytesMax, 548);
  }
});

test("mtu probe: a probe that was given up and comes after all counts, and opens what is above", () => {
  const mtu = new MtuProbe({ maxBytes: 1452 });
  for (let number = 1; number <= 3; number++) {
    mtu.onProbeSent(1200, number, number);
    mtu.onProbeLost(number, number);
  }
  assert.equal(mtu.nextProbe(4), undefined);
  mtu.onProbeAcked(2, 5);
  assert.equal(mtu.packageBytesMax, 1200);
  assert.equal(mtu.nextProbe(5), 1232);
});

test("mtu probe: a path that shrinks is found out by three looks and searched anew at once", () => {
  const path = new ProbedPath({ maxBytes: 1452, mtuBytes: 1500 });
  path.search();
  path.mtuBytes = 1400;
  assert.equal(path.send(), false);
  assert.equal(path.send(), false);
  assert.equal(path.mtu.packageBytesMax, 1452);
  assert.equal(path.send(), true);
  assert.equal(path.mtu.packageBytesMax, 548);
  assert.equal(path.mtu.blackHoles, 1);
  path.roundTrip();
  assert.ok(path.mtu.packageBytesMax >= 1200, "one round trip later");
  path.search();
  assert.equal(path.mtu.packageBytesMax, 1372);
});

test("mtu probe: losses of one look are one sign, whatever their number", () => {
  const path = new ProbedPath({ maxBytes: 1452, mtuBytes: 1500 });
  path.search();
  for (let count = 0; count < 1000; count++) assert.equal(path.mtu.onPackageLost(1452, path.now), false);
  assert.equal(path.mtu.packageBytesMax, 1452);
});

test("mtu probe: a large package that arrives clears the suspicion, a smaller one does not", () => {
  const path = new ProbedPath({ maxBytes: 1452, mtuBytes: 1500 });
  path.search();
  const { mtu } = path;
  for (let round = 0; round < 50; round++) {
    assert.equal(mtu.onPackageLost(1452, 10 * round), false);
    assert.equal(mtu.onPackageLost(1452, 10 * round + 1), false);
    mtu.onPackageAcked(1452, 10 * round + 2);
  }
  assert.equal(mtu.packageBytesMax, 1452);
  assert.equal(mtu.onPackageLost(1452, 1000), false);
  assert.equal(mtu.onPackageLost(1452, 1001), false);
  mtu.onPackageAcked(1300, 1002);
  mtu.onPackageAcked(100, 1002);
  assert.equal(mtu.onPackageLost(1452, 1003), true);
});

test("mtu probe: small packages lost in the same look speak against a black hole, before and after", () => {
  for (const order of [
    [400, 1452],
    [1452, 400],
    [400, 1452, 400],
  ]) {
    const path = new ProbedPath({ maxBytes: 1452, mtuBytes: 1500 });
    path.search();
    for (let look = 0; look < 2; look++) {
      for (const bytes of order) assert.equal(path.mtu.onPackageLost(bytes, look), false);
    }
    for (let look = 2; look < 4; look++) assert.equal(path.mtu.onPackageLost(1452, look), false);
    assert.equal(path.mtu.onPackageLost(1452, 4), true);
  }
});

test("mtu probe: a look told by its smallest package is the same look", () => {
  const path = new ProbedPath({ maxBytes: 1452, mtuBytes: 1500 });
  path.search();
  assert.deepEqual(
    [1452, 300, 1452, 1300].map((bytes, look) => path.mtu.onLossEvent(bytes, look)),
    [false, false, false, true],
  );
  assert.equal(path.mtu.packageBytesMax, 548);
});

test("mtu probe: losses of small packages alone, and of what was sent before a fall, change nothing", () => {
  const path = new ProbedPath({ maxBytes: 1452, mtuBytes: 1500 });
  path.search();
  for (let look = 0; look < 100; look++) assert.equal(path.mtu.onPackageLost(548, look), false);
  assert.equal(path.mtu.packageBytesMax, 1452);
  path.mtu.onBlackHole(200);
  for (let look = 201; look < 300; look++) assert.equal(path.mtu.onPackageLost(1452, look), false);
  assert.equal(path.mtu.blackHoles, 1);
  path.mtu.onBlackHole(301);
  assert.equal(path.mtu.blackHoles, 1, "the base cannot fall");
});

test("mtu probe: persistent congestion is a black hole when only large packages are gone", () => {
  const path = new ProbedPath({ maxBytes: 1452, mtuBytes: 1500 });
  path.search();
  const { mtu } = path;
  assert.equal(mtu.onPersistentCongestion(10), false);
  mtu.onPackageLost(1452, 11);
  mtu.onPackageLost(100, 11);
  assert.equal(mtu.onPersistentCongestion(11), false);
  mtu.onPackageLost(1452, 12);
  assert.equal(mtu.onPersistentCongestion(13), false, "of another look");
  assert.equal(mtu.onPersistentCongestion(12), true);
  assert.equal(mtu.packageBytesMax, 548);
});

test("mtu probe: a path that takes probes and swallows traffic is left alone for 60 s after three falls", () => {
  const path = new ProbedPath({ maxBytes: 1452, mtuBytes: 1500 });
  for (let fall = 0; fall < 3; fall++) {
    path.search();
    assert.equal(path.mtu.packageBytesMax, 1452);
    path.mtuBytes = 600;
    while (!path.send());
    path.mtuBytes = 1500;
  }
  assert.equal(path.roundTrip().length, 0);
  assert.equal(path.mtu.packageBytesMax, 548);
  path.now = path.mtu.raiseAt;
  path.search();
  assert.equal(path.mtu.packageBytesMax, 1452);
  assert.equal(path.mtu.blackHoles, 3);
});

test("mtu probe: probes from before a fall or a move prove nothing after it", () => {
  for (const move of ["onBlackHole", "reset"] as const) {
    const mtu = new MtuProbe({ maxBytes: 2048 });
    mtu.onProbeSent(1452, 1, 0);
    mtu.onProbeAcked(1, 1);
    mtu.onProbeSent(2048, 2, 1);
    mtu[move](2);
    mtu.onProbeAcked(2, 3);
    assert.equal(mtu.packageBytesMax, 548, move);
    assert.equal(mtu.nextProbe(4), 1200, move);
  }
});

test("mtu probe: a reset ends a pause and a suspicion", () => {
  const path = new ProbedPath({ maxBytes: 1452, mtuBytes: 600 });
  path.search();
  assert.ok(path.mtu.raiseAt < NEVER);
  path.mtu.reset(path.now);
  assert.equal(path.mtu.raiseAt, NEVER);
  assert.equal(path.mtu.nextProbe(path.now), 1200);
  path.mtuBytes = 1500;
  path.search();
  path.mtu.onPackageLost(1452, 1);
  path.mtu.onPackageLost(1452, 2);
  path.mtu.reset(3);
  path.search();
  assert.equal(path.mtu.onPackageLost(1452, 4), false);
});

test("mtu probe: without loss, the size found is the best of the ladder, whatever path, limit and base", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 300, max: 70_000 }),
      fc.integer({ min: 300, max: 70_000 }),
      fc.integer({ min: 300, max: 1400 }),
      (maxBytes, mtu, baseBytes) => {
        const mtuBytes = Math.max(mtu, baseBytes);
        const path = new ProbedPath({ maxBytes, baseBytes, mtuBytes });
        path.search();
        const found = path.mtu.packageBytesMax;
        assert.ok(found <= maxBytes && found <= mtuBytes && found >= Math.min(baseBytes, maxBytes));
        assert.ok(path.probes.every((size) => size <= maxBytes && size > baseBytes));
        // Nothing on the ladder that would have worked is more than the least gain above it.
        for (const rung of [1200, 1232, 1372, 1452, 2048, 4048, 8952, 16_384, 32_768, 65_507, maxBytes]) {
          if (rung <= maxBytes && rung <= mtuBytes) assert.ok(rung < found + 20, `${rung} would have worked`);
        }
      },
    ),
    { seed: 548, numRuns: 300 },
  );
});

test("mtu probe: whatever is lost, no size is believed that the path never carried, and it comes back up", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 2 ** 31 - 1 }),
      fc.array(fc.tuple(fc.constantFrom(548, 900, 1250, 1400, 1500), fc.nat({ max: 60 })), {
        minLength: 1,
        maxLength: 8,
      }),
      (seed, moves) => {
        const next = seededNumbers(seed);
        const path = new ProbedPath({ maxBytes: 1452, mtuBytes: 1500 });
        let largest = 548;
        for (const [mtuBytes, lossPercent] of moves) {
          path.mtuBytes = mtuBytes;
          largest = Math.max(largest, mtuBytes);
          path.isLossy = () => next() % 100 < lossPercent;
          for (let round = 0; round < 20; round++) {
            assert.ok(path.roundTrip().length <= 2);
            assert.ok(path.mtu.packageBytesMax <= largest);
            path.send();
          }
          if (path.mtu.packageBytesMax > mtuBytes) assert.fail("a black hole was not found out");
        }
        path.isLossy = () => false;
        path.mtuBytes = 1500;
        for (let round = 0; round < 3; round++) {
          path.search();
          if (path.mtu.raiseAt < NEVER) path.now = path.mtu.raiseAt;
        }
        assert.equal(path.mtu.packageBytesMax, 1452);
      },
    ),
    { seed: 8899, numRuns: 200 },
  );
});
