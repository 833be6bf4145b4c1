/**
 * Datagrams waiting to be sent. RFC 9221: unreliable, never sent again, the oldest goes first when too many wait.
 *
 * @module
 */

import type { Bytes } from "../machine.ts";
import { EventQueue } from "./event_queue.ts";

/** A bounded queue of datagrams with its figures. */
export class DatagramQueue {
  readonly #limit: number;
  readonly #waiting = new EventQueue<Bytes>();
  #next: Bytes | undefined;
  sent = 0;
  received = 0;
  dropped = 0;

  constructor(limit: number) {
    this.#limit = limit;
  }

  get size(): number {
    return this.#waiting.size + (this.#next === undefined ? 0 : 1);
  }

  push(bytes: Bytes): void {
    this.#waiting.push(bytes);
    // Fresh data is worth more than old: head drop.
    while (this.size > this.#limit) this.drop();
  }

  /** The datagram whose turn it is; it stays until `take` or `drop`. */
  peek(): Bytes | undefined {
    this.#next ??= this.#waiting.shift();
    return this.#next;
  }

  take(): void {
    this.#next = undefined;
    this.sent++;
  }

  drop(): void {
    if (this.peek() === undefined) return;
    this.#next = undefined;
    this.dropped++;
  }

  clear(): void {
    this.#waiting.clear();
    this.#next = undefined;
  }
}
