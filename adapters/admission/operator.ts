/**
 * The operator's side of admissions: keys, issuing, checking, and lists of what was revoked. See docs/admission.md.
 *
 * @module
 */

import type { NodeId } from "../../core/crypto/identity.ts";
import { nobleProvider } from "../../core/crypto/noble_provider.ts";
import {
  decodePaserkPublic,
  decodePaserkSecret,
  encodePaserkPublic,
  encodePaserkSecret,
  paserkPublicId,
} from "../../core/crypto/paseto.ts";
import { ViaductError } from "../../core/error.ts";
import type { AdmissionClaims, AdmissionStanding } from "../../core/relay/admission_token.ts";
import {
  dangerousReadAdmissionToken,
  issueAdmissionToken,
  verifyAdmissionToken,
} from "../../core/relay/admission_token.ts";
import { decodeRevocationList, RevocationList } from "../../core/relay/revocation_list.ts";
import { encodeUtf8 } from "../../core/wire/utf8.ts";

/** A day: how long an admission is valid where nobody says otherwise. */
const EXPIRES_IN_MS = 86_400_000;
const ID_RANDOM_BYTES = 12;
const ID_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/** A key that signs admissions, in the text forms of PASERK. */
export interface OperatorKey {
  /** `k4.secret.…`: whoever has it lets in whom they like. */
  readonly secret: string;
  /** `k4.public.…`: what relays are given, in their policy. */
  readonly public: string;
  /** `k4.pid.…`: by which tokens name it. */
  readonly id: string;
}

/** What an admission allows. Everything may be left out. */
export interface IssueOptions extends Omit<AdmissionClaims, "id" | "issuedAtUnixMs" | "expiresAtUnixMs"> {
  /** By which it is revoked: 1 to 64 of `[A-Za-z0-9_-]`. A random one. */
  readonly id?: string;
  /** Milliseconds until it expires, at most 400 days. A day. */
  readonly expiresInMs?: number;
}

/** An admission and what is to be kept of it: the id, to revoke it, and until when that matters. */
export interface IssuedAdmission {
  /** The admission: a secret of whoever it is for. */
  readonly admission: string;
  readonly id: string;
  readonly expiresAtUnixMs: number;
}

/** Makes a new key. */
export function createOperatorKey(): OperatorKey {
  return keyOfSeed(crypto.getRandomValues(new Uint8Array(32)));
}

/** The key of a `k4.secret.…`. Throws `ViaductError` with code `key_file` when it is none. */
export function readOperatorKey(secret: string): OperatorKey {
  return keyOfSeed(seedOf(secret));
}

/** Signs an admission. Throws `RangeError` when something is asked for that cannot be. */
export function issueAdmission(options: IssueOptions, secret: string): IssuedAdmission {
  const { id = randomId(), expiresInMs = EXPIRES_IN_MS, ...rest } = options;
  const issuedAtUnixMs = Date.now();
  const expiresAtUnixMs = issuedAtUnixMs + expiresInMs;
  const claims: AdmissionClaims = { ...rest, id, issuedAtUnixMs, expiresAtUnixMs };
  return { admission: issueAdmissionToken(claims, seedOf(secret), nobleProvider), id, expiresAtUnixMs };
}

/** What an admission says, which nobody checked; `undefined` when it is none. */
export function dangerousReadAdmission(
  admission: string,
): { readonly claims: AdmissionClaims; readonly key: string | undefined } | undefined {
  return dangerousReadAdmissionToken(admission);
}

/**
 * Checks an admission as a relay with these keys does now. A token that is void says why; `foreign` was signed by none
 * of them. Throws `ViaductError` with code `key_file` when a key is none.
 */
export function verifyAdmission(
  admission: string,
  options: {
    /** Public keys: `k4.public.…`. */
    readonly keys: readonly string[];
    readonly audiences?: readonly string[];
    /** Who shows it; left out, its claim of a holder is not checked. */
    readonly holder?: NodeId;
    readonly revocations?: RevocationList;
  },
): AdmissionStanding {
  const { audiences = [], holder, revocations } = options;
  const keys = new Map(
    options.keys.map((text) => {
      const publicKey = decodePaserkPublic(text);
      if (publicKey === undefined) throw new ViaductError("key_file", { detail: `'${text}' is no k4.public key` });
      const id = paserkPublicId(publicKey);
      return [id, { id, publicKey }];
    }),
  );
  const facts = { keys, audiences, unixMs: Date.now(), ...(holder === undefined ? {} : { holder }) };
  const standing = verifyAdmissionToken(encodeUtf8(admission), facts, nobleProvider);
  const reason = standing.type === "valid" ? revocations?.reasonFor(standing.claims) : undefined;
  if (standing.type !== "valid" || reason === undefined) return standing;
  return { type: "void", key: standing.key, reason, id: standing.claims.id };
}

/** The list of a text that `RevocationList.encode` wrote. Throws `ViaductError` with code `config_invalid`. */
export function readRevocationList(text: string): RevocationList {
  const list = text.trim() === "" ? new RevocationList() : decodeRevocationList(text, Date.now());
  if (list === undefined) throw new ViaductError("config_invalid", { detail: "This is no list of revoked admissions" });
  return list;
}

function keyOfSeed(seed: Uint8Array): OperatorKey {
  const publicKey = nobleProvider.ed25519PublicKey(seed);
  return {
    secret: encodePaserkSecret(seed, nobleProvider),
    public: encodePaserkPublic(publicKey),
    id: paserkPublicId(publicKey),
  };
}

function seedOf(secret: string): Uint8Array {
  const seed = decodePaserkSecret(secret.trim(), nobleProvider);
  if (seed === undefined) throw new ViaductError("key_file", { detail: "This is no k4.secret key" });
  return seed;
}

function randomId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(ID_RANDOM_BYTES));
  let id = "";
  // 64 letters: 6 bits of each byte, without a bias.
  for (const byte of bytes) id += ID_LETTERS[byte & 63];
  return id;
}
