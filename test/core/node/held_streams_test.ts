/** Deadlines of headers, which stand still while the session has no path. @module */

import assert from "node:assert/strict";
import { test } from "node:test";
import { NEVER } from "../../../core/machine.ts";
import { HeldStreams } from "../../../core/node/held_streams.ts";

test("held streams: a header has as long as it has, not counting the time without a path", () => {
  const held = new HeldStreams();
  held.awaitHeader(0, 1_000);
  held.awaitHeader(4, 1_500);
  assert.equal(held.deadline, 1_000);
  held.pause(400);
  held.pause(450); // Told twice, it counts from the first time.
  assert.equal(held.deadline, NEVER);
  assert.deepEqual(held.late(60_000), []);
  held.resume(60_400);
  held.resume(60_500);
  assert.equal(held.deadline, 61_000);
  assert.deepEqual(held.late(60_999), []);
  assert.deepEqual(held.late(61_000), [0]);
  assert.deepEqual(held.late(61_500), [0, 4]);
  held.forget(0);
  assert.equal(held.deadline, 61_500);
});
