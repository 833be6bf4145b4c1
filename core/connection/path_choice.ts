/**
 * Which path carries the next package of a session: direct before relay, then the lowest round trip. A pure function.
 *
 * @module
 */

import type { PathKind } from "./session_types.ts";

/** What the choice looks at. */
export interface PathCandidate {
  readonly state: "opening" | "active" | "closed";
  readonly isWritable: boolean;
  readonly facts: { readonly kind: PathKind };
  readonly rtt: { readonly smoothedMs: number | undefined };
}

/** A direct path wins over a relay even when it is slower: it costs nobody else anything. DESIGN §5. */
const KIND_RANK: Readonly<Record<PathKind, number>> = { bytes: 0, messages: 0, relay: 1 };

/** The best active path, whether or not it can take bytes now; `undefined` when none is active. */
export function choosePath<Candidate extends PathCandidate>(paths: Iterable<Candidate>): Candidate | undefined {
  let best: Candidate | undefined;
  for (const path of paths) {
    if (path.state !== "active") continue;
    if (best === undefined || isBetter(path, best)) best = path;
  }
  return best;
}

function isBetter(path: PathCandidate, best: PathCandidate): boolean {
  const rank = KIND_RANK[path.facts.kind] - KIND_RANK[best.facts.kind];
  if (rank !== 0) return rank < 0;
  // A path without a sample yet is the youngest: it was opened because the others were not good enough.
  return (path.rtt.smoothedMs ?? 0) < (best.rtt.smoothedMs ?? 0);
}
