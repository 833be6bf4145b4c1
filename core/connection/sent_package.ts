/**
 * What is remembered of a package on its way, so that its loss or the death of its path brings its frames back.
 *
 * @module
 */

import type { Instant } from "../machine.ts";
import type { ControlFrame } from "./control_frames.ts";
import type { StreamPart } from "./stream_table.ts";

/** A package on its way. */
export interface SentPackage {
  readonly packageNumber: number;
  readonly sentAt: Instant;
  readonly bytes: number;
  readonly phase: number;
  readonly parts: readonly StreamPart[];
  readonly controls: readonly ControlFrame[];
  /** Whether it only finds out whether its size gets through: its loss says nothing of congestion. RFC 8899 §3. */
  readonly isMtuProbe: boolean;
  /** Its acknowledgement told of all that came before this number; 0 or left out without one. RFC 9000 §13.2.4. */
  readonly toldUpTo?: number;
  /** Given up; kept for a while because its acknowledgement would show that it was given up too early. */
  isLost: boolean;
  /** Its frames were handed back to be sent again. */
  isRequeued: boolean;
}
