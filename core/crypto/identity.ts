/**
 * Who a node is: an Ed25519 key, its text form with a checksum, and the X25519 form of the same key that the Noise
 * handshake uses as static key. PROTOCOL §3.1: the Noise static key is the Montgomery form of the identity
 * key (Thormarker 2021, "On using the same key pair for Ed25519 and an X25519 based KEM").
 *
 * The invariant to hold: one id has one static key and one text; what does not decode to a point of large order is no
 * id.
 *
 * @module
 */

import { ed25519 } from "@noble/curves/ed25519.js";
import type { Bytes } from "../machine.ts";
import { encodeUtf8 } from "../wire/utf8.ts";
import { decodeBase32, encodeBase32 } from "./base32.ts";
import { concatBytes, equalBytes, isAllZero } from "./constant_time.ts";
import type { CryptoProvider, DhKeyPair } from "./provider.ts";

/** A node id in text form: 56 characters of lower-case base32. */
export type NodeId = string;

/** Bytes of a node id. */
export const NODE_ID_BYTES = 32;
/** Characters of a node id in text form. */
export const NODE_ID_LENGTH = 56;
/** Bytes of the secret that an identity is made from. */
export const SEED_BYTES = 32;

const CHECKSUM_BYTES = 3;
const CHECKSUM_CONTEXT: Uint8Array = encodeUtf8("viaduct id v1");

/** A node's own keys. */
export interface Identity {
  /** The Ed25519 seed: the secret. */
  readonly seed: Bytes;
  /** The Ed25519 public key: the id as bytes. */
  readonly publicKey: Bytes;
  readonly id: NodeId;
  /** The X25519 form of the same key. */
  readonly dh: DhKeyPair;
}

/** Derives all keys of an identity. Throws `RangeError` when the seed does not have 32 bytes. */
export function identityFromSeed(seed: Uint8Array, crypto: CryptoProvider): Identity {
  if (seed.length !== SEED_BYTES) throw new RangeError(`Cannot make an identity from a seed of ${seed.length} bytes`);
  const own = new Uint8Array(seed);
  const publicKey = crypto.ed25519PublicKey(own);
  const secretKey = ed25519.utils.toMontgomerySecret(own) as Bytes;
  return {
    seed: own,
    publicKey,
    id: encodeNodeId(publicKey, crypto),
    dh: { secretKey, publicKey: ed25519.utils.toMontgomery(publicKey) as Bytes },
  };
}

/** The text form of an id: base32 of the key and three bytes of checksum. */
export function encodeNodeId(publicKey: Uint8Array, crypto: CryptoProvider): NodeId {
  return encodeBase32(concatBytes(publicKey, checksumOf(publicKey, crypto)));
}

/**
 * The key of an id in text form, or `undefined` when it is none: mistyped or cut. Whether it is a key that somebody can
 * hold is told by `dhPublicKeyOfId`, which costs a hundred times as much.
 */
export function decodeNodeId(text: string, crypto: CryptoProvider): Bytes | undefined {
  if (text.length !== NODE_ID_LENGTH) return undefined;
  const bytes = decodeBase32(text);
  if (bytes === undefined) return undefined;
  const publicKey = bytes.slice(0, NODE_ID_BYTES);
  return equalBytes(bytes.subarray(NODE_ID_BYTES), checksumOf(publicKey, crypto)) ? publicKey : undefined;
}

/** The X25519 form of an id, or `undefined` when the bytes are no point or one of small order. THREATS t-A2. */
export function dhPublicKeyOfId(publicKey: Uint8Array): Bytes | undefined {
  if (!isUsablePublicKey(publicKey)) return undefined;
  const dh = ed25519.utils.toMontgomery(publicKey) as Bytes;
  return isAllZero(dh) ? undefined : dh;
}

/** Whether bytes are the canonical form of an Ed25519 point that is not of small order. RFC 8032 §5.1.3. */
export function isUsablePublicKey(publicKey: Uint8Array): boolean {
  if (publicKey.length !== NODE_ID_BYTES) return false;
  try {
    return !ed25519.Point.fromBytes(publicKey, false).isSmallOrder();
  } catch {
    return false;
  }
}

/** The first characters of an id, for people. Never compared. */
export function shortId(id: NodeId): string {
  return id.slice(0, 8);
}

function checksumOf(publicKey: Uint8Array, crypto: CryptoProvider): Bytes {
  return crypto.sha256(concatBytes(CHECKSUM_CONTEXT, publicKey)).slice(0, CHECKSUM_BYTES);
}
