/**
 * Makes the paths of a session: what a path does about loss follows from how it carries packages.
 *
 * @module
 */

import type { Instant } from "../machine.ts";
import { PACKAGE_BYTES_MAX } from "../wire/package.ts";
import { DatagramRecovery } from "./datagram_recovery.ts";
import { Path } from "./path.ts";
import { RelayedRecovery, ReliableRecovery } from "./recovery.ts";
import { RttEstimator } from "./rtt.ts";
import type { SessionTrace } from "./session_trace.ts";
import type { PathFacts, PathId, SessionConfig } from "./session_types.ts";

/** Reliable paths have no state of their own. */
const RELIABLE = new ReliableRecovery(PACKAGE_BYTES_MAX);

/** Makes a path. */
export function makePath(
  options: {
    readonly id: PathId;
    readonly facts: PathFacts;
    readonly state: "opening" | "active";
    readonly config: SessionConfig;
    readonly trace: SessionTrace | undefined;
  },
  now: Instant,
): Path {
  const { id, facts, state, config, trace } = options;
  const rtt = new RttEstimator();
  if (facts.kind === "datagrams" && facts.rttMs !== undefined) rtt.seed(facts.rttMs);
  const datagrams =
    facts.kind === "datagrams"
      ? new DatagramRecovery({
          rtt,
          congestion: config.congestion,
          payloadBytesMax: config.datagramPathBytesMax,
          now,
        })
      : undefined;
  const recovery = datagrams ?? (facts.kind === "relay" ? new RelayedRecovery(rtt) : RELIABLE);
  const path = new Path({ id, facts, state, rtt, datagrams, recovery, trace }, now);
  trace?.onPathAssigned(path, now);
  return path;
}
