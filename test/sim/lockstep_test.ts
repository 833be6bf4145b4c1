/**
 * The inputs of a lock-step game at 5 % loss: each way of sending them keeps more of them in time, nothing comes twice,
 * and what is too old is not sent. The table of docs/lockstep.md, in small.
 *
 * @module
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import { dangerousSimEnvironments } from "../../sim/environment.ts";
import type { LockstepOutcome, LockstepWay } from "./lockstep.ts";
import { playLockstep } from "./lockstep.ts";

const environmentOf = await dangerousSimEnvironments();

function play(way: LockstepWay, loss = 0.05): LockstepOutcome {
  return playLockstep(environmentOf, { way, loss, seed: 3, frames: 400 });
}

test("lockstep: without options as many inputs are lost as packages are, and none is late", () => {
  const { sent, lost, late } = play({});
  assert.equal(late, lost);
  assert.ok(lost > 0.02 * sent && lost < 0.09 * sent, `${lost} of ${sent}`);
});

test("lockstep: copies, parities and both bring most of them back in time, and the figures say which did", () => {
  const plain = play({});
  for (const way of [{ redundancy: 2 }, { redundancy: "adaptive" }, { fec: 2 }, { fec: 3, redundancy: 3 }]) {
    const outcome = play(way as LockstepWay);
    const text = `${JSON.stringify(way)}: ${JSON.stringify(outcome)}`;
    assert.ok(outcome.late * 3 < plain.late, text);
    assert.ok(outcome.bytesPerInput < 2.5 * plain.bytesPerInput, text);
    assert.equal(outcome.recoveredByFec > 0, "fec" in way, text);
    assert.equal(outcome.recoveredByRedundancy > 0, "redundancy" in way, text);
  }
});

test("lockstep: adaptive redundancy costs nothing where nothing is lost", () => {
  const [plain, adaptive] = [play({}, 0), play({ redundancy: "adaptive" }, 0)];
  assert.deepEqual([plain.late, adaptive.late], [0, 0]);
  // Its numbers take a byte or two.
  assert.ok(adaptive.bytesPerInput < plain.bytesPerInput + 3, `${adaptive.bytesPerInput} to ${plain.bytesPerInput}`);
});

test("lockstep: what waited through a second without a line is stale, unless it may expire", () => {
  const game = { loss: 0, seed: 3, frames: 240, outageMs: 1_000, inputBytes: 300 };
  const kept = playLockstep(environmentOf, { ...game, way: { redundancy: 2 } });
  const expired = playLockstep(environmentOf, { ...game, way: { redundancy: 2, maxAgeMs: 100 } });
  assert.ok(kept.stale > 100, `${kept.stale}`);
  // What was on its way when the line died, and what is sent again as a copy just before its time.
  assert.ok(expired.stale < 20, `${expired.stale}`);
  assert.ok(expired.late <= kept.late, `${expired.late} to ${kept.late}`);
});
