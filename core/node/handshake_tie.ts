/**
 * Which of several handshakes between the same two nodes is kept, so that two nodes end with one session even when both
 * dial at once. PROTOCOL §3.7.
 *
 * The invariant to hold: neither node lets its owner use a session that the other one is going to give up. It follows
 * from two rules: the node with the smaller id lets a handshake of its own go first; and nobody takes the last step
 * while another handshake with the node may already be a session there.
 *
 * @module
 */

import type { NodeId } from "../crypto/identity.ts";
import type { Pending, PendingIndex } from "./pending_handshake.ts";
import type { SessionEntry } from "./session_entry.ts";
import type { SessionTable } from "./session_table.ts";

/** What decides between handshakes. */
export class HandshakeTie {
  readonly #ownId: NodeId;
  readonly #pending: PendingIndex;
  readonly #sessions: SessionTable;

  constructor(ownId: NodeId, pending: PendingIndex, sessions: SessionTable) {
    this.#ownId = ownId;
    this.#pending = pending;
    this.#sessions = sessions;
  }

  /** The session that makes one more with this node needless. Sessions with oneself are never in each other's way. */
  existing(id: NodeId): SessionEntry | undefined {
    const entry = id === this.#ownId ? undefined : this.#sessions.ofNode(id);
    return entry === undefined || entry.session.isClosed ? undefined : entry;
  }

  /** Whether a handshake of our own with the node is under way. */
  isDialling(id: NodeId): boolean {
    return id !== this.#ownId && this.#pending.ofNode(id).some((pending) => pending.isInitiator);
  }

  /** Whether who asks has to wait: we have the smaller id, and something of our own that the peer may not know of. */
  mustDefer(id: NodeId): boolean {
    if (!isSmallerId(this.#ownId, id)) return false;
    const existing = this.existing(id);
    return this.isDialling(id) || (existing?.isInitiator === true && !existing.isConfirmed);
  }

  /** Whether who asks has a session already: ours, with the smaller id, came to be while it was asking. */
  isLost(pending: Pending, id: NodeId): boolean {
    if (!isSmallerId(this.#ownId, id)) return false;
    const existing = this.existing(id);
    return existing?.isInitiator === true && existing.isConfirmed && existing.openedAt >= pending.startedAt;
  }

  /** Whether our own handshake must not take its last step yet. */
  mustHold(pending: Pending, id: NodeId): boolean {
    if (id === this.#ownId) return false;
    // Of two IK handshakes that cross, the larger id must not wait for the smaller one, which waits for it.
    const isWaiting = pending.handshake.pattern === "XX" || isSmallerId(this.#ownId, id);
    return this.#pending
      .ofNode(id)
      .some((other) => other !== pending && other.phase === "proof" && (other.isInitiator || isWaiting));
  }
}

/** Whether the first id is the smaller one as bytes: in base32 the letters come before the digits. */
export function isSmallerId(left: NodeId, right: NodeId): boolean {
  for (let index = 0; index < left.length; index++) {
    const difference = rankOf(left.charCodeAt(index)) - rankOf(right.charCodeAt(index));
    if (difference !== 0) return difference < 0;
  }
  return false;
}

function rankOf(letter: number): number {
  return letter >= 0x61 ? letter - 0x61 : letter - 0x32 + 26;
}
