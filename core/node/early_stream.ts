/**
 * The stream of a session that began with early data: in the first message on one side, before any proof on the other.
 * PROTOCOL §3.14.
 *
 * @module
 */

import type { StreamId } from "../connection/session_types.ts";
import type { DialId } from "./endpoint_types.ts";
import type { Pending } from "./pending_handshake.ts";

/** Such a stream. */
export class EarlyStream {
  readonly stream: StreamId;
  /** Whether this side opened it. */
  readonly isOwn: boolean;
  /** Whether the beginning was taken with the first message; else it came, or goes, behind the handshake. */
  readonly isTaken: boolean;
  #opener: DialId | undefined;

  constructor(stream: StreamId, pending: Pending) {
    this.stream = stream;
    this.isOwn = pending.isInitiator;
    this.isTaken = !pending.isInitiator || pending.handshake.isEarlyTaken;
    this.#opener = pending.dial?.id;
  }

  /** Whether a dial opened it; each stream is given to one asker. */
  takeFor(dial: DialId): boolean {
    if (!this.isOwn || this.#opener !== dial) return false;
    this.#opener = undefined;
    return true;
  }
}
