/**
 * Datagrams of a peer. An idle peer pays for none of the streams here.
 *
 * The invariant to hold: a reader that is too slow loses the oldest ones, and nothing else waits for it.
 *
 * @module
 */

import type { Bytes } from "../../core/machine.ts";
import { isBytes } from "./bytes.ts";
import { ItemQueue, readableOf } from "./item_queue.ts";
import type { PeerDatagrams } from "./types.ts";

/** Datagrams that wait for a reader, and their bytes; then the oldest go. */
const WAITING_MAX = 1024;
const WAITING_BYTES_MAX = 4 * 1024 * 1024;

/** Where datagrams go. */
export interface DatagramSink {
  /** Whether it was taken. */
  send(bytes: Uint8Array): boolean;
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
    return this.#sink.bytesMax;
  }

  send(bytes: Uint8Array): boolean {
    if (!isBytes(bytes)) throw new TypeError("Cannot send datagram as it must be a Uint8Array");
    return this.#sink.send(bytes);
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
