/**
 * Hexadecimal to bytes and back for the wire tests: `Buffer` is not everywhere.
 *
 * @module
 */

import vectors from "../../vectors/wire.json" with { type: "json" };

/** The vectors of PROTOCOL §1 and §2. */
export { vectors };

/** The bytes of `hex`, which may hold spaces. */
export function fromHex(hex: string): Uint8Array<ArrayBuffer> {
  const digits = hex.replaceAll(" ", "");
  const bytes = new Uint8Array(digits.length / 2);
  for (let index = 0; index < bytes.length; index += 1) {
    bytes[index] = Number.parseInt(digits.slice(2 * index, 2 * index + 2), 16);
  }
  return bytes;
}

/** The lower-case hex of `bytes`. */
export function toHex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** `bytes` one after another. */
export function concat(...parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

/** The bytes of `hex`, `count` times. */
export function repeatHex(hex: string, count: number): Uint8Array<ArrayBuffer> {
  const unit = fromHex(hex);
  const out = new Uint8Array(unit.length * count);
  for (let at = 0; at < out.length; at += unit.length) out.set(unit, at);
  return out;
}
