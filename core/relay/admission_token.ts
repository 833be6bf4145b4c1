/**
 * Tokens that an operator signs to let nodes in at relays: PASETO v4.public with the claims of PROTOCOL §10.10.
 *
 * The invariant to hold: a relay needs the operator's public key and the time, nothing else, to know what a token
 * allows. A claim about permissions that is not known here, or not of its form, voids the token: what cannot be
 * understood may have been a restriction.
 *
 * @module
 */

import type { NodeId } from "../crypto/identity.ts";
import { NODE_ID_LENGTH } from "../crypto/identity.ts";
import { dangerousReadPaseto, paserkPublicId, signPaseto, verifyPaseto } from "../crypto/paseto.ts";
import type { CryptoProvider } from "../crypto/provider.ts";
import { RELAY_ADMISSION_BYTES_MAX } from "../node/relay_codec.ts";
import { decodeUtf8, encodeUtf8 } from "../wire/utf8.ts";
import { isExactPattern, isNamePattern, isNamespace, parseTargetPattern } from "./name_pattern.ts";
import { canonicalName } from "./relay_name.ts";
import { formatRfc3339, parseRfc3339 } from "./rfc3339.ts";

/** What is signed besides the token, so that no other PASETO of the same key is taken for an admission. */
export const ADMISSION_CONTEXT = "viaduct.relay.admission.1";
/** Bytes of the longest token. PROTOCOL §10.2. */
export const ADMISSION_BYTES_MAX: number = RELAY_ADMISSION_BYTES_MAX;
/** Letters of the longest id. */
export const ADMISSION_ID_BYTES_MAX = 64;
/** How far the clocks of issuer and relay may differ where a token is not valid yet. */
const LEEWAY_MS = 60_000;
/** The longest time between issue and expiry; revocations are kept no longer. */
export const ADMISSION_LIFETIME_MS_MAX: number = 400 * 86_400_000;
/** Patterns in a list of a token. */
const LIST_MAX = 32;
const USES_MAX = 1_000_000;

/** Whether others can open circuits to a node, or only it to others. PROTOCOL §10.6. */
export type NodeType = "node" | "client";

/** Rates and counts that a token gives instead of its class's. All clients of one token share the rate. */
export interface AdmissionRates {
  readonly bytesPerSecond?: number;
  readonly burstBytes?: number;
  readonly circuitsMax?: number;
  readonly incomingCircuitsMax?: number;
}

/** What a token says. PROTOCOL §10.10. */
export interface AdmissionClaims extends AdmissionRates {
  /** By which it is revoked: 1 to 64 of `[A-Za-z0-9_-]`, one of a kind for its operator. */
  readonly id: string;
  readonly issuedAtUnixMs: number;
  readonly expiresAtUnixMs: number;
  readonly notBeforeUnixMs?: number;
  /** The only relay, or the only audience that its relays have in their configuration. */
  readonly audience?: string;
  /** The only node that may show it, by its id: a token that was stolen is of no use without the node's key. */
  readonly holder?: NodeId;
  readonly namespace?: string;
  /** A pattern of the names that may be chosen; without `*` the one name. Without it names are random. */
  readonly name?: string;
  /** `client`: nobody can open circuits to its holder; `node`: they can, although the policy says otherwise. */
  readonly type?: NodeType;
  /** Whom circuits may be opened to: `pattern`, or `namespace/pattern`. Without it, everybody. */
  readonly targets?: readonly string[];
  /** How many nodes may come with it in all; coming back to one's name is no use. */
  readonly uses?: number;
}

/** A key whose tokens are believed. */
export interface AdmissionKey {
  /** PASERK `k4.pid`. */
  readonly id: string;
  readonly publicKey: Uint8Array;
}

/** Why a token with a right signature is of no use. */
export type VoidReason = "malformed" | "expired" | "not_yet" | "audience" | "holder" | "revoked" | "issued_before";

/** What a token turned out to be. */
export type AdmissionStanding =
  /** Nothing was shown. */
  | { readonly type: "none" }
  /** No key of this relay signed it. */
  | { readonly type: "foreign" }
  | { readonly type: "void"; readonly key: string; readonly reason: VoidReason; readonly id: string | undefined }
  | { readonly type: "valid"; readonly key: string; readonly claims: AdmissionClaims };

