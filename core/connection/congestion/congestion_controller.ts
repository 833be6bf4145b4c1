/**
 * The contract of a congestion controller: how many bytes may be in flight on a path of datagrams, and how fast they
 * may leave. RFC 9002 §7.
 *
 * @module
 */

import type { Instant } from "../../machine.ts";
import type { CongestionName } from "../session_types.ts";

/** A package that was acknowledged. */
export interface AckedPackage {
  readonly bytes: number;
  readonly sentAt: Instant;
  readonly packageNumber: number;
}

/** What an acknowledgement settled. */
export interface AckInfo {
  readonly now: Instant;
  /** Used again after the call. */
  readonly acked: readonly AckedPackage[];
  readonly ackedBytes: number;
  readonly lostBytes: number;
  /** After it. */
  readonly bytesInFlight: number;
  /** Before it. */
  readonly priorBytesInFlight: number;
  readonly latestRttMs: number;
  readonly minRttMs: number;
  readonly smoothedRttMs: number;
  readonly largestAckedPackage: number;
  readonly isAppLimited: boolean;
}

/** Packages that were declared lost together. */
export interface LossInfo {
  readonly bytes: number;
  readonly packages: number;
  /** Decides whether the loss belongs to the recovery period that is under way. RFC 9002 §7.3.2. */
  readonly largestLostSentAt: Instant;
  readonly largestLostPackage: number;
  readonly bytesInFlight: number;
  readonly now: Instant;
}

/** A congestion controller. */
export interface CongestionController {
  readonly name: CongestionName;
  /** The congestion window. */
  readonly windowBytes: number;
  /** 0 is unpaced: nothing is known of the path yet. */
  readonly pacingBytesPerMs: number;
  /** Infinity at first. */
  readonly slowStartThreshold: number;
  onSent(bytes: number, packageNumber: number, bytesInFlight: number, now: Instant): void;
  onAcked(info: AckInfo): void;
  onLost(loss: LossInfo): void;
  onEcnCe(sentAt: Instant, now: Instant): void;
  onPersistentCongestion(now: Instant): void;
  /** All packages of the last loss event turned out to have arrived. RFC 9438 §4.9. */
  onSpuriousLoss(now: Instant): void;
  /** The size of packages on the path changed. */
  setPackageBytes(bytes: number): void;
  /** The path goes another way from here on. RFC 9000 §9.4. */
  reset(now: Instant): void;
}
