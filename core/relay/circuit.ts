/**
 * A circuit: two streams of two clients, and the copying of bytes from each to the other. Implements PROTOCOL §10.6.
 *
 * The invariant to hold: bytes are copied in order and none is dropped; a stream is read only as far as the other one
 * takes it, so that one chunk for each direction is all that is ever held here.
 *
 * @module
 */

import type { StreamId } from "../connection/session_types.ts";
import type { Instant } from "../machine.ts";
import { NEVER } from "../machine.ts";
import type { SessionId } from "../node/endpoint_types.ts";
import type { NodeMachine } from "../node/node.ts";
import type { RelayClient } from "./clients.ts";
import type { TokenBucket } from "./token_bucket.ts";

/** A throttled direction goes on when so much may be sent, not for every byte. */
const RESUME_BYTES = 32 * 1024;

/** One end of a circuit: a stream of a client. */
export interface CircuitEnd {
  readonly client: RelayClient;
  readonly session: SessionId;
  readonly stream: StreamId;
}

/** Why a direction stopped for now, or for good. */
export type CopyOutcome =
  /** Nothing is there to copy. */
  | "idle"
  /** The receiver takes no more: `writable` of its stream goes on. */
  | "blocked"
  /** The sender's quota is used up: at `resumeAt` it goes on. */
  | "throttled"
  /** The sender ended its stream; everything before was copied, and the end too. */
  | "ended"
  /** The sender gave its stream up. */
  | "reset";

/** One direction of a circuit. */
export class Copying {
  readonly circuit: Circuit;
  readonly from: CircuitEnd;
  readonly to: CircuitEnd;
  readonly #quota: TokenBucket;
  readonly #shared: TokenBucket;
  /** What was read and the receiver has not taken. */
  #leftover: Uint8Array | undefined;
  /** Bytes that the receiver took. */
  bytes = 0;
  /** Since when the receiver takes nothing although bytes wait; `NEVER` while it does. */
  blockedAt: Instant = NEVER;
  /** When a throttled direction goes on; `NEVER` while it need not wait. */
  resumeAt: Instant = NEVER;
  isEnded = false;

  constructor(circuit: Circuit, ends: { readonly from: CircuitEnd; readonly to: CircuitEnd }, shared: TokenBucket) {
    this.circuit = circuit;
    this.from = ends.from;
    this.to = ends.to;
    this.#quota = ends.from.client.quota;
    this.#shared = shared;
  }

  /** Copies what can be copied now. */
  run(node: NodeMachine, now: Instant): CopyOutcome {
    if (this.isEnded) return "ended";
    const { from, to } = this;
    for (;;) {
      const leftover = this.#leftover;
      if (leftover !== undefined) {
        const taken = node.write(to.session, to.stream, leftover, now);
        this.bytes += taken;
        if (taken < leftover.length) {
          if (taken > 0 || this.blockedAt === NEVER) this.blockedAt = now;
          this.#leftover = taken === 0 ? leftover : leftover.subarray(taken);
          return "blocked";
        }
        this.#leftover = undefined;
        this.blockedAt = NEVER;
      }
      // THREATS t-F3: a limit is kept by not reading, so that the sender slows down and nothing is lost.
      if (!this.#quota.canTake(now) || !this.#shared.canTake(now)) {
        this.resumeAt = Math.max(this.#quota.readyAt(RESUME_BYTES, now), this.#shared.readyAt(RESUME_BYTES, now));
        return "throttled";
      }
      const result = node.read(from.session, from.stream);
      if (result === undefined) return "idle";
      if (result.type !== "data") {
        this.isEnded = true;
        if (result.type === "reset") return "reset";
        node.finish(to.session, to.stream, now);
        return "ended";
      }
      this.#leftover = result.bytes;
      this.#quota.take(result.bytes.length, now);
      this.#shared.take(result.bytes.length, now);
    }
  }
}

/** A circuit. */
export class Circuit {
  readonly number: number;
  readonly source: CircuitEnd;
  readonly target: CircuitEnd;
  readonly forward: Copying;
  readonly backward: Copying;
  /** The address that it counts for; `undefined` where it counts for none. */
  readonly addressGroup: string | undefined;
  readonly openedAt: Instant;
  isClosed = false;

  constructor(
    options: {
      readonly number: number;
      readonly source: CircuitEnd;
      readonly target: CircuitEnd;
      readonly addressGroup: string | undefined;
      /** The relay's own quota. */
      readonly shared: TokenBucket;
    },
    now: Instant,
  ) {
    const { source, target, shared } = options;
    this.number = options.number;
    this.source = source;
    this.target = target;
    this.addressGroup = options.addressGroup;
    this.openedAt = now;
    this.forward = new Copying(this, { from: source, to: target }, shared);
    this.backward = new Copying(this, { from: target, to: source }, shared);
  }

  /** The direction that a stream is read for. */
  copyingFrom(session: SessionId, stream: StreamId): Copying {
    return this.source.session === session && this.source.stream === stream ? this.forward : this.backward;
  }

  /** The direction that a stream is written for. */
  copyingTo(session: SessionId, stream: StreamId): Copying {
    return this.source.session === session && this.source.stream === stream ? this.backward : this.forward;
  }
}
