/**
 * Who may send data with a first message, and when it counts. PROTOCOL §3.14.
 *
 * The invariant to hold: early data counts once; where anything speaks against it the handshake goes on without it.
 *
 * @module
 */

import type { Instant } from "../machine.ts";
import type { EarlyTickets, OpenedTicket } from "./early_tickets.ts";
import type { EarlyPolicy } from "./endpoint_types.ts";
import type { EarlyData } from "./handshake_payload.ts";
import type { HandshakeTie } from "./handshake_tie.ts";
import type { Pending } from "./pending_handshake.ts";
import { EARLY_TICKET_BYTES } from "./ticket_book.ts";

/** Decides about early data. */
export class EarlyGate {
  readonly #tickets: EarlyTickets | undefined;
  readonly #policy: EarlyPolicy | undefined;
  readonly #tie: HandshakeTie;

  constructor(tickets: EarlyTickets | undefined, policy: EarlyPolicy | undefined, tie: HandshakeTie) {
    this.#tickets = tickets;
    this.#policy = policy;
    this.#tie = tie;
  }

  /** The ticket that a first message begins with. */
  open(message: Uint8Array, now: Instant): OpenedTicket | undefined {
    return this.#tickets?.open(message.subarray(0, EARLY_TICKET_BYTES), now);
  }

  /** The early data of a handshake, if it counts. The ticket is struck out last: nothing needless is remembered. */
  admitted({ handshake, remoteId }: Pending, now: Instant): EarlyData | undefined {
    const { opened, remoteEarly: early } = handshake;
    if (opened === undefined || early === undefined || remoteId === undefined) return undefined;
    // A message that was held back must not end the session that took its place.
    if (this.#tie.existing(remoteId) !== undefined) return undefined;
    if (this.#policy?.admits(early.bytes) !== true) return undefined;
    return this.#tickets?.admit(opened, early.ageMs, now) === true ? early : undefined;
  }
}
