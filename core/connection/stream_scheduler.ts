/**
 * Decides which stream sends next: higher priority first, equal ones in turn, so that a bulk stream never starves
 * another one of its rank.
 *
 * The invariant to hold: a stream is queued at most once; its owner sets and clears `isQueued` nowhere else.
 *
 * @module
 */

/** What the scheduler keeps of a stream. */
export interface Schedulable {
  readonly id: number;
  /** Higher goes first. `sendOrder` of the W3C WebTransport draft. */
  priority: number;
  isQueued: boolean;
}

interface Level<Item extends Schedulable> {
  readonly priority: number;
  /** A queue whose entries before `head` were taken. */
  items: Item[];
  head: number;
}

/** Streams that have something to send. */
export class StreamScheduler<Item extends Schedulable> {
  /** Descending by priority; empty levels are removed. */
  readonly #levels: Level<Item>[] = [];
  #size = 0;

  /** How many streams wait. */
  get size(): number {
    return this.#size;
  }

  /** Queues a stream behind its equals, unless it is queued already. */
  add(item: Item): void {
    if (item.isQueued) return;
    item.isQueued = true;
    this.#levelOf(item.priority).items.push(item);
    this.#size++;
  }

  /** Takes the stream whose turn it is; the caller adds it again when it has more. */
  take(): Item | undefined {
    for (;;) {
      const level = this.#levels[0];
      if (level === undefined) return undefined;
      if (level.head === level.items.length) {
        this.#levels.shift();
        continue;
      }
      const item = level.items[level.head++] as Item;
      if (level.head > 64 && level.head * 2 > level.items.length) {
        level.items.splice(0, level.head);
        level.head = 0;
      }
      this.#size--;
      item.isQueued = false;
      return item;
    }
  }

  /** Whether another stream of the same priority, or a higher one, waits behind `item`. */
  hasRivalOf(item: Item): boolean {
    const level = this.#levels[0];
    return level !== undefined && level.head < level.items.length && level.priority >= item.priority;
  }

  /** Takes a stream out of the queue. */
  remove(item: Item): void {
    if (!item.isQueued) return;
    for (const level of this.#levels) {
      const index = level.items.indexOf(item, level.head);
      if (index < 0) continue;
      level.items.splice(index, 1);
      this.#size--;
      item.isQueued = false;
      return;
    }
  }

  /** Changes the priority of a stream, queued or not. */
  setPriority(item: Item, priority: number): void {
    const wasQueued = item.isQueued;
    if (wasQueued) this.remove(item);
    item.priority = priority;
    if (wasQueued) this.add(item);
  }

  /** Forgets all. */
  clear(): void {
    for (const level of this.#levels) for (const item of level.items) item.isQueued = false;
    this.#levels.length = 0;
    this.#size = 0;
  }

  #levelOf(priority: number): Level<Item> {
    let index = 0;
    while (index < this.#levels.length) {
      const level = this.#levels[index] as Level<Item>;
      if (level.priority === priority) return level;
      if (level.priority < priority) break;
      index++;
    }
    const level: Level<Item> = { priority, items: [], head: 0 };
    this.#levels.splice(index, 0, level);
    return level;
  }
}
