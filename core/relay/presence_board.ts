/**
 * Who is here, as clients are told: changes gathered for a moment, and the list of all for who begins to watch.
 * Implements PROTOCOL §10.5.
 *
 * The invariant to hold: what a watcher was told, applied in order, is who is here; one that reads too slowly gets the
 * list anew instead of a queue that grows.
 *
 * @module
 */

import type { NodeId } from "../crypto/identity.ts";
import type { Bytes, Instant } from "../machine.ts";
import { NEVER } from "../machine.ts";
import type { PresenceChange } from "../node/relay_codec.ts";
import { encodePresence } from "../node/relay_codec.ts";
import type { ControlStream } from "./control_stream.ts";

/** A client as others see it. */
export interface Visible {
  readonly key: Uint8Array;
  readonly name: string;
  readonly about: string;
  readonly joinedAtUnixMs: number;
}

/** The limits of a board. */
export interface PresenceLimits {
  readonly presencesMax: number;
  readonly presenceDelayMs: number;
}

/** Nodes in a list, whatever the config says: so many of the longest entries fit into the queue of a control stream. */
const LIST_MAX = 2_000;

const CHANGES = { isReset: false, isComplete: false, isTruncated: false } as const;

/** The board. */
export class PresenceBoard {
  readonly #limits: PresenceLimits;
  /** Who is here, and who watchers think is here. */
  readonly #present = new Map<NodeId, Visible>();
  readonly #told = new Map<NodeId, Visible>();
  /** Who differs between the two. */
  readonly #changed = new Set<NodeId>();
  /** Watchers; `true` for those that must get the list anew when they have read what waits. */
  readonly #watchers = new Map<ControlStream, boolean>();
  #flushAt: Instant = NEVER;

  constructor(limits: PresenceLimits) {
    this.#limits = limits;
  }

  get watchers(): number {
    return this.#watchers.size;
  }

  /** A client is here, or looks different now. */
  show(id: NodeId, visible: Visible, now: Instant): void {
    this.#present.set(id, visible);
    this.#note(id, now);
  }

  /** A client is no longer here. */
  hide(id: NodeId, now: Instant): void {
    if (this.#present.delete(id)) this.#note(id, now);
  }

  /** Tells a client who is here, and from now on who comes and goes. */
  watch(control: ControlStream, now: Instant): void {
    if (this.#watchers.has(control)) return;
    this.#flush(now);
    // Asking again and again costs no more than reading what was asked for before.
    this.#watchers.set(control, !control.isQueueEmpty);
    if (control.isQueueEmpty) this.#sendList(control, now);
  }

  unwatch(control: ControlStream): void {
    this.#watchers.delete(control);
  }

  /** A watcher that was too slow has read what waited. */
  onDrained(control: ControlStream, now: Instant): void {
    if (this.#watchers.get(control) !== true || !control.isQueueEmpty) return;
    this.#watchers.set(control, false);
    this.#flush(now);
    this.#sendList(control, now);
  }

  handleTimeout(now: Instant): void {
    if (now >= this.#flushAt) this.#flush(now);
  }

  pollTimeout(): Instant {
    return this.#flushAt;
  }

  #note(id: NodeId, now: Instant): void {
    this.#changed.add(id);
    if (this.#flushAt === NEVER) this.#flushAt = now + this.#limits.presenceDelayMs;
  }

  /** Tells all watchers what changed since the last time; what came and went in between is nobody's business. */
  #flush(now: Instant): void {
    this.#flushAt = NEVER;
    if (this.#changed.size === 0) return;
    const changes: PresenceChange[] = [];
    for (const id of this.#changed) {
      const before = this.#told.get(id);
      const after = this.#present.get(id);
      if (after !== undefined) {
        if (after !== before) changes.push({ isJoined: true, ...after });
        this.#told.set(id, after);
      } else if (before !== undefined) {
        changes.push({ isJoined: false, ...before });
        this.#told.delete(id);
      }
    }
    this.#changed.clear();
    if (changes.length === 0 || this.#watchers.size === 0) return;
    const records = encodePresence(changes, CHANGES);
    for (const control of this.#watchers.keys()) this.#tell(control, records, now);
  }

  #tell(control: ControlStream, records: readonly Bytes[], now: Instant): void {
    if (this.#watchers.get(control) === true) return;
    for (const record of records) {
      if (control.hasSoftRoom && control.send(record, now)) continue;
      this.#watchers.set(control, true);
      return;
    }
  }

  #sendList(control: ControlStream, now: Instant): void {
    const changes: PresenceChange[] = [];
    for (const visible of this.#told.values()) {
      if (changes.length >= Math.min(this.#limits.presencesMax, LIST_MAX)) break;
      changes.push({ isJoined: true, ...visible });
    }
    const isTruncated = this.#told.size > changes.length;
    for (const record of encodePresence(changes, { isReset: true, isComplete: true, isTruncated })) {
      if (control.send(record, now)) continue;
      this.#watchers.set(control, true);
      return;
    }
  }
}
