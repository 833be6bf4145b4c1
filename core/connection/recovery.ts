/**
 * What a path does about loss and congestion, as an interface: nothing on a reliable path, RFC 9002 and a congestion
 * controller on a path of datagrams.
 *
 * The invariant to hold: recovery decides when and how much, never what; the session moves the frames.
 *
 * @module
 */

import type { Instant } from "../machine.ts";
import { NEVER } from "../machine.ts";

/** Loss detection and congestion control of one path. */
export interface PathRecovery {
  /** Bytes of the largest package that may be sent on the path. */
  readonly packageBytesMax: number;
  /** Whether a package may leave now. */
  canSend(bytesInFlight: number, now: Instant): boolean;
  /** When `canSend` may change by itself or a probe is due; `NEVER` when nothing is pending. */
  pollTimeout(): Instant;
  onSent(packageNumber: number, bytes: number, now: Instant): void;
  onAcked(packageNumber: number, bytes: number, now: Instant): void;
  /** The numbers that are lost by `now`, after acknowledgements or a timeout; the session sends their frames again. */
  takeLost(now: Instant): readonly number[];
}

const NONE: readonly number[] = [];

/** TCP, WebSocket or a relayed stream below does it all: only the death of the path loses anything. */
export class ReliableRecovery implements PathRecovery {
  readonly packageBytesMax: number;

  constructor(packageBytesMax: number) {
    this.packageBytesMax = packageBytesMax;
  }

  canSend(): boolean {
    return true;
  }

  pollTimeout(): Instant {
    return NEVER;
  }

  onSent(): void {}

  onAcked(): void {}

  takeLost(): readonly number[] {
    return NONE;
  }
}
