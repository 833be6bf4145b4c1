/**
 * Takes records out of the bytes of a message stream, however they were split. Implements PROTOCOL §8.1.
 *
 * The invariant to hold: a record is given out whole or not at all; its length is checked before a byte of it is kept,
 * and the memory kept for it grows with the bytes that arrived, never with the length alone.
 *
 * @module
 */

import { ProtocolError } from "../error.ts";
import type { Bytes } from "../machine.ts";
import { decodeUtf8 } from "../wire/utf8.ts";
import { MALFORMED, NEEDS_MORE, readVarint, VARINT_BYTES_MAX, varintBytesAt } from "../wire/varint.ts";
import {
  RECORD_CANCEL,
  RECORD_DETAIL_BYTES_MAX,
  RECORD_ERROR,
  RECORD_MESSAGE,
  RECORD_NAME_BYTES_MAX,
  RECORD_OVERHEAD_BYTES_MAX,
  RECORD_REQUEST,
  RECORD_RESPONSE,
} from "./message_record.ts";
import type { NameCache } from "./name_cache.ts";

const EMPTY: Bytes = new Uint8Array(0);
const ASSEMBLY_BYTES_MIN = 1024;
/** Below this a loop is faster than a call into the engine; measured in V8. */
const LOOP_BYTES_MAX = 48;

/** Reads the records of one stream: `push` bytes, then `next` until it returns `false`. */
export class RecordReader {
  readonly #valueBytesMax: number;
  readonly #names: NameCache;

  #chunk: Uint8Array = EMPTY;
  #at = 0;
  /** A length that was cut off by the end of a chunk. */
  readonly #cut = new Uint8Array(VARINT_BYTES_MAX);
  #cutBytes = 0;
  /** The record being assembled, when it spans chunks; `#have` of `#need` bytes are there. */
  #assembly: Uint8Array = EMPTY;
  #need = 0;
  #have = 0;

  // The record that `next` found.
  kind = 0;
  id = 0;
  /** The topic of a message, the name of a request, the detail of an error. */
  text = "";
  wireCode = 0;
  /** The value of a message, request or response; the caller owns it. */
  value: Bytes = EMPTY;

  constructor(options: { readonly valueBytesMax: number; readonly names: NameCache }) {
    this.#valueBytesMax = options.valueBytesMax;
    this.#names = options.names;
  }

  /** Whether bytes of a record are held that is not complete. */
  get isInsideRecord(): boolean {
    return this.#need > 0 || this.#cutBytes > 0 || this.#at < this.#chunk.length;
  }

  /** Adds bytes, which the reader owns from here on. All earlier ones have been read: `next` returned `false`. */
  push(bytes: Uint8Array): void {
    // A `Buffer` would share memory in `slice` where a `Uint8Array` copies.
    const isPlain = bytes.constructor === Uint8Array;
    this.#chunk = isPlain ? bytes : new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length);
    this.#at = 0;
  }

