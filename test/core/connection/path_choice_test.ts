/**
 * Which path carries the next package: each rule by an example, and all of them against every small set of paths.
 *
 * @module
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { choosePath, type PathCandidate, quietestPath } from "../../../core/connection/path_choice.ts";
import type { PathKind, PathPolicy } from "../../../core/connection/session_types.ts";

const POLICIES: readonly PathPolicy[] = ["best", "aggregate", "backup", "redundant"];

interface Facts {
  readonly kind?: PathKind;
  readonly rttMs?: number | undefined;
  readonly hasRoom?: boolean;
  readonly isWritable?: boolean;
  readonly isDoubted?: boolean;
  readonly state?: PathCandidate["state"];
  readonly windowBytes?: number;
}

type Named = PathCandidate & { readonly name: string };

/** A path of datagrams with room and a round trip of 100 ms, where nothing else is said. */
function pathOf(name: string, facts: Facts = {}): Named {
  return {
    name,
    state: facts.state ?? "active",
    isWritable: facts.isWritable ?? true,
    facts: { kind: facts.kind ?? "datagrams" },
    rtt: { smoothedMs: "rttMs" in facts ? facts.rttMs : 100 },
    hasRoom: facts.hasRoom ?? true,
    isDoubted: facts.isDoubted ?? false,
    windowBytes: facts.windowBytes ?? 12_000,
    bytesInFlight: 0,
  };
}

function nameOf(paths: readonly Named[], policy?: PathPolicy, unsentBytes?: number): string | undefined {
  return choosePath(paths, policy, unsentBytes)?.name;
}

test("path choice: without an active path there is none, whatever the policy", () => {
  for (const policy of POLICIES) {
    assert.equal(nameOf([], policy), undefined);
    assert.equal(nameOf([pathOf("a", { state: "opening" }), pathOf("b", { state: "closed" })], policy), undefined);
  }
});

test("path choice: one that is still opening, or closed, is not chosen before a worse one", () => {
  for (const state of ["opening", "closed"] as const) {
    assert.equal(nameOf([pathOf("a", { state, rttMs: 1 }), pathOf("b", { rttMs: 500 })]), "b");
  }
});

test("path choice: a direct path wins over a relay however slow it is", () => {
  for (const kind of ["bytes", "messages", "datagrams"] as const) {
    const paths = [pathOf("relay", { kind: "relay", rttMs: 1 }), pathOf("direct", { kind, rttMs: 4000 })];
    assert.equal(nameOf(paths), "direct");
    assert.equal(nameOf(paths.reverse()), "direct");
  }
});

test("path choice: of equal kinds the lowest round trip wins, the first of equals, and one not measured before all", () => {
  assert.equal(nameOf([pathOf("a", { rttMs: 50 }), pathOf("b", { rttMs: 49.9 })]), "b");
  assert.equal(nameOf([pathOf("a", { rttMs: 50 }), pathOf("b", { rttMs: 50, kind: "bytes" })]), "a");
  assert.equal(nameOf([pathOf("a", { rttMs: 1 }), pathOf("b", { rttMs: undefined })]), "b");
});

test("path choice: a relay wins over a doubted direct path, a doubted direct path over a doubted relay", () => {
  const doubted = pathOf("direct", { isDoubted: true, rttMs: 1 });
  assert.equal(nameOf([doubted, pathOf("relay", { kind: "relay", rttMs: 300 })]), "relay");
  assert.equal(nameOf([pathOf("relay", { kind: "relay", isDoubted: true }), doubted]), "direct");
  assert.equal(nameOf([doubted]), "direct", "and the only one is better than none");
});

test("path choice: where the best has no room the next of its kind takes over, by `backup` never", () => {
  for (const full of [{ hasRoom: false }, { isWritable: false }]) {
    const paths = [
      pathOf("fast", { rttMs: 10, ...full }),
      pathOf("slow", { rttMs: 90 }),
      pathOf("slower", { rttMs: 95 }),
    ];
    assert.equal(nameOf(paths, "best"), "slow");
    assert.equal(nameOf(paths, "redundant"), "slow");
    assert.equal(nameOf(paths, "backup"), "fast", "it waits");
  }
  const bothFull = [pathOf("fast", { rttMs: 10, hasRoom: false }), pathOf("slow", { isWritable: false })];
  for (const policy of POLICIES)
    assert.equal(nameOf(bothFull, policy), "fast", "nothing has room: it waits for the best");
});

test("path choice: neither a relay nor a doubted path is an overflow for what is better", () => {
  const full = pathOf("direct", { hasRoom: false });
  for (const policy of POLICIES) {
    assert.equal(nameOf([full, pathOf("relay", { kind: "relay" })], policy), "direct");
    assert.equal(nameOf([full, pathOf("doubted", { isDoubted: true })], policy), "direct");
  }
  const fullRelay = pathOf("relay", { kind: "relay", hasRoom: false });
  assert.equal(
    nameOf([fullRelay, pathOf("other", { kind: "relay", rttMs: 200 })]),
    "other",
    "relays of relays they are",
  );
  assert.equal(nameOf([fullRelay, pathOf("doubted", { isDoubted: true })]), "relay");
});

