/**
 * What a path does about loss and congestion, as an interface: nothing on a reliable path, RFC 9002 and a congestion
 * controller on a path of datagrams (`datagram_recovery.ts`).
 *
 * The invariant to hold: recovery decides when and how much, never what; the session moves the frames.
 *
 * @module
 */

import type { Instant } from "../machine.ts";

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