  /**
   * Finds the next record and returns whether there is one.
   *
   * @throws {ProtocolError} When the record is malformed or too long; the reader is of no use afterwards.
   */
  next(): boolean {
    const chunk = this.#chunk;
    if (this.#need === 0) {
      if (this.#at === chunk.length) return this.#rest();
      const length = this.#cutBytes === 0 ? readVarint(chunk, this.#at, chunk.length) : this.#cutLength();
      if (length < 0) {
        if (length === MALFORMED) throw violation("The length of a record is malformed");
        return this.#keepCut();
      }
      if (this.#cutBytes === 0) this.#at += varintBytesAt(chunk, this.#at);
      this.#cutBytes = 0;
      if (length === 0) throw violation("A record is empty");
      if (length > this.#valueBytesMax + RECORD_OVERHEAD_BYTES_MAX) throw tooLarge();
      const end = this.#at + length;
      if (end <= chunk.length) {
        const start = this.#at;
        this.#at = end;
        this.#parse(chunk, start, end);
        return true;
      }
      this.#need = length;
    }
    return this.#assemble();
  }

  /** Takes what the chunk has of the record that spans chunks. */
  #assemble(): boolean {
    const count = Math.min(this.#need - this.#have, this.#chunk.length - this.#at);
    const have = this.#have + count;
    if (have > this.#assembly.length) {
      const grown = new Uint8Array(Math.min(this.#need, Math.max(have, this.#assembly.length * 2, ASSEMBLY_BYTES_MIN)));
      grown.set(this.#assembly.subarray(0, this.#have));
      this.#assembly = grown;
    }
    this.#assembly.set(this.#chunk.subarray(this.#at, this.#at + count), this.#have);
    this.#at += count;
    this.#have = have;
    if (have < this.#need) return this.#rest();
    const record = this.#assembly;
    const end = this.#need;
    this.#assembly = EMPTY;
    this.#need = this.#have = 0;
    this.#parse(record, 0, end);
    return true;
  }

  #parse(bytes: Uint8Array, start: number, end: number): void {
    this.kind = bytes[start] as number;
    let at = start + 1;
    if (this.kind !== RECORD_MESSAGE) {
      this.id = field(bytes, at, end);
      at += varintBytesAt(bytes, at);
    }
    switch (this.kind) {
      case RECORD_MESSAGE:
      case RECORD_REQUEST: {
        const nameBytes = field(bytes, at, end);
        at += varintBytesAt(bytes, at);
        if (nameBytes > RECORD_NAME_BYTES_MAX || nameBytes > end - at) throw violation("A name is too long");
        const name = this.#names.decode(bytes, at, at + nameBytes);
        if (name === undefined) throw violation("A name is not well-formed UTF-8");
        this.text = name;
        this.value = this.#take(bytes, at + nameBytes, end);
        return;
      }
      case RECORD_RESPONSE:
        this.value = this.#take(bytes, at, end);
        return;
      case RECORD_ERROR: {
        this.wireCode = field(bytes, at, end);
        at += varintBytesAt(bytes, at);
        const detail = end - at <= RECORD_DETAIL_BYTES_MAX ? decodeUtf8(bytes.subarray(at, end)) : undefined;
        if (detail === undefined) throw violation("The detail of an error is too long or not well-formed UTF-8");
        this.text = detail;
        return;
      }
      case RECORD_CANCEL:
        if (at !== end) throw violation("A cancel has something behind its id");
        return;
      default:
        throw violation("The kind of a record is unknown");
    }
  }

  /** A value that the application may keep: a view, unless that would pin a buffer of more than twice its size. */
  #take(bytes: Uint8Array, start: number, end: number): Bytes {
    const length = end - start;
    if (length > this.#valueBytesMax) throw tooLarge();
    if (length <= LOOP_BYTES_MAX) {
      const out = new Uint8Array(length);
      for (let index = 0; index < length; index++) out[index] = bytes[start + index] as number;
      return out;
    }
    // THREATS t-C9: a small view keeps the whole buffer alive.
    return length * 2 < bytes.buffer.byteLength ? bytes.slice(start, end) : (bytes.subarray(start, end) as Bytes);
  }

  /** Reads on in a length whose beginning came with an earlier chunk; moves behind it. */
  #cutLength(): number {
    const chunk = this.#chunk;
    for (;;) {
      const known = readVarint(this.#cut, 0, this.#cutBytes);
      if (known !== NEEDS_MORE || this.#at === chunk.length) return known;
      this.#cut[this.#cutBytes++] = chunk[this.#at++] as number;
    }
  }

  /** Keeps the beginning of a length for the next chunk. */
  #keepCut(): boolean {
    // At most nine bytes: ten without an end would have been malformed.
    while (this.#at < this.#chunk.length) this.#cut[this.#cutBytes++] = this.#chunk[this.#at++] as number;
    return this.#rest();
  }

  /** Everything was read: lets go of the chunk. */
  #rest(): boolean {
    this.#chunk = EMPTY;
    this.#at = 0;
    return false;
  }
}

function field(bytes: Uint8Array, at: number, end: number): number {
  const value = readVarint(bytes, at, end);
  if (value < 0) throw violation("A number in a record is malformed or cut off");
  return value;
}

function violation(reason: string): ProtocolError {
  return new ProtocolError("protocol_violation", reason);
}

function tooLarge(): ProtocolError {
  return new ProtocolError("message_too_large", "A record is larger than the limit");
}
