/**
 * Names of nodes at a relay: their one canonical form, random ones, and the tokens that bring a name back.
 * Implements PROTOCOL §10.4.
 *
 * The invariant to hold: two spellings never name two nodes, and a token proves its name by itself to the relay that
 * made it: no table is needed to believe it, so it outlives the relay's memory.
 *
 * @module
 */

import { encodeBase32 } from "../crypto/base32.ts";
import { concatBytes, equalBytes } from "../crypto/constant_time.ts";
import { bytesToHex } from "../crypto/hex.ts";
import { deriveKey } from "../crypto/hkdf.ts";
import type { CryptoProvider } from "../crypto/provider.ts";
import type { Bytes } from "../machine.ts";
import { encodeUtf8 } from "../wire/utf8.ts";

/** Bytes of a token that a relay makes: 128 random bits and a MAC of 128 bits. THREATS t-F7. */
export const TOKEN_BYTES = 32;
/** Bytes of the random part of a token. */
export const TOKEN_RANDOM_BYTES = 16;
/** Random bytes of a random name: 64 bits, 13 letters. THREATS t-G7 asks for 60 bits. */
export const RANDOM_NAME_BYTES = 8;

const NAME = /^[a-zA-Z0-9-]{3,32}$/;

/**
 * The canonical form of a name as it was asked for, or `undefined` when it is none: `[a-z0-9-]{3,32}`, capital letters
 * made small. Nothing but ASCII is taken, so that no two names look alike. THREATS t-G7.
 */
export function canonicalName(asked: string): string | undefined {
  // Only after the test: outside ASCII there are letters whose small form is ASCII (U+212A).
  return NAME.test(asked) ? asked.toLowerCase() : undefined;
}

/** Whether a name is of the form that random names have. */
export function isRandomName(name: string): boolean {
  return /^[a-z2-7]{13}$/.test(name);
}

/** A name for a node that asked for none, from `RANDOM_NAME_BYTES` random bytes. */
export function randomName(random: Uint8Array): string {
  return encodeBase32(random);
}

/** The key of a relay's tokens, derived from the seed of its identity: the same relay knows its tokens for ever. */
export function tokenKeyOf(seed: Uint8Array, crypto: CryptoProvider): Bytes {
  return deriveKey(crypto, seed, "relay token");
}

/** The token of `name` from `TOKEN_RANDOM_BYTES` random bytes: `random | HMAC(key, random | name)[16]`. */
export function makeToken(key: Uint8Array, name: string, random: Uint8Array, crypto: CryptoProvider): Bytes {
  return concatBytes(random, macOf(key, name, random, crypto));
}

/** Whether `token` was made with `key` for `name`. */
export function verifyToken(key: Uint8Array, name: string, token: Uint8Array, crypto: CryptoProvider): boolean {
  if (token.length !== TOKEN_BYTES) return false;
  const random = token.subarray(0, TOKEN_RANDOM_BYTES);
  return equalBytes(token.subarray(TOKEN_RANDOM_BYTES), macOf(key, name, random, crypto));
}

/** What is kept of a token: its SHA-256 in lower-case hex. The token itself is never kept. THREATS t-F7. */
export function tokenDigest(token: Uint8Array, crypto: CryptoProvider): string {
  return bytesToHex(crypto.sha256(token));
}

function macOf(key: Uint8Array, name: string, random: Uint8Array, crypto: CryptoProvider): Uint8Array {
  const mac = crypto.hmacSha256(key, concatBytes(random, encodeUtf8(name)));
  return mac.subarray(0, TOKEN_BYTES - TOKEN_RANDOM_BYTES);
}
