/**
 * How many frames that move nothing a peer may send. THREATS t-C16.
 *
 * @module
 */

import { ProtocolError } from "../error.ts";
import type { Instant } from "../machine.ts";

const FRAMES_MAX = 1000;
const WINDOW_MS = 10_000;

/** A budget of a thousand such frames in ten seconds. */
export class IdleBudget {
  #spent = 0;
  #since: Instant;

  constructor(now: Instant) {
    this.#since = now;
  }

  /** Counts one frame. Throws `ProtocolError` when there were too many. */
  spend(now: Instant): void {
    if (now - this.#since >= WINDOW_MS) {
      this.#spent = 0;
      this.#since = now;
    }
    if (++this.#spent > FRAMES_MAX) {
      throw new ProtocolError("protocol_violation", "Too many frames that move nothing were sent");
    }
  }
}
