/**
 * Who is at the relays, for the program's iterators.
 *
 * The invariant to hold: what an iterator was told adds up to who is there; one that is too slow for that is ended.
 *
 * @module
 */

import { ViaductError } from "../../core/error.ts";
import { ItemQueue } from "./item_queue.ts";
import type { NodeHandle } from "./node.ts";
import type { Presence, PresenceEvent, WaitOptions } from "./types.ts";
import { type Deferred, deferred, waitFor } from "./waiting.ts";

/** A relay that does not say who is there in this time does not say at all. */
const WHO_TIMEOUT_MS = 5_000;
/** Changes that wait for one reader; more end it with `limit`: watching anew tells the state in less. */
const CHANGES_MAX = 16_384;

/** The presence of a node's relays; watched only as long as somebody looks. */
export class PresenceWatch {
  readonly #node: NodeHandle;
  readonly #readers = new Set<ItemQueue<PresenceEvent>>();
  /** Whether the relays have told everybody who is there since watching began. */
  #isComplete = false;
  #complete: Deferred<void> | undefined;

  constructor(node: NodeHandle) {
    this.#node = node;
  }

  /** Everybody, once the relays have told. */
  async who(options: WaitOptions): Promise<Presence[]> {
    const watching = this.watch({}, false);
    try {
      if (!this.#isComplete) {
        this.#complete ??= deferred();
        await waitFor(this.#complete.promise, { timeoutMs: WHO_TIMEOUT_MS, ...options }, this.#node.runtime);
      }
      return [...this.#node.command((machine) => machine.presences())];
    } finally {
      await watching.return?.();
    }
  }

  /** A new reader: first those who are there, then every change. */
  watch(options: { readonly signal?: AbortSignal }, isEnded: boolean): AsyncIterableIterator<PresenceEvent> {
    const queue: ItemQueue<PresenceEvent> = new ItemQueue<PresenceEvent>({
      signal: options.signal,
      onLeft: () => this.#forget(queue),
    });
    if (isEnded) queue.end();
    if (queue.isEnded) return queue;
    const isFirst = this.#readers.size === 0;
    this.#readers.add(queue);
    if (isFirst) this.#node.command((machine, now) => machine.watchPresence(now));
    else for (const node of this.#node.command((machine) => machine.presences())) queue.push({ type: "joined", node });
    return queue;
  }

  onChange(change: PresenceEvent): void {
    for (const reader of this.#readers) {
      reader.push(change);
      if (reader.size <= CHANGES_MAX) continue;
      reader.takeAll();
      reader.fail(new ViaductError("limit", { detail: "Changes of presence were not read" }));
      this.#forget(reader);
    }
  }

  onComplete(): void {
    this.#isComplete = true;
    this.#complete?.resolve();
  }

  end(): void {
    for (const reader of this.#readers) reader.end();
    this.#readers.clear();
    this.#complete?.reject(new ViaductError("closed"));
  }

  #forget(reader: ItemQueue<PresenceEvent>): void {
    if (!this.#readers.delete(reader) || this.#readers.size > 0) return;
    this.#isComplete = false;
    this.#complete = undefined;
    this.#node.command((machine, now) => machine.unwatchPresence(now));
  }
}
