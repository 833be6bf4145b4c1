/**
 * What stands before the Noise message of a first handshake message: a check that costs next to nothing, and the ticket
 * of early data. PROTOCOL §3.2.
 *
 * The invariant to hold: no key is computed with for a message that is not to this node (THREATS t-A5).
 *
 * @module
 */

import { concatBytes, equalBytes } from "../crypto/constant_time.ts";
import { deriveKey } from "../crypto/hkdf.ts";
import type { CryptoProvider } from "../crypto/provider.ts";
import type { Bytes } from "../machine.ts";
import type { PatternName } from "./clear_messages.ts";
import { EARLY_TICKET_BYTES } from "./ticket_book.ts";

/** Bytes of the check. It keeps strangers off who do not know whom they speak to, and is no proof of anything. */
export const FIRST_CHECK_BYTES = 16;

/** The parts of a first message. */
export interface FirstMessage {
  /** Empty but for IKpsk1. */
  readonly ticket: Uint8Array;
  readonly noise: Uint8Array;
}

/** Puts the first message to the node with this id together. XX is to whoever answers, and has no check. */
export function joinFirstMessage(
  pattern: PatternName,
  parts: FirstMessage,
  responderKey: Uint8Array,
  crypto: CryptoProvider,
): Bytes {
  const body = concatBytes(parts.ticket, parts.noise);
  return pattern === "XX" ? body : concatBytes(checkOf(body, responderKey, crypto), body);
}

/** Takes a first message apart; `undefined` when it is not to the node with this id. The parts are lent. */
export function splitFirstMessage(
  pattern: PatternName,
  message: Uint8Array,
  responderKey: Uint8Array,
  crypto: CryptoProvider,
): FirstMessage | undefined {
  if (pattern === "XX") return { ticket: message.subarray(0, 0), noise: message };
  const ticketBytes = pattern === "IKpsk1" ? EARLY_TICKET_BYTES : 0;
  if (message.length < FIRST_CHECK_BYTES + ticketBytes) return undefined;
  const body = message.subarray(FIRST_CHECK_BYTES);
  if (!equalBytes(message.subarray(0, FIRST_CHECK_BYTES), checkOf(body, responderKey, crypto))) return undefined;
  return { ticket: body.subarray(0, ticketBytes), noise: body.subarray(ticketBytes) };
}

function checkOf(body: Uint8Array, responderKey: Uint8Array, crypto: CryptoProvider): Uint8Array {
  return deriveKey(crypto, responderKey, "first message", body).subarray(0, FIRST_CHECK_BYTES);
}
