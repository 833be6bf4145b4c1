/**
 * Bytes that wait for room, first in, first out.
 *
 * The invariant to hold: what is appended is copied, and small pieces share a buffer, so that a thousand of them do not
 * cost a thousand objects.
 *
 * @module
 */

const GATHER_BYTES = 4096;
const EMPTY = new Uint8Array(0);

interface Chunk {
  bytes: Uint8Array;
  start: number;
  end: number;
}

/** A queue of bytes. */
export class ByteQueue {
  #chunks: Chunk[] = [];
  #head = 0;
  #length = 0;

  /** Bytes that wait. */
  get length(): number {
    return this.#length;
  }

  /** Copies `bytes` to the end. */
  append(bytes: Uint8Array): void {
    this.#length += bytes.length;
    const tail = this.#chunks[this.#chunks.length - 1];
    let taken = 0;
    if (tail !== undefined) {
      taken = Math.min(bytes.length, tail.bytes.length - tail.end);
      tail.bytes.set(bytes.subarray(0, taken), tail.end);
      tail.end += taken;
    }
    const rest = bytes.length - taken;
    if (rest === 0) return;
    const store = new Uint8Array(Math.max(rest, GATHER_BYTES));
    store.set(bytes.subarray(taken));
    this.#chunks.push({ bytes: store, start: 0, end: rest });
  }

  /** The first bytes that lie in one piece, as a view; empty when nothing waits. */
  peek(): Uint8Array {
    const chunk = this.#chunks[this.#head];
    return chunk === undefined ? EMPTY : chunk.bytes.subarray(chunk.start, chunk.end);
  }

  /** Drops the first `count` bytes of what `peek` showed. */
  drop(count: number): void {
    const chunk = this.#chunks[this.#head];
    if (chunk === undefined) return;
    chunk.start += count;
    this.#length -= count;
    if (chunk.start < chunk.end) return;
    chunk.bytes = EMPTY;
    chunk.start = chunk.end = 0;
    this.#head++;
    if (this.#head === this.#chunks.length) {
      this.#chunks = [];
      this.#head = 0;
    } else if (this.#head > 64 && this.#head * 2 > this.#chunks.length) {
      this.#chunks.splice(0, this.#head);
      this.#head = 0;
    }
  }
}
