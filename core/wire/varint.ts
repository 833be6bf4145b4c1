/**
 * Variable-length integers: unsigned LEB128 as protobuf writes it, little-endian base 128 in at most 10 bytes.
 * Implements PROTOCOL §2.1.
 *
 * The invariant to hold: a value is a safe integer in [0, 2^53-1]; anything above is malformed, never rounded. Reading
 * allocates nothing and never throws, so it is fit for bytes that nobody has authenticated yet.
 *
 * @module
 */

import type { Bytes } from "../machine.ts";

/** Bytes of the longest encoding that is accepted, minimal or not. */
export const VARINT_BYTES_MAX = 10; // protobuf encoding guide, "Base 128 Varints"

/** The largest value of a varint. PROTOCOL §2.1. */
export const VARINT_MAX: number = Number.MAX_SAFE_INTEGER;

/** `readVarint` met the end of the bytes inside a varint that may still become valid. */
export const NEEDS_MORE = -1;

/** `readVarint` met a varint of more than 10 bytes or above 2^53-1. */
export const MALFORMED = -2;

const GROUP_LIMITS = [2 ** 7, 2 ** 14, 2 ** 21, 2 ** 28, 2 ** 35, 2 ** 42, 2 ** 49] as const;

/**
 * Returns how many bytes the minimal encoding of `value` takes.
 *
 * @throws {RangeError} If `value` is no integer in [0, 2^53-1].
 */
export function varintBytes(value: number): number {
  checkValue(value);
  let bytes = 1;
  for (const limit of GROUP_LIMITS) {
    if (value < limit) return bytes;
    bytes += 1;
  }
  return bytes;
}

/**
 * Writes the minimal encoding of `value` into `out` at `offset` and returns the offset behind it. The caller has made
 * sure that there is room: `varintBytes(value)` bytes.
 *
 * @throws {RangeError} If `value` is no integer in [0, 2^53-1].
 */
export function writeVarint(out: Uint8Array, offset: number, value: number): number {
  if (value < 0x10000000) {
    if (value >>> 0 !== value) checkValue(value);
    if (value < 0x80) {
      out[offset] = value;
      return offset + 1;
    }
    out[offset] = value | 0x80;
    if (value < 0x4000) {
      out[offset + 1] = value >>> 7;
      return offset + 2;
    }
    out[offset + 1] = (value >>> 7) | 0x80;
    if (value < 0x200000) {
      out[offset + 2] = value >>> 14;
      return offset + 3;
    }
    out[offset + 2] = (value >>> 14) | 0x80;
    out[offset + 3] = value >>> 21;
    return offset + 4;
  }
  checkValue(value);
  // Above 28 bits the value is split by division, as bit operators would cut it to 32.
  let rest = value;
  let at = offset;
  while (rest >= 0x80) {
    out[at] = (rest % 0x80) | 0x80;
    rest = Math.floor(rest / 0x80);
    at += 1;
  }
  out[at] = rest;
  return at + 1;
}

/**
 * Encodes `value` minimally.
 *
 * @throws {RangeError} If `value` is no integer in [0, 2^53-1].
 */
export function encodeVarint(value: number): Bytes {
  const out = new Uint8Array(varintBytes(value));
  writeVarint(out, 0, value);
  return out;
}

/**
 * Reads the varint at `offset`, looking no further than `end` (exclusive): its value, or `NEEDS_MORE`, or `MALFORMED`.
 * An encoding padded with zero groups is accepted up to 10 bytes, as protobuf does: PROTOCOL §2.1. Where it ends,
 * `varintBytesAt` tells.
 */
export function readVarint(bytes: Uint8Array, offset: number, end: number): number {
  if (offset >= end) return NEEDS_MORE;
  const first = bytes[offset] as number;
  if (first < 0x80) return first;
  if (offset + 1 >= end) return NEEDS_MORE;
  const second = bytes[offset + 1] as number;
  let low = (first & 0x7f) | ((second & 0x7f) << 7);
  if (second < 0x80) return low;
  if (offset + 2 >= end) return NEEDS_MORE;
  const third = bytes[offset + 2] as number;
  low |= (third & 0x7f) << 14;
  if (third < 0x80) return low;
  if (offset + 3 >= end) return NEEDS_MORE;
  const fourth = bytes[offset + 3] as number;
  low |= (fourth & 0x7f) << 21;
  if (fourth < 0x80) return low;
  return readLongVarint(bytes, offset, end, low);
}

/** Returns how many bytes the varint at `offset` takes, minimal or not. `readVarint` must have accepted it. */
export function varintBytesAt(bytes: Uint8Array, offset: number): number {
  let at = offset;
  while ((bytes[at] as number) >= 0x80) at += 1;
  return at - offset + 1;
}

/** Reads on after four groups, whose 28 bits are `low`. */
function readLongVarint(bytes: Uint8Array, offset: number, end: number, low: number): number {
  let middle = 0; // bits 28..55
  let high = 0; // bits 56 and up: must stay 0
  for (let index = 4; index < VARINT_BYTES_MAX; index += 1) {
    if (offset + index >= end) return NEEDS_MORE;
    const byte = bytes[offset + index] as number;
    if (index < 8) middle |= (byte & 0x7f) << (7 * (index - 4));
    else high |= byte & 0x7f;
    if (byte < 0x80) {
      const isSafe = high === 0 && middle < 0x2000000; // 28 + 25 = 53 bits. THREATS t-I2
      return isSafe ? middle * 0x10000000 + low : MALFORMED;
    }
  }
  return MALFORMED;
}

function checkValue(value: number): void {
  if (!Number.isSafeInteger(value) || value < 0) {
    throw new RangeError(`Cannot encode a varint as the value is no integer in [0, 2^53-1]: ${value}`);
  }
}