test("path choice: `aggregate` waits for the fast path where what is left arrives sooner by it. ECF §3", () => {
  // 10 ms with a window of 10,000 bytes, full; 50 ms with room. By the slow path it takes 50 ms, or 60 by the margin of
  // a quarter (62.5 less a quarter of 10); by the fast one 10 ms for the first round and 10 for each window left.
  const paths = [
    pathOf("fast", { rttMs: 10, windowBytes: 10_000, hasRoom: false }),
    pathOf("slow", { rttMs: 50, windowBytes: 10_000 }),
  ];
  assert.equal(nameOf(paths, "aggregate", 0), "fast");
  assert.equal(nameOf(paths, "aggregate", 49_999), "fast");
  assert.equal(nameOf(paths, "aggregate", 50_000), "slow", "six rounds take as long");
  assert.equal(nameOf(paths, "aggregate", 1e9), "slow");
  assert.equal(nameOf(paths, "best", 0), "slow", "`best` never waits");
});

test("path choice: `aggregate` does not wait where nothing is known, nor for a window that is none", () => {
  const slow = pathOf("slow", { rttMs: 50 });
  for (const windowBytes of [Number.POSITIVE_INFINITY, 0, Number.NaN]) {
    assert.equal(nameOf([pathOf("fast", { rttMs: 1, windowBytes, hasRoom: false }), slow], "aggregate", 1), "slow");
  }
  // Two that were never measured are equal: 0 is not less than 0.
  const unknown = { rttMs: undefined };
  assert.equal(nameOf([pathOf("a", { ...unknown, hasRoom: false }), pathOf("b", unknown)], "aggregate", 1), "b");
});

const PATH: fc.Arbitrary<Facts> = fc.record({
  kind: fc.constantFrom<PathKind>("bytes", "messages", "datagrams", "relay"),
  rttMs: fc.option(fc.constantFrom(0, 1, 20, 100, 5000), { nil: undefined }),
  hasRoom: fc.boolean(),
  isWritable: fc.boolean(),
  isDoubted: fc.boolean(),
  state: fc.constantFrom("active", "active", "active", "opening", "closed"),
  windowBytes: fc.constantFrom(0, 1096, 50_000, Number.POSITIVE_INFINITY),
});

test("path choice: for any set of paths it keeps to its rules, and the order in which they come decides ties alone", () => {
  const rankOf = (path: Named): number => (path.facts.kind === "relay" ? 1 : 0) + (path.isDoubted ? 2 : 0);
  const isOpen = (path: Named): boolean => path.hasRoom && path.isWritable;
  fc.assert(
    fc.property(
      fc.array(PATH, { maxLength: 8 }),
      fc.constantFrom(...POLICIES),
      fc.constantFrom(0, 1, 5000, 1e9),
      (all, policy, unsentBytes) => {
        const paths = all.map((facts, index) => pathOf(`${index}`, facts));
        const chosen = choosePath(paths, policy, unsentBytes);
        const active = paths.filter(({ state }) => state === "active");
        assert.equal(chosen === undefined, active.length === 0);
        if (chosen === undefined) return;
        assert.equal(chosen.state, "active");
        const least = Math.min(...active.map(rankOf));
        assert.equal(rankOf(chosen), least, "never a path of a worse rank");
        const peers = active.filter((path) => rankOf(path) === least);
        const rttOf = (path: Named): number => path.rtt.smoothedMs ?? 0;
        const bestRtt = Math.min(...peers.map(rttOf));
        const open = peers.filter(isOpen);
        if (rttOf(chosen) !== bestRtt) {
          assert.notEqual(policy, "backup");
          assert.ok(isOpen(chosen), "one that is not the best is chosen only to be used now");
          assert.equal(rttOf(chosen), Math.min(...open.map(rttOf)), "and it is the best of those");
        }
        // What can be sent is sent, but by `backup` and by `aggregate`.
        if (open.length > 0 && (policy === "best" || policy === "redundant")) assert.ok(isOpen(chosen));
        const reversed = choosePath([...paths].reverse(), policy, unsentBytes) as Named;
        const windows = new Set(peers.map(({ windowBytes }) => windowBytes));
        if (policy !== "aggregate" || windows.size === 1) assert.equal(rttOf(reversed), rttOf(chosen));
      },
    ),
    { seed: 0xecf, numRuns: 500 },
  );
});

test("path choice: the quietest is the one not heard for longest, the first of equals", () => {
  assert.equal(quietestPath([]), undefined);
  const paths = [5, 3, 9, 3].map((lastReceivedAt, index) => ({ lastReceivedAt, index }));
  assert.equal(quietestPath(paths)?.index, 1);
});
