/**
 * The size of packages over a relay: large where the way is quick, small where it is slow or not known.
 *
 * @module
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import { makePath } from "../../../core/connection/path_factory.ts";
import { RelayedRecovery } from "../../../core/connection/recovery.ts";
import { RttEstimator } from "../../../core/connection/rtt.ts";
import { DEFAULT_SESSION_CONFIG } from "../../../core/connection/session_defaults.ts";

test("relayed path: 2 KiB before the first answer, 16 KiB up to half a second, less the slower it is, 1 KiB at least", () => {
  for (const [rttMs, bytes] of [
    [undefined, 2048],
    [0, 16_384],
    [500, 16_384],
    [501, 16_351],
    [1000, 8192],
    [4000, 2048],
    [8000, 1024],
    [1e9, 1024],
  ] as const) {
    const rtt = new RttEstimator();
    if (rttMs !== undefined) rtt.onSample(rttMs, 0);
    const recovery = new RelayedRecovery(rtt);
    assert.equal(recovery.packageBytesMax, bytes, `${rttMs} ms`);
    assert.equal(recovery.canSend(), true);
  }
});

test("relayed path: each one has a size of its own, which follows its round trip", () => {
  const pathOf = (kind: "relay" | "bytes") =>
    makePath(
      { id: 0, facts: { kind, remote: "test" }, state: "active", config: DEFAULT_SESSION_CONFIG, trace: undefined },
      0,
    );
  const [slow, fresh] = [pathOf("relay"), pathOf("relay")];
  slow.rtt.onSample(2000, 0);
  assert.equal(slow.recovery.packageBytesMax, 4096);
  assert.equal(fresh.recovery.packageBytesMax, 2048);
  assert.ok(pathOf("bytes").recovery.packageBytesMax > 16_384);
});
