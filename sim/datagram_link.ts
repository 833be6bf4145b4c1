/**
 * One direction of a link for datagrams.
 *
 * @module
 */

import type { SimRandom } from "./random.ts";

/** What a link is like. */
export interface DatagramLinkOptions {
  readonly rateBitsPerSecond: number;
  readonly queuePackages: number;
  readonly queueBytes: number;
  readonly delayMs: number;
  readonly jitterMs: number;
  readonly loss: { readonly kind: "uniform"; readonly rate: number; readonly burstMax: number };
  readonly mtuBytes: number;
}

/** A datagram that gets through. */
export interface Delivery {
  readonly at: number;
  readonly bytes: Uint8Array;
}

/** The link. */
export class DatagramLink {
  #options: DatagramLinkOptions;
  readonly #random: SimRandom;
  #freeAt = 0;
  readonly #queue: number[] = [];
  #lostInRow = 0;
  isDown = false;
  dropped = 0;

  constructor(options: Partial<DatagramLinkOptions>, random: SimRandom) {
    this.#random = random;
    this.#options = {
      rateBitsPerSecond: 0,
      queuePackages: 1e9,
      queueBytes: 1e12,
      delayMs: 0,
      jitterMs: 0,
      loss: { kind: "uniform", rate: 0, burstMax: 1e9 },
      mtuBytes: 65_535,
      ...options,
    };
  }

  setOptions(options: Partial<DatagramLinkOptions>): void {
    this.#options = { ...this.#options, ...options };
  }

  send(bytes: Uint8Array, now: number): readonly Delivery[] {
    const { rateBitsPerSecond, queuePackages, delayMs, jitterMs, loss, mtuBytes } = this.#options;
    if (this.isDown || bytes.length > mtuBytes) return [];
    while (this.#queue.length > 0 && (this.#queue[0] as number) <= now) this.#queue.shift();
    if (this.#queue.length >= queuePackages) {
      this.dropped++;
      return [];
    }
    if (loss.rate > 0 && this.#lostInRow < loss.burstMax && this.#random.chance(loss.rate)) {
      this.#lostInRow++;
      return [];
    }
    this.#lostInRow = 0;
    const duration = rateBitsPerSecond > 0 ? ((bytes.length + 28) * 8000) / rateBitsPerSecond : 0;
    const start = Math.max(now, this.#freeAt);
    this.#freeAt = start + duration;
    this.#queue.push(this.#freeAt);
    return [{ at: this.#freeAt + delayMs + this.#random.fraction() * jitterMs, bytes }];
  }
}
