/**
 * Tokens that prove an address without state here: whoever shows one gets what is sent to the address it was made for.
 * RFC 9000 §8.1.2 (Retry) and §8.1.3 (tokens for later connections), THREATS t-C4.
 *
 * The invariants to hold: a token is worth something only from the address that it was made for, for its lifetime,
 * and, for a retry, with the very first message that it answered. Foreign bytes never throw, cost an HMAC only when
 * their form and their time are right, and are compared in constant time. That a token is used once is not promised:
 * who sees one on the way has the address as well. The one for later is sealed when it is handed out and in the clear
 * when it is shown, so whoever holds it shows it once, or is known again by it.
 *
 * ```
 * token {
 *   kind (1),        1 retry, 2 later
 *   madeAt (6),      ms since 1970 by the maker's clock, little-endian
 *   salt (8),        random: two tokens are never alike, so none tells who else got one
 *   mac (16),        the first bytes of HMAC-SHA-256 over all of the above and what the token is bound to
 * }
 * ```
 *
 * The secret rotates: each span of time, one lifetime long, has a key of its own that is derived from a root secret,
 * and only the keys of spans that a fresh token can be from are kept. Machines that share a root secret and a clock
 * take each other's tokens, and one that derives its root from its identity takes its own after a restart.
 *
 * @module
 */

import { equalBytes } from "../crypto/constant_time.ts";
import { deriveKey } from "../crypto/hkdf.ts";
import type { CryptoProvider } from "../crypto/provider.ts";
import { ViaductError } from "../error.ts";
import type { Bytes, Environment, Instant } from "../machine.ts";
import { Writer } from "../wire/writer.ts";

/** Bytes of every token. */
export const TOKEN_BYTES = 31;
/** RFC 9000 §8.1.3: tokens for retry and for later can be told apart. */
export type TokenKind = "retry" | "later";

const KINDS: readonly TokenKind[] = ["retry", "later"];
const TIME_BYTES = 6;
const SALT_BYTES = 8;
const MAC_BYTES = 16;
const CLEAR_BYTES = 1 + TIME_BYTES + SALT_BYTES;
const SECRET_BYTES = 32;
/** A token answered within a round trip, or it was lost. neqo has 5 s, quinn 15. */
const RETRY_LIFE_MS = 10_000;
/** As neqo's and quic-go's. THREATS t-B3. */
const LATER_LIFE_MS = 86_400_000;
/** No lifetime is longer. RFC 9846 §4.6.1. */
const LIFE_MS_MAX = 604_800_000;
/** How far the clock of another machine with the same secret, or of this one before a restart, may be ahead. */
const AHEAD_MS_MAX = 5_000;
const TIME_MAX = 2 ** (8 * TIME_BYTES);

/** What a token for retry is bound to. */
export interface RetryBinding {
  /** The address that the first message came from, an IP literal without brackets. */
  readonly host: string;
  readonly port: number;
  /** What is the initiator's own: its connection id, or the hash of its first message. */
  readonly initiator: Uint8Array;
}

/** Where tokens come from. */
export interface AddressTokensOptions {
  /** How long a token for retry is good; 10 s unless told otherwise. */
  readonly retryLifeMs?: number;
  /** How long a token for later connections is good; 24 h unless told otherwise. */
  readonly laterLifeMs?: number;
  /** The root secret, at least 32 bytes, which are copied. Without it one is drawn: a restart voids all tokens. */
  readonly secret?: Uint8Array;
  /** Milliseconds since 1970 at `now`. Only tokens that must outlive this process or be shared need it. */
  readonly unixMs?: number;
}

/** The key of one kind of token in one span of time. */
interface SpanKey {
  readonly span: number;
  readonly key: Bytes;
}

/** Makes and checks address tokens. */
export class AddressTokens {
  readonly #crypto: CryptoProvider;
  readonly #random: Environment["random"];
  readonly #secret: Bytes;
  /** What to add to an instant to get milliseconds since 1970. */
  readonly #offsetMs: number;
  readonly #lifeMs: Readonly<Record<TokenKind, number>>;
  /** The keys that may be needed: of the span that runs and the one before. */
  readonly #keys: Record<TokenKind, SpanKey[]> = { retry: [], later: [] };
  #isDestroyed = false;

