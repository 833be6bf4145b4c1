/**
 * The names of a relay as bytes, for a file that outlives the process. PROTOCOL §10.4 does not cover it: no other
 * program reads it.
 *
 * The invariant to hold: what was cut off, damaged or made by another version is refused whole; decoding never throws.
 *
 * @module
 */

import { bytesToHex, hexToBytes } from "../crypto/hex.ts";
import type { NodeId } from "../crypto/identity.ts";
import { NODE_ID_LENGTH } from "../crypto/identity.ts";
import { ProtocolError } from "../error.ts";
import type { Bytes, Environment } from "../machine.ts";
import { Reader } from "../wire/reader.ts";
import { encodeUtf8 } from "../wire/utf8.ts";
import { Writer } from "../wire/writer.ts";

const MAGIC: Uint8Array = encodeUtf8("viaduct relay names 1\n");
const CHECK_BYTES = 4;
const DIGEST_BYTES = 32;
const NAME_BYTES_MAX = 32;

/** A name as it is stored. */
export interface SavedName {
  readonly name: string;
  /** SHA-256 of its token in lower-case hex. */
  readonly digest: string;
  /** Its last holder. */
  readonly id: NodeId;
  /** Whether it rests, or is kept for its holder. */
  readonly isResting: boolean;
  /** For how long, at the time of the snapshot. */
  readonly leftMs: number;
}

/** All names of a relay. */
export interface Snapshot {
  readonly savedAtUnixMs: number;
  readonly names: readonly SavedName[];
}

/** Encodes a snapshot. */
export function encodeSnapshot(snapshot: Snapshot, env: Pick<Environment, "checksum">): Bytes {
  const writer = new Writer();
  writer.bytes(MAGIC);
  writer.varint(snapshot.savedAtUnixMs);
  writer.varint(snapshot.names.length);
  for (const { name, digest, id, isResting, leftMs } of snapshot.names) {
    writer.string(name);
    writer.bytes(hexToBytes(digest));
    writer.string(id);
    writer.u8(isResting ? 1 : 0);
    writer.varint(Math.ceil(leftMs));
  }
  writer.u32(env.checksum(writer.written));
  return writer.finish();
}

/** Decodes a snapshot, or returns `undefined` when it is none. */
export function decodeSnapshot(bytes: Uint8Array, env: Pick<Environment, "checksum">): Snapshot | undefined {
  const end = bytes.length - CHECK_BYTES;
  if (end < MAGIC.length || !MAGIC.every((byte, index) => byte === bytes[index])) return undefined;
  const reader = new Reader();
  reader.reset(bytes, end);
  if (reader.u32() !== env.checksum(bytes.subarray(0, end))) return undefined;
  try {
    reader.reset(bytes, MAGIC.length, end);
    const savedAtUnixMs = reader.varint();
    const count = reader.varint();
    const names: SavedName[] = [];
    for (let index = 0; index < count; index++) {
      names.push({
        name: reader.string(NAME_BYTES_MAX),
        digest: bytesToHex(reader.bytes(DIGEST_BYTES)),
        id: reader.string(NODE_ID_LENGTH),
        isResting: reader.u8() !== 0,
        leftMs: reader.varint(),
      });
    }
    return reader.isAtEnd ? { savedAtUnixMs, names } : undefined;
  } catch (error) {
    if (error instanceof ProtocolError) return undefined;
    throw error;
  }
}
