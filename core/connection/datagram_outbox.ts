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
  /** How much longer a copy waits for something fresh, so that both go in one package; 0 unless told otherwise. */
  readonly copySlackMs?: number;
}

/** What waits: a datagram, the same again, or what repairs others. */
export type DatagramKind = "first" | "copy" | "parity";

/** What is looked at of what waits. */
export interface WaitingDatagram<Options extends OutboxOptions> {
  readonly kind: DatagramKind;
  /** Lent. */
  readonly bytes: Bytes;
  /** Those of `push`. */
  readonly options: Options;
}

/** A datagram that waits. */
interface Waiting<Options> {
  kind: DatagramKind;
  bytes: Bytes;
  readonly options: Options;
  readonly expiresAt: Instant;
  /** Sendings that are left. */
  left: number;
  /** When it may leave. */
  dueAt: Instant;
}

/** A queue whose front can be looked at. */
class Line<Options> {
  readonly #queue = new EventQueue<Waiting<Options>>();
  #front: Waiting<Options> | undefined;
  bytes = 0;

  get size(): number {
    return this.#queue.size + (this.#front === undefined ? 0 : 1);
  }

  get front(): Waiting<Options> | undefined {
    this.#front ??= this.#queue.shift();
    return this.#front;
  }

  push(waiting: Waiting<Options>): void {
    this.#queue.push(waiting);
    this.bytes += waiting.bytes.length;
  }

  shift(): Waiting<Options> | undefined {
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
export class DatagramOutbox<Options extends OutboxOptions = OutboxOptions> {
  readonly #datagramsMax: number;
  readonly #bytesMax: number;
  readonly #copyGapMs: number;
  readonly #copySlackMs: number;
  readonly #fresh = new Line<Options>();
  /** Copies and parities, in the order in which they are due, as the gap is the same for all. */
  readonly #copies = new Line<Options>();
  /** When a datagram was sent for the first time last. */
  #freshAt: Instant = Number.NEGATIVE_INFINITY;
  /** Datagrams sent, each counted once. */
  sent = 0;
  copiesSent = 0;
  paritiesSent = 0;
  /** Datagrams that expired before they were sent. */
  expired = 0;
  /** Datagrams that there was no room for. */
  dropped = 0;

  constructor(limits: OutboxLimits = {}) {
    this.#datagramsMax = limits.datagramsMax ?? DATAGRAMS_MAX;
    this.#bytesMax = limits.bytesMax ?? BYTES_MAX;
    this.#copyGapMs = limits.copyGapMs ?? COPY_GAP_MS;
    this.#copySlackMs = limits.copySlackMs ?? 0;
  }

  /** Datagrams that wait, copies and parities included. */
  get size(): number {
    return this.#fresh.size + this.#copies.size;
  }

  /** Bytes that wait, copies and parities included. */
  get bytes(): number {
    return this.#fresh.bytes + this.#copies.bytes;
  }

  /** Takes a datagram, which it owns from here on. Returns `false` when it can never leave: expired, or too large. */
  push(bytes: Bytes, options: Options, now: Instant): boolean {
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
    this.#fresh.push({ kind: "first", bytes, options, expiresAt, left: copies, dueAt: now });
    this.#makeRoom(now);
    return true;
  }

  /** Takes what repairs others: it leaves once, as a copy does, and is the first to go when there is too much. */
  pushParity(bytes: Bytes, options: Options, now: Instant): void {
    const { expiresAt = NEVER } = options;
    this.#copies.push({ kind: "parity", bytes, options, expiresAt, left: 1, dueAt: now + this.#copyGapMs });
    this.#makeRoom(now);
  }

  /** What has its turn; it stays until `take` or `drop`. What expired until now is gone. */
  front(now: Instant): WaitingDatagram<Options> | undefined {
    return this.#line(now)?.front;
  }

  /** The datagram whose turn it is, lent; it stays until `take` or `drop`. What expired until now is gone. */
  peek(now: Instant): Bytes | undefined {
    return this.front(now)?.bytes;
  }

  /**
   * Counts what has its turn as sent. Its copies follow later, if it has any: as many as `push` was told, or as told
   * here with what they hold.
   */
  take(now: Instant, sent?: { readonly bytes: Bytes; readonly copies: number }): void {
    const waiting = this.#line(now)?.shift();
    if (waiting === undefined) return;
    if (waiting.kind === "parity") {
      this.paritiesSent++;
      return;
    }
    if (waiting.kind === "copy") this.copiesSent++;
    else {
      this.sent++;
      this.#freshAt = now;
      waiting.bytes = sent?.bytes ?? waiting.bytes;
      waiting.left = Math.min(sent?.copies ?? waiting.left, SENDINGS_MAX);
    }
    const dueAt = now + this.#copyGapMs;
    // A copy that would expire first does not wait in vain, and NaN copies are none.
    if (!(--waiting.left >= 1 && dueAt < waiting.expiresAt)) return;
    waiting.kind = "copy";
    waiting.dueAt = dueAt;
    this.#copies.push(waiting);
    this.#makeRoom(now);
  }

  /** Gives up the datagram whose turn it is, and its copies: it does not fit the path. */
  drop(now: Instant): void {
    if (this.#line(now)?.shift()?.kind === "first") this.dropped++;
  }

  /** When the next copy or parity leaves by itself; `NEVER` when none waits. What is fresh may leave at once. */
  pollTimeout(): Instant {
    return (this.#copies.front?.dueAt ?? NEVER) + this.#copySlackMs;
  }

  /** Forgets all that waits. */
  clear(): void {
    this.#fresh.clear();
    this.#copies.clear();
  }

  /** The line whose turn it is, with something at its front that may leave now. */
  #line(now: Instant): Line<Options> | undefined {
    for (const line of [this.#fresh, this.#copies]) {
      for (let { front } = line; front !== undefined; front = line.front) {
        if (now < front.expiresAt) {
          // What is sent in the same moment goes in the same package.
          const slackMs = line === this.#copies && now !== this.#freshAt ? this.#copySlackMs : 0;
          if (now >= front.dueAt + slackMs) return line;
          break;
        }
        line.shift();
        if (front.kind === "first") this.expired++;
      }
    }
    return undefined;
  }

  #makeRoom(now: Instant): void {
    while (this.size > this.#datagramsMax || this.bytes > this.#bytesMax) {
      if (this.#copies.shift() !== undefined) continue;
      const oldest = this.#fresh.shift();
      if (oldest === undefined) return;
      if (now < oldest.expiresAt) this.dropped++;
      else this.expired++;
    }
  }
}
