/**
 * When a message of the initiator of a handshake over datagrams is sent again: it, or the answer, may have been lost.
 *
 * Only the side that dials counts time; the other one answers each copy, so it is never made to send more than it got.
 * RFC 9002 §6.2.2, RFC 9000 §8.1.
 *
 * @module
 */

import type { Instant } from "../machine.ts";
import { NEVER } from "../machine.ts";
import type { PipeId } from "./endpoint_types.ts";
import { TimerHeap } from "./timer_heap.ts";

/** The round trip is not known yet. WebRTC begins its checks with about as much (RFC 8445 §14.3: 500 ms at least). */
const FIRST_MS = 300;
const LATER_MS_MAX = 1_000;
/** Message 1 of XX is shorter, and less than a third of its answer, which is held back then. RFC 9000 §8.1. */
const ALONE_BYTES_MIN = 80;

/** The copies that are due. */
export class HandshakeResends {
  readonly #timers = new TimerHeap();
  readonly #pauses = new Map<PipeId, number>();

  /** The first copy was sent. Returns whether a second one must follow at once, as a lone one gets no answer. */
  start(pipe: PipeId, now: Instant, bytes: number = ALONE_BYTES_MIN): boolean {
    this.#pauses.set(pipe, FIRST_MS);
    this.#timers.set(pipe, now + FIRST_MS);
    return bytes < ALONE_BYTES_MIN;
  }

  stop(pipe: PipeId): void {
    if (this.#pauses.delete(pipe)) this.#timers.set(pipe, NEVER);
  }

  /** One pipe whose next copy is due; the one after it is planned. */
  takeDue(now: Instant): PipeId | undefined {
    const pipe = this.#timers.takeDue(now);
    if (pipe === undefined) return undefined;
    const pause = Math.min(LATER_MS_MAX, (this.#pauses.get(pipe) ?? FIRST_MS) * 2);
    this.#pauses.set(pipe, pause);
    this.#timers.set(pipe, now + pause);
    return pipe;
  }

  pollTimeout(): Instant {
    return this.#timers.earliest;
  }
}
