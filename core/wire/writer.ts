/**
 * A cursor that writes fields into a given buffer, or into one that grows. Implements PROTOCOL §2.
 *
 * The invariant to hold: nothing is written past the limit. Running out of room is the caller's mistake and throws
 * `RangeError`: who fills a package asks `remaining` first.
 *
 * @module
 */

import type { Bytes } from "../machine.ts";
import { utf8Bytes, writeUtf8 } from "./utf8.ts";
import { varintBytes, writeVarint } from "./varint.ts";

const EMPTY = new Uint8Array(0);
const GROWN_BYTES_MIN = 64;
const LIMIT_BYTES_MAX = 0x7fffffff;

/** Writes fields one after another. Reusable: `reset` points it at another buffer. */
export class Writer {
  #bytes: Uint8Array = EMPTY;
  #start = 0;
  #offset = 0;
  /** Where writing must stop or the buffer must grow. */
  #roomEnd = 0;
  /** Where growing must stop; equal to `#roomEnd` for a given buffer. */
  #limit = 0;

  /** Writes into `bytes`, or, without them, into a buffer that grows. */
  constructor(bytes?: Uint8Array) {
    if (bytes === undefined) {
      this.#limit = LIMIT_BYTES_MAX;
    } else {
      this.#bytes = bytes;
      this.#roomEnd = this.#limit = bytes.length;
    }
  }

  /**
   * Starts again in `bytes` from `start` to `end` (exclusive); the buffer never grows.
   *
   * @throws {RangeError} If the range is not inside `bytes`.
   */
  reset(bytes: Uint8Array, start = 0, end: number = bytes.length): void {
    if (!(start >= 0 && start <= end && end <= bytes.length)) {
      throw new RangeError(`Cannot write from ${start} to ${end} as there are ${bytes.length} bytes`);
    }
    this.#bytes = bytes;
    this.#start = this.#offset = start;
    this.#roomEnd = this.#limit = end;
  }

  /** The position of the next write, as an index into the buffer. */
  get offset(): number {
    return this.#offset;
  }

  /** Bytes that can still be written. */
  get remaining(): number {
    return this.#limit - this.#offset;
  }

  /** Bytes written since the start. */
  get length(): number {
    return this.#offset - this.#start;
  }

  /** A view of what was written, valid until the next write. */
  get written(): Uint8Array {
    return new Uint8Array(this.#bytes.buffer, this.#bytes.byteOffset + this.#start, this.#offset - this.#start);
  }

  /** Writes one byte, the low 8 bits of `value`. */
  u8(value: number): void {
    if (this.#offset >= this.#roomEnd) this.#grow(1);
    this.#bytes[this.#offset] = value;
    this.#offset += 1;
  }

  /** Writes the low 32 bits of `value`, little-endian. */
  u32(value: number): void {
    if (this.#roomEnd - this.#offset < 4) this.#grow(4);
    this.patchU32(this.#offset, value);
    this.#offset += 4;
  }

  /** Writes a varint in its minimal encoding. */
  varint(value: number): void {
    if (this.#roomEnd - this.#offset < 10) {
      const bytes = varintBytes(value);
      if (this.#roomEnd - this.#offset < bytes) this.#grow(bytes);
    }
    this.#offset = writeVarint(this.#bytes, this.#offset, value);
  }

  /** Writes bytes as they are, without a length. */
  bytes(bytes: Uint8Array): void {
    if (this.#roomEnd - this.#offset < bytes.length) this.#grow(bytes.length);
    this.#bytes.set(bytes, this.#offset);
    this.#offset += bytes.length;
  }

  /** Writes a text: its length in bytes as a varint, then UTF-8. A lone surrogate is written as U+FFFD. */
  string(text: string): void {
    const count = utf8Bytes(text);
    const needed = varintBytes(count) + count;
    if (this.#roomEnd - this.#offset < needed) this.#grow(needed);
    this.#offset = writeUtf8(this.#bytes, writeVarint(this.#bytes, this.#offset, count), text);
  }

  /** Leaves `count` bytes as they are in the buffer, to be patched later, and returns where they start. */
  skip(count: number): number {
    if (this.#roomEnd - this.#offset < count) this.#grow(count);
    const at = this.#offset;
    this.#offset += count;
    return at;
  }

  /** Overwrites the byte at `at`, which was skipped or written before. */
  patchU8(at: number, value: number): void {
    this.#bytes[at] = value;
  }

  /** Overwrites four bytes at `at`, little-endian. */
  patchU32(at: number, value: number): void {
    const bytes = this.#bytes;
    bytes[at] = value;
    bytes[at + 1] = value >>> 8;
    bytes[at + 2] = value >>> 16;
    bytes[at + 3] = value >>> 24;
  }

  /**
   * Overwrites the `width` bytes at `at` with `value`, padded to that width (PROTOCOL §2.1 accepts it), so that a
   * length can be written after what it counts.
   *
   * @throws {RangeError} If `value` does not fit.
   */
  patchVarint(at: number, value: number, width: number): void {
    const bytes = varintBytes(value);
    if (bytes > width) throw new RangeError(`Cannot patch a varint as ${value} does not fit into ${width} bytes`);
    let end = writeVarint(this.#bytes, at, value);
    if (bytes === width) return;
    this.#bytes[end - 1] = (this.#bytes[end - 1] as number) | 0x80;
    while (end < at + width - 1) this.#bytes[end++] = 0x80;
    this.#bytes[end] = 0;
  }

  /**
   * Takes back everything written from `offset` on, a frame that turned out not to fit for one.
   *
   * @throws {RangeError} If `offset` is not between the start and the current offset.
   */
  rewind(offset: number): void {
    if (!(offset >= this.#start && offset <= this.#offset)) {
      throw new RangeError(`Cannot rewind to ${offset} as writing went from ${this.#start} to ${this.#offset}`);
    }
    this.#offset = offset;
  }

  /** Returns a copy of what was written, owned by the caller, and starts again at the same place. */
  finish(): Bytes {
    const out = new Uint8Array(this.#offset - this.#start);
    out.set(this.written);
    this.#offset = this.#start;
    return out;
  }

  #grow(count: number): void {
    const needed = this.#offset + count;
    if (!(needed <= this.#limit)) {
      throw new RangeError(`Cannot write ${count} bytes as ${this.#limit - this.#offset} are left`);
    }
    const grown = new Uint8Array(Math.min(this.#limit, Math.max(GROWN_BYTES_MIN, needed, this.#bytes.length * 2)));
    grown.set(this.written, this.#start);
    this.#bytes = grown;
    this.#roomEnd = grown.length;
  }
}
