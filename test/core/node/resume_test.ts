/**
 * The way back of a session: its addresses in turn, the newest first, with pauses that grow and are never in step.
 *
 * @module
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import { NEVER } from "../../../core/machine.ts";
import { Resume } from "../../../core/node/resumer.ts";

test("resume: addresses have their turns, each once where it is known twice, sixteen at most", () => {
  const resume = new Resume(["a", "b", "a", "c"]);
  assert.deepEqual(resume.addresses, ["a", "b", "c"]);
  const tried: string[] = [];
  for (let count = 0; count < 3; count++) {
    assert.equal(resume.isRoundOver, false);
    tried.push(resume.takeAddress());
  }
  assert.equal(resume.isRoundOver, true);
  tried.push(resume.takeAddress());
  assert.deepEqual(tried, ["a", "b", "c", "a"]);
  resume.restart();
  assert.equal(resume.takeAddress(), "a");
  assert.equal(resume.isRoundOver, false);
  resume.addAddresses(["d", "b"]);
  assert.deepEqual(resume.addresses, ["d", "b", "a", "c"], "the newest first");
  const many = Array.from({ length: 40 }, (_, index) => `n${index}`);
  resume.addAddresses(many);
  assert.deepEqual(resume.addresses, many.slice(0, 16));
  assert.equal(new Resume(many).addresses.length, 16);
  assert.equal(new Resume([]).isPossible, false);
});

test("resume: pauses are 250 ms, twice as long each time up to 8 s, and vary by half", () => {
  const pausesOf = (jitter: number): number[] => {
    const resume = new Resume(["a"]);
    return Array.from({ length: 8 }, () => {
      resume.takeAddress();
      resume.pause(jitter, 1000);
      assert.equal(resume.pipe, undefined);
      return resume.at - 1000;
    });
  };
  const middle = [250, 500, 1000, 2000, 4000, 8000, 8000, 8000];
  assert.deepEqual(pausesOf(0.5), middle);
  // So that a thousand clients of a relay that restarts do not come back as one.
  assert.deepEqual(
    pausesOf(0),
    middle.map((ms) => ms / 2),
  );
  assert.deepEqual(
    pausesOf(0.75),
    middle.map((ms) => ms * 1.25),
  );
  const resume = new Resume(["a"]);
  resume.takeAddress();
  resume.pause(0, 5);
  resume.stop();
  assert.equal(resume.at, NEVER);
});
