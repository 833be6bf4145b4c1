/**
 * Who is at the relays, for the program's iterators.
 *
 * @module
 */

import type { NodeHandle } from "./node.ts";
import type { Presence, PresenceEvent, WaitOptions } from "./types.ts";
import { type Deferred, deferred, ItemQueue, waitFor } from "./waiting.ts";

/** A relay that does not say who is there in this time does not say at all. */
const WHO_TIMEOUT_MS = 5_000;

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
      onClosed: () => {
        this.#readers.delete(queue);
        if (this.#readers.size > 0) return;
        this.#isComplete = false;
        this.#complete = undefined;
        this.#node.command((machine, now) => machine.unwatchPresence(now));
      },
    });
    const isFirst = this.#readers.size === 0;
    this.#readers.add(queue);
    if (isEnded) queue.end();
    else if (isFirst) this.#node.command((machine, now) => machine.watchPresence(now));
    else for (const node of this.#node.command((machine) => machine.presences())) queue.push({ type: "joined", node });
    return queue;
  }

  onChange(change: PresenceEvent): void {
    for (const reader of this.#readers) reader.push(change);
  }

  onComplete(): void {
    this.#isComplete = true;
    this.#complete?.resolve();
  }

  end(): void {
    for (const reader of [...this.#readers]) reader.end();
  }
}
