/**
 * Datagrams of a peer. An idle peer pays for none of the streams here.
 *
 * The invariant to hold: a reader that is too slow loses the oldest ones, and nothing else waits for it.
 *
 * @module
 */

import type { DatagramSendOptions } from "../../core/connection/datagram_line.ts";
import { FEC_GROUP_MAX } from "../../core/connection/frame_types.ts";
import type { Bytes } from "../../core/machine.ts";
import { isBytes } from "./bytes.ts";
import { checkRange } from "./checks.ts";
import { ItemQueue, readableOf } from "./item_queue.ts";
import type { PeerDatagrams } from "./types.ts";

/** Datagrams that wait for a reader, and their bytes; then the oldest go. */
const WAITING_MAX = 1024;
const WAITING_BYTES_MAX = 4 * 1024 * 1024;

/** What numbering adds to the largest datagram and its parity: `FEC_OVERHEAD_BYTES_MAX`. */
const REPAIR_BYTES = 11;
const SENDINGS_MAX = 8;

/** Where datagrams go. */
export interface DatagramSink {
  /** Whether it was taken. */
  send(bytes: Uint8Array, options: DatagramSendOptions): boolean;
  /** Bytes of the largest one. */
  readonly bytesMax: number;
}

/** Both directions of a peer's datagrams. */
export class Datagrams implements PeerDatagrams {
  readonly #sink: DatagramSink;
  #waitingBytes = 0;
  readonly #queue = new ItemQueue<Bytes>({
    onTake: (bytes) => {
      this.#waitingBytes -= bytes.length;
    },
  });
  #readable: ReadableStream<Bytes> | undefined;
  #writable: WritableStream<Uint8Array> | undefined;
  outgoingMaxAge: number | null = null;
  redundancy: number | "adaptive" = 1;
  fec = 0;

  constructor(sink: DatagramSink) {
    this.#sink = sink;
  }

  get readable(): ReadableStream<Bytes> {
    this.#readable ??= readableOf(this.#queue);
    return this.#readable;
  }

  get writable(): WritableStream<Uint8Array> {
    this.#writable ??= new WritableStream<Uint8Array>({
      write: (bytes) => {
        this.send(bytes);
      },
    });
    return this.#writable;
  }

  get maxDatagramSize(): number {
    return this.#sink.bytesMax - (this.redundancy === 1 && this.fec === 0 ? 0 : REPAIR_BYTES);
  }

  send(bytes: Uint8Array, options?: DatagramSendOptions): boolean {
    if (!isBytes(bytes)) throw new TypeError("Cannot send datagram as it must be a Uint8Array");
    const { maxAgeMs = this.outgoingMaxAge, redundancy = this.redundancy, fec = this.fec } = options ?? {};
    checkRange("maxAgeMs", maxAgeMs ?? 0, 0, Number.POSITIVE_INFINITY);
    if (redundancy !== "adaptive") checkRange("redundancy", redundancy, 1, SENDINGS_MAX);
    checkRange("fec", fec, 0, FEC_GROUP_MAX);
    return this.#sink.send(bytes, { maxAgeMs, redundancy, fec });
  }

  /** One arrived. */
  deliver(bytes: Bytes): void {
    if (this.#queue.isEnded) return;
    this.#waitingBytes += bytes.length;
    this.#queue.push(bytes);
    while (this.#queue.size > WAITING_MAX || this.#waitingBytes > WAITING_BYTES_MAX) {
      this.#waitingBytes -= this.#queue.dropOldest()?.length ?? 0;
    }
  }

  /** No more come; those that came can still be read. */
  end(): void {
    this.#queue.end();
  }
}
