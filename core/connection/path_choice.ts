/**
 * Which path carries the next package of a session: direct before relay, then the lowest round trip with room. A pure
 * function.
 *
 * @module
 */

import type { Instant } from "../machine.ts";
import type { PathKind, PathPolicy } from "./session_types.ts";

/** What the choice looks at. */
export interface PathCandidate {
  readonly state: "opening" | "active" | "closed";
  readonly isWritable: boolean;
  readonly facts: { readonly kind: PathKind };
  readonly rtt: { readonly smoothedMs: number | undefined };
  /** Whether its window and its pacer let a package go now. */
  readonly hasRoom: boolean;
  /** Whether nothing came back for several probe timeouts. */
  readonly isDoubted: boolean;
  readonly windowBytes: number;
  readonly bytesInFlight: number;
}

/** A direct path wins over a relay even when it is slower: it costs nobody else anything. */
const KIND_RANK: Readonly<Record<PathKind, number>> = { bytes: 0, messages: 0, datagrams: 0, relay: 1 };
/** Hysteresis of ECF: a slow path that was not used before must be better by this much. Lim et al. 2017, §4. */
const ECF_BETA = 0.25;

/**
 * The path that the next package goes by; `undefined` when none is active, or when it is better to wait for the best
 * one. It may lack room: then nothing is to be sent until it has some.
 */
export function choosePath<Candidate extends PathCandidate>(
  paths: Iterable<Candidate>,
  policy: PathPolicy = "best",
  unsentBytes = 0,
): Candidate | undefined {
  let best: Candidate | undefined;
  let open: Candidate | undefined;
  for (const path of paths) {
    if (path.state !== "active") continue;
    if (best === undefined || isBetter(path, best)) best = path;
    if (path.hasRoom && path.isWritable && (open === undefined || isBetter(path, open))) open = path;
  }
  if (best === undefined || open === undefined || open === best || policy === "backup") return best;
  // A relay is no overflow of a direct path, and a doubted path no overflow of any.
  if (rank(open) !== rank(best)) return best;
  return policy === "aggregate" && isWorthWaiting(best, open, unsentBytes) ? best : open;
}

/** The path that nothing was heard on for longest. */
export function quietestPath<Candidate extends { readonly lastReceivedAt: Instant }>(
  paths: Iterable<Candidate>,
): Candidate | undefined {
  let quietest: Candidate | undefined;
  for (const path of paths) {
    if (quietest === undefined || path.lastReceivedAt < quietest.lastReceivedAt) quietest = path;
  }
  return quietest;
}

/** The smoothed round trip of the slowest active path; `undefined` before the first sample. */
export function slowestRttMs(paths: Iterable<Pick<PathCandidate, "state" | "rtt">>): number | undefined {
  let slowest: number | undefined;
  for (const { state, rtt } of paths) {
    const { smoothedMs } = rtt;
    if (state === "active" && smoothedMs !== undefined) slowest = Math.max(slowest ?? 0, smoothedMs);
  }
  return slowest;
}

/**
 * Whether what is left arrives sooner by waiting for the fast path than by the slow one now. ECF, Lim et al. 2017, §3.
 */
function isWorthWaiting(fast: PathCandidate, slow: PathCandidate, unsentBytes: number): boolean {
  const fastRtt = fast.rtt.smoothedMs ?? 0;
  const slowRtt = slow.rtt.smoothedMs ?? 0;
  if (!Number.isFinite(fast.windowBytes) || fast.windowBytes <= 0) return false;
  return (1 + unsentBytes / fast.windowBytes) * fastRtt < slowRtt * (1 + ECF_BETA) - fastRtt * ECF_BETA;
}

function isBetter(path: PathCandidate, best: PathCandidate): boolean {
  const difference = rank(path) - rank(best);
  if (difference !== 0) return difference < 0;
  // A path without a sample yet is the youngest: it was opened because the others were not good enough.
  return (path.rtt.smoothedMs ?? 0) < (best.rtt.smoothedMs ?? 0);
}

function rank(path: PathCandidate): number {
  return KIND_RANK[path.facts.kind] + (path.isDoubted ? 2 : 0);
}
