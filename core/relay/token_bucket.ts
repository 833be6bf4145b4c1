/**
 * A token bucket: so much per second, with a burst. It tells when to go on; what waits meanwhile is the caller's.
 *
 * The invariant to hold: over any time `t` it gives out at most `burst + rate * t`, and what exceeds it by the size of
 * one taking is paid back first.
 *
 * @module
 */

import type { Instant } from "../machine.ts";
import { NEVER } from "../machine.ts";

/** A bucket of tokens, bytes for one. */
export class TokenBucket {
  readonly #perMs: number;
  readonly #burst: number;
  #tokens: number;
  #filledAt: Instant;

  /** `perSecond` 0 means no limit. The bucket begins full. */
  constructor(options: { readonly perSecond: number; readonly burst: number }, now: Instant) {
    this.#perMs = options.perSecond / 1000;
    this.#burst = options.burst;
    this.#tokens = options.burst;
    this.#filledAt = now;
  }

  /** Whether there is no limit. */
  get isUnlimited(): boolean {
    return this.#perMs === 0;
  }

  /** Whether something may be taken: the bucket may go into debt with the last taking. */
  canTake(now: Instant): boolean {
    if (this.#perMs === 0) return true;
    this.#fill(now);
    return this.#tokens > 0;
  }

  /** Takes `count`, into debt if need be. */
  take(count: number, now: Instant): void {
    if (this.#perMs === 0) return;
    this.#fill(now);
    this.#tokens -= count;
  }

  /** Takes one, if there is a whole one. */
  tryTakeOne(now: Instant): boolean {
    if (this.#perMs === 0) return true;
    this.#fill(now);
    if (this.#tokens < 1) return false;
    this.#tokens -= 1;
    return true;
  }

  /** When the bucket will hold `count`, at most its burst; never before `now`. */
  readyAt(count: number, now: Instant): Instant {
    if (this.#perMs === 0) return now;
    this.#fill(now);
    const missing = Math.min(count, this.#burst) - this.#tokens;
    if (missing <= 0) return now;
    const waitMs = Math.ceil(missing / this.#perMs);
    return Number.isFinite(waitMs) ? now + waitMs : NEVER;
  }

  #fill(now: Instant): void {
    if (now <= this.#filledAt) return;
    this.#tokens = Math.min(this.#burst, this.#tokens + (now - this.#filledAt) * this.#perMs);
    this.#filledAt = now;
  }
}
