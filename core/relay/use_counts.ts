/**
 * How often tokens were used that may be used only so often, until they expire. It is all that a relay has to remember
 * of a token.
 *
 * The invariant to hold: the table is bounded and forgets nothing early; a token that does not fit is refused.
 *
 * @module
 */

/** Tokens that are counted at once: about 20 MB. */
export const USE_COUNTS_MAX = 65_536;

/** What is remembered of a token. */
export interface UseCount {
  readonly owner: string;
  readonly count: number;
  readonly untilUnixMs: number;
}

/** The table. */
export class UseCounts {
  readonly #counts = new Map<string, UseCount>();
  readonly #countsMax: number;

  constructor(countsMax: number = USE_COUNTS_MAX) {
    this.#countsMax = countsMax;
  }

  get size(): number {
    return this.#counts.size;
  }

  [Symbol.iterator](): IterableIterator<UseCount> {
    return this.#counts.values();
  }

  /** Whether one more use is allowed. Counts nothing. */
  canSpend(owner: string, usesMax: number, unixMs: number): boolean {
    const known = this.#counts.get(owner);
    if (known !== undefined) return known.count < usesMax;
    if (this.#counts.size >= this.#countsMax) this.#expire(unixMs);
    return this.#counts.size < this.#countsMax;
  }

  /** Counts a use: only after `canSpend`. */
  spend(owner: string, untilUnixMs: number): void {
    const count = (this.#counts.get(owner)?.count ?? 0) + 1;
    this.#counts.set(owner, { owner, count, untilUnixMs });
  }

  /** Takes back what was stored; what has expired is left out. */
  restore(count: UseCount, unixMs: number): void {
    if (count.untilUnixMs <= unixMs || this.#counts.size >= this.#countsMax) return;
    this.#counts.set(count.owner, count);
  }

  #expire(unixMs: number): void {
    for (const [owner, count] of this.#counts) if (count.untilUnixMs <= unixMs) this.#counts.delete(owner);
  }
}
