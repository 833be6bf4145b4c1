/**
 * Agreements whose pipe died before the initiator's proof came. The initiator may think that it has a session and try
 * to resume it: its first package on another pipe is the proof then. PROTOCOL §3.6.
 *
 * The invariant to hold: a fixed number is kept for a bounded time, whoever floods.
 *
 * @module
 */

import type { Instant } from "../machine.ts";
import { NEVER } from "../machine.ts";
import type { Pending } from "./pending_handshake.ts";
import { TimerHeap } from "./timer_heap.ts";

/** Agreements kept; the oldest goes first. */
const AGREEMENTS_MAX = 256;

/** Agreements without a pipe, by the connection id that a package would name. */
export class Agreements {
  readonly #byConnectionId = new Map<number, Pending>();
  readonly #timers = new TimerHeap();

  get(connectionId: number): Pending | undefined {
    return this.#byConnectionId.get(connectionId);
  }

  has(pending: Pending): boolean {
    return this.#byConnectionId.get(pending.handshake.localConnectionId) === pending;
  }

  all(): Pending[] {
    return [...this.#byConnectionId.values()];
  }

  /** Keeps an agreement until `until`. Returns one that must go for it. */
  add(pending: Pending, until: Instant): Pending | undefined {
    const id = pending.handshake.localConnectionId;
    this.#byConnectionId.set(id, pending);
    this.#timers.set(id, until);
    return this.#byConnectionId.size > AGREEMENTS_MAX ? this.#byConnectionId.values().next().value : undefined;
  }

  delete(pending: Pending): void {
    if (!this.has(pending)) return;
    const id = pending.handshake.localConnectionId;
    this.#byConnectionId.delete(id);
    this.#timers.set(id, NEVER);
  }

  /** Takes one that nobody came back for in time; it is still to be deleted. */
  takeOverdue(now: Instant): Pending | undefined {
    const id = this.#timers.takeDue(now);
    return id === undefined ? undefined : this.#byConnectionId.get(id);
  }

  pollTimeout(): Instant {
    return this.#timers.earliest;
  }
}
