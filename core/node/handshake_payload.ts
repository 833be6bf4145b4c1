/**
 * What each side tells the other inside the handshake, as a list of typed fields. PROTOCOL §3.4.
 *
 * The invariant to hold: unknown fields are ignored, a field twice is refused, and the whole fits one datagram of 548
 * bytes with the Noise message around it.
 *
 * @module
 */

import { boundedParameters } from "../connection/session_defaults.ts";
import type { TransportParameters } from "../connection/session_types.ts";
import { ProtocolError } from "../error.ts";
import type { Bytes } from "../machine.ts";
import { Reader } from "../wire/reader.ts";
import { varintBytes } from "../wire/varint.ts";
import { Writer } from "../wire/writer.ts";
import { RESET_TOKEN_BYTES } from "./clear_messages.ts";
import type { GivenTicket } from "./ticket_book.ts";
import { EARLY_SECRET_BYTES, EARLY_TICKET_BYTES } from "./ticket_book.ts";

const FIELD_NODE_ID = 1;
const FIELD_CIPHERS = 2;
const FIELD_STREAM_WINDOW = 3;
const FIELD_SESSION_WINDOW = 4;
const FIELD_STREAMS_BIDIRECTIONAL = 5;
const FIELD_STREAMS_UNIDIRECTIONAL = 6;
const FIELD_DATAGRAM_MAX = 7;
const FIELD_IDLE_TIMEOUT = 8;
const FIELD_RESUME_WINDOW = 9;
const FIELD_PATHS_MAX = 10;
const FIELD_RESET_TOKEN = 11;
const FIELD_INSTANCE = 12;
const FIELD_EARLY = 13;
const FIELD_INIT_MESSAGE = 14;
const FIELD_DATAGRAM_GROUP = 15;
const FIELD_TICKET = 16;
const FIELD_EARLY_TAKEN = 17;

/** Bytes of the number that names one life of a node. */
export const INSTANCE_BYTES = 8;
/** Bytes of an application's init message. */
export const INIT_MESSAGE_BYTES_MAX = 200;
const FIELDS_MAX = 32;
const NODE_ID_BYTES = 32;

/** Bits of the ciphers field. */
export const CIPHER_CHACHA = 1;
export const CIPHER_AES = 2;

/** A payload. */
export interface HandshakePayload {
  /** The Ed25519 key; absent from a client that shows none. */
  readonly nodeKey: Uint8Array | undefined;
  readonly ciphers: number;
  readonly parameters: TransportParameters;
  readonly resetToken: Uint8Array | undefined;
  readonly instance: Uint8Array | undefined;
  readonly initMessage: Uint8Array | undefined;
  /** What the initiator of IKpsk1 sends before it has an answer. */
  readonly early?: EarlyData | undefined;
  /** For the next connection, from the responder. */
  readonly ticket?: GivenTicket | undefined;
  /** Whether the responder took the early data. */
  readonly isEarlyTaken?: boolean;
}

/** The beginning of the initiator's first stream. */
export interface EarlyData {
  /** How long ago the ticket was received. */
  readonly ageMs: number;
  readonly bytes: Bytes;
  /** Whether the stream ends behind it. */
  readonly isFinal: boolean;
}

/** Encodes a payload. */
export function encodeHandshakePayload(payload: HandshakePayload): Bytes {
  const writer = new Writer();
  if (payload.nodeKey !== undefined) writeBytes(writer, FIELD_NODE_ID, payload.nodeKey);
  writeNumber(writer, FIELD_CIPHERS, payload.ciphers);
  const { parameters } = payload;
  writeNumber(writer, FIELD_STREAM_WINDOW, parameters.streamWindowBytes);
  writeNumber(writer, FIELD_SESSION_WINDOW, parameters.sessionWindowBytes);
  writeNumber(writer, FIELD_STREAMS_BIDIRECTIONAL, parameters.streamsBidirectionalMax);
  writeNumber(writer, FIELD_STREAMS_UNIDIRECTIONAL, parameters.streamsUnidirectionalMax);
  writeNumber(writer, FIELD_DATAGRAM_MAX, parameters.datagramBytesMax);
  writeNumber(writer, FIELD_IDLE_TIMEOUT, parameters.idleTimeoutMs);
  writeNumber(writer, FIELD_RESUME_WINDOW, parameters.resumeWindowMs);
  writeNumber(writer, FIELD_PATHS_MAX, parameters.pathsMax);
  if (parameters.datagramGroupMax > 0) writeNumber(writer, FIELD_DATAGRAM_GROUP, parameters.datagramGroupMax);
  if (payload.resetToken !== undefined) writeBytes(writer, FIELD_RESET_TOKEN, payload.resetToken);
  if (payload.instance !== undefined) writeBytes(writer, FIELD_INSTANCE, payload.instance);
  if (payload.initMessage !== undefined) writeBytes(writer, FIELD_INIT_MESSAGE, payload.initMessage);
  const { early, ticket, isEarlyTaken = false } = payload;
  if (early !== undefined) writeBytes(writer, FIELD_EARLY, encodeEarly(early));
  if (ticket !== undefined) writeBytes(writer, FIELD_TICKET, encodeTicket(ticket));
  if (isEarlyTaken) writeNumber(writer, FIELD_EARLY_TAKEN, 1);
  return writer.finish();
}

