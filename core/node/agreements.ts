/**
 * What responders agreed on and still wait to see proved. The initiator may think that it has a session already, lose
 * its pipe and come back on another: its first package there is the proof then. PROTOCOL §3.6.
 *
 * The invariant to hold: of agreements that lost their pipe a fixed number is kept for a bounded time, whoever floods;
 * the others are as many as their pipes.
 *
 * @module
 */

import type { Instant } from "../machine.ts";
import { NEVER } from "../machine.ts";
import type { Pending } from "./pending_handshake.ts";
import { TimerHeap } from "./timer_heap.ts";

/** Agreements kept without a pipe; the oldest goes first. */
const DETACHED_MAX = 256;

/** Agreements by the connection id that a package would name. */
export class Agreements {
  readonly #all = new Map<number, Pending>();
  /** Those without a pipe, the oldest first. */
  readonly #detached = new Set<Pending>();
  readonly #timers = new TimerHeap();

  get(connectionId: number): Pending | undefined {
    return this.#all.get(connectionId);
  }

  isDetached(pending: Pending): boolean {
    return this.#detached.has(pending);
  }

  /** Those that have no pipe. */
  detached(): Pending[] {
    return [...this.#detached];
  }

  /** Adds one whose pipe is there. */
  add(pending: Pending): void {
    this.#all.set(pending.handshake.localConnectionId, pending);
  }

  /** Its pipe is gone: keeps it until `until`. Returns one that must go for it. */
  detach(pending: Pending, until: Instant): Pending | undefined {
    this.#detached.add(pending);
    this.#timers.set(pending.handshake.localConnectionId, until);
    return this.#detached.size > DETACHED_MAX ? this.#detached.values().next().value : undefined;
  }

  delete(pending: Pending): void {
    const id = pending.handshake.localConnectionId;
    if (this.#all.get(id) !== pending) return;
    this.#all.delete(id);
    this.#detached.delete(pending);
    this.#timers.set(id, NEVER);
  }

  /** Takes one that nobody came back for in time; it is still to be deleted. */
  takeOverdue(now: Instant): Pending | undefined {
    const id = this.#timers.takeDue(now);
    return id === undefined ? undefined : this.#all.get(id);
  }

  pollTimeout(): Instant {
    return this.#timers.earliest;
  }
}
