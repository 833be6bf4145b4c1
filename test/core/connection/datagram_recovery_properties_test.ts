/**
 * Whatever a peer acknowledges, and whenever: the numbers of a path stay bounded and finite, and it never stands still.
 *
 * @module
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { ProtocolError } from "../../../core/error.ts";
import { NEVER } from "../../../core/machine.ts";
import { DatagramPath } from "./datagram_path.ts";

test("forged acknowledgements: what was never sent is a violation, and changes nothing", () => {
  const path = new DatagramPath();
  path.sendMany(3);
  const { bytesInFlight } = path.path;
  for (const range of [[0, 4], [3, 4], [2 ** 40, 2 ** 40 + 1] as const] as const) {
    assert.throws(
      () => path.ack([range as readonly [number, number]]),
      (error) => error instanceof ProtocolError && error.code === "protocol_violation",
    );
  }
  assert.equal(path.path.bytesInFlight, bytesInFlight);
  assert.deepEqual(path.acked, []);
});

test("forged acknowledgements: of packages that asked for none, and again and again, nothing is credited", () => {
  const path = new DatagramPath();
  path.sendSilent();
  path.sendMany(4);
  const before = path.windowBytes;
  assert.equal(path.ack([0]), false);
  assert.equal(path.path.rtt.smoothedMs, undefined);
  path.wait(100).ack([[0, 5]]);
  const after = path.windowBytes;
  for (let count = 0; count < 100; count++) assert.equal(path.ack([[0, 5]]), false);
  assert.equal(path.windowBytes, after);
  assert.ok(after <= before + 4 * 548);
  assert.deepEqual([...path.acked].sort(), [1, 2, 3, 4]);
});

test("forged acknowledgements: a delay that the peer claims does not bring the round trip below the least seen", () => {
  const path = new DatagramPath();
  path.measure(100);
  for (let count = 0; count < 200; count++) {
    const number = path.send();
    path.wait(100).ack([number], 1e9);
  }
  assert.equal(path.path.rtt.smoothedMs, 100);
  const late = path.send();
  path.wait(160).ack([late], 50);
  assert.equal(path.path.rtt.smoothedMs, 0.875 * 100 + 0.125 * 110, "one that is possible is believed");
});

type Step =
  | { readonly type: "send"; readonly count: number }
  | { readonly type: "probeSize" }
  | { readonly type: "silent" }
  | { readonly type: "ack"; readonly from: number; readonly lengths: readonly number[]; readonly delayMs: number }
  | { readonly type: "wait"; readonly ms: number }
  | { readonly type: "timer" }
  | { readonly type: "move" };

const STEP: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ type: fc.constant("send" as const), count: fc.integer({ min: 1, max: 40 }) }) },
  { weight: 1, arbitrary: fc.constant({ type: "probeSize" } as const) },
  { weight: 1, arbitrary: fc.constant({ type: "silent" } as const) },
  {
    weight: 4,
    arbitrary: fc.record({
      type: fc.constant("ack" as const),
      from: fc.integer({ min: 0, max: 60 }),
      lengths: fc.array(fc.integer({ min: 1, max: 12 }), { minLength: 1, maxLength: 9 }),
      delayMs: fc.constantFrom(0, 10, 1e6),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ type: fc.constant("wait" as const), ms: fc.double({ min: 0, max: 400, noNaN: true }) }),
  },
  { weight: 2, arbitrary: fc.constant({ type: "timer" } as const) },
  { weight: 1, arbitrary: fc.constant({ type: "move" } as const) },
);

/** Ranges from the newest package down: `lengths` are those of ranges and of the gaps between them, in turn. */
function rangesBelow(next: number, from: number, lengths: readonly number[]): [number, number][] {
  const ranges: [number, number][] = [];
  let end = next - from;
  lengths.forEach((length, index) => {
    const start = Math.max(0, end - length);
    if (index % 2 === 0 && end > start) ranges.push([start, end]);
    end = start;
  });
  return ranges;
}

