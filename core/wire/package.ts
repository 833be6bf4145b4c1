/**
 * The package, the unit that every pipe and datagram carries: `varint version | varint length | message | check`.
 * Implements PROTOCOL §1, which is the frame of libatbus-rs with its check.
 *
 * The invariant to hold: decoding never throws, copies nothing and allocates nothing by a declared length. A clear
 * package is handed out only after its check matched; a protected one is handed out unverified, since only the session
 * holds the key.
 *
 * @module
 */

import type { Bytes } from "../machine.ts";
import { NEEDS_MORE, readVarint, varintBytes, varintBytesAt, writeVarint } from "./varint.ts";

/** The version of libatbus-rs: the same layout as a clear package. Viaduct reports it as an unknown version. */
export const LIBATBUS_VERSION = 3;

/** The version of a clear package: its check is a checksum. */
export const CLEAR_VERSION = 4;

/** The version of a protected package: its check is the tag of the AEAD. */
export const PROTECTED_VERSION = 5;

/** Bytes of the largest package: header, message and check. PROTOCOL §1.1. */
export const PACKAGE_BYTES_MAX = 65536;

/** Bytes of the largest header that Viaduct writes: one for the version, three for the length. */
export const HEADER_BYTES_MAX = 4;

/** Bytes of the check of a clear package. PROTOCOL §1.2. */
export const CLEAR_CHECK_BYTES = 4;

/** Bytes of the check of a protected package, the AEAD tag. RFC 8439 §2.8. */
export const PROTECTED_CHECK_BYTES = 16;

/** Bytes of the largest message of a clear package. */
export const CLEAR_MESSAGE_BYTES_MAX: number = PACKAGE_BYTES_MAX - HEADER_BYTES_MAX - CLEAR_CHECK_BYTES;

/** Bytes of the largest message of a protected package. */
export const PROTECTED_MESSAGE_BYTES_MAX: number = PACKAGE_BYTES_MAX - HEADER_BYTES_MAX - PROTECTED_CHECK_BYTES;

/** The low 32 bits of XXH3-64 with seed 0x01000193, as an unsigned number. PROTOCOL §1.2. */
export type Checksum = (bytes: Uint8Array) => number;

/** What is wrong with a header: its version or its length is no valid varint, or the package would be too large. */
export type MalformedReason = "version" | "length" | "size";

/** What decoding met. */
export type PackageOutcome = Package | { readonly type: "needsMore" } | PackageFault;

/** Why no package can be decoded here; on a byte pipe nothing behind it can be decoded either. */
export type PackageFault =
  | { readonly type: "malformed"; readonly reason: MalformedReason }
  | { readonly type: "badCheck" }
  | { readonly type: "unknownVersion"; readonly version: number };

/** More bytes are needed; in a datagram or on a message pipe that means truncated. */
export const OUTCOME_NEEDS_MORE: { readonly type: "needsMore" } = { type: "needsMore" };
const BAD_CHECK: PackageFault = { type: "badCheck" };
const MALFORMED_VERSION: PackageFault = { type: "malformed", reason: "version" };
const MALFORMED_LENGTH: PackageFault = { type: "malformed", reason: "length" };
const MALFORMED_SIZE: PackageFault = { type: "malformed", reason: "size" };

/**
 * A decoded package: offsets into lent bytes. Each getter makes a new plain view of them, so take it once; the views
 * live as long as the bytes are lent.
 */
export class Package {
  readonly type = "package";
  /** `CLEAR_VERSION` or `PROTECTED_VERSION`. */
  readonly version: number;
  /** The lent bytes that hold the package. */
  readonly bytes: Uint8Array;
  /** Where the package starts in `bytes`. */
  readonly start: number;
  /** Where the message starts in `bytes`. */
  readonly messageStart: number;
  /** Where the message ends and the check starts in `bytes`. */
  readonly messageEnd: number;
  /** Where the package ends in `bytes`: the offset of the next one. */
  readonly end: number;

  /** Takes the offsets of a complete header; made by the decoders only. */
  constructor(bytes: Uint8Array, start: number, header: PackageHeader) {
    this.version = header.version;
    this.bytes = bytes;
    this.start = start;
    this.messageStart = start + header.headerBytes;
    this.messageEnd = this.messageStart + header.messageBytes;
    this.end = start + header.packageBytes;
  }

  /** Version and length as they came: what a protected package authenticates besides its message. */
  get header(): Uint8Array {
    return view(this.bytes, this.start, this.messageStart);
  }

  /** The message, without the check. */
  get message(): Uint8Array {
    return view(this.bytes, this.messageStart, this.messageEnd);
  }

  /** The check: 4 bytes of checksum or 16 bytes of tag. */
  get check(): Uint8Array {
    return view(this.bytes, this.messageEnd, this.end);
  }

  /** Message and check together, as `AeadKey.open` takes ciphertext and tag. */
  get sealed(): Uint8Array {
    return view(this.bytes, this.messageStart, this.end);
  }

  /** The whole package, as a relay forwards it. */
  get whole(): Uint8Array {
    return view(this.bytes, this.start, this.end);
  }
}

/** The facts of a header, filled by `readPackageHeader`; reused by the decoders. */
export interface PackageHeader {
  version: number;
  headerBytes: number;
  messageBytes: number;
  packageBytes: number;
}

