/**
 * The records of message streams: what they may hold, and how they are written. Implements PROTOCOL §8.1.
 *
 * The invariant to hold: a record is written whole into one buffer or as a head in front of its value; nothing is
 * allocated for a small one.
 *
 * @module
 */

import { encodeUtf8, utf8Bytes, writeUtf8 } from "../wire/utf8.ts";
import { varintBytes, writeVarint } from "../wire/varint.ts";

/** A value for many, under a topic. */
export const RECORD_MESSAGE = 0;
/** A question, to be answered with a response or an error. */
export const RECORD_REQUEST = 1;
export const RECORD_RESPONSE = 2;
export const RECORD_ERROR = 3;
/** The asker no longer waits. */
export const RECORD_CANCEL = 4;

/** Bytes of the longest topic of a message and of the longest name of a request. */
export const RECORD_NAME_BYTES_MAX = 64;

/** Bytes of the longest detail of an error. */
export const RECORD_DETAIL_BYTES_MAX = 256;

/** Bytes that a record may have besides its value: kind, id, name or detail, with room for padded varints. */
export const RECORD_OVERHEAD_BYTES_MAX = 320;

/** Records up to this size are written in one piece. Above it copying costs more than a second write. */
const WHOLE_BYTES_MAX = 8192;
/** A record's length, kind, id, and the longest name or detail with its length. */
const HEAD_BYTES_MAX = 512;
const NO_ID = -1;

/** Writes records into a buffer that is used again: take `bytes` before the next one. */
export class RecordWriter {
  readonly #scratch = new Uint8Array(WHOLE_BYTES_MAX + HEAD_BYTES_MAX);
  #end = 0;
  /** What follows the written part, when the record is too large to be in one piece. */
  rest: Uint8Array | undefined;

  /** The record, or its head when there is a `rest`. Lent until the next record. */
  get bytes(): Uint8Array {
    return this.#scratch.subarray(0, this.#end);
  }

  /** The topic has been checked. */
  message(topic: string, value: Uint8Array): void {
    this.#write(RECORD_MESSAGE, NO_ID, topic, value);
  }

  /** The name has been checked. */
  request(id: number, name: string, value: Uint8Array): void {
    this.#write(RECORD_REQUEST, id, name, value);
  }

  response(id: number, value: Uint8Array): void {
    this.#write(RECORD_RESPONSE, id, undefined, value);
  }

  /** A detail that is too long is cut. */
  error(id: number, wireCode: number, detail: string): void {
    const text = encodeUtf8(cutUtf8(detail, RECORD_DETAIL_BYTES_MAX));
    const codeBytes = varintBytes(wireCode);
    const body = new Uint8Array(codeBytes + text.length);
    writeVarint(body, 0, wireCode);
    body.set(text, codeBytes);
    this.#write(RECORD_ERROR, id, undefined, body);
  }

  cancel(id: number): void {
    this.#write(RECORD_CANCEL, id, undefined, undefined);
  }

  #write(kind: number, id: number, name: string | undefined, value: Uint8Array | undefined): void {
    const out = this.#scratch;
    const nameBytes = name === undefined ? 0 : utf8Bytes(name);
    const valueBytes = value === undefined ? 0 : value.length;
    let length = 1 + valueBytes;
    if (id !== NO_ID) length += varintBytes(id);
    if (name !== undefined) length += varintBytes(nameBytes) + nameBytes;
    let at = writeVarint(out, 0, length);
    out[at++] = kind;
    if (id !== NO_ID) at = writeVarint(out, at, id);
    if (name !== undefined) at = writeUtf8(out, writeVarint(out, at, nameBytes), name);
    this.rest = undefined;
    if (value !== undefined) {
      if (valueBytes <= WHOLE_BYTES_MAX) {
        out.set(value, at);
        at += valueBytes;
      } else {
        this.rest = value;
      }
    }
    this.#end = at;
  }
}

/** Cuts a text to at most `bytesMax` bytes of UTF-8, between characters. */
export function cutUtf8(text: string, bytesMax: number): string {
  if (text.length * 3 <= bytesMax || utf8Bytes(text) <= bytesMax) return text;
  let bytes = 0;
  let end = 0;
  for (const character of text) {
    bytes += utf8Bytes(character);
    if (bytes > bytesMax) break;
    end += character.length;
  }
  return text.slice(0, end);
}