/** Decodes a payload, or returns `undefined` when it is malformed. Missing numbers are 0, then bounded. */
export function decodeHandshakePayload(bytes: Uint8Array): HandshakePayload | undefined {
  try {
    return readPayload(new Reader(bytes));
  } catch (error) {
    if (error instanceof ProtocolError) return undefined;
    throw error;
  }
}

function readPayload(reader: Reader): HandshakePayload | undefined {
  const fields = new Map<number, Uint8Array>();
  while (!reader.isAtEnd) {
    const type = reader.varint();
    const value = reader.bytes(reader.varint()).slice();
    if (fields.has(type) || fields.size >= FIELDS_MAX) return undefined;
    fields.set(type, value);
  }
  const nodeKey = fields.get(FIELD_NODE_ID);
  const resetToken = fields.get(FIELD_RESET_TOKEN);
  const instance = fields.get(FIELD_INSTANCE);
  const initMessage = fields.get(FIELD_INIT_MESSAGE);
  if (nodeKey !== undefined && nodeKey.length !== NODE_ID_BYTES) return undefined;
  if (resetToken !== undefined && resetToken.length !== RESET_TOKEN_BYTES) return undefined;
  if (instance !== undefined && instance.length !== INSTANCE_BYTES) return undefined;
  if (initMessage !== undefined && initMessage.length > INIT_MESSAGE_BYTES_MAX) return undefined;
  const number = (type: number): number => {
    const value = fields.get(type);
    if (value === undefined) return 0;
    const field = new Reader(value);
    const result = field.varint();
    if (!field.isAtEnd) throw new ProtocolError("frame_encoding", "A field holds more than its number");
    return result;
  };
  return {
    nodeKey,
    ciphers: number(FIELD_CIPHERS),
    parameters: boundedParameters({
      streamWindowBytes: number(FIELD_STREAM_WINDOW),
      sessionWindowBytes: number(FIELD_SESSION_WINDOW),
      streamsBidirectionalMax: number(FIELD_STREAMS_BIDIRECTIONAL),
      streamsUnidirectionalMax: number(FIELD_STREAMS_UNIDIRECTIONAL),
      datagramBytesMax: number(FIELD_DATAGRAM_MAX),
      datagramGroupMax: number(FIELD_DATAGRAM_GROUP),
      idleTimeoutMs: number(FIELD_IDLE_TIMEOUT),
      resumeWindowMs: number(FIELD_RESUME_WINDOW),
      pathsMax: number(FIELD_PATHS_MAX),
    }),
    resetToken,
    instance,
    initMessage,
    early: readEarly(fields.get(FIELD_EARLY)),
    ticket: readTicket(fields.get(FIELD_TICKET)),
    isEarlyTaken: number(FIELD_EARLY_TAKEN) === 1,
  };
}

function encodeEarly(early: EarlyData): Bytes {
  const writer = new Writer();
  writer.varint(Math.floor(early.ageMs));
  writer.u8(early.isFinal ? 1 : 0);
  writer.bytes(early.bytes);
  return writer.finish();
}

function readEarly(value: Uint8Array | undefined): EarlyData | undefined {
  if (value === undefined) return undefined;
  const reader = new Reader(value);
  return { ageMs: reader.varint(), isFinal: reader.u8() === 1, bytes: reader.rest().slice() };
}

function encodeTicket({ lifetimeMs, ticket, secret }: GivenTicket): Bytes {
  const writer = new Writer();
  writer.varint(lifetimeMs);
  writer.bytes(ticket);
  writer.bytes(secret);
  return writer.finish();
}

function readTicket(value: Uint8Array | undefined): GivenTicket | undefined {
  if (value === undefined) return undefined;
  const reader = new Reader(value);
  const lifetimeMs = reader.varint();
  const ticket = reader.bytes(EARLY_TICKET_BYTES).slice();
  const secret = reader.bytes(EARLY_SECRET_BYTES).slice();
  if (!reader.isAtEnd) throw new ProtocolError("frame_encoding", "A ticket is too long");
  return { lifetimeMs, ticket, secret };
}

function writeBytes(writer: Writer, type: number, value: Uint8Array): void {
  writer.varint(type);
  writer.varint(value.length);
  writer.bytes(value);
}

function writeNumber(writer: Writer, type: number, value: number): void {
  writer.varint(type);
  writer.varint(varintBytes(value));
  writer.varint(value);
}
