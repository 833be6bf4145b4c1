/**
 * The `CryptoProvider` that runs everywhere: the audited pure-JavaScript primitives of @noble.
 *
 * The invariant to hold: this file composes nothing; it only adapts signatures and turns exceptions on foreign input
 * into `undefined` or `false`.
 *
 * @module
 */

import { chacha20poly1305 } from "@noble/ciphers/chacha.js";
import { ed25519, x25519 } from "@noble/curves/ed25519.js";
import { hmac } from "@noble/hashes/hmac.js";
import { sha256 } from "@noble/hashes/sha2.js";
import type { Bytes } from "../machine.ts";
import type { AeadKey, CipherName, CryptoProvider } from "./provider.ts";
import { KEY_BYTES, TAG_BYTES } from "./provider.ts";

/** A ChaCha20-Poly1305 key of @noble/ciphers. */
class NobleAeadKey implements AeadKey {
  readonly cipher = "chacha20-poly1305";
  #key: Bytes | undefined;

  constructor(key: Uint8Array) {
    if (key.length !== KEY_BYTES) throw new RangeError(`Cannot use a key of ${key.length} bytes`);
    this.#key = new Uint8Array(key);
  }

  seal(nonce: Uint8Array, associated: Uint8Array, plaintext: Uint8Array, out: Uint8Array, offset: number): number {
    const cipher = chacha20poly1305(this.#require(), nonce, associated);
    const length = plaintext.length + TAG_BYTES;
    // The library takes words where it can: writing in place spares a copy, but only on a multiple of four.
    if ((out.byteOffset + offset) % 4 === 0) cipher.encrypt(plaintext, out.subarray(offset, offset + length));
    else out.set(cipher.encrypt(plaintext), offset);
    return length;
  }

  open(nonce: Uint8Array, associated: Uint8Array, sealed: Uint8Array): Bytes | undefined {
    if (sealed.length < TAG_BYTES) return undefined;
    const cipher = chacha20poly1305(this.#require(), nonce, associated);
    try {
      return cipher.decrypt(sealed) as Bytes;
    } catch {
      return undefined; // The only thing that can fail here is the tag.
    }
  }

  destroy(): void {
    this.#key?.fill(0);
    this.#key = undefined;
  }

  /** Never the wiped bytes: sealing under a key of zeros would look like success. */
  #require(): Bytes {
    if (this.#key === undefined) throw new TypeError("Cannot use a key that was destroyed");
    return this.#key;
  }
}

/** The provider on `@noble`. */
export const nobleProvider: CryptoProvider = Object.freeze({
  name: "noble",
  ciphers: Object.freeze(["chacha20-poly1305"] as const),
  sha256: (data: Uint8Array): Bytes => sha256(data) as Bytes,
  hmacSha256: (key: Uint8Array, data: Uint8Array): Bytes => hmac(sha256, key, data) as Bytes,
  x25519PublicKey: (secretKey: Uint8Array): Bytes => x25519.getPublicKey(secretKey) as Bytes,
  x25519: (secretKey: Uint8Array, publicKey: Uint8Array): Bytes | undefined => {
    try {
      return x25519.getSharedSecret(secretKey, publicKey) as Bytes;
    } catch {
      return undefined; // A low-order public key: RFC 7748 §6.1, THREATS t-A2.
    }
  },
  ed25519PublicKey: (seed: Uint8Array): Bytes => ed25519.getPublicKey(seed) as Bytes,
  ed25519Sign: (seed: Uint8Array, message: Uint8Array): Bytes => ed25519.sign(message, seed) as Bytes,
  ed25519Verify: (publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean => {
    try {
      return ed25519.verify(signature, message, publicKey, { zip215: false });
    } catch {
      return false;
    }
  },
  aeadKey: (cipher: CipherName, key: Uint8Array): AeadKey => {
    // AES without hardware is slow and leaks by timing: it is never offered here, so it is never agreed on.
    if (cipher !== "chacha20-poly1305") throw new RangeError(`Cannot use ${cipher} without a native implementation`);
    return new NobleAeadKey(key);
  },
});
