/**
 * The records of the control stream between a node and its relay, and the metadata of circuits. Implements PROTOCOL
 * §10.2 and §10.6.
 *
 * The invariant to hold: a record is decoded whole or not at all, from at most `RELAY_RECORD_BYTES_MAX` bytes that are
 * kept; fields behind those known here, and kinds that are not, are passed over, so that later versions can add some.
 *
 * @module
 */

import { ProtocolError } from "../error.ts";
import type { Bytes } from "../machine.ts";
import { Reader } from "../wire/reader.ts";
import { utf8Bytes } from "../wire/utf8.ts";
import { MALFORMED, NEEDS_MORE, readVarint, VARINT_BYTES_MAX, varintBytes, varintBytesAt } from "../wire/varint.ts";
import { Writer } from "../wire/writer.ts";

/** The protocol of the control stream. */
export const RELAY_PROTOCOL = "viaduct.relay";
/** The protocol of a circuit. */
export const CIRCUIT_PROTOCOL = "viaduct.circuit";
/** The only version of both. */
export const RELAY_PROTOCOL_VERSION = 1;

/** Bytes of the largest record, without its length. PROTOCOL §10.2. */
export const RELAY_RECORD_BYTES_MAX = 4096;
/** Bytes of the longest name at a relay. */
export const RELAY_NAME_BYTES_MAX = 32;
/** Bytes of the longest line about a node. */
export const RELAY_ABOUT_BYTES_MAX = 128;
/** Bytes of the longest token. */
export const RELAY_TOKEN_BYTES_MAX = 64;
/** Bytes of the longest token that an operator signed. */
export const RELAY_ADMISSION_BYTES_MAX = 2048;
/** Bytes of the longest address that a relay tells as observed. */
export const RELAY_REMOTE_BYTES_MAX = 128;

/** Bytes of an id as a record carries it: the Ed25519 public key. */
export const RELAY_KEY_BYTES = 32;

const NAME = /^[a-z0-9-]{3,32}$/;

const KIND_REGISTER = 0x01;
const KIND_WATCH = 0x02;
const KIND_RELEASE = 0x03;
const KIND_REGISTERED = 0x81;
const KIND_REFUSED = 0x82;
const KIND_PRESENCE = 0x83;
const KIND_DRAIN = 0x84;
const KIND_NOTICE = 0x85;

const PRESENCE_RESET = 0x01;
const PRESENCE_COMPLETE = 0x02;
const PRESENCE_TRUNCATED = 0x04;

const TARGET_ID = 0;
const TARGET_NAME = 1;
const SOURCE = 2;

/** Asks for a name; an empty name or token stands for none. */
export interface RegisterRecord {
  readonly type: "register";
  readonly name: string;
  readonly token: Uint8Array;
  readonly about: string;
  /** A token that an operator signed, for relays that take them; left out for none. */
  readonly admission?: Uint8Array;
}

/** Asks to be told who comes and goes, or to be told no more. */
export interface WatchRecord {
  readonly type: "watch";
  readonly isOn: boolean;
}

/** Gives the name back and ends the registration. */
export interface ReleaseRecord {
  readonly type: "release";
}

/** The registration and what goes with it. */
export interface RegisteredRecord {
  readonly type: "registered";
  readonly name: string;
  /** Brings the name back: a secret. */
  readonly token: Uint8Array;
  /** How long the name is kept after the client is gone. */
  readonly leaseMs: number;
  /** The client's address as the relay sees it; empty where it sees none. */
  readonly observedRemote: string;
  /** What may be sent through circuits; 0 for no limit. */
  readonly bytesPerSecond: number;
  readonly circuitsMax: number;
}

/** No registration. */
export interface RefusedRecord {
  readonly type: "refused";
  /** PROTOCOL §9. */
  readonly wireCode: number;
  /** When trying again may help; 0 when the relay cannot tell. */
  readonly retryAfterMs: number;
}

/** One node that came, or left. */
export interface PresenceChange {
  readonly isJoined: boolean;
  /** The node's id as bytes. */
  readonly key: Uint8Array;
  readonly name: string;
  readonly about: string;
  readonly joinedAtUnixMs: number;
}

/** Who came and who left, in order. */
export interface PresenceRecord {
  readonly type: "presence";
  /** What was told before is void: the beginning of a list of all who are there. */
  readonly isReset: boolean;
  /** The list of all who are there is complete with this record. */
  readonly isComplete: boolean;
  /** More are there than are told. */
  readonly isTruncated: boolean;
  readonly changes: readonly PresenceChange[];
}

