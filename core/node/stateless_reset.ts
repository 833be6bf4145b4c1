/**
 * Stateless resets: how a node that forgot a session says so, and why it is believed. RFC 9000 §10.3, PROTOCOL §3.9.
 *
 * The invariant to hold: only who was told the token inside the handshake can end a session by it; what is sent is
 * bounded over all remotes. THREATS t-C3.
 *
 * @module
 */

import { equalBytes } from "../crypto/constant_time.ts";
import type { Instant } from "../machine.ts";
import type { ClearMessage } from "./clear_messages.ts";
import type { HandshakeContext } from "./handshake.ts";
import { resetTokenOf } from "./handshake.ts";
import type { SessionEntry } from "./session_entry.ts";

/** A RESET message. */
export type ResetMessage = Extract<ClearMessage, { type: "reset" }>;

/** Makes and checks resets. */
export class StatelessReset {
  readonly #context: HandshakeContext;
  readonly #perSecondMax: number;
  #left = 0;
  #since: Instant = Number.NEGATIVE_INFINITY;

  constructor(context: HandshakeContext, perSecondMax: number) {
    this.#context = context;
    this.#perSecondMax = perSecondMax;
  }

  /** The answer to a package of a session that is not known; `undefined` when too many were given. */
  answerTo(connectionId: number, now: Instant): ResetMessage | undefined {
    if (now - this.#since >= 1000) {
      this.#since = now;
      this.#left = this.#perSecondMax;
    }
    if (connectionId === 0 || this.#left === 0) return undefined;
    this.#left--;
    return { type: "reset", connectionId, token: resetTokenOf(this.#context, connectionId) };
  }

  /** Whether a reset comes from the peer of a session. */
  isProven(message: ResetMessage, entry: SessionEntry): boolean {
    const isNamed = entry.remoteConnectionId === message.connectionId;
    return isNamed && entry.resetToken !== undefined && equalBytes(entry.resetToken, message.token);
  }
}
