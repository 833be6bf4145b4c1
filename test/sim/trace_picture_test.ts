/**
 * The picture of a trace: what is in it is in the trace, and its size is bounded.
 *
 * @module
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import { QlogEncoder, type QlogVersion, type TraceEvent } from "../../adapters/trace/mod.ts";
import { drawTrace, readTrace } from "../../tools/trace_picture.ts";

/** A trace of two paths: 0 with `packages`, 2 with one. */
function trace(packages: number, version: QlogVersion): string {
  const encoder = new QlogEncoder({ role: "initiator", version, title: "<a> & b" });
  const events: TraceEvent[] = [];
  const sent = { bytes: 1_000, phase: 0, frames: [] };
  for (let number = 0; number < packages; number++) {
    const at = 100 + number * 10;
    const path = { at, path: 0 };
    events.push({ ...path, type: "packageSent", package: { ...sent, number }, isMtuProbe: false, isProbe: false });
    const metrics = { windowBytes: 10_000 + (number % 50) * 100, bytesInFlight: number % 9_000, latestRttMs: 20 };
    events.push({ ...path, type: "metricsUpdated", metrics });
    if (number % 10 === 3) {
      events.push({ ...path, type: "packageLost", number, bytes: 1_000, isMtuProbe: number === 3, cause: "time" });
    }
  }
  events.push({ at: 200, path: 0, type: "congestionState", from: "slowStart", to: "recovery" });
  events.push({ at: 230, path: 0, type: "congestionState", from: "recovery", to: "congestionAvoidance" });
  events.push({ at: 240, path: 0, type: "timer", timer: "probe", change: "expired", inMs: undefined });
  const other = { package: { ...sent, number: 0 }, isMtuProbe: false, isProbe: false };
  events.push({ at: 300, path: 2, type: "packageSent", ...other });
  return encoder.header() + events.map((event) => encoder.encode(event)).join("");
}

for (const version of ["0.3", "quic-13"] as const) {
  test(`trace picture: the busiest path of a trace in ${version} is read, or the one that is named`, () => {
    const text = trace(20, version);
    const series = readTrace(text);
    assert.deepEqual([series.path, series.paths, series.packagesSent], ["path 0", ["path 0", "path 2"], 20]);
    assert.deepEqual([series.endMs, series.windowBytes.length, series.windowBytes[0]?.value], [190, 20, 10_000]);
    // The one that tried a size says nothing of congestion.
    assert.deepEqual(series.lossesMs, [130]);
    assert.deepEqual(series.probeTimeoutsMs, [140]);
    assert.deepEqual(series.recoveries, [[100, 130]]);
    assert.equal(readTrace(text, "path 2").packagesSent, 1);
  });
}

test("trace picture: it is well formed, escapes what it shows, and is as large for a long trace as for a short one", () => {
  const sizes = [0, 1, 200, 5_000].map((packages) => {
    const svg = drawTrace(readTrace(trace(packages, "0.3")));
    assert.ok(svg.startsWith("<svg ") && svg.endsWith("</svg>\n"));
    assert.ok(!svg.includes("NaN") && !svg.includes("Infinity") && !svg.includes("undefined"));
    assert.ok(svg.includes("<title>&#60;a&#62; &#38; b</title>"));
    // Every element is empty or is closed.
    const open: string[] = [];
    for (const [, close, name, empty] of svg.matchAll(/<(\/?)([a-z]+)[^>]*?(\/?)>/g)) {
      if (close === "/") assert.equal(open.pop(), name);
      else if (empty !== "/") open.push(name as string);
    }
    assert.deepEqual(open, []);
    return svg.length;
  });
  assert.ok(Math.max(...sizes) < 70_000, sizes.join());
});

test("trace picture: something else than a trace is refused", () => {
  assert.throws(() => readTrace("\u001e{}\n"), TypeError);
  assert.throws(() => readTrace(""), TypeError);
});
