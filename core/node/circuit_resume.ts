/**
 * Brings sessions that ran over a relay back to a path: over a new circuit, as soon as a relay can be used again.
 * Implements PROTOCOL §10.7.
 *
 * The invariant to hold: a session has at most one try under way; tries go on, with growing pauses, until it has a path
 * or is over.
 *
 * @module
 */

import type { NodeId } from "../crypto/identity.ts";
import type { Environment, Instant } from "../machine.ts";
import { NEVER } from "../machine.ts";
import type { CircuitPipe } from "./circuit_pipe.ts";
import type { SessionId } from "./endpoint_types.ts";

/** Pauses between tries grow from and up to these, ±50 %. */
const PAUSE_MS_MIN = 250;
const PAUSE_MS_MAX = 4_000;
/** The side that did not begin the session waits this long for the other one. */
const RESPONDER_HEAD_START_MS = 2_000;
/** Sessions that are brought back in this way. */
const SESSIONS_MAX = 10_000;

/** A session that a relay has carried. */
export interface RelayedSession {
  readonly session: SessionId;
  readonly remoteId: NodeId;
  readonly isInitiator: boolean;
  isSuspended: boolean;
  /** When the next try is due; `NEVER` while none is, or a relay must come first. */
  tryAt: Instant;
  /** Whether a try waits for a relay that can be used. */
  isWaitingForRelay: boolean;
  tries: number;
  /** The circuit of the try under way. */
  pipe: CircuitPipe | undefined;
}

/** Opens the circuit of a try and attaches it; `undefined` when no relay can be used now. */
export type ResumeTry = (relayed: RelayedSession, now: Instant) => CircuitPipe | undefined;

/** All sessions that a relay has carried and that are not over. */
export class RelayedSessions {
  readonly #env: Environment;
  readonly #try: ResumeTry;
  readonly #sessions = new Map<SessionId, RelayedSession>();
  /** Those without a path. */
  readonly #suspended = new Set<RelayedSession>();

  constructor(env: Environment, resumeTry: ResumeTry) {
    this.#env = env;
    this.#try = resumeTry;
  }

  get size(): number {
    return this.#sessions.size;
  }

  /** A relay carries a session. */
  add(facts: Pick<RelayedSession, "session" | "remoteId" | "isInitiator">): void {
    if (this.#sessions.has(facts.session) || this.#sessions.size >= SESSIONS_MAX) return;
    this.#sessions.set(facts.session, {
      ...facts,
      isSuspended: false,
      tryAt: NEVER,
      isWaitingForRelay: false,
      tries: 0,
      pipe: undefined,
    });
  }

  /** A session lost its last path; whether a relay has carried it. */
  onSuspended(session: SessionId, now: Instant): boolean {
    const relayed = this.#sessions.get(session);
    if (relayed === undefined) return false;
    if (relayed.isSuspended) return true;
    relayed.isSuspended = true;
    relayed.tries = 0;
    relayed.isWaitingForRelay = false;
    relayed.tryAt = relayed.isInitiator ? now : now + RESPONDER_HEAD_START_MS;
    this.#suspended.add(relayed);
    return true;
  }

  /** A session has a path again: a try that did not become it is given back to be ended. */
  onResumed(session: SessionId): CircuitPipe | undefined {
    const relayed = this.#sessions.get(session);
    if (relayed === undefined) return undefined;
    return this.#rest(relayed);
  }

  onClosed(session: SessionId): CircuitPipe | undefined {
    const relayed = this.#sessions.get(session);
    if (relayed === undefined) return undefined;
    this.#sessions.delete(session);
    return this.#rest(relayed);
  }

  /** A circuit is gone; whether it was a try that failed. */
  onPipeGone(pipe: CircuitPipe, now: Instant): void {
    for (const relayed of this.#suspended) {
      if (relayed.pipe !== pipe) continue;
      relayed.pipe = undefined;
      const pause = Math.min(PAUSE_MS_MAX, PAUSE_MS_MIN * 2 ** Math.min(relayed.tries - 1, 10));
      relayed.tryAt = now + pause * (0.5 + this.#env.jitter());
      return;
    }
  }

  /** A relay can be used now: whoever waited for one tries again at once. */
  onRelayUsable(now: Instant): void {
    for (const relayed of this.#suspended) {
      if (!relayed.isWaitingForRelay) continue;
      relayed.isWaitingForRelay = false;
      relayed.tries = 0;
      // The peer was thrown off the same relay and is about to come back: who is first finds nobody.
      relayed.tryAt = relayed.isInitiator ? now : now + RESPONDER_HEAD_START_MS;
    }
  }

  /** Whether a session waits for a way over a relay. */
  get isAnySuspended(): boolean {
    return this.#suspended.size > 0;
  }

  handleTimeout(now: Instant): void {
    for (const relayed of [...this.#suspended]) {
      if (now < relayed.tryAt || relayed.pipe !== undefined) continue;
      relayed.tryAt = NEVER;
      relayed.tries++;
      const pipe = this.#try(relayed, now);
      // The try may have ended before it returned.
      if (pipe === undefined) relayed.isWaitingForRelay = true;
      else if (relayed.isSuspended && relayed.tryAt === NEVER) relayed.pipe = pipe;
    }
  }

  pollTimeout(): Instant {
    let at = NEVER;
    for (const relayed of this.#suspended) if (relayed.pipe === undefined) at = Math.min(at, relayed.tryAt);
    return at;
  }

  close(): void {
    this.#sessions.clear();
    this.#suspended.clear();
  }

  #rest(relayed: RelayedSession): CircuitPipe | undefined {
    const { pipe } = relayed;
    this.#suspended.delete(relayed);
    relayed.isSuspended = relayed.isWaitingForRelay = false;
    relayed.tryAt = NEVER;
    relayed.pipe = undefined;
    return pipe;
  }
}
