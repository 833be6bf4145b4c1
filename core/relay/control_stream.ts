/**
 * The relay's end of a client's control stream: records in, at a bounded rate; records out, through a bounded queue.
 * Implements PROTOCOL §10.2.
 *
 * The invariant to hold: a client that sends too much is read later, never dropped; one that does not read costs at
 * most `QUEUE_BYTES_MAX` and its session.
 *
 * @module
 */

import type { StreamId } from "../connection/session_types.ts";
import type { Bytes, Instant } from "../machine.ts";
import { NEVER } from "../machine.ts";
import type { SessionId } from "../node/endpoint_types.ts";
import type { NodeMachine } from "../node/node.ts";
import type { ControlRecord } from "../node/relay_codec.ts";
import { ControlRecordReader, decodeControlRecord } from "../node/relay_codec.ts";
import { TokenBucket } from "./token_bucket.ts";

/** Bytes of records that wait for a client to read; one list of who is here is at most 200 KiB. */
const QUEUE_BYTES_MAX = 512 * 1024;
/** Above this nothing is queued that can be told later. */
const QUEUE_BYTES_SOFT = 64 * 1024;
/** Records that may come at once, in seconds of the rate. */
const BURST_SECONDS = 2;

/** A control stream. */
export class ControlStream {
  readonly session: SessionId;
  readonly stream: StreamId;
  readonly #node: NodeMachine;
  readonly #reader = new ControlRecordReader();
  readonly #rate: TokenBucket;
  readonly #queue: Bytes[] = [];
  #queuedBytes = 0;
  #pausedUntil: Instant = NEVER;
  #hasEnded = false;

  constructor(
    options: {
      readonly node: NodeMachine;
      readonly session: SessionId;
      readonly stream: StreamId;
      readonly recordsPerSecond: number;
    },
    now: Instant,
  ) {
    this.#node = options.node;
    this.session = options.session;
    this.stream = options.stream;
    const perSecond = options.recordsPerSecond;
    this.#rate = new TokenBucket({ perSecond, burst: perSecond * BURST_SECONDS }, now);
  }

  /** Until when the client must wait to be read on; `NEVER` when it need not. */
  get pausedUntil(): Instant {
    return this.#pausedUntil;
  }

  /** Whether the client's half ended, in order or not. */
  get hasEnded(): boolean {
    return this.#hasEnded;
  }

  /** Whether everything that was sent has left the queue. */
  get isQueueEmpty(): boolean {
    return this.#queue.length === 0;
  }

  /** Whether there is room for what can be told later as well. */
  get hasSoftRoom(): boolean {
    return this.#queuedBytes < QUEUE_BYTES_SOFT;
  }

  /**
   * The next record of the client; `undefined` when there is none now, or none may be taken yet. A record of a kind
   * that is not known is passed over. Throws `ProtocolError` when the client broke the protocol.
   */
  next(now: Instant): ControlRecord | undefined {
    if (now < this.#pausedUntil && this.#pausedUntil !== NEVER) return undefined;
    this.#pausedUntil = NEVER;
    for (;;) {
      if (!this.#rate.canTake(now)) {
        this.#pausedUntil = this.#rate.readyAt(1, now);
        return undefined;
      }
      const bytes = this.#reader.next();
      if (bytes !== undefined) {
        this.#rate.take(1, now);
        const record = decodeControlRecord(bytes);
        if (record !== undefined) return record;
        continue;
      }
      const result = this.#node.read(this.session, this.stream);
      if (result === undefined) return undefined;
      if (result.type !== "data") {
        this.#hasEnded = true;
        return undefined;
      }
      this.#reader.push(result.bytes);
    }
  }

  /** Sends a record; `false` when the client has not read for so long that it should be given up. */
  send(bytes: Bytes, now: Instant): boolean {
    if (this.#queuedBytes + bytes.length > QUEUE_BYTES_MAX) return false;
    this.#queue.push(bytes);
    this.#queuedBytes += bytes.length;
    this.flush(now);
    return true;
  }

  /** Writes what waits, as far as there is room. */
  flush(now: Instant): void {
    let sent = 0;
    for (const bytes of this.#queue) {
      const taken = this.#node.write(this.session, this.stream, bytes, now);
      this.#queuedBytes -= taken;
      if (taken < bytes.length) {
        this.#queue[sent] = bytes.subarray(taken) as Bytes;
        break;
      }
      sent++;
    }
    this.#queue.splice(0, sent);
  }

  /** Ends the relay's half: `delivered` follows. */
  finish(now: Instant): void {
    this.#node.finish(this.session, this.stream, now);
  }
}
