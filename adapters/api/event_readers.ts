/**
 * Events of a node for the program's iterators.
 *
 * @module
 */

import { ItemQueue } from "./item_queue.ts";
import type { NodeEvent } from "./types.ts";

/** Events that wait for one reader; then the older half goes and `lost` tells how many. */
const EVENTS_MAX = 1024;

/** All readers of a node's events. */
export class EventReaders {
  readonly #readers = new Set<ItemQueue<NodeEvent>>();

  /** A new reader, of what happens from now on. */
  read(options: { readonly signal?: AbortSignal }, isEnded: boolean): AsyncIterableIterator<NodeEvent> {
    const queue: ItemQueue<NodeEvent> = new ItemQueue<NodeEvent>({
      signal: options.signal,
      onLeft: () => this.#readers.delete(queue),
    });
    if (isEnded) queue.end();
    if (!queue.isEnded) this.#readers.add(queue);
    return queue;
  }

  tell(event: NodeEvent): void {
    for (const reader of this.#readers) {
      reader.push(event);
      if (reader.size <= EVENTS_MAX) continue;
      let count = 0;
      while (reader.size > EVENTS_MAX / 2) {
        const lost = reader.dropOldest();
        count += lost?.type === "lost" ? lost.count : 1;
      }
      reader.push({ type: "lost", count });
    }
  }

  end(): void {
    for (const reader of this.#readers) reader.end();
    this.#readers.clear();
  }
}
