/**
 * The `CryptoProvider` of Deno: its `node:crypto` is native, and quicker than Web Crypto, which would need promises.
 *
 * @module
 */

import type { CryptoProvider } from "../../core/crypto/provider.ts";
import { nodeProvider } from "../node/crypto.ts";

/** The provider of Deno. ChaCha20-Poly1305 alone: its AES-GCM takes twice as long for packages. */
export const denoProvider: CryptoProvider = Object.freeze({
  ...nodeProvider,
  name: "deno",
  ciphers: Object.freeze(["chacha20-poly1305"] as const),
});
