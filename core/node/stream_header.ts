/**
 * What leads a stream: the opener's header and, on a bidirectional stream, the acceptor's status, both sent without
 * waiting for each other. Implements PROTOCOL §7.2 and §7.3.
 *
 * The invariant to hold: no byte behind a header or status is touched, and nothing is kept by a declared length; a
 * header that can never become valid is a violation as soon as its faulty byte is there.
 *
 * @module
 */

import type { ErrorCode } from "../error.ts";
import { ERRORS, errorCodeOfWire, ProtocolError } from "../error.ts";
import type { Bytes } from "../machine.ts";
import { Reader } from "../wire/reader.ts";
import { MALFORMED, NEEDS_MORE, readVarint, VARINT_BYTES_MAX, varintBytesAt } from "../wire/varint.ts";
import { Writer } from "../wire/writer.ts";
import {
  checkProtocol,
  isProtocolName,
  isProtocolVersion,
  PROTOCOL_NAME_BYTES_MAX,
  PROTOCOL_VERSIONS_MAX,
} from "./protocol_name.ts";

/** Bytes of the longest header, its own length not counted. */
export const HEADER_BYTES_MAX = 1200;

/** Bytes of the longest metadata. */
export const METADATA_BYTES_MAX = 1024;

/** Bytes within which a header and its length have come, however padded. */
export const LEAD_BYTES_MAX: number = HEADER_BYTES_MAX + VARINT_BYTES_MAX;

const STATUS_REFUSED = 0;

/** What the opener of a stream says. */
export interface StreamHeader {
  /** The protocol's name; empty for a raw stream. */
  readonly name: string;
  /** Versions that the opener speaks, the preferred one first. */
  readonly versions: readonly number[];
  readonly metadata: Bytes;
}

/** What the acceptor of a bidirectional stream says. */
export type StreamStatus =
  | { readonly type: "accepted"; readonly version: number }
  | { readonly type: "refused"; readonly code: ErrorCode };

/** A decoded lead and the bytes that it took. */
export interface Lead<Value> {
  readonly value: Value;
  readonly bytes: number;
}

/**
 * Encodes a header.
 *
 * @throws {TypeError | RangeError} If the protocol or the metadata is not valid.
 */
export function encodeStreamHeader(header: {
  readonly name: string;
  readonly versions: readonly number[];
  readonly metadata?: Uint8Array | undefined;
}): Bytes {
  checkProtocol(header.name, header.versions, PROTOCOL_VERSIONS_MAX);
  const metadataBytes = header.metadata?.length ?? 0;
  if (metadataBytes > METADATA_BYTES_MAX) {
    throw new RangeError(`Cannot send metadata as it has more than ${METADATA_BYTES_MAX} bytes: ${metadataBytes}`);
  }
  const content = new Writer();
  content.string(header.name);
  content.varint(header.versions.length);
  for (const version of header.versions) content.varint(version);
  content.varint(metadataBytes);
  if (header.metadata !== undefined) content.bytes(header.metadata);
  const out = new Writer();
  out.varint(content.length);
  out.bytes(content.written);
  return out.finish();
}

/**
 * Decodes the header at the start of `bytes`, or returns `undefined` when it is not complete.
 *
 * @throws {ProtocolError} When it is or can only become malformed.
 */
export function decodeStreamHeader(bytes: Uint8Array): Lead<StreamHeader> | undefined {
  const length = readVarint(bytes, 0, bytes.length);
  if (length === NEEDS_MORE) return undefined;
  if (length === MALFORMED || length > HEADER_BYTES_MAX) throw violation("The length of a stream's header is invalid");
  const start = varintBytesAt(bytes, 0);
  const end = start + length;
  if (bytes.length < end) return undefined;
  const reader = new Reader();
  reader.reset(bytes, start, end);
  const name = reader.string(PROTOCOL_NAME_BYTES_MAX);
  if (!isProtocolName(name)) throw violation("The name of a protocol is invalid");
  const count = reader.varint();
  if (count === 0 || count > PROTOCOL_VERSIONS_MAX) throw violation("A stream offers no versions or too many");
  const versions: number[] = [];
  for (let index = 0; index < count; index++) {
    const version = reader.varint();
    if (!isProtocolVersion(version) || (name === "" && version !== 0)) throw violation("A version is out of range");
    versions.push(version);
  }
  const metadataBytes = reader.varint();
  if (metadataBytes > METADATA_BYTES_MAX) throw violation("The metadata of a stream is too long");
  // What follows the metadata belongs to a later edition of this header: PROTOCOL §7.2.
  return { value: { name, versions, metadata: reader.bytes(metadataBytes).slice() }, bytes: end };
}

/** Encodes a status. */
export function encodeStreamStatus(status: StreamStatus): Bytes {
  const out = new Writer();
  if (status.type === "accepted") {
    out.varint(status.version + 1);
  } else {
    out.varint(STATUS_REFUSED);
    out.varint(ERRORS[status.code].wire);
  }
  return out.finish();
}

/**
 * Decodes the status at the start of `bytes`, or returns `undefined` when it is not complete.
 *
 * @throws {ProtocolError} When it is malformed.
 */
export function decodeStreamStatus(bytes: Uint8Array): Lead<StreamStatus> | undefined {
  const status = readVarint(bytes, 0, bytes.length);
  if (status === NEEDS_MORE) return undefined;
  if (status === MALFORMED) throw violation("The status of a stream is malformed");
  const end = varintBytesAt(bytes, 0);
  if (status !== STATUS_REFUSED) return { value: { type: "accepted", version: status - 1 }, bytes: end };
  const wire = readVarint(bytes, end, bytes.length);
  if (wire === NEEDS_MORE) return undefined;
  if (wire === MALFORMED) throw violation("The code of a refused stream is malformed");
  return { value: { type: "refused", code: errorCodeOfWire(wire) }, bytes: end + varintBytesAt(bytes, end) };
}

function violation(reason: string): ProtocolError {
  return new ProtocolError("protocol_violation", reason);
}
