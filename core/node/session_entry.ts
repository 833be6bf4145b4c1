/**
 * What an endpoint keeps of a session besides the engine: who it is with, its pipes, and how to get a path back.
 *
 * @module
 */

import type { PathId } from "../connection/session_types.ts";
import type { Session } from "../connection/session.ts";
import type { NodeId } from "../crypto/identity.ts";
import type { Bytes, Instant } from "../machine.ts";
import { NEVER } from "../machine.ts";
import type { PipeId, SessionId } from "./endpoint_types.ts";

/** The first try to get a path back is at once, the next ones back off from and up to these. */
const BACKOFF_MS_MIN = 250;
const BACKOFF_MS_MAX = 8_000;
/** An attach that nobody answered is given up after this. */
export const ATTACH_TIMEOUT_MS = 5_000;

/** A session and its surroundings. */
export interface SessionEntry {
  readonly id: SessionId;
  readonly session: Session;
  readonly remoteId: NodeId | undefined;
  readonly isInitiator: boolean;
  readonly openedAt: Instant;
  readonly localConnectionId: number;
  readonly remoteConnectionId: number;
  /** What a reset of this session must prove. */
  readonly resetToken: Bytes | undefined;
  readonly instance: Bytes | undefined;
  /** Whether the owner was told of it: a session that is refused at once never is. */
  isAnnounced: boolean;
  readonly pipes: Map<PathId, PipeId>;
  readonly resume: Resume;
}

/** The way back to a path for the side that dialled: its addresses in turn, with exponential back-off and jitter. */
export class Resume {
  /** Where the session was dialled; empty for the side that was. */
  readonly addresses: readonly string[];
  /** The pipe of the try under way. */
  pipe: PipeId | undefined;
  /** When the next try is due, or the one under way is given up. */
  at: Instant = NEVER;
  #tries = 0;

  constructor(addresses: readonly string[]) {
    this.addresses = addresses;
  }

  get isPossible(): boolean {
    return this.addresses.length > 0;
  }

  /** The session lost its last path: the first try is due now. */
  start(now: Instant): void {
    this.#tries = 0;
    this.at = now;
  }

  /** Takes the address of a try that begins. */
  begin(pipe: PipeId, now: Instant): string {
    this.pipe = pipe;
    this.at = now + ATTACH_TIMEOUT_MS;
    return this.addresses[this.#tries++ % this.addresses.length] as string;
  }

  /** The try came to nothing. `jitter` is in [0, 1). */
  onFailure(jitter: number, now: Instant): void {
    this.pipe = undefined;
    const backoff = Math.min(BACKOFF_MS_MAX, BACKOFF_MS_MIN * 2 ** Math.min(this.#tries - 1, 10));
    // THREATS t-F9: ±50 %, so that a thousand clients of one relay do not come back as one.
    this.at = now + backoff * (0.5 + jitter);
  }

  /** A path is there again. */
  stop(): void {
    this.pipe = undefined;
    this.at = NEVER;
  }
}
