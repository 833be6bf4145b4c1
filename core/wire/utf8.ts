/**
 * UTF-8 (RFC 3629) without a host: the core has neither `TextEncoder` nor `TextDecoder`. Implements PROTOCOL §2.3.
 *
 * The invariant to hold: decoding is strict. Overlong forms, surrogates, code points above U+10FFFF and truncated
 * sequences give `undefined`; nothing is replaced, so two different byte strings never decode to the same text.
 *
 * @module
 */

import type { Bytes } from "../machine.ts";

const REPLACEMENT = 0xfffd;
const UNITS_PER_PIECE = 1024; // arguments of one String.fromCharCode call: far below every engine's limit

/** Returns how many bytes `text` takes in UTF-8; a lone surrogate counts as U+FFFD. */
export function utf8Bytes(text: string): number {
  let bytes = 0;
  for (let index = 0; index < text.length; index += 1) {
    const unit = text.charCodeAt(index);
    if (unit < 0x80) bytes += 1;
    else if (unit < 0x800) bytes += 2;
    else if (isPairAt(text, index, unit)) {
      bytes += 4;
      index += 1;
    } else bytes += 3;
  }
  return bytes;
}

/**
 * Writes `text` into `out` at `offset` and returns the offset behind it. A lone surrogate is written as U+FFFD, as the
 * Encoding Standard does. The caller has made sure that there is room: `utf8Bytes(text)` bytes.
 */
export function writeUtf8(out: Uint8Array, offset: number, text: string): number {
  let at = offset;
  for (let index = 0; index < text.length; index += 1) {
    let point = text.charCodeAt(index);
    if (point < 0x80) {
      out[at++] = point;
      continue;
    }
    if (point < 0x800) {
      out[at++] = 0xc0 | (point >>> 6);
      out[at++] = 0x80 | (point & 0x3f);
      continue;
    }
    if (isPairAt(text, index, point)) {
      index += 1;
      point = 0x10000 + ((point - 0xd800) << 10) + (text.charCodeAt(index) - 0xdc00);
      out[at++] = 0xf0 | (point >>> 18);
      out[at++] = 0x80 | ((point >>> 12) & 0x3f);
    } else {
      if (point >= 0xd800 && point <= 0xdfff) point = REPLACEMENT;
      out[at++] = 0xe0 | (point >>> 12);
    }
    out[at++] = 0x80 | ((point >>> 6) & 0x3f);
    out[at++] = 0x80 | (point & 0x3f);
  }
  return at;
}

/** Encodes `text`; a lone surrogate becomes U+FFFD. */
export function encodeUtf8(text: string): Bytes {
  const out = new Uint8Array(utf8Bytes(text));
  writeUtf8(out, 0, text);
  return out;
}

/** Decodes `bytes`, or returns `undefined` when they are not well-formed. A byte order mark is kept as U+FEFF. */
export function decodeUtf8(bytes: Uint8Array): string | undefined {
  let text = "";
  let units: number[] = [];
  let at = 0;
  while (at < bytes.length) {
    const first = bytes[at] as number;
    if (first < 0x80) {
      units.push(first);
      at += 1;
    } else {
      const point = decodeSequence(bytes, at, first);
      if (point < 0) return undefined;
      if (point < 0x10000) {
        units.push(point);
        at += point < 0x800 ? 2 : 3;
      } else {
        units.push(0xd7c0 + (point >>> 10), 0xdc00 | (point & 0x3ff)); // 0xd7c0 is 0xd800 less 0x10000 >>> 10
        at += 4;
      }
    }
    if (units.length >= UNITS_PER_PIECE) {
      text += String.fromCharCode(...units);
      units = [];
    }
  }
  return text + String.fromCharCode(...units);
}

/** The code point of the sequence of two to four bytes at `at`, or -1. The table of RFC 3629 §4. */
function decodeSequence(bytes: Uint8Array, at: number, first: number): number {
  if (first < 0xc2 || first > 0xf4) return -1;
  const second = continuationAt(bytes, at + 1);
  if (second < 0) return -1;
  if (first < 0xe0) return ((first & 0x1f) << 6) | second;
  const third = continuationAt(bytes, at + 2);
  if (third < 0) return -1;
  if (first < 0xf0) {
    const point = ((first & 0x0f) << 12) | (second << 6) | third;
    const isScalar = point >= 0x800 && (point < 0xd800 || point > 0xdfff);
    return isScalar ? point : -1;
  }
  const fourth = continuationAt(bytes, at + 3);
  if (fourth < 0) return -1;
  const point = ((first & 0x07) << 18) | (second << 12) | (third << 6) | fourth;
  return point >= 0x10000 && point <= 0x10ffff ? point : -1;
}

/** The six bits of the continuation byte at `at`, or -1 when there is none. */
function continuationAt(bytes: Uint8Array, at: number): number {
  if (at >= bytes.length) return -1;
  const byte = bytes[at] as number;
  return (byte & 0xc0) === 0x80 ? byte & 0x3f : -1;
}

function isPairAt(text: string, index: number, unit: number): boolean {
  if (unit < 0xd800 || unit > 0xdbff || index + 1 >= text.length) return false;
  const next = text.charCodeAt(index + 1);
  return next >= 0xdc00 && next <= 0xdfff;
}
