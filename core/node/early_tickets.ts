/**
 * The tickets that a node hands out, so that who comes again may send data with its first message. PROTOCOL §3.14.
 *
 * The invariants to hold: a ticket lets early data in once, within its lifetime and only for the node that it was made
 * for; its secret is made from keys that no disk and no later life of the node knows, so that early data which was
 * recorded stays closed to who learns the node's identity key later (THREATS t-B3, t-B6).
 *
 * @module
 */

import { concatBytes } from "../crypto/constant_time.ts";
import { deriveKey } from "../crypto/hkdf.ts";
import type { Bytes, Environment, Instant } from "../machine.ts";
import { STRIKE_ID_BYTES, StrikeRegister } from "./strike_register.ts";
import { EARLY_TICKET_BYTES, EARLY_TICKET_LIFETIME_MS } from "./ticket_book.ts";

const KEY_ID_BYTES = 4;
const ID_BYTES = STRIKE_ID_BYTES - KEY_ID_BYTES;
const TIME_BYTES: number = EARLY_TICKET_BYTES - STRIKE_ID_BYTES;
const KEY_BYTES = 32;
/** Tickets remembered as used: as many as pass for fresh at a time; more early data is refused. THREATS t-B2. */
const STRIKES_MAX = 16_384;

interface TicketKey {
  readonly id: Bytes;
  readonly key: Bytes;
  readonly madeAt: Instant;
}

/** A ticket that this node made. */
export interface OpenedTicket {
  readonly ticket: Bytes;
  readonly issuedAt: Instant;
  /** The secret that its holder has, if it is the one that the ticket was made for. */
  secretFor(holder: Uint8Array): Bytes;
}

/** A ticket for its holder. */
export interface MadeTicket {
  readonly ticket: Bytes;
  readonly secret: Bytes;
}

/** Options of the tickets. */
export interface EarlyTicketsOptions {
  /** Tickets remembered as used; 16,384 unless told otherwise. */
  readonly strikesMax?: number;
  /** Whether early data would be taken now; always unless told otherwise. */
  readonly isWanted?: () => boolean;
}

/** Makes tickets, opens them, and strikes them out. */
export class EarlyTickets {
  readonly #env: Environment;
  readonly #strikesMax: number;
  readonly #isWanted: () => boolean;
  #current: TicketKey | undefined;
  #previous: TicketKey | undefined;
  #strikes: StrikeRegister | undefined;

  constructor(env: Environment, options: EarlyTicketsOptions = {}) {
    this.#env = env;
    this.#isWanted = options.isWanted ?? (() => true);
    this.#strikesMax = options.strikesMax ?? STRIKES_MAX;
  }

  /** Makes a ticket for the node with this static key; `undefined` while nobody would take early data. */
  issue(holder: Uint8Array, now: Instant): MadeTicket | undefined {
    if (!this.#isWanted()) return undefined;
    const key = this.#keyAt(now);
    const id = new Uint8Array(ID_BYTES);
    this.#env.random(id);
    const name = concatBytes(key.id, id);
    const ticket = concatBytes(name, this.#masked(key, name, timeBytes(now)));
    return { ticket, secret: this.#secret(key, ticket, holder) };
  }

  /** Finds out what a ticket is; `undefined` for one that this life of the node has no key for, or an old one. */
  open(ticket: Uint8Array, now: Instant): OpenedTicket | undefined {
    if (ticket.length !== EARLY_TICKET_BYTES) return undefined;
    const key = [this.#current, this.#previous].find((known) => known !== undefined && isNamed(known, ticket));
    if (key === undefined) return undefined;
    const own = ticket.slice();
    const time = this.#masked(key, own.subarray(0, STRIKE_ID_BYTES), own.subarray(STRIKE_ID_BYTES));
    let issuedAt = 0;
    for (let index = TIME_BYTES - 1; index >= 0; index--) issuedAt = issuedAt * 256 + (time[index] as number);
    // Not authentic yet: a time that was changed on the way gives another secret, and the handshake fails.
    if (!(now - issuedAt <= EARLY_TICKET_LIFETIME_MS)) return undefined;
    return { ticket: own, issuedAt, secretFor: (holder) => this.#secret(key, own, holder) };
  }

  /**
   * Whether early data counts: the first time that a ticket is shown, within ten seconds of when its holder says that
   * it was sent. Ask only after the handshake message proved to be the holder's.
   */
  admit(opened: OpenedTicket, ageMs: number, now: Instant): boolean {
    // Nothing was admitted before: tickets of an earlier life cannot be opened.
    this.#strikes ??= new StrikeRegister({ entriesMax: this.#strikesMax, isComplete: true }, now);
    return this.#strikes.strike(opened.ticket, opened.issuedAt + ageMs, now) === "admitted";
  }

  #keyAt(now: Instant): TicketKey {
    if (this.#current === undefined || now - this.#current.madeAt >= EARLY_TICKET_LIFETIME_MS) {
      this.#previous?.key.fill(0);
      this.#previous = this.#current;
      const id = new Uint8Array(KEY_ID_BYTES);
      const key = new Uint8Array(KEY_BYTES);
      this.#env.random(id);
      this.#env.random(key);
      this.#current = { id, key, madeAt: now };
    }
    return this.#current;
  }

  #secret(key: TicketKey, ticket: Uint8Array, holder: Uint8Array): Bytes {
    return deriveKey(this.#env.crypto, key.key, "early secret", concatBytes(ticket, holder));
  }

  /** Hides when a ticket was made from who sees it pass. The same again undoes it. */
  #masked(key: TicketKey, name: Uint8Array, time: Uint8Array): Bytes {
    const mask = deriveKey(this.#env.crypto, key.key, "early time", name);
    return Uint8Array.from(time, (byte, index) => byte ^ (mask[index] as number));
  }
}

function isNamed(key: TicketKey, ticket: Uint8Array): boolean {
  return key.id.every((byte, index) => byte === ticket[index]);
}

function timeBytes(now: Instant): Bytes {
  const bytes = new Uint8Array(TIME_BYTES);
  let rest = Math.floor(now);
  for (let index = 0; index < TIME_BYTES; index++) {
    bytes[index] = rest % 256;
    rest = Math.floor(rest / 256);
  }
  return bytes;
}
