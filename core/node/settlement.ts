/**
 * What the parts of an endpoint must learn of one another: sessions of dials, handshakes of sessions, paths of their
 * keeper.
 *
 * The invariant to hold: two nodes have one session; a new one that was proved ends the one that it takes the place of.
 *
 * @module
 */

import type { EventQueue } from "../connection/event_queue.ts";
import { equalBytes } from "../crypto/constant_time.ts";
import type { NodeId } from "../crypto/identity.ts";
import type { Instant } from "../machine.ts";
import type { Dialler } from "./dialler.ts";
import type { EndpointEvent } from "./endpoint_types.ts";
import type { HandshakeOutcome } from "./handshake_outcome.ts";
import type { Handshakes } from "./handshakes.ts";
import type { PathKeeper } from "./path_keeper.ts";
import type { SessionEntry } from "./session_entry.ts";
import { sessionEntryOf } from "./session_entry.ts";
import type { SessionTable } from "./session_table.ts";

type Established = Extract<HandshakeOutcome, { type: "established" }>;

/** The parts. */
export interface SettlementOptions {
  readonly sessions: SessionTable;
  readonly handshakes: Handshakes;
  readonly dialler: Dialler;
  readonly keeper: PathKeeper;
  readonly events: EventQueue<EndpointEvent>;
  readonly ownId: NodeId;
  readonly count: (cause: string) => void;
}

/** Passes on what happened until nothing more follows from it. */
export class Settlement {
  readonly #options: SettlementOptions;

  constructor(options: SettlementOptions) {
    this.#options = options;
  }

  settle(now: Instant): void {
    const { sessions, handshakes, dialler, keeper } = this.#options;
    for (;;) {
      const notice = sessions.pollNotice();
      if (notice !== undefined) {
        const { type, entry } = notice;
        if (type === "resumed") dialler.onSession(entry, undefined, now);
        else if (type === "closed") dialler.onSessionClosed(entry, now);
        keeper.onChange(entry, now);
        if (type !== "paths") handshakes.recheck(entry.remoteId);
        continue;
      }
      const outcome = handshakes.pollOutcome(now);
      if (outcome === undefined) return;
      this.#onOutcome(outcome, now);
    }
  }

  #onOutcome(outcome: HandshakeOutcome, now: Instant): void {
    const { dialler, events, count } = this.#options;
    const { pending } = outcome;
    if (outcome.type === "established") this.#onEstablished(outcome, now);
    else if (outcome.type === "superseded") dialler.onSuperseded(pending.pipe.id, outcome.entry, now);
    else if (outcome.type === "failed") {
      count(pending.isInitiator ? "dialledHandshakes" : "handshakes");
      dialler.onPipeLost(pending.pipe.id, outcome.code, outcome.detail, now);
    } else {
      const { remoteId, remoteInitMessage: initMessage } = pending.handshake;
      events.push({ type: "incoming", session: outcome.session, remoteId, initMessage });
    }
  }

  #onEstablished(outcome: Established, now: Instant): void {
    const { sessions, handshakes, dialler, keeper, events } = this.#options;
    const { pending } = outcome;
    const entry = sessionEntryOf(outcome, pending.session ?? sessions.allocateId(), now);
    this.#dropOlder(entry, now);
    sessions.add(entry, outcome.pipe, outcome.path);
    const { id: session, remoteId, isInitiator } = entry;
    const { initMessage } = outcome.result;
    events.push({ type: "sessionOpened", session, remoteId, isInitiator, initMessage });
    dialler.onSession(entry, pending.dial, now);
    if (!entry.isAnonymous) handshakes.onSession(remoteId);
    sessions.touch(entry, now);
    keeper.onChange(entry, now);
  }

  /** Who completes a handshake has no session with us: one that is known here is lost there. PROTOCOL §3.7. */
  #dropOlder(entry: SessionEntry, now: Instant): void {
    const { sessions, ownId } = this.#options;
    if (entry.remoteId === undefined || entry.isAnonymous || entry.remoteId === ownId) return;
    const older = sessions.ofNode(entry.remoteId);
    if (older === undefined) return;
    // One that the peer never had at all lost against the new one.
    const isRace = older.isInitiator && !older.isConfirmed && isSameInstance(older, entry);
    older.session.drop(isRace ? "replaced" : "session_lost", now);
    sessions.touch(older, now);
  }
}

function isSameInstance(left: SessionEntry, right: SessionEntry): boolean {
  return left.instance !== undefined && right.instance !== undefined && equalBytes(left.instance, right.instance);
}