/** What the path must look like after every step. */
function check(path: DatagramPath, sentBytes: ReadonlyMap<number, number>): void {
  const { controller, mtu } = path.recovery;
  const stats = path.recovery.stats();
  assert.ok(Number.isFinite(controller.windowBytes) && controller.windowBytes >= 2 * mtu.packageBytesMax, "window");
  assert.ok(Number.isFinite(controller.pacingBytesPerMs) && controller.pacingBytesPerMs >= 0, "rate");
  assert.ok(controller.slowStartThreshold >= 2 * 548, "threshold");
  assert.ok(path.path.bytesInFlight >= 0, "bytes in flight");
  assert.equal(path.path.hasInFlight, path.path.bytesInFlight > 0);
  assert.ok(stats.spuriousLosses <= stats.packagesLost && stats.packagesLost <= sentBytes.size, "losses");
  assert.equal(new Set(path.acked).size, path.acked.length, "acknowledged once each");
  assert.equal(new Set(path.requeued).size, path.requeued.length, "handed back once each");
  assert.ok(!Number.isNaN(path.path.pollTimeout()), "a timer that is no time");
  if (path.path.hasInFlight) assert.notEqual(path.path.pollTimeout(), NEVER, "in flight, and nothing to wake up for");
  const settled = path.acked.reduce((sum, number) => sum + (sentBytes.get(number) as number), 0);
  const all = [...sentBytes.values()].reduce((sum, bytes) => sum + bytes, 0);
  assert.ok(path.path.bytesInFlight <= all - settled, "more in flight than is open");
}

for (const congestion of ["cubic", "new_reno"] as const) {
  test(`recovery, ${congestion}: any order of packages, acknowledgements and time leaves a path that works`, () => {
    fc.assert(
      fc.property(fc.array(STEP, { maxLength: 60 }), (steps) => {
        const path = new DatagramPath({ config: { congestion, datagramPathBytesMax: 9000 } });
        const sentBytes = new Map<number, number>();
        for (const step of steps) {
          if (step.type === "send") {
            for (let count = 0; count < step.count; count++) {
              if (!path.recovery.canSend(path.path.bytesInFlight, path.now)) break;
              const bytes = path.recovery.packageBytesMax;
              sentBytes.set(path.send(bytes), bytes);
            }
          } else if (step.type === "probeSize") {
            const bytes = path.recovery.mtu.nextProbe(path.now);
            if (bytes !== undefined) sentBytes.set(path.send(bytes, { isMtuProbe: true }), bytes);
          } else if (step.type === "silent") path.sendSilent();
          else if (step.type === "ack") {
            const ranges = rangesBelow(path.path.nextPackageNumber, step.from, step.lengths);
            if (ranges.length > 0) path.ack(ranges, step.delayMs);
          } else if (step.type === "wait") path.wait(step.ms);
          else if (step.type === "move") path.recovery.reset(path.now);
          else if (path.path.pollTimeout() !== NEVER) {
            path.now = Math.max(path.now, path.path.pollTimeout());
            path.fire();
          }
          check(path, sentBytes);
        }
        // However it came here: the peer acknowledges all, and something can leave again within a second.
        const next = path.path.nextPackageNumber;
        if (next > 0) path.ack([[0, next]]);
        assert.equal(path.path.bytesInFlight, 0);
        if (!path.recovery.canSend(0, path.now)) {
          const at = path.path.pollTimeout();
          assert.ok(at - path.now < 1000, `nothing may leave before ${at - path.now} ms`);
          path.now = at;
          path.fire();
          assert.equal(path.recovery.canSend(0, path.now), true);
        }
      }),
      { seed: 0x9002, numRuns: 300 },
    );
  });

  test(`recovery, ${congestion}: without any answer timers go on, ever more rarely, and packages may leave`, () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 60 }), fc.boolean(), (count, isMeasured) => {
        const path = new DatagramPath({ config: { congestion } });
        if (isMeasured) path.measure(30);
        path.sendMany(count);
        for (let round = 0; round < 30; round++) {
          const waited = path.toTimer();
          assert.ok(waited > 0 && waited <= 5000, `a timer after ${waited} ms`);
          assert.equal(path.recovery.canSend(path.path.bytesInFlight, path.now), true);
        }
        assert.equal(path.recovery.timeouts, 30);
        assert.equal(path.recovery.packagesLost, 0);
      }),
      { seed: 0x9003, numRuns: 30 },
    );
  });
}
