/**
 * Tokens that an operator took back, by id, until they would have expired anyway.
 *
 * The invariant to hold: the list is bounded and forgets nothing early: when it is full a revocation is refused, and
 * whoever asked for it is told. What was issued before a given instant can be revoked at once, at no cost.
 *
 * @module
 */

import { ADMISSION_LIFETIME_MS_MAX, isAdmissionId } from "./admission_token.ts";
import { formatRfc3339, parseRfc3339 } from "./rfc3339.ts";

/** Ids that are kept by default: about 10 MB. */
export const REVOCATIONS_MAX = 65_536;

/** A revocation. */
export interface Revocation {
  readonly id: string;
  /** When it can be forgotten, the token having expired. */
  readonly untilUnixMs: number;
}

/** The list. */
export class RevocationList {
  readonly #idsMax: number;
  readonly #until = new Map<string, number>();
  #issuedBeforeUnixMs = 0;

  constructor(idsMax: number = REVOCATIONS_MAX) {
    this.#idsMax = idsMax;
  }

  get size(): number {
    return this.#until.size;
  }

  /** Everything issued before this instant is void; 0 by default. */
  get issuedBeforeUnixMs(): number {
    return this.#issuedBeforeUnixMs;
  }

  [Symbol.iterator](): IterableIterator<[string, number]> {
    return this.#until.entries();
  }

  /**
   * Takes a token back; `false` when the id is malformed or the list is full. Without knowing when the token expires it
   * is kept for as long as any token can last.
   */
  revoke(id: string, options: { readonly untilUnixMs?: number; readonly unixMs: number }): boolean {
    const { unixMs } = options;
    if (!isAdmissionId(id)) return false;
    const latest = unixMs + ADMISSION_LIFETIME_MS_MAX;
    const until = Math.min(options.untilUnixMs ?? latest, latest);
    if (until <= unixMs) return true; // Expired: there is nothing to take back.
    if (!this.#until.has(id) && this.#until.size >= this.#idsMax) {
      this.expire(unixMs);
      if (this.#until.size >= this.#idsMax) return false;
    }
    this.#until.set(id, Math.max(until, this.#until.get(id) ?? 0));
    return true;
  }

  /** Takes back everything issued before an instant, for a key that leaked for one. It never goes back. */
  revokeIssuedBefore(unixMs: number): void {
    this.#issuedBeforeUnixMs = Math.max(this.#issuedBeforeUnixMs, unixMs);
  }

  /** Why a token was taken back, if it was. */
  reasonFor(claims: { readonly id: string; readonly issuedAtUnixMs: number }): "revoked" | "issued_before" | undefined {
    if (this.#until.has(claims.id)) return "revoked";
    return claims.issuedAtUnixMs < this.#issuedBeforeUnixMs ? "issued_before" : undefined;
  }

  /** Forgets what has expired. */
  expire(unixMs: number): void {
    for (const [id, until] of this.#until) if (until <= unixMs) this.#until.delete(id);
  }

  /** Takes over all of another list; `false` when not all of it fits. */
  merge(other: RevocationList, unixMs: number): boolean {
    let isWhole = true;
    this.revokeIssuedBefore(other.issuedBeforeUnixMs);
    for (const [id, untilUnixMs] of other) isWhole = this.revoke(id, { untilUnixMs, unixMs }) && isWhole;
    return isWhole;
  }

  /** The list as a text for a file: JSON. */
  encode(): string {
    const revoked = [...this.#until].map(([id, until]) => ({ id, until: formatRfc3339(until) }));
    const issuedBefore = this.#issuedBeforeUnixMs;
    const file = { version: 1, ...(issuedBefore === 0 ? {} : { issuedBefore: formatRfc3339(issuedBefore) }), revoked };
    return `${JSON.stringify(file, undefined, 2)}\n`;
  }
}

/** Reads the text of a list, or returns `undefined` when it is none, or holds more than fits. */
export function decodeRevocationList(
  text: string,
  unixMs: number,
  idsMax: number = REVOCATIONS_MAX,
): RevocationList | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (typeof value !== "object" || value === null) return undefined;
  const { version, revoked, issuedBefore } = value as Readonly<Record<string, unknown>>;
  if (version !== 1 || !Array.isArray(revoked)) return undefined;
  const list = new RevocationList(idsMax);
  if (issuedBefore !== undefined) {
    const instant = typeof issuedBefore === "string" ? parseRfc3339(issuedBefore) : undefined;
    if (instant === undefined) return undefined;
    list.revokeIssuedBefore(instant);
  }
  for (const entry of revoked as unknown[]) {
    if (typeof entry !== "object" || entry === null) return undefined;
    const { id, until } = entry as Readonly<Record<string, unknown>>;
    const untilUnixMs = typeof until === "string" ? parseRfc3339(until) : undefined;
    if (typeof id !== "string" || !isAdmissionId(id) || untilUnixMs === undefined) return undefined;
    if (!list.revoke(id, { untilUnixMs, unixMs })) return undefined;
  }
  return list;
}
