/**
 * The cryptographic primitives that the core composes, as one synchronous interface; the host injects an
 * implementation (`@noble` by default, a native or WASM one where it wins).
 *
 * The invariant to hold: a provider holds no protocol state. A nonce is always given by the caller, who never repeats
 * one under the same key.
 *
 * @module
 */

import type { Bytes } from "../machine.ts";

/** The AEAD ciphers that a session may agree on. */
export type CipherName = "chacha20-poly1305" | "aes-256-gcm";

/** Bytes that an AEAD adds to what it seals. RFC 8439 §2.8, NIST SP 800-38D. */
export const TAG_BYTES = 16;

/** Bytes of an AEAD nonce. RFC 8439 §2.3. */
export const NONCE_BYTES = 12;

/** Bytes of an AEAD, Diffie-Hellman or pre-shared key. */
export const KEY_BYTES = 32;

/** One AEAD key, ready for use. Dropping the last reference frees it; `destroy` wipes it as far as the host can. */
export interface AeadKey {
  readonly cipher: CipherName;
  /**
   * Encrypts `plaintext` into `out` at `offset`: ciphertext of equal length followed by the 16-byte tag.
   * `out` never overlaps `plaintext`. Returns the number of bytes written (`plaintext.length + 16`).
   */
  seal(nonce: Uint8Array, associated: Uint8Array, plaintext: Uint8Array, out: Uint8Array, offset: number): number;
  /**
   * Decrypts `sealed` (ciphertext followed by the tag), or returns `undefined` when it is not authentic.
   * The returned bytes are fresh: the caller owns them. `sealed` is lent. Never throws on foreign bytes.
   */
  open(nonce: Uint8Array, associated: Uint8Array, sealed: Uint8Array): Bytes | undefined;
  /** Wipes the key as far as the host can. The key is unusable afterwards. */
  destroy(): void;
}

/** An X25519 key pair. RFC 7748. */
export interface DhKeyPair {
  readonly publicKey: Bytes;
  readonly secretKey: Bytes;
}

/**
 * Synchronous cryptographic primitives. Each is from an audited library or the host itself, but for one: in Node, Deno,
 * Bun and browsers ChaCha20-Poly1305 is WebAssembly built from source of our own, which nobody has audited.
 * docs/dependencies.md says why, and what holds it.
 */
export interface CryptoProvider {
  /** A short name for `stats()` and bug reports: `node`, `deno`, `bun`, `browser` or `noble`. */
  readonly name: string;
  /** The ciphers worth offering on this host, best first; always holds `chacha20-poly1305`. */
  readonly ciphers: readonly CipherName[];
  /** SHA-256. FIPS 180-4. */
  sha256(data: Uint8Array): Bytes;
  /** HMAC-SHA-256. RFC 2104. */
  hmacSha256(key: Uint8Array, data: Uint8Array): Bytes;
  /** The X25519 public key of a 32-byte secret. RFC 7748 §6.1. */
  x25519PublicKey(secretKey: Uint8Array): Bytes;
  /** X25519, or `undefined` when the shared secret is all zero (a low-order public key). RFC 7748 §6.1. */
  x25519(secretKey: Uint8Array, publicKey: Uint8Array): Bytes | undefined;
  /** The Ed25519 public key of a 32-byte seed. RFC 8032 §5.1.5. */
  ed25519PublicKey(seed: Uint8Array): Bytes;
  /** An Ed25519 signature of 64 bytes. RFC 8032 §5.1.6. */
  ed25519Sign(seed: Uint8Array, message: Uint8Array): Bytes;
  /** Verifies strictly: canonical S, no small-order key. Never throws. RFC 8032 §5.1.7. */
  ed25519Verify(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean;
  /** Prepares an AEAD key from 32 bytes, which are copied. */
  aeadKey(cipher: CipherName, key: Uint8Array): AeadKey;
}
