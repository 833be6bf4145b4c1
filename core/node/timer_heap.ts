/**
 * Deadlines of many things in one heap, so that ten thousand idle sessions cost nothing per packet. THREATS t-I7.
 *
 * The invariant to hold: each key has at most one deadline; `NEVER` is not stored.
 *
 * @module
 */

import type { Instant } from "../machine.ts";
import { NEVER } from "../machine.ts";

interface Entry {
  readonly key: number;
  at: Instant;
}

/** A binary heap of deadlines by numeric key. */
export class TimerHeap {
  readonly #heap: Entry[] = [];
  readonly #places = new Map<number, number>();

  /** The earliest deadline; `NEVER` when there is none. */
  get earliest(): Instant {
    return this.#heap[0]?.at ?? NEVER;
  }

  /** Sets, moves or (with `NEVER`) takes away the deadline of a key. */
  set(key: number, at: Instant): void {
    const place = this.#places.get(key);
    if (place === undefined) {
      if (at === NEVER) return;
      this.#heap.push({ key, at });
      this.#places.set(key, this.#heap.length - 1);
      this.#rise(this.#heap.length - 1);
      return;
    }
    if (at === NEVER) {
      this.#removeAt(place);
      return;
    }
    const entry = this.#heap[place] as Entry;
    const before = entry.at;
    if (before === at) return;
    entry.at = at;
    if (at < before) this.#rise(place);
    else this.#sink(place);
  }

  /** Takes one key whose deadline is due, or returns `undefined`. */
  takeDue(now: Instant): number | undefined {
    const first = this.#heap[0];
    if (first === undefined || first.at > now) return undefined;
    this.#removeAt(0);
    return first.key;
  }

  #removeAt(place: number): void {
    const last = this.#heap.pop() as Entry;
    const gone = place === this.#heap.length ? last : (this.#heap[place] as Entry);
    this.#places.delete(gone.key);
    if (place === this.#heap.length) return;
    this.#heap[place] = last;
    this.#places.set(last.key, place);
    this.#rise(place);
    this.#sink(this.#places.get(last.key) as number);
  }

  #rise(from: number): void {
    let place = from;
    while (place > 0) {
      const parent = (place - 1) >> 1;
      if ((this.#heap[parent] as Entry).at <= (this.#heap[place] as Entry).at) return;
      this.#swap(place, parent);
      place = parent;
    }
  }

  #sink(from: number): void {
    let place = from;
    for (;;) {
      let least = place;
      for (const child of [2 * place + 1, 2 * place + 2]) {
        if (child < this.#heap.length && (this.#heap[child] as Entry).at < (this.#heap[least] as Entry).at)
          least = child;
      }
      if (least === place) return;
      this.#swap(place, least);
      place = least;
    }
  }

  #swap(one: number, two: number): void {
    const first = this.#heap[one] as Entry;
    const second = this.#heap[two] as Entry;
    this.#heap[one] = second;
    this.#heap[two] = first;
    this.#places.set(second.key, one);
    this.#places.set(first.key, two);
  }
}
