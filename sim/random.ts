/**
 * Seeded numbers for the simulator: the same seed gives the same run in every runtime.
 *
 * @module
 */

/** A small generator (xorshift32 over a mixed seed). Not for secrets. */
export class SimRandom {
  #state: number;

  constructor(seed: number) {
    // A murmur finaliser, so that neighbouring seeds give unlike runs.
    let mixed = (seed ^ 0x9e3779b9) >>> 0;
    mixed = Math.imul(mixed ^ (mixed >>> 16), 0x85ebca6b) >>> 0;
    mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35) >>> 0;
    this.#state = (mixed ^ (mixed >>> 16)) >>> 0 || 1;
  }

  /** An unsigned 32-bit number. */
  next(): number {
    let state = this.#state;
    state ^= state << 13;
    state >>>= 0;
    state ^= state >>> 17;
    state ^= state << 5;
    this.#state = state >>> 0;
    return this.#state;
  }

  /** A number in [0, 1). */
  fraction(): number {
    return this.next() / 0x100000000;
  }

  /** A whole number in [least, most]. */
  between(least: number, most: number): number {
    return least + Math.floor(this.fraction() * (most - least + 1));
  }

  /** Whether something with this probability happens. */
  chance(probability: number): boolean {
    return this.fraction() < probability;
  }

  /** One of the items. */
  pick<Item>(items: readonly Item[]): Item {
    if (items.length === 0) throw new RangeError("Cannot pick from nothing");
    return items[this.between(0, items.length - 1)] as Item;
  }

  /** Fills with bytes. */
  fill(out: Uint8Array): void {
    for (let index = 0; index < out.length; index++) out[index] = this.next() >>> 13;
  }
}
