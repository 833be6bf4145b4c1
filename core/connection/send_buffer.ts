/**
 * The bytes written to a stream that the peer has not acknowledged yet: what is to be sent, in flight, or lost with a
 * path and to be sent again.
 *
 * The invariant to hold: a byte leaves the buffer only when it and everything before it was acknowledged, so that any
 * path can carry it again. RFC 9000 §3.1.
 *
 * @module
 */

import type { Bytes } from "../machine.ts";
import { RangeSet } from "./range_set.ts";

/**
 * Small writes are gathered in chunks of this size, so that a thousand of them do not cost a thousand objects; the
 * first one behind nothing has a smaller chunk, since often no other follows before it is acknowledged.
 */
const GATHER_BYTES = 4096;
const FIRST_GATHER_BYTES = 512;
/** Large writes go into slabs of this size, which serve again: fresh ones would keep the collector busy. */
const SLAB_BYTES = 64 * 1024;
/** A write from this size on is worth a slab. */
const SLAB_WRITE_BYTES = 32 * 1024;
const SPARE_SLABS_MAX = 16;

interface Chunk {
  /** Stream offset of `bytes[0]`. */
  readonly offset: number;
  readonly bytes: Uint8Array;
  /** Bytes in use. */
  length: number;
}

/** Bytes of one stream on their way to the peer. */
export class SendBuffer {
  /** Chunks in order of offset; those before `#head` are freed. */
  #chunks: Chunk[] = [];
  #head = 0;
  /** Offset after the last byte written. */
  #end = 0;
  /** Offset of the first byte never sent. */
  #sentEnd = 0;
  /** Everything below is acknowledged. */
  #ackedFloor = 0;
  readonly #acked = new RangeSet();
  readonly #lost = new RangeSet();
  /** Slabs whose bytes were acknowledged; kept only while there is more to send. */
  readonly #spare: Uint8Array[] = [];

  /** Offset after the last byte written. */
  get end(): number {
    return this.#end;
  }

  /** Offset of the first byte never sent. */
  get sentEnd(): number {
    return this.#sentEnd;
  }

  /** Bytes held: written and not yet acknowledged up to the first gap. */
  get heldBytes(): number {
    return this.#end - this.#ackedFloor;
  }

  get isAllAcked(): boolean {
    return this.#ackedFloor === this.#end;
  }

  get hasLost(): boolean {
    return !this.#lost.isEmpty;
  }

  /** Bytes never sent. */
  get unsentBytes(): number {
    return this.#end - this.#sentEnd;
  }

  /** Copies `bytes` behind what was written before. */
  append(bytes: Uint8Array): void {
    let taken = 0;
    const tail = this.#chunks[this.#chunks.length - 1];
    if (tail !== undefined && this.#chunks.length > this.#head && tail.length < tail.bytes.length) {
      taken = Math.min(bytes.length, tail.bytes.length - tail.length);
      tail.bytes.set(taken === bytes.length ? bytes : bytes.subarray(0, taken), tail.length);
      tail.length += taken;
      this.#end += taken;
    }
    while (bytes.length - taken >= SLAB_WRITE_BYTES) {
      const part = bytes.subarray(taken, Math.min(bytes.length, taken + SLAB_BYTES));
      this.#push(this.#spare.pop() ?? new Uint8Array(SLAB_BYTES), part);
      taken += part.length;
    }
    const rest = bytes.length - taken;
    if (rest === 0) return;
    const gatherBytes = this.#chunks.length === this.#head ? FIRST_GATHER_BYTES : GATHER_BYTES;
    this.#push(new Uint8Array(Math.max(rest, gatherBytes)), taken === 0 ? bytes : bytes.subarray(taken));
  }