/** Signs a token. Throws `RangeError` when a claim has not its form, or the token is longer than allowed. */
export function issueAdmissionToken(claims: AdmissionClaims, seed: Uint8Array, crypto: CryptoProvider): string {
  const problem = problemOf(claims);
  if (problem !== undefined) throw new RangeError(`Cannot issue token as ${problem}`);
  const { id, issuedAtUnixMs, expiresAtUnixMs, notBeforeUnixMs, audience, ...permissions } = claims;
  const payload = {
    jti: id,
    iat: formatRfc3339(issuedAtUnixMs),
    exp: formatRfc3339(expiresAtUnixMs),
    ...(notBeforeUnixMs === undefined ? {} : { nbf: formatRfc3339(notBeforeUnixMs) }),
    ...(audience === undefined ? {} : { aud: audience }),
    viaduct: permissions,
  };
  const footer = { kid: paserkPublicId(crypto.ed25519PublicKey(seed)) };
  const parts = {
    payload: encodeUtf8(JSON.stringify(payload)),
    footer: encodeUtf8(JSON.stringify(footer)),
    implicitAssertion: encodeUtf8(ADMISSION_CONTEXT),
  };
  const token = signPaseto(parts, seed, crypto);
  if (token.length > ADMISSION_BYTES_MAX) {
    throw new RangeError(`Cannot issue token as it has ${token.length} bytes where ${ADMISSION_BYTES_MAX} are allowed`);
  }
  return token;
}

/** Checks a token, except for its revocation. Never throws. */
export function verifyAdmissionToken(
  token: Uint8Array,
  options: {
    readonly keys: ReadonlyMap<string, AdmissionKey>;
    readonly audiences: readonly (string | NodeId)[];
    readonly unixMs: number;
    /** Who shows it, as the handshake proved; left out, its claim of a holder is not checked. */
    readonly holder?: NodeId;
  },
  crypto: CryptoProvider,
): AdmissionStanding {
  if (token.length === 0) return { type: "none" };
  const text = token.length > ADMISSION_BYTES_MAX ? undefined : decodeUtf8(token);
  const parts = text === undefined ? undefined : dangerousReadPaseto(text);
  if (text === undefined || parts === undefined) return { type: "foreign" };
  // The footer only says which key to try: what it claims is proved by the signature, which covers it.
  const kid = objectOf(parts.footer)?.get("kid");
  const named = typeof kid === "string" ? options.keys.get(kid) : undefined;
  const candidates = kid === undefined ? options.keys.values() : named === undefined ? [] : [named];
  const implicitAssertion = encodeUtf8(ADMISSION_CONTEXT);
  for (const key of candidates) {
    const verified = verifyPaseto(text, key.publicKey, { implicitAssertion }, crypto);
    if (verified === undefined) continue;
    const claims = claimsOf(verified.payload);
    if (claims === undefined) return { type: "void", key: key.id, reason: "malformed", id: undefined };
    const reason = voidReasonOf(claims, options);
    if (reason !== undefined) return { type: "void", key: key.id, reason, id: claims.id };
    return { type: "valid", key: key.id, claims };
  }
  return { type: "foreign" };
}

/** What a token says of itself and of its key, which nobody checked; `undefined` when it is no admission token. */
export function dangerousReadAdmissionToken(
  token: string,
): { readonly claims: AdmissionClaims; readonly key: string | undefined } | undefined {
  const parts = token.length > ADMISSION_BYTES_MAX ? undefined : dangerousReadPaseto(token);
  const claims = parts === undefined ? undefined : claimsOf(parts.payload);
  if (parts === undefined || claims === undefined) return undefined;
  const kid = objectOf(parts.footer)?.get("kid");
  return { claims, key: typeof kid === "string" ? kid : undefined };
}

/** Whether a text is the id of a token. */
export function isAdmissionId(text: string): boolean {
  return /^[A-Za-z0-9_-]{1,64}$/.test(text);
}

function voidReasonOf(
  claims: AdmissionClaims,
  options: { readonly audiences: readonly string[]; readonly unixMs: number; readonly holder?: NodeId },
): VoidReason | undefined {
  const { unixMs, holder } = options;
  if (unixMs >= claims.expiresAtUnixMs) return "expired";
  if (unixMs + LEEWAY_MS < Math.max(claims.issuedAtUnixMs, claims.notBeforeUnixMs ?? 0)) return "not_yet";
  if (claims.audience !== undefined && !options.audiences.includes(claims.audience)) return "audience";
  if (holder !== undefined && claims.holder !== undefined && holder !== claims.holder) return "holder";
  return undefined;
}

