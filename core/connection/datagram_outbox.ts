/**
 * Datagrams waiting to be sent that are of no use late: each may expire, and each may be sent several times.
 * RFC 9221 §5.2: unreliable, and the sender may drop what is no longer wanted.
 *
 * The invariants to hold: nothing is sent after it expired; a first sending goes before any copy; what waits is bounded
 * in number and bytes, and when there is too much, copies and then the oldest go, because fresh data is worth more.
 *
 * @module
 */

import type { Bytes, Instant } from "../machine.ts";
import { NEVER } from "../machine.ts";
import { EventQueue } from "./event_queue.ts";

/** As DatagramQueue's. */
const DATAGRAMS_MAX = 256;
/** quinn's. */
const BYTES_MAX = 1024 * 1024;
/** Copies sent at once are lost at once, as losses come in bursts: about one frame of a game at 60 a second apart. */
const COPY_GAP_MS = 15;
/** One datagram in a thousand may stay away. */
const RESIDUAL_LOSS = 0.001;
const COPIES_MAX = 3;
/** Whatever is asked for, more would be a flood. */
const SENDINGS_MAX = 8;

/** How many copies are worth it. */
export interface CopiesOptions {
  /** The share of datagrams that may stay lost; a thousandth unless told otherwise. */
  readonly residualLoss?: number;
  /** Never more than that many; 3 unless told otherwise. */
  readonly copiesMax?: number;
}

/**
 * How often to send each datagram so that few enough stay away at a measured loss, a share from 0 to 1: the least
 * number of copies of which one arrives, if each is lost by itself. It is 1 without loss, and for what is no number.
 */
export function copiesFor(loss: number, options: CopiesOptions = {}): number {
  const { residualLoss = RESIDUAL_LOSS, copiesMax = COPIES_MAX } = options;
  let copies = 1;
  for (let allLost = loss; allLost > residualLoss && copies < copiesMax; allLost *= loss) copies++;
  return copies;
}

/** How a datagram is sent. */
export interface OutboxOptions {
  /** From this instant on it is not sent any more; `NEVER` unless told otherwise. */
  readonly expiresAt?: Instant;
  /** How often it is sent, up to 8 times; once unless told otherwise. */
  readonly copies?: number;
}

/** Limits of an outbox. */
export interface OutboxLimits {
  readonly datagramsMax?: number;
  readonly bytesMax?: number;
  /** The least time between two sendings of one datagram. */
  readonly copyGapMs?: number;
}

/** A datagram that waits. */
interface Waiting {
  readonly bytes: Bytes;
  readonly expiresAt: Instant;
  /** Whether it was sent before. */
  isCopy: boolean;
  /** Sendings that are left. */
  left: number;
  /** When it may leave. */
  dueAt: Instant;
}

/** A queue whose front can be looked at. */
class Line {
  readonly #queue = new EventQueue<Waiting>();
  #front: Waiting | undefined;
  bytes = 0;

  get size(): number {
    return this.#queue.size + (this.#front === undefined ? 0 : 1);
  }

  get front(): Waiting | undefined {
    this.#front ??= this.#queue.shift();
    return this.#front;
  }

  push(waiting: Waiting): void {
    this.#queue.push(waiting);
    this.bytes += waiting.bytes.length;
  }

  shift(): Waiting | undefined {
    const { front } = this;
    this.#front = undefined;
    this.bytes -= front?.bytes.length ?? 0;
    return front;
  }

  clear(): void {
    this.#queue.clear();
    this.#front = undefined;
    this.bytes = 0;
  }
}

/** A bounded queue of datagrams with expiry and copies. */
export class DatagramOutbox {
  readonly #datagramsMax: number;
  readonly #bytesMax: number;
  readonly #copyGapMs: number;
  readonly #fresh = new Line();
  /** In the order in which they are due, as the gap is the same for all. */
  readonly #copies = new Line();
  /** Datagrams sent, each counted once. */
  sent = 0;
  copiesSent = 0;
  /** Datagrams that expired before they were sent. */
  expired = 0;
  /** Datagrams that there was no room for. */
  dropped = 0;

  constructor(limits: OutboxLimits = {}) {
    this.#datagramsMax = limits.datagramsMax ?? DATAGRAMS_MAX;
    this.#bytesMax = limits.bytesMax ?? BYTES_MAX;
    this.#copyGapMs = limits.copyGapMs ?? COPY_GAP_MS;
  }

  /** Datagrams that wait, copies included. */
  get size(): number {
    return this.#fresh.size + this.#copies.size;
  }

  /** Bytes that wait, copies included. */
  get bytes(): number {
    return this.#fresh.bytes + this.#copies.bytes;
  }

  /** Takes a datagram, which it owns from here on. Returns `false` when it can never leave: expired, or too large. */
  push(bytes: Bytes, options: OutboxOptions, now: Instant): boolean {
    const { expiresAt = NEVER, copies = 1 } = options;
    // Written so that NaN is expired.
    if (!(now < expiresAt)) {
      this.expired++;
      return false;
    }
    if (bytes.length > this.#bytesMax || this.#datagramsMax < 1) {
      this.dropped++;
      return false;
    }
    this.#fresh.push({ bytes, expiresAt, isCopy: false, left: Math.min(copies, SENDINGS_MAX), dueAt: now });
    while (this.size > this.#datagramsMax || this.bytes > this.#bytesMax) this.#makeRoom(now);
    return true;
  }

  /** The datagram whose turn it is, lent; it stays until `take` or `drop`. What expired until now is gone. */
  peek(now: Instant): Bytes | undefined {
    return this.#line(now)?.front?.bytes;
  }

  /** Counts the datagram whose turn it is as sent. Its copies follow later, if it has any. */
  take(now: Instant): void {
    const waiting = this.#line(now)?.shift();
    if (waiting === undefined) return;
    if (waiting.isCopy) this.copiesSent++;
    else this.sent++;
    const dueAt = now + this.#copyGapMs;
    // A copy that would expire first does not wait in vain, and NaN copies are none. There is room: it came from here.
    if (!(--waiting.left >= 1 && dueAt < waiting.expiresAt)) return;
    waiting.isCopy = true;
    waiting.dueAt = dueAt;
    this.#copies.push(waiting);
  }

  /** Gives up the datagram whose turn it is, and its copies: it does not fit the path. */
  drop(now: Instant): void {
    const waiting = this.#line(now)?.shift();
    if (waiting !== undefined && !waiting.isCopy) this.dropped++;
  }

  /** When the next copy may leave; `NEVER` when none waits. What is fresh may leave at once. */
  pollTimeout(): Instant {
    return this.#copies.front?.dueAt ?? NEVER;
  }

  /** Forgets all that waits. */
  clear(): void {
    this.#fresh.clear();
    this.#copies.clear();
  }

  /** The line whose turn it is, with something at its front that may leave now. */
  #line(now: Instant): Line | undefined {
    for (const line of [this.#fresh, this.#copies]) {
      for (let { front } = line; front !== undefined; front = line.front) {
        if (now < front.expiresAt) {
          if (now >= front.dueAt) return line;
          break;
        }
        line.shift();
        if (!front.isCopy) this.expired++;
      }
    }
    return undefined;
  }

  #makeRoom(now: Instant): void {
    if (this.#copies.shift() !== undefined) return;
    const oldest = this.#fresh.shift();
    if (oldest === undefined) return;
    if (now < oldest.expiresAt) this.dropped++;
    else this.expired++;
  }
}
