/**
 * One direction of a link for datagrams: rate, queue, delay, loss in bursts, duplicates, late ones, damage, a largest
 * size. A pure function of what was sent before and of the seed.
 *
 * @module
 */

import type { SimRandom } from "./random.ts";

/** How a link loses datagrams: each with a probability and so many in a row at most, or in two states. */
export type LossModel =
  | { readonly kind: "uniform"; readonly rate: number; readonly burstMax: number }
  /** Gilbert and Elliott: `p` from good to bad, `r` back, and what is lost in each. */
  | {
      readonly kind: "gilbertElliott";
      readonly p: number;
      readonly r: number;
      readonly lossGood: number;
      readonly lossBad: number;
    };

/** What a link is like. Everything but the loss is off by default. */
export interface DatagramLinkOptions {
  /** 0 is unlimited. Headers of IPv4 and UDP count. */
  readonly rateBitsPerSecond: number;
  /** Datagrams, and bytes, that wait for the line at most; more are dropped. */
  readonly queuePackages: number;
  readonly queueBytes: number;
  /** One way, and how much it varies; order is kept. */
  readonly delayMs: number;
  readonly jitterMs: number;
  readonly loss: LossModel;
  readonly duplicateRate: number;
  /** So many are held back for so long, and overtaken. */
  readonly reorderRate: number;
  readonly reorderDelayMs: number;
  /** One byte is changed; the end is cut off. */
  readonly corruptRate: number;
  readonly truncateRate: number;
  /** Larger datagrams vanish. */
  readonly mtuBytes: number;
}

/** A perfect link. */
export const PERFECT_LINK: DatagramLinkOptions = Object.freeze<DatagramLinkOptions>({
  rateBitsPerSecond: 0,
  queuePackages: Number.POSITIVE_INFINITY,
  queueBytes: Number.POSITIVE_INFINITY,
  delayMs: 0,
  jitterMs: 0,
  loss: { kind: "uniform", rate: 0, burstMax: Number.POSITIVE_INFINITY },
  duplicateRate: 0,
  reorderRate: 0,
  reorderDelayMs: 0,
  corruptRate: 0,
  truncateRate: 0,
  mtuBytes: 65_535,
});

/** A datagram that gets through. */
export interface Delivery {
  readonly at: number;
  readonly bytes: Uint8Array;
}

/** What became of datagrams. */
export interface DatagramLinkStats {
  sent: number;
  delivered: number;
  droppedByLoss: number;
  droppedByQueue: number;
  droppedBySize: number;
  droppedDown: number;
}

/** IPv4 without options, and UDP. */
const HEADER_BYTES = 28;
const NOTHING: readonly Delivery[] = [];

/** A link. */
export class DatagramLink {
  #options: DatagramLinkOptions;
  readonly #random: SimRandom;
  #freeAt = 0;
  /** When each waiting datagram has left, and its bytes. */
  readonly #queue: { readonly until: number; readonly bytes: number }[] = [];
  #queuedBytes = 0;
  #lostInRow = 0;
  #isBad = false;
  #lastAt = 0;
  /** Nothing gets through. */
  isDown = false;
  readonly stats: DatagramLinkStats = {
    sent: 0,
    delivered: 0,
    droppedByLoss: 0,
    droppedByQueue: 0,
    droppedBySize: 0,
    droppedDown: 0,
  };

  constructor(options: Partial<DatagramLinkOptions>, random: SimRandom) {
    this.#random = random;
    this.#options = { ...PERFECT_LINK, ...options };
  }

  get options(): DatagramLinkOptions {
    return this.#options;
  }

  /** Changes what the link is like from now on. */
  setOptions(options: Partial<DatagramLinkOptions>): void {
    this.#options = { ...this.#options, ...options };
  }

  /** What arrives of a datagram, and when; the bytes are copied only when they are changed. */
  send(bytes: Uint8Array, now: number): readonly Delivery[] {
    const { stats } = this;
    stats.sent++;
    if (this.isDown) {
      stats.droppedDown++;
      return NOTHING;
    }
    const { rateBitsPerSecond, mtuBytes } = this.#options;
    if (bytes.length > mtuBytes) {
      stats.droppedBySize++;
      return NOTHING;
    }
    let sentAt = now;
    if (rateBitsPerSecond > 0) {
      const leaves = this.#enqueue(bytes.length, now, rateBitsPerSecond);
      if (leaves === undefined) {
        stats.droppedByQueue++;
        return NOTHING;
      }
      sentAt = leaves;
    }
    if (this.#isLost()) {
      stats.droppedByLoss++;
      return NOTHING;
    }
    const { duplicateRate } = this.#options;
    const first = this.#delivery(bytes, sentAt);
    if (!this.#happens(duplicateRate)) return [first];
    return [first, this.#delivery(bytes, sentAt)];
  }

  #enqueue(bytes: number, now: number, bitsPerSecond: number): number | undefined {
    const { queuePackages, queueBytes } = this.#options;
    let gone = 0;
    for (const waiting of this.#queue) {
      if (waiting.until > now) break;
      this.#queuedBytes -= waiting.bytes;
      gone++;
    }
    if (gone > 0) this.#queue.splice(0, gone);
    if (this.#queue.length >= queuePackages || this.#queuedBytes + bytes > queueBytes) return undefined;
    this.#freeAt = Math.max(now, this.#freeAt) + ((bytes + HEADER_BYTES) * 8_000) / bitsPerSecond;
    this.#queue.push({ until: this.#freeAt, bytes });
    this.#queuedBytes += bytes;
    return this.#freeAt;
  }

  #isLost(): boolean {
    const { loss } = this.#options;
    if (loss.kind === "gilbertElliott") {
      this.#isBad = this.#isBad ? !this.#happens(loss.r) : this.#happens(loss.p);
      return this.#happens(this.#isBad ? loss.lossBad : loss.lossGood);
    }
    const isLost = this.#lostInRow < loss.burstMax && this.#happens(loss.rate);
    this.#lostInRow = isLost ? this.#lostInRow + 1 : 0;
    return isLost;
  }

  #delivery(bytes: Uint8Array, sentAt: number): Delivery {
    const { delayMs, jitterMs, reorderRate, reorderDelayMs, corruptRate, truncateRate } = this.#options;
    let at = sentAt + delayMs + (jitterMs > 0 ? this.#random.fraction() * jitterMs : 0);
    if (this.#happens(reorderRate)) at += reorderDelayMs;
    else {
      at = Math.max(at, this.#lastAt);
      this.#lastAt = at;
    }
    let arrived = bytes;
    if (this.#happens(corruptRate) && bytes.length > 0) {
      arrived = bytes.slice();
      const place = this.#random.between(0, bytes.length - 1);
      arrived[place] = (arrived[place] as number) ^ this.#random.between(1, 255);
    }
    if (this.#happens(truncateRate)) arrived = arrived.slice(0, this.#random.between(0, bytes.length));
    this.stats.delivered++;
    return { at, bytes: arrived };
  }

  #happens(probability: number): boolean {
    return probability > 0 && this.#random.chance(probability);
  }
}