  /**
   * Tells what to send next: the first lost range, else what was never sent, cut to `bytesMax` and, for bytes never
   * sent, to the peer's limit `offsetMax`. Returns the end of the range; its start is left in `nextStart`.
   */
  next(bytesMax: number, offsetMax: number): number {
    const lost = this.#lost.first;
    if (lost !== undefined) {
      this.nextStart = lost.start;
      return Math.min(lost.end, lost.start + bytesMax);
    }
    this.nextStart = this.#sentEnd;
    return Math.max(this.#sentEnd, Math.min(this.#end, offsetMax, this.#sentEnd + bytesMax));
  }

  /** Start of the range that `next` found. */
  nextStart = 0;

  /** Whether what was written from `start` on is still here, all of it. */
  isHeldFrom(start: number): boolean {
    return start >= this.#ackedFloor;
  }

  /** Copies `[start, end)` to `out` at `offset`. The range is held. */
  copy(start: number, end: number, out: Uint8Array, offset: number): void {
    let index = this.#indexOf(start);
    let position = start;
    let target = offset;
    while (position < end) {
      const chunk = this.#chunks[index++] as Chunk;
      const from = position - chunk.offset;
      const to = Math.min(chunk.length, end - chunk.offset);
      out.set(chunk.bytes.subarray(from, to), target);
      target += to - from;
      position += to - from;
    }
  }

  /** Notes that `[start, end)` is in flight. */
  onSent(start: number, end: number): void {
    if (end > this.#sentEnd) this.#sentEnd = end;
    if (!this.#lost.isEmpty) this.#lost.remove(start, end);
  }

  /** Notes that the peer has `[start, end)`. Returns how many bytes could be freed. */
  onAcked(start: number, end: number): number {
    if (!this.#lost.isEmpty) this.#lost.remove(start, end);
    const before = this.#ackedFloor;
    if (start <= before) {
      if (end > before) this.#ackedFloor = end;
    } else {
      this.#acked.add(start, end);
    }
    const first = this.#acked.first;
    if (first !== undefined && first.start <= this.#ackedFloor) {
      this.#ackedFloor = Math.max(this.#ackedFloor, first.end);
      this.#acked.removeFirst();
    }
    this.#free();
    return this.#ackedFloor - before;
  }

  /** Notes that `[start, end)` was in flight on a path that is gone: what is not acknowledged is to be sent again. */
  onLost(start: number, end: number): void {
    this.#lost.add(Math.max(start, this.#ackedFloor), end);
    for (const range of this.#acked.ranges) this.#lost.remove(range.start, range.end);
  }

  /** Drops everything, for a stream that was reset. */
  clear(): void {
    this.#chunks = [];
    this.#spare.length = 0;
    this.#head = 0;
    this.#ackedFloor = this.#sentEnd = this.#end;
    this.#acked.clear();
    this.#lost.clear();
  }

  #push(store: Uint8Array, bytes: Uint8Array): void {
    store.set(bytes);
    this.#chunks.push({ offset: this.#end, bytes: store, length: bytes.length });
    this.#end += bytes.length;
  }

  #free(): void {
    const chunks = this.#chunks;
    while (this.#head < chunks.length) {
      const chunk = chunks[this.#head] as Chunk;
      if (chunk.offset + chunk.length > this.#ackedFloor) break;
      // A gathering tail stays only while it has room and bytes may still be appended right behind it.
      chunks[this.#head++] = EMPTY_CHUNK;
      if (chunk.bytes.length === SLAB_BYTES && this.#spare.length < SPARE_SLABS_MAX) this.#spare.push(chunk.bytes);
    }
    if (this.#head === chunks.length) {
      chunks.length = 0;
      this.#head = 0;
      this.#spare.length = 0;
    } else if (this.#head > 32 && this.#head * 2 > chunks.length) {
      chunks.splice(0, this.#head);
      this.#head = 0;
    }
  }

  #indexOf(offset: number): number {
    let low = this.#head;
    let high = this.#chunks.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >>> 1;
      if ((this.#chunks[middle] as Chunk).offset <= offset) low = middle;
      else high = middle - 1;
    }
    return low;
  }
}

const EMPTY: Bytes = new Uint8Array(0);
const EMPTY_CHUNK: Chunk = { offset: 0, bytes: EMPTY, length: 0 };
