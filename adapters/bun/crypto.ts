/**
 * The `CryptoProvider` of Bun: native but for ChaCha20-Poly1305, which its `node:crypto` lacks: that is in WebAssembly.
 * AES-256-GCM is offered too: two Buns agree on it. Measured with 16, 1200 and 65504 bytes, microseconds a seal: 1.2,
 * 2.0, 31; ChaCha20-Poly1305 in WebAssembly 0.28, 1.6, 76; of @noble 7, 12, 378.
 *
 * @module
 */

import { nobleProvider } from "../../core/crypto/noble_provider.ts";
import type { AeadKey, CipherName, CryptoProvider } from "../../core/crypto/provider.ts";
import { type WasmAeadOptions, wasmAeadKey } from "../crypto/wasm_aead.ts";
import { nodeProvider } from "../node/crypto.ts";

const WASM_OPTIONS: WasmAeadOptions = {
  textBytesMax: Number.POSITIVE_INFINITY,
  elsewhere: (key: Uint8Array): AeadKey => nobleProvider.aeadKey("chacha20-poly1305", key),
};

/** The provider of Bun. */
export const bunProvider: CryptoProvider = Object.freeze({
  ...nodeProvider,
  name: "bun",
  ciphers: Object.freeze(["aes-256-gcm", "chacha20-poly1305"] as const),
  aeadKey: (cipher: CipherName, key: Uint8Array): AeadKey =>
    cipher === "aes-256-gcm" ? nodeProvider.aeadKey(cipher, key) : wasmAeadKey(key, WASM_OPTIONS),
});
