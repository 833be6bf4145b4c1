/**
 * Acknowledgements and losses as a congestion controller gets them, without a path around it.
 *
 * @module
 */

import type {
  AckedPackage,
  AckInfo,
  CongestionController,
  LossInfo,
} from "../../../../core/connection/congestion/congestion_controller.ts";

/** Bytes of the packages that are sent where a test says nothing else. */
export const PACKAGE_BYTES = 1200;

/** What an acknowledgement says where a test says nothing else. */
export interface AckFacts {
  readonly now: number;
  readonly sentAt?: number;
  readonly packages?: number;
  readonly bytes?: number;
  readonly rttMs?: number;
  readonly isAppLimited?: boolean;
  readonly largest?: number;
}

/** An acknowledgement of `packages` packages that were sent together. */
export function ackOf(facts: AckFacts): AckInfo {
  const { now, rttMs = 100, packages = 1, bytes = PACKAGE_BYTES } = facts;
  const sentAt = facts.sentAt ?? now - rttMs;
  const acked: AckedPackage[] = [];
  for (let index = 0; index < packages; index++) acked.push({ bytes, sentAt, packageNumber: index });
  return {
    now,
    acked,
    ackedBytes: packages * bytes,
    lostBytes: 0,
    bytesInFlight: 0,
    priorBytesInFlight: packages * bytes,
    latestRttMs: rttMs,
    minRttMs: rttMs,
    smoothedRttMs: rttMs,
    largestAckedPackage: facts.largest ?? packages - 1,
    isAppLimited: facts.isAppLimited ?? false,
  };
}

/** The loss of a package. */
export function lossOf(facts: { readonly now: number; readonly sentAt?: number }): LossInfo {
  const { now, sentAt = now - 100 } = facts;
  return {
    bytes: PACKAGE_BYTES,
    packages: 1,
    largestLostSentAt: sentAt,
    largestLostPackage: 0,
    bytesInFlight: 0,
    now,
  };
}

/** Whole windows sent and acknowledged, one in each round trip; returns the window after each of them. */
export function roundTrips(
  controller: CongestionController,
  facts: { readonly from: number; readonly count: number; readonly rttMs?: number; readonly bytes?: number },
): number[] {
  const { rttMs = 100, bytes = PACKAGE_BYTES } = facts;
  const windows: number[] = [];
  for (let round = 0; round < facts.count; round++) {
    const now = facts.from + (round + 1) * rttMs;
    const packages = Math.floor(controller.windowBytes / bytes);
    // One acknowledgement for every two packages, as a receiver sends them.
    for (let done = 0; done < packages; done += 2) {
      controller.onAcked(ackOf({ now, rttMs, bytes, packages: Math.min(2, packages - done) }));
    }
    windows.push(controller.windowBytes);
  }
  return windows;
}
