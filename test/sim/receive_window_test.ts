/**
 * Receive windows that grow, over a long fast line (100 Mbit/s, 150 ms there and back): a window that stays as it begins
 * is what limits a transfer, one that grows is not. docs/figures.md has the figures of 40 MB.
 *
 * @module
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import { DEFAULT_SESSION_CONFIG } from "../../core/connection/session_defaults.ts";
import type { SessionConfig } from "../../core/connection/session_types.ts";
import { dangerousSimEnvironments } from "../../sim/environment.ts";
import { connectPair, datagramPair, transfer } from "./datagram_pair.ts";

const LINK = { rateBitsPerSecond: 100_000_000, delayMs: 75, queuePackages: 800 };
const BYTES = 4_000_000;
const environmentOf = await dangerousSimEnvironments();

/** Mbit/s of one stream. */
function goodput(session: Partial<SessionConfig>): number {
  const pair = datagramPair(20, environmentOf, { link: LINK, session });
  assert.ok(connectPair(pair));
  const ms = transfer(pair, BYTES, 60_000);
  assert.ok(ms !== undefined, "It did not arrive");
  return (BYTES * 8) / ms / 1000;
}

test("receive window: a line of 100 Mbit/s and 150 ms is filled by windows that grow, not by those they begin with", () => {
  const { streamWindowStartBytes } = DEFAULT_SESSION_CONFIG;
  const fixed = goodput({ streamWindowBytes: streamWindowStartBytes });
  const grown = goodput({});
  // A window each round trip, less the time until credit is granted.
  const bound = (streamWindowStartBytes * 8) / 150 / 1000;
  assert.ok(fixed < bound, `fixed ${fixed.toFixed(1)} of ${bound.toFixed(1)} Mbit/s`);
  assert.ok(grown > 1.4 * fixed, `grown ${grown.toFixed(1)}, fixed ${fixed.toFixed(1)} Mbit/s`);
});