/** Makes an empty header to fill. */
export function emptyPackageHeader(): PackageHeader {
  return { version: 0, headerBytes: 0, messageBytes: 0, packageBytes: 0 };
}

/** Returns how many bytes the header in front of a message takes in a clear or a protected package. */
export function packageHeaderBytes(messageBytes: number): number {
  return 1 + varintBytes(messageBytes); // both versions are below 128
}

/**
 * Writes the header of a package with a message of `messageBytes` into `out` and returns the offset behind it.
 *
 * @throws {RangeError} If the package would exceed `PACKAGE_BYTES_MAX`, or `out` has no room for the header.
 */
export function writePackageHeader(out: Uint8Array, offset: number, version: number, messageBytes: number): number {
  const end = offset + varintBytes(version) + varintBytes(messageBytes);
  const packageBytes = end - offset + messageBytes + checkBytesOf(version);
  if (packageBytes > PACKAGE_BYTES_MAX) {
    throw new RangeError(`Cannot write a package of ${packageBytes} bytes as ${PACKAGE_BYTES_MAX} are allowed`);
  }
  if (end > out.length) throw new RangeError(`Cannot write a header up to ${end} as there are ${out.length} bytes`);
  return writeVarint(out, writeVarint(out, offset, version), messageBytes);
}

/**
 * Encodes a clear package.
 *
 * @throws {RangeError} If `message` is longer than `CLEAR_MESSAGE_BYTES_MAX`.
 */
export function encodeClearPackage(message: Uint8Array, checksum: Checksum): Bytes {
  if (message.length > CLEAR_MESSAGE_BYTES_MAX) {
    throw new RangeError(
      `Cannot encode a message of ${message.length} bytes as a clear package holds ${CLEAR_MESSAGE_BYTES_MAX}`,
    );
  }
  const headerBytes = packageHeaderBytes(message.length);
  const checkAt = headerBytes + message.length;
  const out = new Uint8Array(checkAt + CLEAR_CHECK_BYTES);
  writePackageHeader(out, 0, CLEAR_VERSION, message.length);
  out.set(message, headerBytes);
  const check = checksum(view(out, 0, checkAt));
  out[checkAt] = check;
  out[checkAt + 1] = check >>> 8;
  out[checkAt + 2] = check >>> 16;
  out[checkAt + 3] = check >>> 24;
  return out;
}

/**
 * Decodes the package at `offset` of a datagram or of a message of a message pipe. The next one, if any, starts at
 * `end` of the result. `bytes` are lent for as long as the package is in use.
 */
export function decodePackage(bytes: Uint8Array, offset: number, checksum: Checksum): PackageOutcome {
  const header = emptyPackageHeader();
  const outcome = readPackageHeader(bytes, offset, bytes.length, header);
  if (outcome !== undefined) return outcome;
  if (bytes.length - offset < header.packageBytes) return OUTCOME_NEEDS_MORE;
  return openPackage(bytes, offset, header, checksum);
}

/**
 * Reads a header as far as `end` into `header`. Returns `undefined` when it is complete and valid, else what was met.
 * An unknown version is told as soon as its varint is complete, since what follows it is unknown too.
 */
export function readPackageHeader(
  bytes: Uint8Array,
  start: number,
  end: number,
  header: PackageHeader,
): PackageFault | typeof OUTCOME_NEEDS_MORE | undefined {
  const version = readVarint(bytes, start, end);
  if (version < 0) return version === NEEDS_MORE ? OUTCOME_NEEDS_MORE : MALFORMED_VERSION;
  if (version !== CLEAR_VERSION && version !== PROTECTED_VERSION) return { type: "unknownVersion", version };
  const lengthAt = start + varintBytesAt(bytes, start);
  const messageBytes = readVarint(bytes, lengthAt, end);
  if (messageBytes < 0) return messageBytes === NEEDS_MORE ? OUTCOME_NEEDS_MORE : MALFORMED_LENGTH;
  header.version = version;
  header.headerBytes = lengthAt + varintBytesAt(bytes, lengthAt) - start;
  header.messageBytes = messageBytes;
  header.packageBytes = header.headerBytes + messageBytes + checkBytesOf(version);
  // A length near 2^53 makes the sum inexact, but never small.
  return header.packageBytes > PACKAGE_BYTES_MAX ? MALFORMED_SIZE : undefined;
}

/** Verifies the complete package at `start`, as far as that needs no key, and hands it out. */
export function openPackage(
  bytes: Uint8Array,
  start: number,
  header: PackageHeader,
  checksum: Checksum,
): Package | PackageFault {
  if (header.version === CLEAR_VERSION) {
    const at = start + header.packageBytes - CLEAR_CHECK_BYTES;
    const low = (bytes[at] as number) | ((bytes[at + 1] as number) << 8) | ((bytes[at + 2] as number) << 16);
    const check = (low | ((bytes[at + 3] as number) << 24)) >>> 0;
    if (check !== checksum(view(bytes, start, at))) return BAD_CHECK;
  }
  return new Package(bytes, start, header);
}

function checkBytesOf(version: number): number {
  return version === PROTECTED_VERSION ? PROTECTED_CHECK_BYTES : CLEAR_CHECK_BYTES;
}

/** A plain view: `subarray` of a `Buffer` gives a `Buffer`, whose `slice` does not copy. */
function view(bytes: Uint8Array, start: number, end: number): Uint8Array {
  return new Uint8Array(bytes.buffer, bytes.byteOffset + start, end - start);
}
