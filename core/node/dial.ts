/**
 * One attempt to reach a node at several addresses: the next one starts when the last failed or was slow.
 * RFC 8305 §5 (Happy Eyeballs) in spirit.
 *
 * The invariant to hold: an attempt ends exactly once, with a session or with the most telling of its failures.
 *
 * @module
 */

import type { NodeId } from "../crypto/identity.ts";
import type { ErrorCode } from "../error.ts";
import { ERRORS } from "../error.ts";
import type { Bytes, Instant } from "../machine.ts";
import { NEVER } from "../machine.ts";
import type { DialEarly, DialId, PipeId } from "./endpoint_types.ts";
import type { EarlyStart } from "./handshake.ts";
import type { SessionEntry } from "./session_entry.ts";
import type { HeldTicket } from "./ticket_book.ts";

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
  going_away: 5,
  handshake_failed: 4,
  handshake_timeout: 3,
  permission: 3,
  address_invalid: 3,
  unsupported: 2,
  timeout: 1,
};

/** What an attempt begins with. */
export interface DialFacts {
  readonly id: DialId;
  /** Who must answer, if anybody in particular; and the same as a key. */
  readonly remoteId: NodeId | undefined;
  readonly remoteKey: Bytes | undefined;
  readonly isAnonymous: boolean;
  readonly initMessage: Bytes | undefined;
  readonly early: DialEarly | undefined;
  /** Addresses in the order they are tried. */
  readonly addresses: readonly string[];
  readonly timeoutMs: number;
}

/** An attempt to connect. */
export class Dial {
  readonly id: DialId;
  readonly remoteId: NodeId | undefined;
  readonly remoteKey: Bytes | undefined;
  readonly isAnonymous: boolean;
  readonly initMessage: Bytes | undefined;
  readonly early: DialEarly | undefined;
  readonly addresses: readonly string[];
  /** When the attempt as a whole is given up. */
  readonly deadline: Instant;
  /** Pipes being dialled or shaking hands for it, with their addresses. */
  readonly pipes: Map<PipeId, string> = new Map();
  /** A session with the node that has no path: it is resumed rather than doubled. */
  waitsFor: SessionEntry | undefined;
  #nextAddress = 0;
  #nextAt: Instant;
  /** Until when the node's own session may come up, which it said goes first. */
  #awaitUntil: Instant;
  #code: ErrorCode | undefined;
  /** Two copies under two tickets would both be taken: one handshake of a dial carries early data. */
  #isEarlyUsed = false;
  readonly #details: string[] = [];

  constructor(facts: DialFacts, now: Instant) {
    this.id = facts.id;
    this.remoteId = facts.remoteId;
    this.remoteKey = facts.remoteKey;
    this.isAnonymous = facts.isAnonymous;
    this.initMessage = facts.initMessage;
    this.early = facts.early;
    this.addresses = facts.addresses;
    this.deadline = now + facts.timeoutMs;
    this.#nextAt = this.#awaitUntil = now;
  }

  /** The address to try now, if one is due. */
  takeAddress(now: Instant): string | undefined {
    if (this.waitsFor !== undefined || now < this.#nextAt || this.pipes.size >= PARALLEL_MAX) return undefined;
    const address = this.addresses[this.#nextAddress];
    if (address === undefined) return undefined;
    this.#nextAddress++;
    this.#nextAt = now + ATTEMPT_DELAY_MS;
    return address;
  }

  /** What the next handshake may begin with, if it is the first one and a ticket can be had. */
  takeEarly(ticketOf: (id: NodeId) => HeldTicket | undefined): EarlyStart | undefined {
    const { early, remoteId } = this;
    if (early === undefined || this.#isEarlyUsed || this.isAnonymous || remoteId === undefined) return undefined;
    const ticket = ticketOf(remoteId);
    if (ticket === undefined) return undefined;
    this.#isEarlyUsed = true;
    return { ticket, bytes: early.bytes, isFinal: early.isFinal };
  }

  /** A pipe came to nothing: the next address is due at once. */
  onFailure(pipe: PipeId, code: ErrorCode, detail: string, now: Instant): void {
    const address = this.pipes.get(pipe);
    if (address === undefined) return;
    this.pipes.delete(pipe);
    if (this.#code === undefined || (WEIGHT[code] ?? 0) > (WEIGHT[this.#code] ?? 0)) this.#code = code;
    const reason = detail === "" ? ERRORS[code].message : detail;
    this.#details.push(address === "" ? reason : `${address}: ${reason}`);
    this.#nextAt = now;
  }

  /** The node refused because a session of its own goes first: that one is waited for. */
  awaitOther(until: Instant): void {
    this.#awaitUntil = until;
  }

  /** Whether nothing is left to try or to wait for. */
  isExhausted(now: Instant): boolean {
    return this.#isOutOfPipes && now >= this.#awaitUntil;
  }

  /** Why it came to nothing; `code` where the attempt itself says. */
  failure(code?: ErrorCode): { readonly code: ErrorCode; readonly detail: string } {
    const detail = this.#details.join("; ").slice(0, DETAIL_LENGTH_MAX);
    // Somebody else answered: that says more than that it took too long.
    if (this.#code === "identity_mismatch") return { code: this.#code, detail };
    const fallback = this.addresses.length === 0 && this.#code === undefined ? "unreachable" : "dial_failed";
    return { code: code ?? this.#code ?? fallback, detail };
  }

  pollTimeout(): Instant {
    if (this.waitsFor !== undefined) return this.deadline;
    if (this.#isOutOfPipes) return Math.min(this.deadline, this.#awaitUntil);
    const isMore = this.#nextAddress < this.addresses.length && this.pipes.size < PARALLEL_MAX;
    return Math.min(this.deadline, isMore ? this.#nextAt : NEVER);
  }

  get #isOutOfPipes(): boolean {
    return this.waitsFor === undefined && this.pipes.size === 0 && this.#nextAddress >= this.addresses.length;
  }
}
