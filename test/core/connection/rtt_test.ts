/**
 * The round-trip time by the figures of RFC 9002 §5, at its edges, and against a plain reading of it.
 *
 * @module
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { RttEstimator } from "../../../core/connection/rtt.ts";

/** What an estimator says, in one piece. */
function stateOf(rtt: RttEstimator): readonly (number | undefined)[] {
  return [rtt.smoothedMs, rtt.varianceMs, rtt.leastMs, rtt.latestMs];
}

test("rtt: nothing is known before the first sample, which then is everything", () => {
  const rtt = new RttEstimator();
  assert.deepEqual(stateOf(rtt), [undefined, undefined, undefined, undefined]);
  rtt.onSample(80, 25);
  // RFC 9002 §5.3: the first sample is taken as it is, whatever delay the peer claims.
  assert.deepEqual(stateOf(rtt), [80, 40, 80, 80]);
});

test("rtt: a sample moves the mean by an eighth and the variance by a quarter. RFC 9002 §5.3", () => {
  const rtt = new RttEstimator();
  rtt.onSample(80, 0);
  rtt.onSample(160, 0);
  // 7/8 of 80 and 1/8 of 160; 3/4 of 40 and 1/4 of 80, the distance from the mean before.
  assert.deepEqual(stateOf(rtt), [90, 50, 80, 160]);
});

test("rtt: a claimed delay is taken off, but never below the least that was seen", () => {
  const taken = new RttEstimator();
  taken.onSample(80, 0);
  taken.onSample(120, 40);
  assert.deepEqual(stateOf(taken), [80, 30, 80, 120], "120 less 40 is just the least");
  const refused = new RttEstimator();
  refused.onSample(80, 0);
  refused.onSample(120, 40.5);
  assert.deepEqual(stateOf(refused), [85, 40, 80, 120], "the whole claim is void, not a part of it");
  const least = new RttEstimator();
  least.onSample(80, 0);
  least.onSample(40, 10);
  assert.deepEqual(stateOf(least), [75, 40, 40, 40], "a new least is compared with itself");
});

test("rtt: a guess counts until there is a sample, and neither a second guess nor one after a sample does", () => {
  const rtt = new RttEstimator();
  rtt.seed(200);
  assert.deepEqual(stateOf(rtt), [200, 100, undefined, undefined], "no time was measured");
  rtt.seed(10);
  assert.equal(rtt.smoothedMs, 200);
  rtt.onSample(50, 20);
  assert.deepEqual(stateOf(rtt), [50, 25, 50, 50], "nothing of the guess is left");
  rtt.seed(1000);
  rtt.onSample(58, 0);
  assert.deepEqual(stateOf(rtt), [51, 20.75, 50, 58]);
});

test("rtt: on another way the old figures hold until the first sample, and the least starts anew. RFC 9000 §9.4", () => {
  const rtt = new RttEstimator();
  rtt.onSample(20, 0);
  rtt.restart();
  assert.deepEqual([rtt.smoothedMs, rtt.varianceMs], [20, 10], "a timer needs some figure");
  rtt.onSample(300, 100);
  assert.deepEqual(stateOf(rtt), [300, 150, 300, 300]);
  rtt.onSample(300, 100);
  assert.equal(rtt.smoothedMs, 300, "the least of the old way would have let the claim through");
  const fresh = new RttEstimator();
  fresh.restart();
  assert.equal(fresh.smoothedMs, undefined);
  fresh.seed(30);
  assert.equal(fresh.smoothedMs, 30);
});

test("rtt: a round trip of nothing is one", () => {
  const rtt = new RttEstimator();
  rtt.onSample(0, 25);
  rtt.onSample(0, 25);
  assert.deepEqual(stateOf(rtt), [0, 0, 0, 0]);
});

type Step =
  | { readonly type: "sample"; readonly sampleMs: number; readonly delayMs: number }
  | { readonly type: "seed"; readonly guessMs: number }
  | { readonly type: "restart" };

const MS = fc.constantFrom(0, 0.01, 1, 7, 20, 25, 100, 333, 4000, 100_000);
const STEP: fc.Arbitrary<Step> = fc.oneof(
  { weight: 12, arbitrary: fc.record({ type: fc.constant("sample" as const), sampleMs: MS, delayMs: MS }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant("seed" as const), guessMs: MS }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant("restart" as const) }) },
);

test("rtt: whatever comes, the mean is between the samples since the way changed, the rest finite and not negative", () => {
  fc.assert(
    fc.property(fc.array(STEP, { maxLength: 60 }), (steps) => {
      const rtt = new RttEstimator();
      let samples: number[] = [];
      let isFresh = true;
      for (const step of steps) {
        if (step.type === "seed") rtt.seed(step.guessMs);
        else if (step.type === "restart") {
          rtt.restart();
          isFresh = true;
        } else {
          if (isFresh) samples = [];
          isFresh = false;
          samples.push(step.sampleMs);
          rtt.onSample(step.sampleMs, step.delayMs);
          assert.equal(rtt.latestMs, step.sampleMs);
          assert.equal(rtt.leastMs, Math.min(...samples));
        }
        for (const value of stateOf(rtt)) assert.ok(value === undefined || (Number.isFinite(value) && value >= 0));
        if (isFresh) continue;
        const mean = rtt.smoothedMs as number;
        const slack = 1e-9 * Math.max(...samples);
        // A claimed delay takes a sample down to the least at most, so the mean never leaves their range.
        assert.ok(mean >= Math.min(...samples) - slack && mean <= Math.max(...samples) + slack, `${mean}`);
        assert.ok((rtt.varianceMs as number) <= Math.max(...samples) + slack, `${rtt.varianceMs}`);
      }
    }),
    { seed: 0x9002, numRuns: 300 },
  );
});
