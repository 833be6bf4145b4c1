/**
 * The virtual clock: things to do, in order of time, those of one time in the order they were planned.
 *
 * @module
 */

interface Task {
  readonly at: number;
  readonly order: number;
  readonly act: () => void;
}

/** What is to happen when. */
export class Schedule {
  readonly #heap: Task[] = [];
  #order = 0;
  #now = 0;

  /** Virtual milliseconds. */
  get now(): number {
    return this.#now;
  }

  get size(): number {
    return this.#heap.length;
  }

  /** Plans `act` for a time; the past means now. */
  plan(at: number, act: () => void): void {
    const task: Task = { at: Math.max(at, this.#now), order: this.#order++, act };
    let place = this.#heap.push(task) - 1;
    while (place > 0) {
      const parent = (place - 1) >> 1;
      if (!isBefore(task, this.#heap[parent] as Task)) break;
      this.#heap[place] = this.#heap[parent] as Task;
      place = parent;
    }
    this.#heap[place] = task;
  }

  /** Does the next thing, if it is due by `until`. Returns `false`, with the clock at `until`, when nothing is. */
  step(until: number): boolean {
    const first = this.#heap[0];
    if (first === undefined || first.at > until) {
      this.#now = Math.max(this.#now, until);
      return false;
    }
    this.#removeFirst();
    this.#now = first.at;
    first.act();
    return true;
  }

  #removeFirst(): void {
    const last = this.#heap.pop() as Task;
    const { length } = this.#heap;
    if (length === 0) return;
    let place = 0;
    for (;;) {
      let child = 2 * place + 1;
      if (child >= length) break;
      if (child + 1 < length && isBefore(this.#heap[child + 1] as Task, this.#heap[child] as Task)) child++;
      if (!isBefore(this.#heap[child] as Task, last)) break;
      this.#heap[place] = this.#heap[child] as Task;
      place = child;
    }
    this.#heap[place] = last;
  }
}

function isBefore(left: Task, right: Task): boolean {
  return left.at < right.at || (left.at === right.at && left.order < right.order);
}
