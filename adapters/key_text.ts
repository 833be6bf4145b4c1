/**
 * The text of a key file: one header line, the seed in hexadecimal, and a checksum that tells a damaged file.
 *
 * @module
 */

import { nobleProvider } from "../core/crypto/noble_provider.ts";
import { ViaductError } from "../core/error.ts";

const HEADER = "viaduct key 1";
const SEED_BYTES = 32;
const CHECK_BYTES = 4;

/** Writes a key file. */
export function encodeKeyText(seed: Uint8Array): string {
  return `${HEADER}\n${hex(seed)} ${hex(nobleProvider.sha256(seed).subarray(0, CHECK_BYTES))}\n`;
}

/** Reads a key file. Throws `ViaductError` with code `key_file` that says what to do; never shows the content. */
export function decodeKeyText(text: string, where: string): Uint8Array {
  const match = /^viaduct key 1\r?\n([0-9a-f]{64}) ([0-9a-f]{8})\r?\n?$/.exec(text);
  const seed = match === null ? undefined : unhex(match[1] as string);
  if (match === null || seed === undefined || seed.length !== SEED_BYTES) {
    throw new ViaductError("key_file", {
      detail: `'${where}' is not a Viaduct key: move it away to have a new one made`,
    });
  }
  if (hex(nobleProvider.sha256(seed).subarray(0, CHECK_BYTES)) !== match[2]) {
    throw new ViaductError("key_file", { detail: `'${where}' is damaged: restore it from a copy, or move it away` });
  }
  return seed;
}

function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function unhex(text: string): Uint8Array {
  return Uint8Array.from(text.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
}
