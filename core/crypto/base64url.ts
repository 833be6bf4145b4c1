/**
 * Base64 for URLs and file names, without padding (RFC 4648 §5): the text form that PASETO and PASERK use.
 *
 * The invariant to hold: decoding is strict. Every byte string has one text; padding, other letters and left-over bits
 * give `undefined`.
 *
 * @module
 */

import type { Bytes } from "../machine.ts";

const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
const VALUES: ReadonlyMap<string, number> = new Map([...ALPHABET].map((letter, index) => [letter, index]));

/** Encodes bytes; the last letter is filled with zero bits. */
export function encodeBase64url(bytes: Uint8Array): string {
  let text = "";
  let buffer = 0;
  let bits = 0;
  for (const byte of bytes) {
    buffer = (buffer << 8) | byte;
    bits += 8;
    while (bits >= 6) {
      bits -= 6;
      text += ALPHABET[(buffer >>> bits) & 63];
    }
    buffer &= (1 << bits) - 1;
  }
  if (bits > 0) text += ALPHABET[(buffer << (6 - bits)) & 63];
  return text;
}

/** Decodes a text, or returns `undefined` when it is not canonical. */
export function decodeBase64url(text: string): Bytes | undefined {
  const out = new Uint8Array(Math.floor((text.length * 6) / 8));
  let buffer = 0;
  let bits = 0;
  let at = 0;
  for (let index = 0; index < text.length; index++) {
    const value = VALUES.get(text[index] as string);
    if (value === undefined) return undefined;
    buffer = (buffer << 6) | value;
    bits += 6;
    if (bits < 8) continue;
    bits -= 8;
    out[at++] = buffer >>> bits;
    buffer &= (1 << bits) - 1;
  }
  // Left-over bits must be zero and fewer than a letter's: otherwise two texts would mean the same bytes.
  return bits < 6 && buffer === 0 ? out : undefined;
}
