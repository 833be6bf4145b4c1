/**
 * Queues that async iterators read: items are pushed from outside and taken in order.
 *
 * The invariant to hold: an item is given to one call of `next`, in the order of the calls; whoever waits is settled
 * when the queue ends.
 *
 * @module
 */

import { type Deferred, deferred } from "./waiting.ts";

/** A head that has moved this far is worth moving the rest. */
const COMPACT_AT = 256;

/** What a queue tells its owner. */
export interface ItemQueueOptions<Item> {
  /** The reader takes an item. */
  readonly onTake?: (item: Item) => void;
  /** The reader left, by `return` or its signal; what it did not take is still there. Not called for `end`. */
  readonly onLeft?: () => void;
  readonly signal?: AbortSignal | undefined;
}

/** What an iterator reads from. */
export class ItemQueue<Item> implements AsyncIterableIterator<Item> {
  #items: Item[] = [];
  #head = 0;
  readonly #waiters: Deferred<IteratorResult<Item>>[] = [];
  #end: { error: unknown } | undefined;
  #removeListener: (() => void) | undefined;
  readonly #onTake: ((item: Item) => void) | undefined;
  readonly #onLeft: (() => void) | undefined;

  constructor(options: ItemQueueOptions<Item> = {}) {
    this.#onTake = options.onTake;
    this.#onLeft = options.onLeft;
    const { signal } = options;
    if (signal === undefined) return;
    const onAbort = (): void => this.#leave({ error: signal.reason });
    if (signal.aborted) {
      // Its owner does not hold it yet: there is nobody to tell.
      this.#end = { error: signal.reason };
      return;
    }
    signal.addEventListener("abort", onAbort, { once: true });
    this.#removeListener = () => signal.removeEventListener("abort", onAbort);
  }

  get size(): number {
    return this.#items.length - this.#head;
  }

  /** Whether nothing is taken any more. */
  get isEnded(): boolean {
    return this.#end !== undefined;
  }

  push(item: Item): void {
    if (this.#end !== undefined) return;
    const waiter = this.#waiters.shift();
    if (waiter === undefined) {
      this.#items.push(item);
      return;
    }
    this.#onTake?.(item);
    waiter.resolve({ done: false, value: item });
  }

  /** Puts items in front of those that wait. */
  pushFirst(items: readonly Item[]): void {
    const rest = this.takeAll();
    for (const item of items) this.push(item);
    for (const item of rest) this.push(item);
  }

  dropOldest(): Item | undefined {
    return this.#shift();
  }

  /** Takes out everything that waits, without telling `onTake`. */
  takeAll(): Item[] {
    const items = this.#items.slice(this.#head);
    this.#items = [];
    this.#head = 0;
    return items;
  }

  /** No more items come; those waiting can still be read. */
  end(): void {
    this.#finish({ error: undefined });
  }

  /** No more items come, and the reader is told why once it has read those waiting. */
  fail(error: unknown): void {
    this.#finish({ error });
  }

  next(): Promise<IteratorResult<Item>> {
    if (this.size > 0) {
      const item = this.#shift() as Item;
      this.#onTake?.(item);
      return Promise.resolve({ done: false, value: item });
    }
    if (this.#end !== undefined) {
      const { error } = this.#end;
      this.#end = { error: undefined };
      return error === undefined ? Promise.resolve({ done: true, value: undefined }) : Promise.reject(error);
    }
    const waiter = deferred<IteratorResult<Item>>();
    this.#waiters.push(waiter);
    return waiter.promise;
  }

  return(): Promise<IteratorResult<Item>> {
    this.#leave({ error: undefined });
    this.takeAll();
    return Promise.resolve({ done: true, value: undefined });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  #leave(end: { error: unknown }): void {
    if (this.#end !== undefined) return;
    this.#finish(end);
    this.#onLeft?.();
  }

  #finish(end: { error: unknown }): void {
    if (this.#end !== undefined) return;
    this.#end = end;
    this.#removeListener?.();
    for (const waiter of this.#waiters.splice(0)) {
      const { error } = this.#end;
      this.#end = { error: undefined };
      if (error === undefined) waiter.resolve({ done: true, value: undefined });
      else waiter.reject(error);
    }
  }

  #shift(): Item | undefined {
    if (this.size === 0) return undefined;
    const item = this.#items[this.#head] as Item;
    this.#items[this.#head++] = undefined as never;
    if (this.#head === this.#items.length) {
      this.#items.length = 0;
      this.#head = 0;
    } else if (this.#head > COMPACT_AT && this.#head * 2 > this.#items.length) {
      this.#items.splice(0, this.#head);
      this.#head = 0;
    }
    return item;
  }
}

/** A WHATWG stream over a queue: an item is taken when somebody reads. */
export function readableOf<Item>(queue: ItemQueue<Item>): ReadableStream<Item> {
  return new ReadableStream<Item>(
    {
      pull: async (controller) => {
        const { value, done } = await queue.next();
        if (done === true) controller.close();
        else controller.enqueue(value);
      },
      cancel: async () => {
        await queue.return();
      },
    },
    { highWaterMark: 0 },
  );
}
