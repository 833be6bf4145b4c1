/**
 * What an endpoint keeps of a session besides the engine: who it is with, its pipes, and how to get a path back.
 *
 * @module
 */

import type { Session } from "../connection/session.ts";
import type { PathId } from "../connection/session_types.ts";
import type { NodeId } from "../crypto/identity.ts";
import type { Bytes, Instant } from "../machine.ts";
import { EarlyStream } from "./early_stream.ts";
import type { PipeId, SessionId } from "./endpoint_types.ts";
import type { HandshakeOutcome } from "./handshake_outcome.ts";
import { Resume } from "./resumer.ts";

/** A session and its surroundings. */
export interface SessionEntry {
  readonly id: SessionId;
  readonly session: Session;
  readonly remoteId: NodeId | undefined;
  readonly isInitiator: boolean;
  /** Whether the initiator showed no key: such a session is nobody's only one. */
  readonly isAnonymous: boolean;
  readonly openedAt: Instant;
  readonly localConnectionId: number;
  readonly remoteConnectionId: number;
  /** What a reset of this session must prove. */
  readonly resetToken: Bytes | undefined;
  /** Names the life of the peer that the session is with. */
  readonly instance: Bytes | undefined;
  /** Whether the peer is known to have the session too: it sent an authentic package. */
  isConfirmed: boolean;
  /** The PING by which we confirmed the session to the peer; its answer is nobody else's business. 0 for none. */
  readonly confirmToken: number;
  readonly pipes: Map<PathId, PipeId>;
  readonly resume: Resume;
  /** Direct paths to hold, where that is more than the endpoint's own number. */
  pathsWanted: number;
  /** The stream that began with early data, if one did. */
  readonly early: EarlyStream | undefined;
}

/** The entry of a session that a handshake came to. */
export function sessionEntryOf(
  established: Extract<HandshakeOutcome, { type: "established" }>,
  id: SessionId,
  now: Instant,
): SessionEntry {
  const { pending, result, session, confirmToken, earlyStream, isEarly = false } = established;
  const { dial, handshake } = pending;
  const address = dial?.pipes.get(pending.pipe.id);
  // A pipe that the owner brought has no address that could be dialled again.
  const isDialable = dial !== undefined && dial.addresses.length > 0 && address !== undefined;
  return {
    id,
    session,
    remoteId: result.remoteId,
    isInitiator: pending.isInitiator,
    isAnonymous: handshake.pattern === "NK",
    openedAt: now,
    localConnectionId: handshake.localConnectionId,
    remoteConnectionId: handshake.remoteConnectionId,
    resetToken: result.resetToken,
    instance: result.instance,
    isConfirmed: confirmToken === 0 && !isEarly,
    confirmToken,
    pipes: new Map(),
    resume: new Resume(isDialable ? [address, ...dial.addresses] : []),
    pathsWanted: 1,
    early: earlyStream === undefined ? undefined : new EarlyStream(earlyStream, pending),
  };
}
