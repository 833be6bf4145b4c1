/**
 * The strike register of 0-RTT: a first message with early data counts once, and only fresh. RFC 9846 §8.2.
 *
 * The invariant to hold: no message is admitted twice, whatever happens. An id is remembered as long as a message with
 * it could still pass for fresh; when there is no room for another, early data is refused, and none is forgotten;
 * after a start, when what was admitted before is not known, everything is refused until that is stale as well.
 * Refused early data is no error: the handshake goes on without it.
 *
 * Ask only about messages that are authentic, and before anything of their early data is looked at. What authenticates
 * them must cover the id and the time: then only the holder of a ticket can give it another time, and a holder that
 * comes again after the window replays nothing of what it said before.
 *
 * @module
 */

import type { Instant } from "../machine.ts";

/** THREATS t-B2. */
const ENTRIES_MAX = 65_536;
/** RFC 9846 §8.3: "windows on the order of ten seconds". */
const FRESHNESS_MS = 10_000;
/** Bytes of an id that count. They are random, so that many are enough to tell any two apart. */
export const STRIKE_ID_BYTES = 16;
const ID_WORDS = STRIKE_ID_BYTES / 4;
const NONE = -1;

/** What became of a request. Only `admitted` lets early data in. */
export type StrikeVerdict = "admitted" | "replayed" | "stale" | "starting" | "full" | "malformed";

/** Limits of a register. */
export interface StrikeRegisterOptions {
  /** Ids remembered at once; 65,536 unless told otherwise. They take 32 bytes each, whether used or not. */
  readonly entriesMax?: number;
  /** How far the time of a message may be off, to either side; 10 s unless told otherwise. */
  readonly freshnessMs?: number;
  /** Whether nothing can have been admitted before: the keys of all tickets are younger than this register. */
  readonly isComplete?: boolean;
}

/** Remembers which tickets were used. */
export class StrikeRegister {
  readonly #entriesMax: number;
  readonly #freshnessMs: number;
  /** How long an id is remembered: one that is ahead by the most allowed stays fresh for this long. */
  readonly #windowMs: number;
  readonly #openAt: Instant;

  // A ring of entries in the order they came, and chains through it, one for each hash: nothing is allocated later.
  readonly #ids: Uint32Array;
  readonly #cameAt: Float64Array;
  readonly #next: Int32Array;
  readonly #heads: Int32Array;
  readonly #hashMask: number;
  #oldest = 0;
  #size = 0;
  readonly #key = new Uint32Array(ID_WORDS);

  /** @throws {RangeError} If a limit is not a positive number. */
  constructor(options: StrikeRegisterOptions, now: Instant) {
    const { entriesMax = ENTRIES_MAX, freshnessMs = FRESHNESS_MS, isComplete = false } = options;
    if (!(Number.isInteger(entriesMax) && entriesMax > 0 && entriesMax <= 2 ** 24)) {
      throw new RangeError(`Cannot remember ${entriesMax} tickets`);
    }
    if (!(freshnessMs > 0 && freshnessMs < Number.POSITIVE_INFINITY)) {
      throw new RangeError(`Cannot take ${freshnessMs} ms for fresh`);
    }
    this.#entriesMax = entriesMax;
    this.#freshnessMs = freshnessMs;
    this.#windowMs = 2 * freshnessMs;
    this.#openAt = isComplete ? Number.NEGATIVE_INFINITY : now + this.#windowMs;
    this.#ids = new Uint32Array(entriesMax * ID_WORDS);
    this.#cameAt = new Float64Array(entriesMax);
    this.#next = new Int32Array(entriesMax);
    let heads = 1;
    while (heads < entriesMax) heads *= 2;
    this.#heads = new Int32Array(heads).fill(NONE);
    this.#hashMask = heads - 1;
  }

  /** Ids remembered now, stale ones included until the next call. */
  get size(): number {
    return this.#size;
  }

  /**
   * Strikes a ticket out. `sentAt` is when its holder says it was used, on the clock of `now`; the first 16 bytes of
   * `ticketId` count. O(1).
   */
  strike(ticketId: Uint8Array, sentAt: Instant, now: Instant): StrikeVerdict {
    // RFC 9846 §8.2: reject while any part of the window is from before the start.
    if (!(now > this.#openAt)) return "starting";
    if (ticketId.length < STRIKE_ID_BYTES) return "malformed";
    // Written so that NaN is stale.
    if (!(Math.abs(now - sentAt) <= this.#freshnessMs)) return "stale";
    this.#forgetStale(now);
    const key = this.#key;
    for (let word = 0, at = 0; word < ID_WORDS; word++, at += 4) {
      const low = (ticketId[at] as number) | ((ticketId[at + 1] as number) << 8);
      key[word] = low | ((ticketId[at + 2] as number) << 16) | ((ticketId[at + 3] as number) << 24);
    }
    const hash = this.#hashOf(key, 0);
    for (let entry = this.#heads[hash] as number; entry !== NONE; entry = this.#next[entry] as number) {
      if (this.#holds(entry)) return "replayed";
    }
    if (this.#size === this.#entriesMax) return "full";
    const entry = (this.#oldest + this.#size++) % this.#entriesMax;
    this.#ids.set(key, entry * ID_WORDS);
    this.#cameAt[entry] = now;
    this.#next[entry] = this.#heads[hash] as number;
    this.#heads[hash] = entry;
    return "admitted";
  }

  #holds(entry: number): boolean {
    for (let word = 0; word < ID_WORDS; word++) {
      if (this.#ids[entry * ID_WORDS + word] !== this.#key[word]) return false;
    }
    return true;
  }

  #hashOf(words: Uint32Array, at: number): number {
    let mixed = 0;
    for (let word = 0; word < ID_WORDS; word++) mixed = Math.imul(mixed ^ (words[at + word] as number), 0x9e3779b1);
    return (mixed ^ (mixed >>> 15)) & this.#hashMask;
  }

  /** Two at most: as many as come in go out, and a call never takes long. */
  #forgetStale(now: Instant): void {
    for (let count = 0; count < 2 && this.#size > 0; count++) {
      const entry = this.#oldest;
      // At the very end of its window a message is still fresh.
      if (now - (this.#cameAt[entry] as number) <= this.#windowMs) return;
      this.#unlink(entry);
      this.#oldest = (entry + 1) % this.#entriesMax;
      this.#size--;
    }
  }

  #unlink(entry: number): void {
    const hash = this.#hashOf(this.#ids, entry * ID_WORDS);
    const after = this.#next[entry] as number;
    let at = this.#heads[hash] as number;
    if (at === entry) {
      this.#heads[hash] = after;
      return;
    }
    while ((this.#next[at] as number) !== entry) at = this.#next[at] as number;
    this.#next[at] = after;
  }
}
