/**
 * Puts the bytes of a stream back in order, whatever path and order they came by, each once.
 *
 * The invariant to hold: memory is bounded by the window that was granted and by the number of gaps; a few bytes never
 * keep a large buffer alive. THREATS t-C9.
 *
 * @module
 */

import { ProtocolError } from "../error.ts";
import type { Bytes } from "../machine.ts";

/**
 * Gaps on one stream before its peer is cut off. A window of lost and arrived datagrams in turn has this many; quic-go
 * takes 1,000 as well. THREATS t-C9.
 */
const GAPS_MAX = 1000;
/** Segments up to this size together are joined, so that tiny ones never cost more than their bytes are worth. */
const JOINED_BYTES_MAX = 1024;

interface Segment {
  start: number;
  bytes: Bytes;
}

/** Bytes of one stream that arrived. */
export class ReceiveBuffer {
  /** In order, ready to be read. */
  #ready: Bytes[] = [];
  #readyHead = 0;
  /** Offset after the last byte in `#ready`. */
  #readyEnd = 0;
  #readOffset = 0;
  /** Beyond a gap, ascending, disjoint. */
  readonly #waiting: Segment[] = [];
  /** Runs of waiting segments that touch each other: as many as there are gaps. */
  #runs = 0;

  /** Offset of the next byte that `read` returns. */
  get readOffset(): number {
    return this.#readOffset;
  }

  /** Offset up to which everything has arrived. */
  get contiguousEnd(): number {
    return this.#readyEnd;
  }

  get hasReady(): boolean {
    return this.#readyHead < this.#ready.length;
  }

  /**
   * Takes bytes at an offset. `bytes` belong to the receiver from here on. Returns whether `read` has something new.
   * Throws `ProtocolError` when the peer leaves too many gaps.
   */
  insert(start: number, bytes: Bytes): boolean {
    let from = start;
    let part = bytes;
    if (from < this.#readyEnd) {
      // Sent again on another path: what is known is trimmed, the first copy wins.
      if (from + part.length <= this.#readyEnd) return false;
      part = part.subarray(this.#readyEnd - from);
      from = this.#readyEnd;
    }
    if (part.length === 0) return false;
    if (from > this.#readyEnd) {
      this.#insertWaiting(from, part);
      return false;
    }
    this.#pushReady(part);
    this.#joinWaiting();
    return true;
  }

  /** The next bytes in order, or `undefined`. */
  read(): Bytes | undefined {
    if (this.#readyHead === this.#ready.length) return undefined;
    const bytes = this.#ready[this.#readyHead] as Bytes;
    this.#ready[this.#readyHead++] = EMPTY;
    if (this.#readyHead === this.#ready.length) {
      this.#ready.length = 0;
      this.#readyHead = 0;
    } else if (this.#readyHead > 64 && this.#readyHead * 2 > this.#ready.length) {
      this.#ready.splice(0, this.#readyHead);
      this.#readyHead = 0;
    }
    this.#readOffset += bytes.length;
    return bytes;
  }

  /** Drops what was not read, for a stream that was reset or stopped. */
  clear(): void {
    this.#ready = [];
    this.#readyHead = 0;
    this.#waiting.length = 0;
    this.#runs = 0;
  }

  #pushReady(bytes: Bytes): void {
    // A slice that pins more than twice its size is copied. THREATS t-C9.
    this.#ready.push(bytes.length * 2 < bytes.buffer.byteLength ? bytes.slice() : bytes);
    this.#readyEnd += bytes.length;
  }

  #joinWaiting(): void {
    const waiting = this.#waiting;
    let joined = 0;
    while (joined < waiting.length) {
      const segment = waiting[joined] as Segment;
      if (segment.start > this.#readyEnd) break;
      const known = this.#readyEnd - segment.start;
      if (known < segment.bytes.length) this.#pushReady(known === 0 ? segment.bytes : segment.bytes.subarray(known));
      joined++;
    }
    if (joined === 0) return;
    waiting.splice(0, joined);
    this.#runs = runsOf(waiting);
  }

  #insertWaiting(start: number, bytes: Bytes): void {
    const waiting = this.#waiting;
    let index = waiting.length;
    while (index > 0 && (waiting[index - 1] as Segment).start > start) index--;
    let from = start;
    let part = bytes;
    const before = waiting[index - 1];
    if (before !== undefined) {
      const overlap = before.start + before.bytes.length - from;
      if (overlap > 0) {
        if (overlap >= part.length) return;
        part = part.subarray(overlap);
        from += overlap;
      }
    }
    // Later segments that the new one covers go; the first one that sticks out keeps its own bytes.
    let covered = 0;
    while (index + covered < waiting.length) {
      const segment = waiting[index + covered] as Segment;
      if (segment.start + segment.bytes.length > from + part.length) {
        if (segment.start < from + part.length) part = part.subarray(0, segment.start - from);
        break;
      }
      covered++;
    }
    if (part.length === 0) return;
    const end = from + part.length;
    const touchesBefore = before !== undefined && before.start + before.bytes.length === from;
    const touchesAfter = waiting[index + covered]?.start === end;
    if (touchesBefore && before.bytes.length + part.length <= JOINED_BYTES_MAX) {
      const joined = new Uint8Array(before.bytes.length + part.length);
      joined.set(before.bytes);
      joined.set(part, before.bytes.length);
      before.bytes = joined;
      waiting.splice(index, covered);
    } else {
      const kept = part.length * 2 < part.buffer.byteLength ? part.slice() : part;
      if (index === waiting.length) waiting.push({ start: from, bytes: kept });
      else waiting.splice(index, covered, { start: from, bytes: kept });
    }
    if (covered > 0) this.#runs = runsOf(waiting);
    else this.#runs += 1 - Number(touchesBefore) - Number(touchesAfter);
    if (this.#runs > GAPS_MAX) throw new ProtocolError("flow_control", "Too many gaps in a stream");
  }
}

function runsOf(waiting: readonly Segment[]): number {
  let runs = 0;
  let end = -1;
  for (const { start, bytes } of waiting) {
    if (start !== end) runs++;
    end = start + bytes.length;
  }
  return runs;
}

const EMPTY: Bytes = new Uint8Array(0);
