/**
 * Counts what was received and not yet taken by the application, so that reading stops in time.
 *
 * The invariant to hold: each message counts with its bytes and an overhead, so that tiny ones cannot fill the memory
 * either; the application gives back bytes alone.
 *
 * @module
 */

/** What an event with its value costs besides the value's bytes; measured in V8: 100 to 200. */
export const MESSAGE_OVERHEAD_BYTES = 128;

/** The messages held by the application. */
export class MessageCredit {
  /** Lengths of the messages not released, oldest first. */
  #lengths: number[] = [];
  #head = 0;
  #heldBytes = 0;
  /** Released, but not enough for the oldest message: a later, smaller one was taken first. */
  #releasedBytes = 0;

  /** Bytes held, with the overhead of each message. */
  get heldBytes(): number {
    return this.#heldBytes;
  }

  /** A message of `length` bytes, at least one, was handed to the application. */
  add(length: number): void {
    this.#lengths.push(length);
    this.#heldBytes += length + MESSAGE_OVERHEAD_BYTES;
  }

  /** The application took messages with so many bytes together, in any order. */
  release(bytes: number): void {
    this.#releasedBytes += bytes;
    while (this.#head < this.#lengths.length && (this.#lengths[this.#head] as number) <= this.#releasedBytes) {
      const length = this.#lengths[this.#head++] as number;
      this.#releasedBytes -= length;
      this.#heldBytes -= length + MESSAGE_OVERHEAD_BYTES;
    }
    if (this.#head === this.#lengths.length) {
      this.#lengths = [];
      this.#head = 0;
      this.#releasedBytes = 0;
    } else if (this.#head > 256 && this.#head * 2 > this.#lengths.length) {
      this.#lengths.splice(0, this.#head);
      this.#head = 0;
    }
  }
}
