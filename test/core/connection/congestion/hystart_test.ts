/**
 * HyStart++ by the rules of RFC 9406: when slow start becomes careful, when it was only jitter, when it ends.
 *
 * @module
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import { HyStart } from "../../../../core/connection/congestion/hystart.ts";

/** Rounds of `perRound` acknowledgements. The first of each ends the round before it, and still counts there. */
class Rounds {
  readonly hystart = new HyStart();
  #next = 0;

  /** One round; each round trip takes what `rttMs` says. Returns whether slow start ended in it. */
  round(rttMs: number | readonly number[], perRound = 10): boolean {
    const samples = typeof rttMs === "number" ? new Array<number>(perRound).fill(rttMs) : rttMs;
    const first = this.#next;
    this.#next += samples.length;
    let isOver = false;
    samples.forEach((sample, index) => {
      isOver = this.hystart.onAcked(sample, first + index, this.#next) || isOver;
    });
    return isOver;
  }

  get isCareful(): boolean {
    return this.hystart.growth(1000) < 1000;
  }
}

test("hystart: a round trip that stays as it is never ends slow start", () => {
  const rounds = new Rounds();
  for (let round = 0; round < 50; round++) assert.equal(rounds.round(100), false);
  assert.equal(rounds.hystart.growth(1000), 1000, "each acknowledged byte opens the window by one");
});

test("hystart: a round trip that grew by an eighth makes it careful, five rounds later it is over", () => {
  const rounds = new Rounds();
  rounds.round(100);
  rounds.round(100);
  assert.equal(rounds.isCareful, false);
  assert.equal(rounds.round(112.5), false);
  assert.equal(rounds.isCareful, true);
  assert.equal(rounds.hystart.growth(1000), 250, "a quarter of the growth");
  // RFC 9406 §4.3: the round in which it began counts.
  for (let round = 2; round <= 5; round++) assert.equal(rounds.round(112.5), false, `round ${round}`);
  assert.equal(rounds.round(112.5), true, "CSS_ROUNDS");
});

test("hystart: less than the threshold is no sign; the threshold is between 4 and 16 ms", () => {
  const cases: readonly (readonly [number, number, boolean])[] = [
    [100, 112.4, false],
    [100, 112.5, true],
    [10, 13.9, false], // An eighth were 1.25 ms: that is less than a timer's jitter.
    [10, 14, true],
    [400, 415.9, false], // An eighth were 50 ms: the queue of a long path would be full by then.
    [400, 416, true],
  ];
  for (const [before, after, isCareful] of cases) {
    const rounds = new Rounds();
    rounds.round(before);
    rounds.round(after);
    assert.equal(rounds.isCareful, isCareful, `${before} ms, then ${after} ms`);
  }
});

test("hystart: it is the least of a round that counts, and of fewer than eight samples nothing does", () => {
  const jittery = new Rounds();
  jittery.round(100);
  jittery.round([190, 180, 170, 100, 160, 150, 140, 200, 190, 180]);
  assert.equal(jittery.isCareful, false, "one sample shows that the path is not longer");
  const scarce = new Rounds();
  scarce.round(100);
  for (let round = 0; round < 20; round++) assert.equal(scarce.round(200, 7), false);
  assert.equal(scarce.isCareful, false, "seven samples");
  const enough = new Rounds();
  enough.round(100);
  enough.round(200, 8);
  enough.round(200, 1);
  assert.equal(enough.isCareful, true, "eight samples");
});

test("hystart: the first round has nothing to be compared with", () => {
  const rounds = new Rounds();
  rounds.round([10, 20, 40, 80, 160, 160, 160, 160, 160, 160]);
  assert.equal(rounds.isCareful, false);
});

test("hystart: a round trip that falls again was jitter: back to slow start, and the rounds count anew", () => {
  const rounds = new Rounds();
  rounds.round(100);
  for (let round = 0; round < 3; round++) assert.equal(rounds.round(120), false);
  assert.equal(rounds.isCareful, true);
  assert.equal(rounds.round(100), false);
  assert.equal(rounds.isCareful, false, "RFC 9406 §4.2: below the baseline, so slow start goes on");
  // A later rise starts from the beginning.
  for (let round = 1; round <= 5; round++) assert.equal(rounds.round(130), false, `round ${round}`);
  assert.equal(rounds.round(130), true);
});

test("hystart: a reset forgets the rounds", () => {
  const rounds = new Rounds();
  rounds.round(100);
  rounds.round(120);
  assert.equal(rounds.isCareful, true);
  rounds.hystart.reset();
  assert.equal(rounds.isCareful, false);
  rounds.round(500);
  assert.equal(rounds.isCareful, false, "what was measured before the reset is no measure any more");
});
