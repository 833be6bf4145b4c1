/**
 * The budget of an address that proved nothing.
 *
 * @module
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { AMPLIFICATION_FACTOR, AmplificationBudget } from "../../../core/node/amplification_budget.ts";

test("amplification: nothing leaves before something came", () => {
  const budget = new AmplificationBudget();
  assert.equal(budget.roomBytes, 0);
  assert.equal(budget.canSend(1), false);
  assert.equal(budget.take(1), false);
  assert.equal(budget.sentBytes, 0, "what was refused does not count");
});

test("amplification: exactly three times what came may leave, in one or in many", () => {
  const budget = new AmplificationBudget();
  budget.onReceived(548);
  assert.equal(budget.canSend(1645), false);
  assert.equal(budget.take(1644), true);
  assert.equal(budget.take(1), false);
  assert.equal(budget.take(0), true);
  budget.onReceived(1);
  assert.deepEqual([budget.take(1), budget.take(1), budget.take(1), budget.take(1)], [true, true, true, false]);
  assert.equal(budget.receivedBytes, 549);
  assert.equal(budget.sentBytes, 1647);
});

test("amplification: asking takes nothing", () => {
  const budget = new AmplificationBudget();
  budget.onReceived(10);
  for (let count = 0; count < 5; count++) assert.equal(budget.canSend(30), true);
  assert.equal(budget.roomBytes, 30);
});

test("amplification: a validated address has no limit, and one that we chose is validated", () => {
  const budget = new AmplificationBudget();
  budget.validate();
  assert.equal(budget.isValidated, true);
  assert.equal(budget.take(1e9), true);
  assert.equal(budget.sentBytes, 1e9, "it is counted all the same");
  assert.equal(new AmplificationBudget({ isValidated: true }).roomBytes, Number.POSITIVE_INFINITY);
});

test("amplification: a new address starts from nothing, even after a validated one", () => {
  const budget = new AmplificationBudget();
  budget.onReceived(1000);
  budget.take(100);
  budget.validate();
  budget.reset();
  assert.equal(budget.isValidated, false);
  assert.equal(budget.take(1), false);
  assert.deepEqual([budget.receivedBytes, budget.sentBytes], [0, 0]);
});

test("amplification: sizes that are none are refused", () => {
  const budget = new AmplificationBudget({ isValidated: true });
  assert.equal(budget.take(Number.NaN), false);
  assert.equal(budget.take(-1), false);
  assert.equal(budget.sentBytes, 0);
});

test("amplification: whatever comes and whatever is tried, three times is never passed", () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.boolean(), fc.nat({ max: 65_507 })), { maxLength: 60 }),
      (steps: readonly (readonly [boolean, number])[]) => {
        const budget = new AmplificationBudget();
        let received = 0;
        let sent = 0;
        for (const [isReceived, bytes] of steps) {
          if (isReceived) {
            budget.onReceived(bytes);
            received += bytes;
          } else {
            const isAllowed = sent + bytes <= 3 * received;
            assert.equal(budget.take(bytes), isAllowed, "refused or allowed against a naive count");
            if (isAllowed) sent += bytes;
          }
          assert.ok(budget.sentBytes <= AMPLIFICATION_FACTOR * budget.receivedBytes);
          assert.equal(budget.roomBytes, 3 * received - sent);
        }
      },
    ),
    { seed: 9000, numRuns: 200 },
  );
});
