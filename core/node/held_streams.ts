/**
 * Streams of one session that the application cannot read yet: their header or status is on its way, or bytes came
 * right behind it. PROTOCOL §7.
 *
 * The invariant to hold: each byte of a stream is either part of its lead or handed on once; a lead never holds more
 * than `LEAD_BYTES_MAX` bytes. A stream that is not held costs nothing here.
 *
 * @module
 */

import type { ReadResult, StreamId } from "../connection/session_types.ts";
import { ProtocolError } from "../error.ts";
import { LazyMap, LazySet } from "../lazy_collections.ts";
import type { Bytes, Instant } from "../machine.ts";
import { NEVER } from "../machine.ts";
import type { ProtocolOffer } from "./node_types.ts";
import type { Lead, StreamHeader, StreamStatus } from "./stream_header.ts";
import { decodeStreamHeader, decodeStreamStatus } from "./stream_header.ts";

const EMPTY: Bytes = new Uint8Array(0);

/**
 * Where a held stream stands: `header` waits for what the peer's stream leads with, `status` for the answer to ours,
 * `leftover` holds bytes for the application, and nobody cares for what is `dropped` any more.
 */
export type HeldPhase = "header" | "status" | "leftover" | "dropped";

/** A stream that is held. */
export interface HeldStream {
  readonly stream: StreamId;
  phase: HeldPhase;
  /** Of a `status`: what was offered. */
  readonly offer: ProtocolOffer | undefined;
  /** Of a `header`: when it must be complete. */
  deadline: Instant;
  /** The lead so far; the leftover afterwards. */
  bytes: Bytes;
  /** The peer stopped reading before the application knew of the stream. */
  stoppedCode: number | undefined;
  /** Of a `status`: all was acknowledged, by a peer that may still refuse the stream. */
  isDelivered: boolean;
}

/** What reading a lead came to. */
export type LeadOutcome =
  | { readonly type: "header"; readonly header: StreamHeader }
  | { readonly type: "status"; readonly status: StreamStatus }
  | { readonly type: "reset"; readonly applicationCode: number };

/** The held streams of one session. */
export class HeldStreams {
  readonly #held = new LazyMap<StreamId, HeldStream>();
  /** Those whose header is awaited, in the order of their deadlines. */
  readonly #headers = new LazySet<HeldStream>();
  #leftovers = 0;
  #pausedAt: Instant = NEVER;

  /** How many streams have bytes that the application has not taken. */
  get leftovers(): number {
    return this.#leftovers;
  }

  get(stream: StreamId): HeldStream | undefined {
    return this.#held.size === 0 ? undefined : this.#held.get(stream);
  }

  /** The peer opened a stream. */
  awaitHeader(stream: StreamId, deadline: Instant): void {
    this.#add(stream, "header", undefined, deadline);
  }

  /** A bidirectional stream was opened here. */
  awaitStatus(stream: StreamId, offer: ProtocolOffer): void {
    this.#add(stream, "status", offer, NEVER);
  }

  /** Nothing more of the stream concerns anybody. */
  drop(stream: StreamId): void {
    this.forget(stream);
    this.#add(stream, "dropped", undefined, NEVER);
  }

  forget(stream: StreamId): void {
    const held = this.#held.get(stream);
    if (held === undefined) return;
    if (held.phase === "leftover") this.#leftovers--;
    this.#headers.delete(held);
    this.#held.delete(stream);
  }

  /** The session lost its last path: a header that is under way cannot come until it has one again. */
  pause(now: Instant): void {
    if (this.#pausedAt === NEVER) this.#pausedAt = now;
  }

  /** It has one: every header has as long left as it had. */
  resume(now: Instant): void {
    if (this.#pausedAt === NEVER) return;
    for (const held of this.#headers) held.deadline += now - this.#pausedAt;
    this.#pausedAt = NEVER;
  }

  /** When the first header is late; `NEVER` while none can come. */
  get deadline(): Instant {
    if (this.#headers.size === 0 || this.#pausedAt !== NEVER) return NEVER;
    for (const held of this.#headers) return held.deadline;
    return NEVER;
  }

  /** Streams whose header is late. */
  late(now: Instant): StreamId[] {
    const late: StreamId[] = [];
    if (this.#pausedAt !== NEVER) return late;
    for (const held of this.#headers) {
      if (held.deadline > now) break;
      late.push(held.stream);
    }
    return late;
  }

  /**
   * Reads the lead of a stream from `read`. When it is complete the stream is no longer held, or holds a leftover.
   *
   * @throws {ProtocolError} When the lead is malformed or the stream ended before it was complete.
   */
  readLead(held: HeldStream, read: (stream: StreamId) => ReadResult): LeadOutcome | undefined {
    for (;;) {
      const result = read(held.stream);
      if (result === undefined) return undefined;
      if (result.type === "end") throw new ProtocolError("protocol_violation", "A stream ended inside its header");
      if (result.type === "reset") {
        this.forget(held.stream);
        return { type: "reset", applicationCode: result.applicationCode };
      }
      const bytes = held.bytes.length === 0 ? result.bytes : join(held.bytes, result.bytes);
      if (held.phase === "header") {
        const lead = decodeStreamHeader(bytes);
        if (lead !== undefined) return { type: "header", header: this.#complete(held, lead, bytes) };
      } else {
        const lead = decodeStreamStatus(bytes);
        if (lead !== undefined) return { type: "status", status: this.#complete(held, lead, bytes) };
      }
      // Decoding refuses what cannot be complete within `LEAD_BYTES_MAX`.
      held.bytes = result.bytes === bytes && bytes.length * 2 < bytes.buffer.byteLength ? copy(bytes) : bytes;
    }
  }

  /** The bytes that came behind a lead, once. */
  takeLeftover(held: HeldStream): Bytes {
    this.forget(held.stream);
    return held.bytes;
  }

  #add(stream: StreamId, phase: HeldPhase, offer: ProtocolOffer | undefined, deadline: Instant): void {
    const held: HeldStream = {
      stream,
      phase,
      offer,
      deadline,
      bytes: EMPTY,
      stoppedCode: undefined,
      isDelivered: false,
    };
    this.#held.set(stream, held);
    if (phase === "header") this.#headers.add(held);
  }

  #complete<Value>(held: HeldStream, lead: Lead<Value>, bytes: Bytes): Value {
    this.#headers.delete(held);
    if (lead.bytes === bytes.length) {
      this.#held.delete(held.stream);
      return lead.value;
    }
    const leftover = bytes.subarray(lead.bytes) as Bytes;
    // THREATS t-C9: a small view keeps the whole buffer alive.
    held.bytes = leftover.length * 2 < leftover.buffer.byteLength ? copy(leftover) : leftover;
    held.phase = "leftover";
    this.#leftovers++;
    return lead.value;
  }
}

/** A plain copy, also of a `Buffer`, whose `slice` shares memory. */
function copy(bytes: Uint8Array): Bytes {
  const out = new Uint8Array(bytes.length);
  out.set(bytes);
  return out;
}

function join(one: Uint8Array, two: Uint8Array): Bytes {
  const out = new Uint8Array(one.length + two.length);
  out.set(one);
  out.set(two, one.length);
  return out;
}
