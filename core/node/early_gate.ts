/**
 * What a first message must show before a key is computed with, and when its early data counts. PROTOCOL §3.2, §3.14.
 *
 * The invariant to hold: early data counts once; where anything speaks against it the handshake goes on without it.
 *
 * @module
 */

import type { Instant } from "../machine.ts";
import type { PatternName } from "./clear_messages.ts";
import type { OpenedTicket } from "./early_tickets.ts";
import type { EarlyPolicy } from "./endpoint_types.ts";
import { splitFirstMessage } from "./first_message.ts";
import type { HandshakeContext } from "./handshake.ts";
import type { EarlyData } from "./handshake_payload.ts";
import type { HandshakeTie } from "./handshake_tie.ts";
import type { Pending } from "./pending_handshake.ts";

/** A first message that is to this node. */
export interface OpenedMessage {
  readonly noise: Uint8Array;
  readonly opened: OpenedTicket | undefined;
}

/** Decides about first messages and their early data. */
export class EarlyGate {
  readonly #context: HandshakeContext;
  readonly #policy: EarlyPolicy | undefined;
  readonly #tie: HandshakeTie;

  constructor(context: HandshakeContext, policy: EarlyPolicy | undefined, tie: HandshakeTie) {
    this.#context = context;
    this.#policy = policy;
    this.#tie = tie;
  }

  /** What a first message holds, or why it is refused: it is to another node, or its ticket is not known. */
  open(pattern: PatternName, message: Uint8Array, now: Instant): OpenedMessage | "identity_mismatch" | "unsupported" {
    const { identity, env, tickets } = this.#context;
    const parts = splitFirstMessage(pattern, message, identity.publicKey, env.crypto);
    if (parts === undefined) return "identity_mismatch";
    const opened = pattern === "IKpsk1" ? tickets?.open(parts.ticket, now) : undefined;
    return pattern === "IKpsk1" && opened === undefined ? "unsupported" : { noise: parts.noise, opened };
  }

  /** The early data of a handshake, if it counts. The ticket is struck out last: nothing needless is remembered. */
  admitted({ handshake, remoteId }: Pending, now: Instant): EarlyData | undefined {
    const { opened, remoteEarly: early } = handshake;
    if (opened === undefined || early === undefined || remoteId === undefined) return undefined;
    // A message that was held back must not end the session that took its place.
    if (this.#tie.existing(remoteId) !== undefined) return undefined;
    if (this.#policy?.admits(early.bytes) !== true) return undefined;
    return this.#context.tickets?.admit(opened, early.ageMs, now) === true ? early : undefined;
  }
}
