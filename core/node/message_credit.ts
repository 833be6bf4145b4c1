/**
 * Counts what was received and not yet taken by the application, so that reading stops in time.
 *
 * The invariant to hold: each message counts with its bytes and an overhead, so that tiny ones cannot fill the memory
 * either; the application gives back bytes alone, of each message by itself or of many at once.
 *
 * @module
 */

/** What an event with its value costs besides the value's bytes; measured in V8: 100 to 200. */
export const MESSAGE_OVERHEAD_BYTES = 128;

/** The messages held by the application. */
export class MessageCredit {
  /** How many messages of each length are held. */
  readonly #counts = new Map<number, number>();
  #messages = 0;
  #bytes = 0;

  /** Bytes held, with the overhead of each message. */
  get heldBytes(): number {
    return this.#bytes + this.#messages * MESSAGE_OVERHEAD_BYTES;
  }

  /** A message of `length` bytes, at least one, was handed to the application. */
  add(length: number): void {
    this.#counts.set(length, (this.#counts.get(length) ?? 0) + 1);
    this.#messages++;
    this.#bytes += length;
  }

  /** The application took messages with so many bytes together, in any order. */
  release(bytes: number): void {
    this.#bytes -= bytes;
    if (this.#bytes <= 0) {
      this.#counts.clear();
      this.#messages = this.#bytes = 0;
      return;
    }
    const count = this.#counts.get(bytes);
    // Of several messages at once the overhead is given back with the last byte: who waits for more takes them all.
    if (count === undefined) return;
    if (count === 1) this.#counts.delete(bytes);
    else this.#counts.set(bytes, count - 1);
    this.#messages--;
  }
}
