/**
 * The incremental decoder of packages on a byte pipe, whatever way the bytes are split. Implements PROTOCOL §1.4.
 *
 * The invariant to hold: memory follows what arrived, never what was declared. A package that lies whole in a chunk is
 * handed out in place; of one that spans chunks each byte is copied into one buffer, which grows with the bytes that
 * arrived to at most four times as many, up to `PACKAGE_BYTES_MAX`, and is reused while large packages keep coming.
 * After the first fault nothing more is decoded, as the place of the next package is unknown.
 *
 * @module
 */

import {
  type Checksum,
  emptyPackageHeader,
  OUTCOME_NEEDS_MORE,
  openPackage,
  PACKAGE_BYTES_MAX,
  type PackageFault,
  type PackageHeader,
  type PackageOutcome,
  readPackageHeader,
} from "./package.ts";
import { VARINT_BYTES_MAX } from "./varint.ts";

const EMPTY = new Uint8Array(0);

/** Bytes of the smallest buffer for a partial package: a tiny package never makes it grow. */
const PARTIAL_BYTES_MIN = 256;

/** Growth over what arrived. Rounded up to a power of two, a peer makes us hold at most four times what it sent. */
const GROWTH = 2;

/** A buffer up to this size stays with the pipe for good. */
const KEPT_BYTES_MAX = 4096;

/** A larger buffer is dropped after this many chunks in a row that did not need it. */
const UNUSED_CHUNKS_MAX = 8;

/**
 * Splits a byte stream into packages: `push` a chunk, then call `next` until it has nothing more to give.
 *
 * The chunk is lent from `push` until `next` returned `needsMore`; by then a partial package was copied. A package
 * is lent until the next call of `next` or `push`: use or copy it before.
 */
export class PackageDecoder {
  readonly #checksum: Checksum;
  #chunk: Uint8Array = EMPTY;
  #at = 0;
  /** The beginning of a package that the chunks so far did not complete. */
  #partial: Uint8Array = EMPTY;
  #partialBytes = 0;
  readonly #header: PackageHeader = emptyPackageHeader();
  /** Whether `#header` describes the partial package. */
  #isHeaderKnown = false;
  #unusedChunks = 0;
  #hasFailed = false;

  /** Makes a decoder that verifies clear packages with `checksum`. */
  constructor(checksum: Checksum) {
    this.#checksum = checksum;
  }

  /** Whether a fault was reported: the pipe is of no more use, and bytes pushed from now on are ignored. */
  get hasFailed(): boolean {
    return this.#hasFailed;
  }

  /** Bytes of a partial package held now. At the end of a pipe, anything but 0 means that it was cut off. */
  get heldBytes(): number {
    return this.#partialBytes;
  }

  /** Bytes of memory that the decoder holds now, for tests and `stats()`. */
  get capacityBytes(): number {
    return this.#partial.length;
  }

