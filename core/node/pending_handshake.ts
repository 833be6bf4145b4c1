/**
 * A handshake under way, and the index of all that are with one node.
 *
 * @module
 */

import type { Session } from "../connection/session.ts";
import type { NodeId } from "../crypto/identity.ts";
import type { Instant } from "../machine.ts";
import type { Dial } from "./dial.ts";
import type { SessionId } from "./endpoint_types.ts";
import type { Handshake, HandshakeResult } from "./handshake.ts";
import type { PipeState } from "./pipe_table.ts";

/**
 * Where a handshake stands:
 * - `answer`: the initiator waits for message 2, in XX the responder for message 3.
 * - `tie`: another handshake or session between the same two nodes goes first.
 * - `owner`: the owner is asked whether to accept.
 * - `proof`: all is written; the first protected package of the peer makes the session.
 */
export type Phase = "answer" | "tie" | "owner" | "proof";

/** A handshake under way. */
export interface Pending {
  /** The pipe that it runs on, or ran on when only the agreement is left of it. */
  readonly pipe: PipeState;
  readonly handshake: Handshake;
  readonly isInitiator: boolean;
  /** What it was begun for, on the side that dialled. */
  readonly dial: Dial | undefined;
  readonly startedAt: Instant;
  readonly deadline: Instant;
  /** When our last message left, and whether it was the same one once more. */
  sentAt: Instant;
  isRepeated: boolean;
  /** What the answer said about the round trip; `undefined` before there was one. */
  rttMs: number | undefined;
  phase: Phase;
  /** Who is there, as soon as it is known and both sides show a key. */
  remoteId: NodeId | undefined;
  /** The agreement, once the handshake is complete. */
  result: HandshakeResult | undefined;
  /** The session that it will be, from the first package on that may be the proof. */
  unproven: Session | undefined;
  /** The number that the owner knows it by while it decides. */
  session: SessionId | undefined;
}

/** Which copy is answered is not known: a path that is slower than this is probed a little early. */
const REPEATED_RTT_MS_MIN = 100;

/** Our message leaves, for the first time or once more. */
export function noteSent(pending: Pending, now: Instant, isRepeated: boolean): void {
  pending.sentAt = now;
  pending.isRepeated = isRepeated;
}

/**
 * An answer came. The pauses before a message was sent once more say nothing about the round trip, and a guess that
 * held them would put off the first probes by seconds. RFC 6298 §3.
 */
export function noteAnswered(pending: Pending, now: Instant): void {
  const passedMs = now - pending.sentAt;
  pending.rttMs = pending.isRepeated ? Math.max(REPEATED_RTT_MS_MIN, passedMs) : passedMs;
}

/** Wipes what an agreement holds of secrets. */
export function wipe(result: HandshakeResult): void {
  result.secrets.sendKey.fill(0);
  result.secrets.receiveKey.fill(0);
}

/** The handshakes with each node whose id is known. */
export class PendingIndex {
  readonly #byRemoteId = new Map<NodeId, Set<Pending>>();

  /** Handshakes with a node; a copy, since looking at one may end another. */
  ofNode(id: NodeId): Pending[] {
    return [...(this.#byRemoteId.get(id) ?? [])];
  }

  has(id: NodeId): boolean {
    return this.#byRemoteId.has(id);
  }

  add(id: NodeId, pending: Pending): void {
    const others = this.#byRemoteId.get(id);
    if (others === undefined) this.#byRemoteId.set(id, new Set([pending]));
    else others.add(pending);
  }

  delete(id: NodeId, pending: Pending): void {
    const others = this.#byRemoteId.get(id);
    others?.delete(pending);
    if (others?.size === 0) this.#byRemoteId.delete(id);
  }
}
