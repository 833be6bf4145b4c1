/**
 * Spreads packages over time. RFC 9002 §7.7.
 *
 * The invariant to hold: bursts are as large as a timer of 1 ms can serve, and no larger.
 *
 * @module
 */

import type { Instant } from "../../machine.ts";

const BURST_PACKAGES = 10;
const BURST_MS = 2;

/** A token bucket. */
export class Pacer {
  #bytesPerMs = 0;
  #burstBytes = 0;
  #tokens = 0;
  #filledAt: Instant = 0;

  setRate(bytesPerMs: number, packageBytes: number): void {
    const isFirst = this.#burstBytes === 0;
    this.#bytesPerMs = bytesPerMs;
    this.#burstBytes = Math.max(BURST_PACKAGES * packageBytes, bytesPerMs * BURST_MS);
    if (isFirst) this.#tokens = this.#burstBytes;
  }

  onSent(bytes: number, now: Instant): void {
    this.#fill(now);
    this.#tokens -= bytes;
  }

  /** When a package of this size may leave. */
  readyAt(bytes: number, now: Instant): Instant {
    if (this.#bytesPerMs === 0) return now;
    this.#fill(now);
    if (this.#tokens >= bytes) return now;
    return now + (Math.min(bytes, this.#burstBytes) - this.#tokens) / this.#bytesPerMs;
  }

  #fill(now: Instant): void {
    const elapsed = Math.max(0, now - this.#filledAt);
    this.#filledAt = now;
    this.#tokens = Math.min(this.#burstBytes, this.#tokens + elapsed * this.#bytesPerMs);
  }
}
