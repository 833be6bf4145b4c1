/**
 * How much a peer may send before it was read: begins small, and doubles up to a limit while the program reads fast.
 * The same for one stream and for all streams of a session together. RFC 9000 §4.2; its rule is that of quic-go.
 *
 * The invariant to hold: what was granted is never taken back; only bytes that the application read make a window grow,
 * so that a peer whose bytes are not read never has more than the first window outstanding. THREATS t-C9.
 *
 * @module
 */

import type { Instant } from "../machine.ts";
import { NEVER } from "../machine.ts";

/** Credit is granted again when this part of a window was read. */
const CREDIT_FRACTION = 4;
/** A window that is read within so many round trips is what holds the sender back. */
const ROUND_TRIPS = 2;
/**
 * A round trip counts for so much at least. A hole is closed after some probe timeouts, where a path died with it: what
 * comes meanwhile must have room.
 */
const ROUND_TRIP_MS_MIN = 250;

/** One window. Times may lag behind the clock when bytes are read, never when credit is granted. */
export class ReceiveWindow {
  #bytes: number;
  readonly #limitBytes: number;
  #max: number;
  #consumed = 0;
  /** Since when, and from where on, the application's speed is measured. */
  #measuredAt: Instant = NEVER;
  #measuredFrom = 0;
  #isGrantDue = false;

  /** `startBytes` are what the peer was told in the handshake. */
  constructor(startBytes: number, limitBytes: number) {
    this.#bytes = this.#max = startBytes;
    this.#limitBytes = limitBytes;
  }

  /** Offset up to which the peer may send. */
  get max(): number {
    return this.#max;
  }

  /** Bytes that the peer may have outstanding. */
  get bytes(): number {
    return this.#bytes;
  }

  /** The application read so many bytes. Returns whether a frame that grants credit is to be queued. */
  onRead(count: number, now: Instant): boolean {
    if (this.#measuredAt === NEVER) this.#measuredAt = now;
    this.#consumed += count;
    return this.#becomesDue();
  }

  /** So many bytes were dropped unread: they give their credit back, and say nothing of the application. */
  onDropped(count: number): boolean {
    this.#measuredFrom += count;
    this.#consumed += count;
    return this.#becomesDue();
  }

  /** The offset to grant now. It doubles the window first when that was read within two round trips. */
  grant(now: Instant, rttMs: number | undefined): number {
    this.#isGrantDue = false;
    const read = this.#consumed - this.#measuredFrom;
    // Less than half a window is a burst, no speed.
    if (read * 2 >= this.#bytes) {
      const elapsedMs = now - this.#measuredAt;
      const allowedMs = rttMs === undefined ? -1 : ROUND_TRIPS * Math.max(rttMs, ROUND_TRIP_MS_MIN);
      if (elapsedMs * this.#bytes <= allowedMs * read) this.raise(this.#bytes * 2);
      this.#measuredAt = now;
      this.#measuredFrom = this.#consumed;
    }
    this.#max = Math.max(this.#max, this.#consumed + this.#bytes);
    return this.#max;
  }

  /** Makes the window as large as this, within its limit. The peer learns of it with the next grant. */
  raise(bytes: number): void {
    this.#bytes = Math.max(this.#bytes, Math.min(bytes, this.#limitBytes));
  }

  #becomesDue(): boolean {
    if (this.#isGrantDue || this.#max - this.#consumed > this.#bytes - this.#bytes / CREDIT_FRACTION) return false;
    this.#isGrantDue = true;
    return true;
  }
}