  /** @throws {RangeError} If a lifetime is not positive or longer than a week, or the secret is too short. */
  constructor(options: AddressTokensOptions, env: Pick<Environment, "random" | "crypto">, now: Instant) {
    const { retryLifeMs = RETRY_LIFE_MS, laterLifeMs = LATER_LIFE_MS, secret, unixMs = now } = options;
    for (const lifeMs of [retryLifeMs, laterLifeMs]) {
      if (!(lifeMs > 0 && lifeMs <= LIFE_MS_MAX)) throw new RangeError(`Cannot make tokens for ${lifeMs} ms`);
    }
    if (secret !== undefined && secret.length < SECRET_BYTES) {
      throw new RangeError(`Cannot make tokens with a secret of ${secret.length} bytes`);
    }
    this.#crypto = env.crypto;
    this.#random = env.random;
    this.#secret = secret === undefined ? new Uint8Array(SECRET_BYTES) : new Uint8Array(secret);
    if (secret === undefined) env.random(this.#secret);
    this.#offsetMs = unixMs - now;
    this.#lifeMs = { retry: retryLifeMs, later: laterLifeMs };
  }

  /** Makes the token of a retry: only the same first message, from the same address and port, gets in with it. */
  makeRetry(to: RetryBinding, now: Instant): Bytes {
    return this.#make("retry", retryBinding(to), now);
  }

  /** Makes a token for later connections from the same IP, whatever the port. Hand it out sealed. */
  makeLater(host: string, now: Instant): Bytes {
    return this.#make("later", laterBinding(host), now);
  }

  /**
   * Tells what a token proves about the address that it came from; `undefined` for none. Never throws, whatever
   * `token` is. What does not prove anything is as if it were not there: ask for a retry, or answer within three
   * times what came.
   */
  check(token: Uint8Array, from: RetryBinding, now: Instant): TokenKind | undefined {
    const kind = tokenKind(token);
    if (kind === undefined || this.#isDestroyed) return undefined;
    let madeAt = 0;
    for (let at = TIME_BYTES; at > 0; at--) madeAt = madeAt * 256 + (token[at] as number);
    const ageMs = this.#unixMsAt(now) - madeAt;
    if (!(ageMs >= -AHEAD_MS_MAX && ageMs <= this.#lifeMs[kind])) return undefined;
    const binding = kind === "retry" ? retryBinding(from) : laterBinding(from.host);
    const mac = this.#macOf(kind, madeAt, token.subarray(0, CLEAR_BYTES), binding, now);
    return equalBytes(token.subarray(CLEAR_BYTES), mac) ? kind : undefined;
  }

  /** Wipes the secrets as far as the host can. No token proves anything afterwards, and none can be made. */
  destroy(): void {
    this.#isDestroyed = true;
    this.#secret.fill(0);
    for (const kind of KINDS) {
      for (const { key } of this.#keys[kind]) key.fill(0);
      this.#keys[kind] = [];
    }
  }

  #make(kind: TokenKind, binding: Uint8Array, now: Instant): Bytes {
    if (this.#isDestroyed) throw new ViaductError("closed");
    const token = new Uint8Array(TOKEN_BYTES);
    const madeAt = this.#unixMsAt(now);
    token[0] = KINDS.indexOf(kind) + 1;
    for (let at = 1, rest = madeAt; at <= TIME_BYTES; at++, rest = Math.floor(rest / 256)) token[at] = rest % 256;
    this.#random(token.subarray(1 + TIME_BYTES, CLEAR_BYTES));
    token.set(this.#macOf(kind, madeAt, token.subarray(0, CLEAR_BYTES), binding, now), CLEAR_BYTES);
    return token;
  }

  #unixMsAt(now: Instant): number {
    return Math.min(TIME_MAX - 1, Math.max(0, Math.floor(now + this.#offsetMs)));
  }

  #macOf(kind: TokenKind, madeAt: number, clear: Uint8Array, binding: Uint8Array, now: Instant): Uint8Array {
    const writer = new Writer();
    writer.bytes(clear);
    writer.bytes(binding);
    return this.#crypto.hmacSha256(this.#keyAt(kind, madeAt, now), writer.written).subarray(0, MAC_BYTES);
  }

  /** The key of the span that an instant falls in. A token that is fresh was made in this span or a neighbour. */
  #keyAt(kind: TokenKind, unixMs: number, now: Instant): Bytes {
    const lifeMs = Math.max(this.#lifeMs[kind], AHEAD_MS_MAX);
    const span = Math.floor(unixMs / lifeMs);
    const keys = this.#keys[kind];
    const known = keys.find((entry) => entry.span === span);
    if (known !== undefined) return known.key;
    const running = Math.floor(this.#unixMsAt(now) / lifeMs);
    for (const entry of keys) if (Math.abs(entry.span - running) > 1) entry.key.fill(0);
    this.#keys[kind] = keys.filter((entry) => Math.abs(entry.span - running) <= 1);
    const context = new Writer();
    context.string(kind);
    context.varint(span);
    const key = deriveKey(this.#crypto, this.#secret, "address token", context.written);
    this.#keys[kind].push({ span, key });
    return key;
  }
}

/** The kind that bytes claim to be, if they have a token's form; nothing is proven by it. */
export function tokenKind(token: Uint8Array): TokenKind | undefined {
  return token.length === TOKEN_BYTES ? KINDS[(token[0] as number) - 1] : undefined;
}

function retryBinding(to: RetryBinding): Uint8Array {
  const writer = new Writer();
  writer.string(canonicalHost(to.host));
  writer.varint(to.port);
  writer.varint(to.initiator.length);
  writer.bytes(to.initiator);
  return writer.written;
}

function laterBinding(host: string): Uint8Array {
  const writer = new Writer();
  writer.string(canonicalHost(host));
  return writer.written;
}

/** One text for one address, whichever socket it came in by: no zone, IPv4 as IPv4. RFC 4291 §2.5.5.2. */
function canonicalHost(host: string): string {
  const bare = (host.split("%")[0] as string).toLowerCase();
  return /^(?:::ffff:|0:0:0:0:0:ffff:)(\d+\.\d+\.\d+\.\d+)$/.exec(bare)?.[1] ?? bare;
}
