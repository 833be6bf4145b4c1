/**
 * A first-in, first-out queue of events: adding and taking are O(1) and keep no reference to what was taken.
 *
 * @module
 */

/** Events waiting to be polled. */
export class EventQueue<Event> {
  #items: (Event | undefined)[] = [];
  #head = 0;

  get size(): number {
    return this.#items.length - this.#head;
  }

  push(event: Event): void {
    this.#items.push(event);
  }

  shift(): Event | undefined {
    if (this.#head === this.#items.length) return undefined;
    const event = this.#items[this.#head];
    this.#items[this.#head++] = undefined;
    if (this.#head === this.#items.length) {
      this.#items.length = 0;
      this.#head = 0;
    } else if (this.#head > 256 && this.#head * 2 > this.#items.length) {
      this.#items.splice(0, this.#head);
      this.#head = 0;
    }
    return event;
  }

  clear(): void {
    this.#items = [];
    this.#head = 0;
  }
}