/** The relay is about to stop. */
export interface DrainRecord {
  readonly type: "drain";
  /** When to come back at the earliest; clients spread out from there. */
  readonly reconnectInMs: number;
  /** For how long trying is worthwhile. */
  readonly tryForMs: number;
}

/** Something that the client should know, such as `quota`: it sends faster than it may. */
export interface NoticeRecord {
  readonly type: "notice";
  /** PROTOCOL §9. */
  readonly wireCode: number;
}

/** What a client tells its relay. */
export type ClientRecord = RegisterRecord | WatchRecord | ReleaseRecord;

/** What a relay tells a client. */
export type RelayRecord = RegisteredRecord | RefusedRecord | PresenceRecord | DrainRecord | NoticeRecord;

/** Any record of the control stream. */
export type ControlRecord = ClientRecord | RelayRecord;

/** Whether a text is a name in its one form. PROTOCOL §10.4. */
export function isRelayName(text: string): boolean {
  return NAME.test(text);
}

/** Encodes a record with its length in front. Throws `RangeError` when a field is longer than §10.2 allows. */
export function encodeControlRecord(record: ControlRecord): Bytes {
  const body = new Writer();
  writeBody(body, record);
  if (body.length > RELAY_RECORD_BYTES_MAX) throw tooLong("record", body.length, RELAY_RECORD_BYTES_MAX);
  const out = new Writer(new Uint8Array(varintBytes(body.length) + body.length));
  out.varint(body.length);
  out.bytes(body.written);
  return out.finish();
}

/**
 * Encodes changes as PRESENCE records, as few as hold them; the first and the last carry the flags. At least one record
 * comes out, as a list of nobody is a list too.
 */
export function encodePresence(
  changes: readonly PresenceChange[],
  flags: { readonly isReset: boolean; readonly isComplete: boolean; readonly isTruncated: boolean },
): Bytes[] {
  const records: Bytes[] = [];
  let first = 0;
  do {
    let bytes = 16; // kind, flags and count
    let end = first;
    while (end < changes.length) {
      bytes += changeBytes(changes[end] as PresenceChange);
      if (bytes > RELAY_RECORD_BYTES_MAX) break;
      end++;
    }
    const isLast = end === changes.length;
    records.push(
      encodeControlRecord({
        type: "presence",
        isReset: flags.isReset && first === 0,
        isComplete: flags.isComplete && isLast,
        isTruncated: flags.isTruncated && isLast,
        changes: changes.slice(first, end),
      }),
    );
    first = end;
  } while (first < changes.length);
  return records;
}

/**
 * Decodes a record without its length; `undefined` is a kind that is not known here. Byte fields are views of `bytes`.
 * Throws `ProtocolError` when it is malformed.
 */
export function decodeControlRecord(bytes: Uint8Array): ControlRecord | undefined {
  const reader = new Reader(bytes);
  switch (reader.u8()) {
    case KIND_REGISTER:
      return {
        type: "register",
        name: reader.string(RELAY_NAME_BYTES_MAX),
        token: readToken(reader, RELAY_TOKEN_BYTES_MAX),
        about: reader.string(RELAY_ABOUT_BYTES_MAX),
        // Earlier versions end here.
        ...(reader.isAtEnd ? {} : { admission: readToken(reader, RELAY_ADMISSION_BYTES_MAX) }),
      };
    case KIND_WATCH:
      return { type: "watch", isOn: reader.u8() !== 0 };
    case KIND_RELEASE:
      return { type: "release" };
    case KIND_REGISTERED:
      return {
        type: "registered",
        name: reader.string(RELAY_NAME_BYTES_MAX),
        token: readToken(reader, RELAY_TOKEN_BYTES_MAX),
        leaseMs: reader.varint(),
        observedRemote: reader.string(RELAY_REMOTE_BYTES_MAX),
        bytesPerSecond: reader.varint(),
        circuitsMax: reader.varint(),
      };
    case KIND_REFUSED:
      return { type: "refused", wireCode: reader.varint(), retryAfterMs: reader.varint() };
    case KIND_PRESENCE:
      return readPresence(reader);
    case KIND_DRAIN:
      return { type: "drain", reconnectInMs: reader.varint(), tryForMs: reader.varint() };
    case KIND_NOTICE:
      return { type: "notice", wireCode: reader.varint() };
    default:
      return undefined;
  }
}