/** The claims of a payload, or `undefined` when one of ours is missing, unknown or not of its form. */
function claimsOf(payload: Uint8Array): AdmissionClaims | undefined {
  const claims = objectOf(payload);
  const own: unknown = claims?.get("viaduct");
  if (claims === undefined || typeof own !== "object" || own === null || Array.isArray(own)) return undefined;
  const id = claims.get("jti");
  const audience = claims.get("aud");
  const instants: (number | undefined)[] = [];
  for (const name of ["iat", "exp", "nbf"]) {
    const text = claims.get(name);
    const instant = typeof text === "string" ? parseRfc3339(text) : undefined;
    if (instant === undefined && text !== undefined) return undefined;
    instants.push(instant);
  }
  const [issuedAtUnixMs, expiresAtUnixMs, notBeforeUnixMs] = instants;
  if (Object.keys(own).some((name) => !PERMISSIONS.has(name))) return undefined;
  const read = {
    ...own,
    id,
    issuedAtUnixMs,
    expiresAtUnixMs,
    ...(notBeforeUnixMs === undefined ? {} : { notBeforeUnixMs }),
    ...(audience === undefined ? {} : { audience }),
  };
  // Every field is checked below before anybody relies on its type.
  return problemOf(read as unknown as AdmissionClaims) === undefined ? (read as unknown as AdmissionClaims) : undefined;
}

const PERMISSIONS: ReadonlySet<string> = new Set([
  "holder",
  "namespace",
  "name",
  "type",
  "targets",
  "uses",
  "bytesPerSecond",
  "burstBytes",
  "circuitsMax",
  "incomingCircuitsMax",
]);

/** What is wrong with claims, for people; their types are not relied on. */
function problemOf(claims: AdmissionClaims): string | undefined {
  const { id, issuedAtUnixMs, expiresAtUnixMs, notBeforeUnixMs, audience, namespace, name, type } = claims;
  if (typeof id !== "string" || !isAdmissionId(id)) return "its id is not 1 to 64 of [A-Za-z0-9_-]";
  if (!isInstant(issuedAtUnixMs) || !isInstant(expiresAtUnixMs)) return "an instant of it is out of range";
  if (notBeforeUnixMs !== undefined && !isInstant(notBeforeUnixMs)) return "an instant of it is out of range";
  if (expiresAtUnixMs <= issuedAtUnixMs) return "it expires before it is issued";
  if (expiresAtUnixMs - issuedAtUnixMs > ADMISSION_LIFETIME_MS_MAX) return "it lasts longer than 400 days";
  if (audience !== undefined && (typeof audience !== "string" || !/^[\x21-\x7e]{1,128}$/.test(audience))) {
    return "its audience is not 1 to 128 printable letters";
  }
  if (namespace !== undefined && !(typeof namespace === "string" && isNamespace(namespace))) {
    return "its namespace is not of the form of a host name";
  }
  if (name !== undefined && !isUsablePattern(name)) return "its name is neither a name nor a pattern of names";
  if (type !== undefined && type !== "node" && type !== "client") return "its type is neither node nor client";
  const { targets, holder } = claims;
  if (targets !== undefined && !isList(targets, (text) => parseTargetPattern(text) !== undefined)) {
    return `its targets are not at most ${LIST_MAX} patterns`;
  }
  if (holder !== undefined && !isNodeId(holder)) return "its holder is no id of a node";
  return problemOfNumbers(claims);
}

function problemOfNumbers(claims: AdmissionClaims): string | undefined {
  for (const name of ["bytesPerSecond", "burstBytes", "circuitsMax", "incomingCircuitsMax"] as const) {
    const value: unknown = claims[name];
    const isCount = Number.isSafeInteger(value) && (value as number) >= 0;
    if (value !== undefined && !isCount) return `its ${name} is no whole number`;
  }
  const uses: unknown = claims.uses;
  const isUses = Number.isSafeInteger(uses) && (uses as number) >= 1 && (uses as number) <= USES_MAX;
  return uses !== undefined && !isUses ? `its uses are not from 1 to ${USES_MAX}` : undefined;
}

function isInstant(value: unknown): boolean {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
}

function isUsablePattern(name: unknown): boolean {
  if (typeof name !== "string" || !isNamePattern(name)) return false;
  return !isExactPattern(name) || canonicalName(name) === name;
}

/** Whether a value has the form of an id in small letters; whether somebody can have it does not matter here. */
function isNodeId(value: unknown): boolean {
  return typeof value === "string" && value.length === NODE_ID_LENGTH && /^[a-z2-7]+$/.test(value);
}

function isList(value: unknown, isItem: (text: string) => boolean): boolean {
  if (!Array.isArray(value) || value.length > LIST_MAX) return false;
  return value.every((item) => typeof item === "string" && isItem(item));
}

/** The entries of a JSON object in UTF-8, or `undefined` when it is none. */
function objectOf(bytes: Uint8Array): ReadonlyMap<string, unknown> | undefined {
  const text = decodeUtf8(bytes);
  if (text === undefined) return undefined;
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value !== "object" || value === null || Array.isArray(value)) return undefined;
    return new Map(Object.entries(value));
  } catch {
    return undefined;
  }
}
