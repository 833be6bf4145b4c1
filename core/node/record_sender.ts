/**
 * Sends records on one message stream: straight into the session while it takes them, else through a queue.
 * PROTOCOL §8.2.
 *
 * The invariant to hold: records leave whole and in order; the stream is opened with the first record and ended only
 * after the last.
 *
 * @module
 */

import type { ReadResult, StreamId } from "../connection/session_types.ts";
import type { Instant } from "../machine.ts";
import { ByteQueue } from "./byte_queue.ts";
import type { RecordWriter } from "./message_record.ts";

/** The streams of one session, as message streams use them. */
export interface RecordStreams {
  /** Opens a message stream and writes its header, or returns `undefined` when the peer allows no more now. */
  open(now: Instant): StreamId | undefined;
  write(stream: StreamId, bytes: Uint8Array, now: Instant): number;
  finish(stream: StreamId, now: Instant): void;
  read(stream: StreamId): ReadResult;
}

/** The sending end of one message stream. */
export class RecordSender {
  readonly #streams: RecordStreams;
  readonly #queue = new ByteQueue();
  #stream: StreamId | undefined;
  #state: "open" | "finishing" | "finished" | "delivered" = "open";

  constructor(streams: RecordStreams) {
    this.#streams = streams;
  }

  /** The stream, once there is one. */
  get stream(): StreamId | undefined {
    return this.#stream;
  }

  /** Whether everything was handed to the session: the next record needs no queue. */
  get isClear(): boolean {
    return this.#queue.length === 0;
  }

  get queuedBytes(): number {
    return this.#queue.length;
  }

  /** Whether nothing is left to be delivered. */
  get isDone(): boolean {
    return this.#state === "delivered" || (this.#stream === undefined && this.#queue.length === 0);
  }

  /** Takes a record in full, whatever room there is. */
  send(record: RecordWriter, now: Instant): void {
    if (this.#state !== "open") return;
    const { bytes, rest } = record;
    if (this.#queue.length > 0 || !this.#hasStream(now)) {
      this.#queue.append(bytes);
      if (rest !== undefined) this.#queue.append(rest);
      return;
    }
    const stream = this.#stream as StreamId;
    const taken = this.#streams.write(stream, bytes, now);
    if (taken < bytes.length) this.#queue.append(bytes.subarray(taken));
    if (rest === undefined) return;
    const takenOfRest = taken === bytes.length ? this.#streams.write(stream, rest, now) : 0;
    if (takenOfRest < rest.length) this.#queue.append(rest.subarray(takenOfRest));
  }

  /** Writes what waits, as far as there is room. */
  flush(now: Instant): void {
    while (this.#queue.length > 0) {
      if (!this.#hasStream(now)) return;
      const bytes = this.#queue.peek();
      const taken = this.#streams.write(this.#stream as StreamId, bytes, now);
      this.#queue.drop(taken);
      if (taken < bytes.length) return;
    }
    if (this.#state !== "finishing" || this.#stream === undefined) return;
    this.#state = "finished";
    this.#streams.finish(this.#stream, now);
  }

  /** Ends the stream behind what waits; no record is taken any more. */
  finish(now: Instant): void {
    if (this.#state === "open") this.#state = "finishing";
    this.flush(now);
  }

  /** The peer has everything. */
  onDelivered(): void {
    this.#state = "delivered";
  }

  #hasStream(now: Instant): boolean {
    this.#stream ??= this.#streams.open(now);
    return this.#stream !== undefined;
  }
}
