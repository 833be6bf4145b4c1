/**
 * What an endpoint keeps of a session besides the engine: who it is with, its pipes, and how to get a path back.
 *
 * @module
 */

import type { PathId } from "../connection/session_types.ts";
import type { Session } from "../connection/session.ts";
import type { NodeId } from "../crypto/identity.ts";
import type { Bytes, Instant } from "../machine.ts";
import type { PipeId, SessionId } from "./endpoint_types.ts";
import type { Resume } from "./resumer.ts";

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
}
