/**
 * Key derivation: HKDF with SHA-256 as Noise uses it, and labelled keys. RFC 5869; Noise rev 34 §4.3.
 *
 * @module
 */

import type { Bytes } from "../machine.ts";
import { encodeUtf8 } from "../wire/utf8.ts";
import { concatBytes } from "./constant_time.ts";
import type { CryptoProvider } from "./provider.ts";

/** `HKDF(chaining_key, input_key_material, count)` of Noise §4.3: two or three outputs of 32 bytes. */
export function noiseHkdf(
  crypto: CryptoProvider,
  chainingKey: Uint8Array,
  inputKeyMaterial: Uint8Array,
  count: 2 | 3,
): Bytes[] {
  const temporary = crypto.hmacSha256(chainingKey, inputKeyMaterial);
  const outputs: Bytes[] = [];
  let previous: Uint8Array = new Uint8Array(0);
  for (let counter = 1; counter <= count; counter++) {
    const output = crypto.hmacSha256(temporary, concatBytes(previous, Uint8Array.of(counter)));
    outputs.push(output);
    previous = output;
  }
  temporary.fill(0);
  return outputs;
}

/** A key of 32 bytes for one purpose: HKDF-Expand of `secret` with `label` and `context` as info. RFC 5869 §2.3. */
export function deriveKey(crypto: CryptoProvider, secret: Uint8Array, label: string, context?: Uint8Array): Bytes {
  const info = encodeUtf8(`viaduct ${label}`);
  return crypto.hmacSha256(secret, concatBytes(info, Uint8Array.of(0), context ?? new Uint8Array(0), Uint8Array.of(1)));
}
