/**
 * What a path does about loss and congestion, as an interface: nothing on a reliable path, RFC 9002 and a congestion
 * controller on a path of datagrams (`datagram_recovery.ts`).
 *
 * The invariant to hold: recovery decides when and how much, never what; the session moves the frames.
 *
 * @module
 */

import type { Instant } from "../machine.ts";
import type { RttEstimator } from "./rtt.ts";

/** Packages over a relay, at the most, before the first answer, and at the least. */
const RELAYED_BYTES_MAX = 16 * 1024;
const RELAYED_BYTES_FIRST = 2 * 1024;
const RELAYED_BYTES_MIN = 1024;
/** A way that answers sooner carries the largest packages often enough. */
const RELAYED_QUICK_MS = 500;

/** How much may be sent on a path, and in which sizes. */
export interface PathRecovery {
  /** Bytes of the largest package that may be sent on the path. */
  readonly packageBytesMax: number;
  /** Whether a package that asks for an acknowledgement may leave now. */
  canSend(bytesInFlight: number, now: Instant): boolean;
}

/** TCP, WebSocket or a relayed stream below does it all: only the death of the path loses anything. */
export class ReliableRecovery implements PathRecovery {
  readonly packageBytesMax: number;

  constructor(packageBytesMax: number) {
    this.packageBytesMax = packageBytesMax;
  }

  canSend(): boolean {
    return true;
  }
}

/**
 * A path over a relay: something below does it all, but it may be slow, and what lies in it is not known. A package is
 * answered only when it is there whole, so on a slow way packages are small: each is a sign of life, and a large one
 * that takes longer than the patience of a path would be given up and sent again for ever.
 */
export class RelayedRecovery implements PathRecovery {
  readonly #rtt: RttEstimator;

  constructor(rtt: RttEstimator) {
    this.#rtt = rtt;
  }

  get packageBytesMax(): number {
    const { smoothedMs } = this.#rtt;
    if (smoothedMs === undefined) return RELAYED_BYTES_FIRST;
    if (smoothedMs <= RELAYED_QUICK_MS) return RELAYED_BYTES_MAX;
    return Math.max(RELAYED_BYTES_MIN, Math.floor((RELAYED_BYTES_MAX * RELAYED_QUICK_MS) / smoothedMs));
  }

  canSend(): boolean {
    return true;
  }
}
