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
import { ADMISSION_ID_BYTES_MAX } from "./admission_token.ts";
import type { Revocation } from "./revocation_list.ts";
import type { UseCount } from "./use_counts.ts";

const MAGIC: Uint8Array = encodeUtf8("viaduct relay names 2\n");
/** What earlier releases wrote: names without owners, no uses and nothing revoked. */
const MAGIC_1: Uint8Array = encodeUtf8("viaduct relay names 1\n");
const CHECK_BYTES = 4;
const DIGEST_BYTES = 32;
const NAME_BYTES_MAX = 32;
const OWNER_BYTES_MAX = 192;

const FLAG_RESTING = 1;
const FLAG_BEARER = 2;

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
  /** Whom it belongs to beyond its holder: a token's id, never the token; empty for nobody. */
  readonly owner: string;
  readonly isBearer: boolean;
}

/** All names of a relay. */
export interface Snapshot {
  readonly savedAtUnixMs: number;
  readonly names: readonly SavedName[];
  /** How often tokens were used that may be used only so often. */
  readonly uses: readonly UseCount[];
  /** Tokens that were taken back, by id, and the instant before which everything issued is. */
  readonly revoked: readonly Revocation[];
  readonly issuedBeforeUnixMs: number;
}

/** Encodes a snapshot. */
export function encodeSnapshot(snapshot: Snapshot, env: Pick<Environment, "checksum">): Bytes {
  const writer = new Writer();
  writer.bytes(MAGIC);
  writer.varint(snapshot.savedAtUnixMs);
  writer.varint(snapshot.names.length);
  for (const { name, digest, id, isResting, isBearer, leftMs, owner } of snapshot.names) {
    writer.string(name);
    writer.bytes(hexToBytes(digest));
    writer.string(id);
    writer.u8((isResting ? FLAG_RESTING : 0) | (isBearer ? FLAG_BEARER : 0));
    writer.varint(Math.ceil(leftMs));
    writer.string(owner);
  }
  writer.varint(snapshot.uses.length);
  for (const { owner, count, untilUnixMs } of snapshot.uses) {
    writer.string(owner);
    writer.varint(count);
    writer.varint(untilUnixMs);
  }
  writer.varint(snapshot.issuedBeforeUnixMs);
  writer.varint(snapshot.revoked.length);
  for (const { id, untilUnixMs } of snapshot.revoked) {
    writer.string(id);
    writer.varint(untilUnixMs);
  }
  writer.u32(env.checksum(writer.written));
  return writer.finish();
}

/** Decodes a snapshot, or returns `undefined` when it is none. */
export function decodeSnapshot(bytes: Uint8Array, env: Pick<Environment, "checksum">): Snapshot | undefined {
  const end = bytes.length - CHECK_BYTES;
  const isFirst = end >= MAGIC_1.length && MAGIC_1.every((byte, index) => byte === bytes[index]);
  if (end < MAGIC.length || !(isFirst || MAGIC.every((byte, index) => byte === bytes[index]))) return undefined;
  const reader = new Reader();
  reader.reset(bytes, end);
  if (reader.u32() !== env.checksum(bytes.subarray(0, end))) return undefined;
  try {
    reader.reset(bytes, MAGIC.length, end);
    const savedAtUnixMs = reader.varint();
    const count = reader.varint();
    const names: SavedName[] = [];
    for (let index = 0; index < count; index++) {
      const name = reader.string(NAME_BYTES_MAX);
      const digest = bytesToHex(reader.bytes(DIGEST_BYTES));
      const id = reader.string(NODE_ID_LENGTH);
      const flags = reader.u8();
      const leftMs = reader.varint();
      const owner = isFirst ? "" : reader.string(OWNER_BYTES_MAX);
      const isResting = (flags & FLAG_RESTING) !== 0;
      names.push({ name, digest, id, isResting, leftMs, owner, isBearer: (flags & FLAG_BEARER) !== 0 });
    }
    const uses: UseCount[] = [];
    const usesCount = isFirst ? 0 : reader.varint();
    for (let index = 0; index < usesCount; index++) {
      uses.push({ owner: reader.string(OWNER_BYTES_MAX), count: reader.varint(), untilUnixMs: reader.varint() });
    }
    const issuedBeforeUnixMs = isFirst ? 0 : reader.varint();
    const revoked: Revocation[] = [];
    const revokedCount = isFirst ? 0 : reader.varint();
    for (let index = 0; index < revokedCount; index++) {
      revoked.push({ id: reader.string(ADMISSION_ID_BYTES_MAX), untilUnixMs: reader.varint() });
    }
    return reader.isAtEnd ? { savedAtUnixMs, names, uses, revoked, issuedBeforeUnixMs } : undefined;
  } catch (error) {
    if (error instanceof ProtocolError) return undefined;
    throw error;
  }
}
