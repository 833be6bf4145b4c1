/**
 * The numbers in RESET_STREAM and STOP_SENDING: the application's own below 2^32, as in WebTransport, and Viaduct's
 * above. Implements PROTOCOL §7.4.
 *
 * The invariant to hold: the two ranges never meet, so that an application's number is never taken for a code.
 *
 * @module
 */

import type { ErrorCode } from "../error.ts";
import { ERRORS, errorCodeOfWire } from "../error.ts";

/** The largest number that an application may give. draft-ietf-webtrans-http3 §4.3: 32 bits. */
export const APPLICATION_CODE_MAX = 0xffffffff;

const LAYER_CODE_BASE = 2 ** 32;

/** The number by which a stream is reset or stopped for a reason of Viaduct's own, such as `handler_failed`. */
export function streamCodeOf(code: ErrorCode): number {
  return LAYER_CODE_BASE + ERRORS[code].wire;
}

/** The code behind a number, or `undefined` when it is the application's own. */
export function errorCodeOfStreamCode(streamCode: number): ErrorCode | undefined {
  return streamCode >= LAYER_CODE_BASE ? errorCodeOfWire(streamCode - LAYER_CODE_BASE) : undefined;
}
