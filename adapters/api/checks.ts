/**
 * What a program may hand in with a call, checked before any of it reaches a machine.
 *
 * @module
 */

import { APPLICATION_CODE_MAX } from "../../core/node/stream_code.ts";

/** Whether a number can be told to the other side as the application's own. */
export function isCode(code: number): boolean {
  return Number.isInteger(code) && code >= 0 && code <= APPLICATION_CODE_MAX;
}

/** @throws {RangeError} */
export function checkCode(name: string, code: number): void {
  if (isCode(code)) return;
  throw new RangeError(`Cannot use '${name}' as it must be an unsigned 32-bit number: current value is ${code}`);
}

/** @throws {RangeError} */
export function checkRange(name: string, value: number, least: number, most: number): void {
  if (value >= least && value <= most) return;
  throw new RangeError(`Cannot use '${name}' as it must be from ${least} to ${most}: current value is ${value}`);
}

/** @throws {RangeError} */
export function checkSendOrder(sendOrder: number): void {
  if (Number.isFinite(sendOrder)) return;
  throw new RangeError(`Cannot use 'sendOrder' as it must be a finite number: current value is ${sendOrder}`);
}

/** The number that whoever gives a stream up wants to tell, as a `WebTransportError` has one. */
export function codeOfReason(reason: unknown): number {
  const { applicationCode, streamErrorCode } = (reason ?? {}) as Record<string, unknown>;
  const code = applicationCode ?? streamErrorCode;
  return typeof code === "number" && isCode(code) ? code : 0;
}
