/**
 * A bounds-checked cursor over lent bytes, for what was authenticated already: frames and their fields.
 * Implements PROTOCOL §2.
 *
 * The invariant to hold: no read goes past `end`, and no declared length allocates: byte fields are views into the
 * lent bytes. A field that does not fit is the peer's violation and throws `ProtocolError`, which the machine catches
 * at its one boundary.
 *
 * @module
 */

import { ProtocolError } from "../error.ts";
import { decodeUtf8 } from "./utf8.ts";
import { NEEDS_MORE, readVarint, varintBytesAt } from "./varint.ts";

const EMPTY = new Uint8Array(0);

/** Reads fields one after another. Reusable: `reset` points it at other bytes. */
export class Reader {
  #bytes: Uint8Array = EMPTY;
  #offset = 0;
  #end = 0;

  /** Starts over all of `bytes`, which are lent as long as the reader and its views are in use. */
  constructor(bytes: Uint8Array = EMPTY) {
    this.#bytes = bytes;
    this.#end = bytes.length;
  }

  /**
   * Points the reader at `bytes` from `start` to `end` (exclusive).
   *
   * @throws {RangeError} If the range is not inside `bytes`.
   */
  reset(bytes: Uint8Array, start = 0, end: number = bytes.length): void {
    if (!(start >= 0 && start <= end && end <= bytes.length)) {
      throw new RangeError(`Cannot read from ${start} to ${end} as there are ${bytes.length} bytes`);
    }
    this.#bytes = bytes;
    this.#offset = start;
    this.#end = end;
  }

  /** The position of the next read, as an index into the lent bytes. */
  get offset(): number {
    return this.#offset;
  }

  /** Bytes not read yet. */
  get remaining(): number {
    return this.#end - this.#offset;
  }

  /** Whether everything was read. */
  get isAtEnd(): boolean {
    return this.#offset === this.#end;
  }

  /**
   * Reads one byte.
   *
   * @throws {ProtocolError} `frame_encoding` when there is none.
   */
  u8(): number {
    if (this.#offset >= this.#end) throw truncated("byte");
    const value = this.#bytes[this.#offset] as number;
    this.#offset += 1;
    return value;
  }

  /**
   * Reads an unsigned 32-bit integer, little-endian.
   *
   * @throws {ProtocolError} `frame_encoding` when fewer than 4 bytes are left.
   */
  u32(): number {
    const at = this.#offset;
    if (this.#end - at < 4) throw truncated("32-bit integer");
    const bytes = this.#bytes;
    this.#offset = at + 4;
    const low = (bytes[at] as number) | ((bytes[at + 1] as number) << 8) | ((bytes[at + 2] as number) << 16);
    return (low | ((bytes[at + 3] as number) << 24)) >>> 0;
  }

  /**
   * Reads a varint.
   *
   * @throws {ProtocolError} `frame_encoding` when it is truncated, longer than 10 bytes or above 2^53-1.
   */
  varint(): number {
    const at = this.#offset;
    const value = readVarint(this.#bytes, at, this.#end);
    if (value < 0x80) {
      if (value < 0) throw value === NEEDS_MORE ? truncated("varint") : invalid("A varint is out of range");
      // A small value may still come in a padded encoding: PROTOCOL §2.1.
      this.#offset = at + ((this.#bytes[at] as number) < 0x80 ? 1 : varintBytesAt(this.#bytes, at));
      return value;
    }
    this.#offset = at + varintBytesAt(this.#bytes, at);
    return value;
  }

  /**
   * Reads `count` bytes as a view into the lent bytes: copy what is kept.
   *
   * @throws {ProtocolError} `frame_encoding` when fewer are left.
   */
  bytes(count: number): Uint8Array {
    const at = this.#offset;
    if (!(count >= 0 && count <= this.#end - at)) throw truncated("byte field");
    this.#offset = at + count;
    return view(this.#bytes, at, count);
  }

  /** Reads everything that is left, as a view into the lent bytes. */
  rest(): Uint8Array {
    return this.bytes(this.#end - this.#offset);
  }

  /**
   * Reads a text: its length in bytes as a varint, then UTF-8.
   *
   * @throws {ProtocolError} `frame_encoding` when it is truncated, longer than `bytesMax` or not well-formed.
   */
  string(bytesMax: number): string {
    const count = this.varint();
    if (count > bytesMax) throw invalid(`A text has ${count} bytes where ${bytesMax} are allowed`);
    const text = decodeUtf8(this.bytes(count));
    if (text === undefined) throw invalid("A text is not well-formed UTF-8");
    return text;
  }
}

/**
 * A plain view. `subarray` would hand on the subclass, and the `slice` of Node's `Buffer` shares memory where that of
 * `Uint8Array` copies: code that keeps `field.slice()` must get a copy whatever the runtime lent.
 */
function view(bytes: Uint8Array, at: number, count: number): Uint8Array {
  return new Uint8Array(bytes.buffer, bytes.byteOffset + at, count);
}

function truncated(what: string): ProtocolError {
  return new ProtocolError("frame_encoding", `A ${what} is truncated`);
}

function invalid(reason: string): ProtocolError {
  return new ProtocolError("frame_encoding", reason);
}
