/**
 * What silence means for a session: when a PING keeps a path alive, and when an unused session ends.
 *
 * @module
 */

import type { Instant } from "../machine.ts";
import { NEVER } from "../machine.ts";
import type { Path } from "./path.ts";

/** The silence of one session. */
export class QuietTime {
  readonly #keepAliveMs: number;
  readonly #idleTimeoutMs: number;
  #isKeepingAlive: boolean;
  /** When the session last sent or took anything. */
  lastActivityAt: Instant;

  constructor(options: { readonly keepAliveMs: number; readonly idleTimeoutMs: number }, now: Instant) {
    this.#keepAliveMs = options.keepAliveMs;
    this.#idleTimeoutMs = options.idleTimeoutMs;
    this.#isKeepingAlive = options.keepAliveMs > 0;
    this.lastActivityAt = now;
  }

  /** Whether PINGs keep an unused session alive, unless that is turned off for good. */
  setKeepAlive(isKeepingAlive: boolean, now: Instant): void {
    this.#isKeepingAlive = isKeepingAlive && this.#keepAliveMs > 0;
    this.lastActivityAt = now;
  }

  /** When a path needs a PING. */
  pingAt(path: Path): Instant {
    if (!this.#isKeepingAlive || path.state !== "active" || path.hasInFlight || path.controls.length > 0) return NEVER;
    return path.lastReceivedAt + this.#keepAliveMs;
  }

  /** When the session was unused for too long. One without a path has its resume window instead. */
  endsAt(isSuspended: boolean): Instant {
    return this.#isKeepingAlive || isSuspended ? NEVER : this.lastActivityAt + this.#idleTimeoutMs;
  }
}
