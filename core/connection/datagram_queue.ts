/**
 * Datagrams waiting to be sent, each once. RFC 9221: unreliable, never sent again, the oldest goes first when too many
 * wait; one that is too old does not leave (RFC 9221 §5.2).
 *
 * @module
 */

import { ProtocolError } from "../error.ts";
import { type Bytes, type Instant, NEVER } from "../machine.ts";
import type { DatagramCounts, DatagramLine, DatagramSendOptions, OutgoingDatagram } from "./datagram_line.ts";
import { EventQueue } from "./event_queue.ts";
import { FRAME_DATAGRAM } from "./frame_types.ts";

interface Waiting extends OutgoingDatagram {
  readonly expiresAt: Instant;
}

/** Figures where nothing happened yet. */
export function noDatagrams(): DatagramCounts {
  return {
    datagramsSent: 0,
    datagramsReceived: 0,
    datagramsDropped: 0,
    datagramsExpired: 0,
    datagramRepairsSent: 0,
    datagramsRecoveredByRedundancy: 0,
    datagramsRecoveredByFec: 0,
  };
}

/** A bounded queue of datagrams with its figures. */
export class DatagramQueue implements DatagramLine {
  readonly counts: DatagramCounts = noDatagrams();
  readonly #limit: number;
  readonly #waiting = new EventQueue<Waiting>();
  #next: Waiting | undefined;

  constructor(limit: number) {
    this.#limit = limit;
  }

  push(bytes: Bytes, { maxAgeMs }: DatagramSendOptions, _room: number, now: Instant): boolean {
    this.#waiting.push({ type: FRAME_DATAGRAM + 1, bytes, expiresAt: now + (maxAgeMs || NEVER) });
    // Fresh data is worth more than old: head drop.
    while (this.#waiting.size + (this.#next === undefined ? 0 : 1) > this.#limit) this.drop(now);
    return true;
  }

  nextBytes(now: Instant): number {
    for (;;) {
      this.#next ??= this.#waiting.shift();
      // Written so that NaN is expired.
      if (this.#next === undefined || now < this.#next.expiresAt) return this.#next?.bytes.length ?? -1;
      this.drop(now);
    }
  }

  take(): OutgoingDatagram {
    const next = this.#next as Waiting;
    this.#next = undefined;
    this.counts.datagramsSent++;
    return next;
  }

  drop(now: Instant): void {
    this.#next ??= this.#waiting.shift();
    const { expiresAt } = this.#next ?? {};
    if (expiresAt === undefined) return;
    this.#next = undefined;
    this.counts[now < expiresAt ? "datagramsDropped" : "datagramsExpired"]++;
  }

  receive(type: number, bytes: Bytes): readonly Bytes[] {
    // As for any type that was not offered: RFC 9000 §12.4.
    if (type > FRAME_DATAGRAM + 1) throw new ProtocolError("frame_encoding", `A frame of type ${type} is not known`);
    this.counts.datagramsReceived++;
    // A small one must not keep a large package alive. THREATS t-C9.
    return [bytes.length * 2 < bytes.buffer.byteLength ? bytes.slice() : bytes];
  }

  pollTimeout(): Instant {
    return NEVER;
  }

  handleTimeout(): void {}

  clear(): void {
    this.#waiting.clear();
    this.#next = undefined;
  }
}
