/**
 * Waiting with a signal and a deadline, and queues that async iterators read: the only places where the API awaits.
 *
 * The invariant to hold: a listener or timer added here is removed in every path; a queue is bounded and says what
 * happens when it is full.
 *
 * @module
 */

import { ViaductError } from "../../core/error.ts";
import type { Runtime } from "../runtime.ts";
import type { WaitOptions } from "./types.ts";

/** A promise with its handles, which never counts as an unhandled rejection. */
export interface Deferred<Value> {
  readonly promise: Promise<Value>;
  resolve(value: Value): void;
  reject(reason: unknown): void;
}

/** Makes one. */
export function deferred<Value = void>(): Deferred<Value> {
  let resolve!: (value: Value) => void;
  let reject!: (reason: unknown) => void;
  const promise = new Promise<Value>((onResolve, onReject) => {
    resolve = onResolve;
    reject = onReject;
  });
  promise.catch(() => {});
  return { promise, resolve, reject };
}

/** Waits for `promise`, but no longer than the signal and the deadline allow; `onGiveUp` undoes what was begun. */
export function waitFor<Value>(
  promise: Promise<Value>,
  options: WaitOptions | undefined,
  runtime: Pick<Runtime, "setTimer">,
  onGiveUp?: () => void,
): Promise<Value> {
  const signal = options?.signal;
  const timeoutMs = options?.timeoutMs;
  if (signal === undefined && timeoutMs === undefined) return promise;
  return new Promise((resolve, reject) => {
    const giveUp = (reason: unknown): void => {
      settle();
      onGiveUp?.();
      reject(reason);
    };
    const onAbort = (): void => giveUp(signal?.reason ?? new ViaductError("aborted"));
    const timer =
      timeoutMs === undefined
        ? undefined
        : runtime.setTimer(() => giveUp(new ViaductError("timeout", { detail: `${timeoutMs} ms` })), timeoutMs);
    const settle = (): void => {
      timer?.cancel();
      signal?.removeEventListener("abort", onAbort);
    };
    if (signal?.aborted === true) {
      onAbort();
      return;
    }
    signal?.addEventListener("abort", onAbort, { once: true });
    promise.then(
      (value) => {
        settle();
        resolve(value);
      },
      (error: unknown) => {
        settle();
        reject(error);
      },
    );
  });
}

/** Something that is undone once. */
export function disposable(dispose: () => void): Disposable {
  return { [Symbol.dispose]: dispose };
}

/** What an iterator reads from: items pushed from outside, in order. */
export class ItemQueue<Item> implements AsyncIterableIterator<Item> {
  #items: Item[] = [];
  #head = 0;
  #waiter: Deferred<IteratorResult<Item>> | undefined;
  #end: { error: unknown } | undefined;
  readonly #onTake: ((item: Item) => void) | undefined;
  readonly #onClosed: (() => void) | undefined;

  /** `onTake` is told of each item that the reader takes, `onClosed` that the reader has left. */
  constructor(
    options: { onTake?: (item: Item) => void; onClosed?: () => void; signal?: AbortSignal | undefined } = {},
  ) {
    this.#onTake = options.onTake;
    this.#onClosed = options.onClosed;
    const { signal } = options;
    if (signal === undefined) return;
    if (signal.aborted) this.fail(signal.reason);
    else {
      const onAbort = (): void => this.fail(signal.reason);
      signal.addEventListener("abort", onAbort, { once: true });
      this.#removeListener = () => signal.removeEventListener("abort", onAbort);
    }
  }

  #removeListener: () => void = () => {};

  get size(): number {
    return this.#items.length - this.#head;
  }

  push(item: Item): void {
    if (this.#end !== undefined) return;
    const waiter = this.#waiter;
    if (waiter === undefined) {
      this.#items.push(item);
      return;
    }
    this.#waiter = undefined;
    this.#onTake?.(item);
    waiter.resolve({ done: false, value: item });
  }

  /** Drops the oldest item. */
  dropOldest(): Item | undefined {
    return this.#shift();
  }

  /** No more items come; those waiting can still be read. */
  end(): void {
    this.#finish(undefined);
  }

  /** No more items come, and the reader is told why once it has read those waiting. */
  fail(error: unknown): void {
    this.#finish({ error });
  }

  next(): Promise<IteratorResult<Item>> {
    const item = this.#shift();
    if (item !== undefined) {
      this.#onTake?.(item);
      return Promise.resolve({ done: false, value: item });
    }
    if (this.#end !== undefined) {
      const { error } = this.#end;
      this.#end = { error: undefined };
      return error === undefined ? Promise.resolve({ done: true, value: undefined }) : Promise.reject(error);
    }
    this.#waiter ??= deferred<IteratorResult<Item>>();
    return this.#waiter.promise;
  }

  return(): Promise<IteratorResult<Item>> {
    this.#items = [];
    this.#head = 0;
    this.#finish(undefined);
    return Promise.resolve({ done: true, value: undefined });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  #shift(): Item | undefined {
    if (this.#head === this.#items.length) return undefined;
    const item = this.#items[this.#head] as Item;
    this.#items[this.#head++] = undefined as never;
    if (this.#head === this.#items.length) {
      this.#items.length = 0;
      this.#head = 0;
    } else if (this.#head > 256 && this.#head * 2 > this.#items.length) {
      this.#items.splice(0, this.#head);
      this.#head = 0;
    }
    return item;
  }

  #finish(end: { error: unknown } | undefined): void {
    if (this.#end !== undefined) return;
    this.#end = end ?? { error: undefined };
    this.#removeListener();
    this.#onClosed?.();
    const waiter = this.#waiter;
    this.#waiter = undefined;
    if (waiter === undefined) return;
    const { error } = this.#end;
    this.#end = { error: undefined };
    if (error === undefined) waiter.resolve({ done: true, value: undefined });
    else waiter.reject(error);
  }
}
