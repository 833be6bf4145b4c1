/**
 * PASETO version 4 in public mode (Ed25519), and PASERK for its keys: signed texts whose one algorithm follows from the
 * version, so that nothing in a token chooses how it is checked.
 * https://github.com/paseto-standard/paseto-spec (Version 4), https://github.com/paseto-standard/paserk (k4).
 *
 * The invariant to hold: what is not authentic under the given key, footer and implicit assertion gives `undefined`;
 * nothing throws on foreign text.
 *
 * @module
 */

import { blake2b } from "@noble/hashes/blake2.js";
import type { Bytes } from "../machine.ts";
import { encodeUtf8 } from "../wire/utf8.ts";
import { decodeBase64url, encodeBase64url } from "./base64url.ts";
import { concatBytes, equalBytes } from "./constant_time.ts";
import { isUsablePublicKey, SEED_BYTES } from "./identity.ts";
import type { CryptoProvider } from "./provider.ts";

const HEADER = "v4.public.";
const HEADER_BYTES: Uint8Array = encodeUtf8(HEADER);
const SIGNATURE_BYTES = 64;
const PUBLIC_KEY_BYTES = 32;

const PASERK_PUBLIC = "k4.public.";
const PASERK_SECRET = "k4.secret.";
const PASERK_PUBLIC_ID = "k4.pid.";
/** PASERK, operations/ID: BLAKE2b with an output of 264 bits. */
const PASERK_ID_BYTES = 33;

const EMPTY = new Uint8Array(0);

/** What a token says. */
export interface PasetoParts {
  /** JSON as UTF-8. */
  readonly payload: Uint8Array;
  /** Signed and readable without a key, such as the id of the key; empty for none. */
  readonly footer?: Uint8Array;
  /** Signed and not in the token: whoever checks it must know it. */
  readonly implicitAssertion?: Uint8Array;
}

/** Signs a token. PASETO Version 4, Sign. */
export function signPaseto(parts: PasetoParts, seed: Uint8Array, crypto: CryptoProvider): string {
  const { payload, footer = EMPTY, implicitAssertion = EMPTY } = parts;
  const signature = crypto.ed25519Sign(seed, preAuthEncode([HEADER_BYTES, payload, footer, implicitAssertion]));
  const body = encodeBase64url(concatBytes(payload, signature));
  return footer.length === 0 ? `${HEADER}${body}` : `${HEADER}${body}.${encodeBase64url(footer)}`;
}

/** The payload and footer of a token, or `undefined` when the key did not sign it. PASETO Version 4, Verify. */
export function verifyPaseto(
  token: string,
  publicKey: Uint8Array,
  options: { readonly implicitAssertion?: Uint8Array },
  crypto: CryptoProvider,
): { readonly payload: Bytes; readonly footer: Bytes } | undefined {
  const parts = splitPaseto(token);
  if (parts === undefined || publicKey.length !== PUBLIC_KEY_BYTES) return undefined;
  const { payload, footer, signature } = parts;
  const message = preAuthEncode([HEADER_BYTES, payload, footer, options.implicitAssertion ?? EMPTY]);
  return crypto.ed25519Verify(publicKey, message, signature) ? { payload, footer } : undefined;
}

/** The payload and footer of a token that nobody checked, to choose a key by; or `undefined` when it is none. */
export function dangerousReadPaseto(token: string): { readonly payload: Bytes; readonly footer: Bytes } | undefined {
  const parts = splitPaseto(token);
  return parts === undefined ? undefined : { payload: parts.payload, footer: parts.footer };
}

/** The text of a public key: `k4.public.…`. Throws `RangeError` when it does not have 32 bytes. */
export function encodePaserkPublic(publicKey: Uint8Array): string {
  if (publicKey.length !== PUBLIC_KEY_BYTES) throw wrongLength("public key", publicKey.length);
  return `${PASERK_PUBLIC}${encodeBase64url(publicKey)}`;
}

/** The public key of a `k4.public.…`, or `undefined` when it is none, or no key that somebody can hold. */
export function decodePaserkPublic(text: string): Bytes | undefined {
  const bytes = text.startsWith(PASERK_PUBLIC) ? decodeBase64url(text.slice(PASERK_PUBLIC.length)) : undefined;
  return bytes !== undefined && isUsablePublicKey(bytes) ? bytes : undefined;
}

/** The text of a secret key: `k4.secret.…`, seed and public key. Throws `RangeError` when the seed is no seed. */
export function encodePaserkSecret(seed: Uint8Array, crypto: CryptoProvider): string {
  if (seed.length !== SEED_BYTES) throw wrongLength("seed", seed.length);
  return `${PASERK_SECRET}${encodeBase64url(concatBytes(seed, crypto.ed25519PublicKey(seed)))}`;
}

/** The seed of a `k4.secret.…`, or `undefined` when it is none or its two halves are not of one key. */
export function decodePaserkSecret(text: string, crypto: CryptoProvider): Bytes | undefined {
  const bytes = text.startsWith(PASERK_SECRET) ? decodeBase64url(text.slice(PASERK_SECRET.length)) : undefined;
  if (bytes?.length !== SEED_BYTES + PUBLIC_KEY_BYTES) return undefined;
  const seed = bytes.slice(0, SEED_BYTES);
  return equalBytes(crypto.ed25519PublicKey(seed), bytes.subarray(SEED_BYTES)) ? seed : undefined;
}

/** The id of a public key: `k4.pid.…`, which a footer may hold. Throws `RangeError` when the key has not 32 bytes. */
export function paserkPublicId(publicKey: Uint8Array): string {
  const text = encodeUtf8(`${PASERK_PUBLIC_ID}${encodePaserkPublic(publicKey)}`);
  return `${PASERK_PUBLIC_ID}${encodeBase64url(blake2b(text, { dkLen: PASERK_ID_BYTES }))}`;
}

/** PASETO, Common: PAE. Every length is 8 bytes, little-endian; the topmost bit is never set. */
function preAuthEncode(pieces: readonly Uint8Array[]): Bytes {
  const parts: Uint8Array[] = [littleEndian(pieces.length)];
  for (const piece of pieces) parts.push(littleEndian(piece.length), piece);
  return concatBytes(...parts);
}

function littleEndian(value: number): Uint8Array {
  const out = new Uint8Array(8);
  let rest = value;
  for (let index = 0; rest > 0; index++) {
    out[index] = rest % 256;
    rest = Math.floor(rest / 256);
  }
  return out;
}

function splitPaseto(
  token: string,
): { readonly payload: Bytes; readonly footer: Bytes; readonly signature: Bytes } | undefined {
  if (!token.startsWith(HEADER)) return undefined;
  const [body, footerText, ...more] = token.slice(HEADER.length).split(".");
  if (more.length > 0 || footerText === "") return undefined;
  const bytes = decodeBase64url(body as string);
  const footer = footerText === undefined ? new Uint8Array(0) : decodeBase64url(footerText);
  if (bytes === undefined || footer === undefined || bytes.length < SIGNATURE_BYTES) return undefined;
  const at = bytes.length - SIGNATURE_BYTES;
  return { payload: bytes.slice(0, at), footer, signature: bytes.slice(at) };
}

function wrongLength(what: string, bytes: number): RangeError {
  return new RangeError(`Cannot write a ${what} of ${bytes} bytes`);
}
