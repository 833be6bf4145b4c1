/**
 * The tickets that other nodes gave, until they are used: each once. PROTOCOL §3.14.
 *
 * The invariant to hold: a ticket is given out once, so that nobody who watches can link two connections by it
 * (THREATS t-B5); the book is bounded, whoever fills it.
 *
 * @module
 */

import type { NodeId } from "../crypto/identity.ts";
import type { Bytes, Instant } from "../machine.ts";

/** Bytes of a ticket. */
export const EARLY_TICKET_BYTES = 22;
/** Bytes of the secret that goes with it. */
export const EARLY_SECRET_BYTES = 32;
/** How long a ticket may be used. THREATS t-B3. */
export const EARLY_TICKET_LIFETIME_MS: number = 24 * 60 * 60 * 1000;
/** THREATS t-B5. */
const PER_NODE_MAX = 8;
const TICKETS_MAX = 256;
/** However long a node says. THREATS t-B3. */
const LIFETIME_MS_MAX: number = 7 * 24 * 60 * 60 * 1000;

/** A ticket of another node. */
export interface HeldTicket {
  readonly ticket: Bytes;
  readonly secret: Bytes;
  readonly receivedAt: Instant;
  readonly expiresAt: Instant;
}

/** A ticket on its way into the book. */
export interface GivenTicket {
  readonly ticket: Bytes;
  readonly secret: Bytes;
  readonly lifetimeMs: number;
}

/** Tickets by node; the node that gave one last comes last. */
export class TicketBook {
  readonly #byNode = new Map<NodeId, HeldTicket[]>();
  #size = 0;

  /** Tickets held. */
  get size(): number {
    return this.#size;
  }

  /** Keeps what a node gave, if it gave anything. */
  add(id: NodeId | undefined, given: GivenTicket | undefined, now: Instant): void {
    if (id === undefined || given === undefined) return;
    const { ticket, secret, lifetimeMs } = given;
    const held = this.#byNode.get(id) ?? [];
    this.#byNode.delete(id);
    this.#byNode.set(id, held);
    held.push({ ticket, secret, receivedAt: now, expiresAt: now + Math.min(lifetimeMs, LIFETIME_MS_MAX) });
    this.#size++;
    if (held.length > PER_NODE_MAX) this.#drop(id, held);
    while (this.#size > TICKETS_MAX) {
      const [oldest, tickets] = this.#byNode.entries().next().value as [NodeId, HeldTicket[]];
      this.#drop(oldest, tickets);
    }
  }

  /** Takes the newest ticket of a node; nobody is given it again. Wipe its secret after use. */
  take(id: NodeId, now: Instant): HeldTicket | undefined {
    const held = this.#byNode.get(id);
    if (held === undefined) return undefined;
    while (held.length > 0 && (held[0] as HeldTicket).expiresAt <= now) this.#drop(id, held);
    const newest = held.pop();
    if (newest === undefined) return undefined;
    this.#size--;
    if (held.length === 0) this.#byNode.delete(id);
    return newest;
  }

  /** Forgets the oldest of a node. */
  #drop(id: NodeId, held: HeldTicket[]): void {
    held.shift()?.secret.fill(0);
    this.#size--;
    if (held.length === 0) this.#byNode.delete(id);
  }
}
