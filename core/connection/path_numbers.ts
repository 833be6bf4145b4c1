/**
 * The numbers of the paths of a session: even ones are opened by the initiator, odd ones by the responder, each once.
 *
 * The invariant to hold: a number that was used is never taken again, so an attach is single use. THREATS J.
 *
 * @module
 */

import type { PathId, Role } from "./session_types.ts";

/** Which numbers are free. Path 0 is the one that the handshake ran on. */
export class PathNumbers {
  #next: PathId;
  /** Numbers of the peer below this were used. */
  #peerFloor: PathId;

  constructor(role: Role) {
    this.#next = role === "initiator" ? 2 : 1;
    this.#peerFloor = role === "initiator" ? 1 : 2;
  }

  /** A number for a path that this side opens. */
  take(): PathId {
    const id = this.#next;
    this.#next += 2;
    return id;
  }

  /** Whether the peer may open a path of this number. */
  mayPeerOpen(id: PathId): boolean {
    return id >= this.#peerFloor && (id & 1) === (this.#peerFloor & 1);
  }

  /** The peer opened a path. */
  onPeerOpened(id: PathId): void {
    this.#peerFloor = id + 2;
  }
}