  /**
   * Lends the next chunk. Call `next` until `needsMore` before the chunk's bytes are taken away.
   *
   * @throws {Error} If the chunk before was not decoded to its end: its bytes would be lost.
   */
  push(chunk: Uint8Array): void {
    if (this.#hasFailed) return;
    if (this.#at < this.#chunk.length) throw new Error("Bug: the chunk before was not decoded to its end");
    this.#chunk = chunk;
    this.#at = 0;
  }

  /** Forgets all that came before: the next chunk is a datagram of its own. */
  restart(): void {
    this.#hasFailed = this.#isHeaderKnown = false;
    this.#at = this.#partialBytes = 0;
    this.#chunk = EMPTY;
  }

  /** Returns the next package, or `needsMore`. A fault is reported once; from then on it is always `needsMore`. */
  next(): PackageOutcome {
    if (this.#at === this.#chunk.length) return this.#rest();
    const outcome = this.#partialBytes > 0 ? this.#completePartial() : this.#decodeInPlace();
    if (outcome.type === "package") return outcome;
    if (outcome.type === "needsMore") return this.#rest();
    this.#hasFailed = true;
    this.#at = this.#partialBytes = 0;
    this.#chunk = this.#partial = EMPTY;
    return outcome;
  }

  /** Gives back the buffer where no partial package needs it: call it on a pipe that has been quiet for a while. */
  trim(): void {
    if (this.#partialBytes === 0) this.#partial = EMPTY;
  }

  #decodeInPlace(): PackageOutcome {
    const chunk = this.#chunk;
    const start = this.#at;
    const header = this.#header;
    const met = readPackageHeader(chunk, start, chunk.length, header);
    if (met !== undefined && met.type !== "needsMore") return met;
    this.#isHeaderKnown = met === undefined;
    if (this.#isHeaderKnown && chunk.length - start >= header.packageBytes) {
      this.#at = start + header.packageBytes;
      return openPackage(chunk, start, header, this.#checksum);
    }
    this.#take(chunk.length - start);
    return OUTCOME_NEEDS_MORE;
  }

  #completePartial(): PackageOutcome {
    if (!this.#isHeaderKnown) {
      const fault = this.#completeHeader();
      if (fault !== undefined) return fault;
      if (!this.#isHeaderKnown) return OUTCOME_NEEDS_MORE;
    }
    const missing = this.#header.packageBytes - this.#partialBytes;
    const available = this.#chunk.length - this.#at;
    this.#take(missing < available ? missing : available);
    if (this.#partialBytes < this.#header.packageBytes) return OUTCOME_NEEDS_MORE;
    this.#partialBytes = 0;
    return openPackage(this.#partial, 0, this.#header, this.#checksum);
  }

  /** Takes no more than the header's own bytes, so that those behind it stay where they can be decoded in place. */
  #completeHeader(): PackageFault | undefined {
    const before = this.#partialBytes;
    const available = this.#chunk.length - this.#at;
    const missing = 2 * VARINT_BYTES_MAX - before;
    this.#take(missing < available ? missing : available);
    const met = readPackageHeader(this.#partial, 0, this.#partialBytes, this.#header);
    if (met !== undefined) return met.type === "needsMore" ? undefined : met;
    this.#isHeaderKnown = true;
    // What came before was no whole header, so what is given back came from this chunk.
    this.#at -= this.#partialBytes - this.#header.headerBytes;
    this.#partialBytes = this.#header.headerBytes;
    return undefined;
  }

  /** Copies the next `count` bytes of the chunk behind the partial package. */
  #take(count: number): void {
    const needed = this.#partialBytes + count;
    if (needed > this.#partial.length) this.#grow(needed);
    copy(this.#chunk, this.#at, this.#partial, this.#partialBytes, count);
    this.#at += count;
    this.#partialBytes = needed;
  }

  #grow(needed: number): void {
    const declared = this.#isHeaderKnown ? this.#header.packageBytes : 0;
    const wanted = Math.max(PARTIAL_BYTES_MIN, Math.min(declared, needed * GROWTH), needed);
    // Rounded up to a power of two, so that packages of nearly equal sizes share one buffer.
    const grown = new Uint8Array(Math.min(PACKAGE_BYTES_MAX, 2 ** (32 - Math.clz32(wanted - 1))));
    copy(this.#partial, 0, grown, 0, this.#partialBytes);
    this.#partial = grown;
  }

  /** The chunk is used up: forgets it, and drops a large buffer that has not been needed for long. */
  #rest(): typeof OUTCOME_NEEDS_MORE {
    if (this.#chunk !== EMPTY) {
      this.#chunk = EMPTY;
      this.#at = 0;
      if (this.#partialBytes > KEPT_BYTES_MAX) this.#unusedChunks = 0;
      else this.#unusedChunks += 1;
      const isUnused = this.#partialBytes === 0 && this.#unusedChunks >= UNUSED_CHUNKS_MAX;
      if (isUnused && this.#partial.length > KEPT_BYTES_MAX) this.#partial = EMPTY;
    }
    return OUTCOME_NEEDS_MORE;
  }
}

function copy(source: Uint8Array, from: number, target: Uint8Array, to: number, count: number): void {
  if (count < 32) {
    // Measured: making a view costs more than storing a few bytes one by one.
    for (let index = 0; index < count; index += 1) target[to + index] = source[from + index] as number;
    return;
  }
  target.set(new Uint8Array(source.buffer, source.byteOffset + from, count), to);
}
