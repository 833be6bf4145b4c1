/**
 * The scenarios of the interop link, each within its bound.
 *
 * @module
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import { dangerousSimEnvironments } from "../../sim/environment.ts";
import { SCENARIOS } from "./scenarios.ts";

const environmentOf = await dangerousSimEnvironments();

for (const scenario of SCENARIOS) {
  test(`scenario: ${scenario.name}: ${scenario.bound}`, () => {
    const figure = scenario.run(environmentOf);
    assert.ok(figure !== undefined, "It came to nothing");
    assert.ok(scenario.isWithin(figure), `${figure.toFixed(2)} ${scenario.unit}`);
  });
}
