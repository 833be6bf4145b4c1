/**
 * Base32 in lower case without padding (RFC 4648 §6, its alphabet in small letters): what a person can read out, and a
 * URL, a file name and a QR code can hold.
 *
 * @module
 */

import type { Bytes } from "../machine.ts";

const ALPHABET = "abcdefghijklmnopqrstuvwxyz234567";
// Both cases are listed: outside ASCII there are letters whose small form is ASCII (U+212A), so nothing is lowered.
const VALUES: ReadonlyMap<string, number> = new Map(
  [...ALPHABET, ...ALPHABET.toUpperCase()].map((letter, index) => [letter, index % ALPHABET.length]),
);

/** Encodes bytes; the last letter is filled with zero bits. */
export function encodeBase32(bytes: Uint8Array): string {
  let text = "";
  let buffer = 0;
  let bits = 0;
  for (const byte of bytes) {
    buffer = (buffer << 8) | byte;
    bits += 8;
    while (bits >= 5) {
      bits -= 5;
      text += ALPHABET[(buffer >>> bits) & 31];
    }
    buffer &= (1 << bits) - 1;
  }
  if (bits > 0) text += ALPHABET[(buffer << (5 - bits)) & 31];
  return text;
}

/** Decodes a text in either case, or returns `undefined` when it is not canonical base32. */
export function decodeBase32(text: string): Bytes | undefined {
  const out = new Uint8Array(Math.floor((text.length * 5) / 8));
  let buffer = 0;
  let bits = 0;
  let at = 0;
  for (const letter of text) {
    const value = VALUES.get(letter);
    if (value === undefined) return undefined;
    buffer = (buffer << 5) | value;
    bits += 5;
    if (bits < 8) continue;
    bits -= 8;
    out[at++] = buffer >>> bits;
    buffer &= (1 << bits) - 1;
  }
  // Left-over bits must be zero and fewer than a letter's: otherwise two texts would mean the same bytes.
  return bits < 5 && buffer === 0 ? out : undefined;
}
