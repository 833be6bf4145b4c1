/**
 * Counts what happened lately for each of many keys, addresses for one.
 *
 * The invariant to hold: memory is bounded whatever keys come; when the table is full the key counted first is
 * forgotten, which can only let something through that would have been refused.
 *
 * @module
 */

import type { Instant } from "../machine.ts";

/** How often something may happen. */
export interface RateLimit {
  /** Times within the window; 0 means never refused. */
  readonly count: number;
  readonly windowMs: number;
  /** How long everything is refused once the count was exceeded; without it, until the window ends. */
  readonly blockMs?: number;
}

interface Counter {
  count: number;
  endsAt: Instant;
}

/** Limits how often something happens for each key. */
export class RateTable {
  readonly #limit: RateLimit;
  readonly #keysMax: number;
  readonly #counters = new Map<string, Counter>();

  constructor(limit: RateLimit, keysMax: number) {
    this.#limit = limit;
    this.#keysMax = keysMax;
  }

  /** Keys that are counted now. */
  get size(): number {
    return this.#counters.size;
  }

  /** Counts one; whether it is allowed. */
  allow(key: string, now: Instant): boolean {
    const { count, windowMs, blockMs } = this.#limit;
    if (count === 0) return true;
    let counter = this.#counters.get(key);
    if (counter === undefined || now >= counter.endsAt) {
      this.#counters.delete(key); // A new window is the youngest again.
      counter = { count: 0, endsAt: now + windowMs };
      this.#counters.set(key, counter);
      if (this.#counters.size > this.#keysMax) this.#forgetOldest(now);
    }
    counter.count += 1;
    if (counter.count === count + 1 && blockMs !== undefined) counter.endsAt = now + blockMs;
    return counter.count <= count;
  }

  /** Whether the key has used up what it may. Counts nothing. */
  isExceeded(key: string, now: Instant): boolean {
    const counter = this.#counters.get(key);
    return counter !== undefined && now < counter.endsAt && counter.count > this.#limit.count && this.#limit.count > 0;
  }

  /** Milliseconds until the key is free again. */
  retryAfterMs(key: string, now: Instant): number {
    const counter = this.#counters.get(key);
    return counter === undefined || now >= counter.endsAt ? 0 : Math.ceil(counter.endsAt - now);
  }

  #forgetOldest(now: Instant): void {
    for (const [key, counter] of this.#counters) {
      if (this.#counters.size <= this.#keysMax && now < counter.endsAt) return;
      this.#counters.delete(key);
    }
  }
}
