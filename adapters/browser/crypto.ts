/**
 * The `CryptoProvider` of a browser: @noble, with ChaCha20-Poly1305 in WebAssembly where the browser and the page's
 * content security policy allow it.
 *
 * @module
 */

import { nobleProvider } from "../../core/crypto/noble_provider.ts";
import type { AeadKey, CipherName, CryptoProvider } from "../../core/crypto/provider.ts";
import { type WasmAeadOptions, wasmAeadKey } from "../crypto/wasm_aead.ts";

const WASM_OPTIONS: WasmAeadOptions = {
  textBytesMax: Number.POSITIVE_INFINITY,
  elsewhere: (key: Uint8Array): AeadKey => nobleProvider.aeadKey("chacha20-poly1305", key),
};

/** The provider of a browser tab or worker. */
export const browserProvider: CryptoProvider = Object.freeze({
  ...nobleProvider,
  name: "browser",
  aeadKey: (cipher: CipherName, key: Uint8Array): AeadKey =>
    cipher === "chacha20-poly1305" ? wasmAeadKey(key, WASM_OPTIONS) : nobleProvider.aeadKey(cipher, key),
});
