/**
 * One attempt to reach a node at several addresses: the next one starts when the last failed or was slow.
 * RFC 8305 §5 (Happy Eyeballs) in spirit.
 *
 * The invariant to hold: an attempt ends exactly once, with a session or with the most telling of its failures.
 *
 * @module
 */

import type { ErrorCode } from "../error.ts";
import type { Bytes, Instant } from "../machine.ts";
import { NEVER } from "../machine.ts";
import type { DialId, PipeId } from "./endpoint_types.ts";

/** The next address is tried beside the last one after this long. RFC 8305 §8. */
const ATTEMPT_DELAY_MS = 250;
const PARALLEL_MAX = 4;
const DETAIL_LENGTH_MAX = 500;

/** How much a failure says: the highest one is reported. */
const WEIGHT: Partial<Record<ErrorCode, number>> = {
  identity_mismatch: 9,
  banned: 8,
  refused: 7,
  version: 6,
  limit: 5,
  handshake_failed: 4,
  handshake_timeout: 3,
  permission: 3,
  unsupported: 2,
  timeout: 1,
};

/** An attempt to connect. */
export class Dial {
  readonly id: DialId;
  /** The key that must answer, if any. */
  readonly remoteKey: Bytes | undefined;
  readonly isAnonymous: boolean;
  readonly initMessage: Bytes | undefined;
  /** Addresses in the order they are tried. */
  readonly addresses: readonly string[];
  /** When the attempt as a whole is given up. */
  readonly deadline: Instant;
  /** Pipes being dialled or shaking hands for it, with their addresses. */
  readonly pipes: Map<PipeId, string> = new Map();
  #nextAddress = 0;
  #nextAt: Instant;
  #code: ErrorCode = "dial_failed";
  readonly #details: string[] = [];

  constructor(
    options: {
      id: DialId;
      remoteKey: Bytes | undefined;
      isAnonymous: boolean;
      initMessage: Bytes | undefined;
      addresses: readonly string[];
      timeoutMs: number;
    },
    now: Instant,
  ) {
    this.id = options.id;
    this.remoteKey = options.remoteKey;
    this.isAnonymous = options.isAnonymous;
    this.initMessage = options.initMessage;
    this.addresses = options.addresses;
    this.deadline = now + options.timeoutMs;
    this.#nextAt = now;
  }

  /** The address to try now, if one is due. */
  takeAddress(now: Instant): string | undefined {
    if (now < this.#nextAt || this.pipes.size >= PARALLEL_MAX) return undefined;
    const address = this.addresses[this.#nextAddress];
    if (address === undefined) return undefined;
    this.#nextAddress++;
    this.#nextAt = now + ATTEMPT_DELAY_MS;
    return address;
  }

  /** A pipe came to nothing: the next address is due at once. */
  onFailure(pipe: PipeId, code: ErrorCode, detail: string, now: Instant): void {
    const address = this.pipes.get(pipe);
    this.pipes.delete(pipe);
    if ((WEIGHT[code] ?? 0) > (WEIGHT[this.#code] ?? 0)) this.#code = code;
    if (this.#details.length < 16) this.#details.push(address === undefined ? detail : `${address}: ${detail}`);
    this.#nextAt = now;
  }

  /** Whether nothing is left to try or to wait for. */
  get isExhausted(): boolean {
    return this.pipes.size === 0 && this.#nextAddress >= this.addresses.length;
  }

  get failure(): { code: ErrorCode; detail: string } {
    return { code: this.#code, detail: this.#details.join("; ").slice(0, DETAIL_LENGTH_MAX) };
  }

  pollTimeout(): Instant {
    const isMore = this.#nextAddress < this.addresses.length && this.pipes.size < PARALLEL_MAX;
    return Math.min(this.deadline, isMore ? this.#nextAt : NEVER);
  }
}
