/**
 * Decodes the short names that come again and again in records, without making a new string each time.
 *
 * The invariant to hold: it never holds more than its slots, and a hit is byte for byte the same name; what a peer
 * sends can make it slow, as without it, but not large.
 *
 * @module
 */

import { decodeUtf8 } from "../wire/utf8.ts";

const SLOTS = 16;

interface Slot {
  readonly bytes: Uint8Array;
  readonly name: string;
}

/** The names decoded lately. */
export class NameCache {
  readonly #slots: (Slot | undefined)[] = new Array<Slot | undefined>(SLOTS).fill(undefined);

  /** The name in `[start, end)`, or `undefined` when it is not well-formed UTF-8. */
  decode(bytes: Uint8Array, start: number, end: number): string | undefined {
    const length = end - start;
    if (length === 0) return "";
    const mix = length + (bytes[start] as number) * 3 + (bytes[end - 1] as number) * 5;
    const index = mix & (SLOTS - 1);
    const slot = this.#slots[index];
    if (slot !== undefined && isSame(slot.bytes, bytes, start, length)) return slot.name;
    const own = bytes.slice(start, end);
    const name = decodeUtf8(own);
    if (name !== undefined) this.#slots[index] = { bytes: own, name };
    return name;
  }
}

function isSame(known: Uint8Array, bytes: Uint8Array, start: number, length: number): boolean {
  if (known.length !== length) return false;
  for (let index = 0; index < length; index++) {
    if (known[index] !== bytes[start + index]) return false;
  }
  return true;
}