/**
 * Takes records out of the bytes of a control stream, however they were split: `push` bytes, then `next` until it
 * returns `undefined`.
 */
export class ControlRecordReader {
  /** What was pushed and not read; at its beginning a record that is not complete, if anything. */
  #held: Uint8Array = new Uint8Array(0);
  #at = 0;

  /** Bytes that are held of a record that is not complete. */
  get heldBytes(): number {
    return this.#held.length - this.#at;
  }

  /** Adds bytes; they are copied where they must be kept. Call `next` until there is none before the next call. */
  push(bytes: Uint8Array): void {
    const rest = this.#held.length - this.#at;
    if (rest === 0) {
      this.#held = bytes;
    } else {
      const joined = new Uint8Array(rest + bytes.length);
      joined.set(this.#held.subarray(this.#at));
      joined.set(bytes, rest);
      this.#held = joined;
    }
    this.#at = 0;
  }

  /**
   * The next record without its length, lent until the next `push`, or `undefined` when more bytes are needed.
   * Throws `ProtocolError` when the length is malformed, 0 or too large; the reader is of no use afterwards.
   */
  next(): Uint8Array | undefined {
    const held = this.#held;
    const length = readVarint(held, this.#at, held.length);
    if (length === MALFORMED) throw new ProtocolError("protocol_violation", "The length of a record is malformed");
    if (length === NEEDS_MORE) return this.#keep();
    if (length === 0) throw new ProtocolError("protocol_violation", "A record is empty");
    if (length > RELAY_RECORD_BYTES_MAX) throw new ProtocolError("protocol_violation", "A record is too large");
    const start = this.#at + varintBytesAt(held, this.#at);
    if (held.length - start < length) return this.#keep();
    this.#at = start + length;
    return held.subarray(start, this.#at);
  }

  /** What is left was lent: keeps a copy, which is shorter than one record. */
  #keep(): undefined {
    const rest = this.#held.length - this.#at;
    if (rest > RELAY_RECORD_BYTES_MAX + VARINT_BYTES_MAX) throw new Error("Bug: a whole record was not taken");
    this.#held = this.#held.slice(this.#at);
    this.#at = 0;
    return undefined;
  }
}

/** Whom a circuit is for, as its opener tells the relay; or from whom, as the relay tells the target. */
export type CircuitMetadata =
  | { readonly type: "targetId"; readonly key: Uint8Array }
  | { readonly type: "targetName"; readonly name: string }
  | { readonly type: "source"; readonly key: Uint8Array; readonly name: string };

/** Encodes the metadata of a circuit's stream. */
export function encodeCircuitMetadata(metadata: CircuitMetadata): Bytes {
  const writer = new Writer();
  switch (metadata.type) {
    case "targetId":
      writer.u8(TARGET_ID);
      writeKey(writer, metadata.key);
      break;
    case "targetName":
      writer.u8(TARGET_NAME);
      writeText(writer, metadata.name, RELAY_NAME_BYTES_MAX);
      break;
    case "source":
      writer.u8(SOURCE);
      writeKey(writer, metadata.key);
      writeText(writer, metadata.name, RELAY_NAME_BYTES_MAX);
      break;
  }
  return writer.finish();
}

/** Decodes the metadata of a circuit's stream, or returns `undefined` when it is none. Byte fields are copies. */
export function decodeCircuitMetadata(bytes: Uint8Array): CircuitMetadata | undefined {
  const reader = new Reader(bytes);
  try {
    switch (reader.u8()) {
      case TARGET_ID:
        return { type: "targetId", key: reader.bytes(RELAY_KEY_BYTES).slice() };
      case TARGET_NAME:
        return { type: "targetName", name: reader.string(RELAY_NAME_BYTES_MAX) };
      case SOURCE:
        return {
          type: "source",
          key: reader.bytes(RELAY_KEY_BYTES).slice(),
          name: reader.string(RELAY_NAME_BYTES_MAX),
        };
      default:
        return undefined;
    }
  } catch (error) {
    if (error instanceof ProtocolError) return undefined;
    throw error;
  }
}

function writeBody(writer: Writer, record: ControlRecord): void {
  switch (record.type) {
    case "register":
      writer.u8(KIND_REGISTER);
      writeText(writer, record.name, RELAY_NAME_BYTES_MAX);
      writeToken(writer, record.token, RELAY_TOKEN_BYTES_MAX);
      writeText(writer, record.about, RELAY_ABOUT_BYTES_MAX);
      if (record.admission !== undefined) writeToken(writer, record.admission, RELAY_ADMISSION_BYTES_MAX);
      return;
    case "watch":
      writer.u8(KIND_WATCH);
      writer.u8(record.isOn ? 1 : 0);
      return;
    case "release":
      writer.u8(KIND_RELEASE);
      return;
    case "registered":
      writer.u8(KIND_REGISTERED);
      writeText(writer, record.name, RELAY_NAME_BYTES_MAX);
      writeToken(writer, record.token, RELAY_TOKEN_BYTES_MAX);
      writer.varint(record.leaseMs);
      writeText(writer, record.observedRemote, RELAY_REMOTE_BYTES_MAX);
      writer.varint(record.bytesPerSecond);
      writer.varint(record.circuitsMax);
      return;
    case "refused":
      writer.u8(KIND_REFUSED);
      writer.varint(record.wireCode);
      writer.varint(record.retryAfterMs);
      return;
    case "presence":
      writePresence(writer, record);
      return;
    case "drain":
      writer.u8(KIND_DRAIN);
      writer.varint(record.reconnectInMs);
      writer.varint(record.tryForMs);
      return;
    case "notice":
      writer.u8(KIND_NOTICE);
      writer.varint(record.wireCode);
      return;
  }
}

function writePresence(writer: Writer, record: PresenceRecord): void {
  writer.u8(KIND_PRESENCE);
  writer.u8(
    (record.isReset ? PRESENCE_RESET : 0) |
      (record.isComplete ? PRESENCE_COMPLETE : 0) |
      (record.isTruncated ? PRESENCE_TRUNCATED : 0),
  );
  writer.varint(record.changes.length);
  for (const change of record.changes) {
    writer.u8(change.isJoined ? 1 : 0);
    writeKey(writer, change.key);
    writeText(writer, change.name, RELAY_NAME_BYTES_MAX);
    writeText(writer, change.about, RELAY_ABOUT_BYTES_MAX);
    writer.varint(change.joinedAtUnixMs);
  }
}

function readPresence(reader: Reader): PresenceRecord {
  const flags = reader.u8();
  const count = reader.varint();
  const changes: PresenceChange[] = [];
  // A count that lies ends the loop at the end of the record, not in memory.
  for (let index = 0; index < count; index++) {
    changes.push({
      isJoined: reader.u8() !== 0,
      key: reader.bytes(RELAY_KEY_BYTES),
      name: reader.string(RELAY_NAME_BYTES_MAX),
      about: reader.string(RELAY_ABOUT_BYTES_MAX),
      joinedAtUnixMs: reader.varint(),
    });
  }
  return {
    type: "presence",
    isReset: (flags & PRESENCE_RESET) !== 0,
    isComplete: (flags & PRESENCE_COMPLETE) !== 0,
    isTruncated: (flags & PRESENCE_TRUNCATED) !== 0,
    changes,
  };
}

/** Bytes of a change in a PRESENCE record. */
function changeBytes(change: PresenceChange): number {
  const texts = utf8Bytes(change.name) + utf8Bytes(change.about) + 3; // the lengths: one byte, and at most two
  return 1 + RELAY_KEY_BYTES + texts + varintBytes(change.joinedAtUnixMs);
}

function readToken(reader: Reader, bytesMax: number): Uint8Array {
  const length = reader.varint();
  if (length > bytesMax) throw new ProtocolError("frame_encoding", "A token is too long");
  return reader.bytes(length);
}

function writeToken(writer: Writer, token: Uint8Array, bytesMax: number): void {
  if (token.length > bytesMax) throw tooLong("token", token.length, bytesMax);
  writer.varint(token.length);
  writer.bytes(token);
}

function writeText(writer: Writer, text: string, bytesMax: number): void {
  const bytes = utf8Bytes(text);
  if (bytes > bytesMax) throw tooLong("text", bytes, bytesMax);
  writer.string(text);
}

function writeKey(writer: Writer, key: Uint8Array): void {
  if (key.length !== RELAY_KEY_BYTES) throw new RangeError(`Cannot write an id as its key has ${key.length} bytes`);
  writer.bytes(key);
}

function tooLong(what: string, bytes: number, bytesMax: number): RangeError {
  return new RangeError(`Cannot write a ${what} of ${bytes} bytes as ${bytesMax} are allowed`);
}
