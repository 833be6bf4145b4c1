/**
 * Forward error correction for datagrams that are of no use late, such as the inputs of a lock-step game: after each
 * group of datagrams one more is sent that holds their XOR, and brings back any one of them. Copies of a datagram, sent
 * because of loss, fall away on the other side by the same numbers. The idea is RFC 5109's, on a header of our own.
 *
 * What is written here is what NUMBERED_DATAGRAM frames hold: PROTOCOL §5.5, and THREATS t-C21 for what it may cost.
 *
 * ```
 * source {
 *   head (varint),    2 × sequence
 *   payload (..)
 * }
 * parity {
 *   head (varint),    2 × first + 1: sequence of the first datagram of the group
 *   count (1),        1 to 32: the group is first … first + count - 1
 *   lengths (2),      XOR of the lengths of the payloads, little-endian
 *   xor (..)          XOR of the payloads, each followed by zeros up to the longest
 * }
 * ```
 *
 * The invariants to hold: a sequence is delivered once at most; what a peer sends costs bounded memory for a bounded
 * time, by the limits of the decoder and not by what a header declares; a repair that does not come out even is none.
 *
 * @module
 */

import type { Bytes, Instant } from "../machine.ts";
import { NEVER } from "../machine.ts";
import { readVarint, varintBytes, varintBytesAt, writeVarint } from "../wire/varint.ts";
import { EventQueue } from "./event_queue.ts";
import { FEC_GROUP_MAX } from "./frame_types.ts";

/** Bytes of payload at most: its length has 16 bits. */
export const FEC_PAYLOAD_BYTES_MAX = 65_535;
/** What a header adds at most, so that a parity of the longest payload still fits: head, count and lengths. */
export const FEC_OVERHEAD_BYTES_MAX = 11;

const PARITY_FIELD_BYTES = 3;
/** Half of what a varint may hold. PROTOCOL §2.1. */
const SEQUENCE_MAX = 2 ** 52 - 1;
/** How long a group waits for its last datagrams: two frames of a game at 60 a second. */
const GROUP_DELAY_MS = 35;
/** Sequences that are told apart, from the newest down; what is older counts as seen. */
const WINDOW = 256;
const HELD_BYTES_MAX = 256 * 1024;
const HELD_MS_MAX = 1_000;
/** Parities that may wait for more of their groups. */
const PARITIES_MAX = 32;

/** How datagrams are grouped. */
export interface FecEncoderOptions {
  /** Datagrams for each parity, up to 32; 0 sends no parity. */
  readonly groupSize: number;
  /** When an unfinished group gets its parity all the same; 35 ms after its first datagram unless told otherwise. */
  readonly groupDelayMs?: number;
}

/** Numbers datagrams and makes their parity. */
export class FecEncoder {
  readonly #groupDelayMs: number;
  #groupSize = 0;
  #sequence = 0;
  // The group that is open.
  #first = 0;
  #count = 0;
  #lengths = 0;
  #longest = 0;
  #xor = new Uint8Array(0);
  #dueAt: Instant = NEVER;
  #ready: Bytes | undefined;

  /** @throws {RangeError} If the group size is not a whole number up to 32. */
  constructor(options: FecEncoderOptions) {
    this.#groupDelayMs = options.groupDelayMs ?? GROUP_DELAY_MS;
    this.groupSize = options.groupSize;
  }

  /** What `encode` will add. */
  get headBytes(): number {
    return varintBytes(2 * this.#sequence);
  }

  /** Datagrams for each parity. A change shows from the next datagram on. */
  get groupSize(): number {
    return this.#groupSize;
  }

  set groupSize(size: number) {
    if (!(Number.isInteger(size) && size >= 0 && size <= FEC_GROUP_MAX)) {
      throw new RangeError(`Cannot group ${size} datagrams as ${FEC_GROUP_MAX} are allowed`);
    }
    this.#groupSize = size;
  }

  /**
   * Returns what to send for a payload, which is lent. Poll for a parity afterwards.
   *
   * @throws {RangeError} If the payload is too long.
   */
  encode(payload: Uint8Array, now: Instant): Bytes {
    if (payload.length > FEC_PAYLOAD_BYTES_MAX) {
      throw new RangeError(`Cannot send ${payload.length} bytes as ${FEC_PAYLOAD_BYTES_MAX} are allowed`);
    }
    const sequence = this.#sequence++;
    const head = 2 * sequence;
    const headBytes = varintBytes(head);
    const out = new Uint8Array(headBytes + payload.length);
    writeVarint(out, 0, head);
    out.set(payload, headBytes);
    if (this.#groupSize > 0) this.#add(sequence, payload, now);
    else this.flush();
    return out;
  }

  /**
   * Returns the parity of a group that is full, or has waited long enough, once. Send it after its group: the next
   * full group takes its place.
   */
  pollParity(now: Instant): Bytes | undefined {
    if (now >= this.#dueAt) this.flush();
    const parity = this.#ready;
    this.#ready = undefined;
    return parity;
  }

  /** When to poll for a parity though nothing was sent; `NEVER` when no group is open. */
  pollTimeout(): Instant {
    return this.#dueAt;
  }

  /** Ends the group that is open: nothing more is coming soon. */
  flush(): void {
    if (this.#count === 0) return;
    const head = 2 * this.#first + 1;
    const headBytes = varintBytes(head);
    const parity = new Uint8Array(headBytes + PARITY_FIELD_BYTES + this.#longest);
    writeVarint(parity, 0, head);
    parity[headBytes] = this.#count;
    parity[headBytes + 1] = this.#lengths;
    parity[headBytes + 2] = this.#lengths >>> 8;
    parity.set(this.#xor.subarray(0, this.#longest), headBytes + PARITY_FIELD_BYTES);
    this.#ready = parity;
    this.#xor.fill(0, 0, this.#longest);
    this.#count = this.#lengths = this.#longest = 0;
    this.#dueAt = NEVER;
  }

  #add(sequence: number, payload: Uint8Array, now: Instant): void {
    if (this.#count === 0) {
      this.#first = sequence;
      this.#dueAt = now + this.#groupDelayMs;
    }
    if (payload.length > this.#xor.length) {
      const grown = new Uint8Array(Math.min(FEC_PAYLOAD_BYTES_MAX, Math.max(64, 2 * payload.length)));
      grown.set(this.#xor);
      this.#xor = grown;
    }
    xorInto(this.#xor, payload);
    this.#lengths ^= payload.length;
    this.#longest = Math.max(this.#longest, payload.length);
    if (++this.#count >= this.#groupSize) this.flush();
  }
}

/** What came out of a decoder. */
export interface FecDatagram {
  /** Its place in the order in which datagrams were sent. They come as they come: order is the application's matter. */
  readonly sequence: number;
  /** The receiver owns it. */
  readonly payload: Bytes;
  /** Whether it was lost on the way and came back. */
  readonly isRepaired: boolean;
}

/** What a peer may cost. */
export interface FecDecoderOptions {
  /** Bytes of payloads and parities that are held for repairs; 256 KiB unless told otherwise. */
  readonly bytesMax?: number;
  /** How long they are held; 1 s unless told otherwise. */
  readonly ageMsMax?: number;
}

/** A payload or a parity that is held for repairs. */
interface Held {
  readonly first: number;
  /** 0 for a payload. */
  readonly count: number;
  readonly lengths: number;
  readonly cameAt: Instant;
  /** Nothing once it was let go. */
  bytes: Uint8Array | undefined;
}

const NOTHING: readonly FecDatagram[] = [];
/** What is missing of a group, if it is not one datagram. */
const WAITS = -1;
const HOPELESS = -2;

/** Delivers each datagram once and brings lost ones back. */
export class FecDecoder {
  readonly #bytesMax: number;
  readonly #ageMsMax: number;
  /** The sequence that each place of the window saw last. */
  readonly #seen = new Float64Array(WINDOW).fill(-1);
  readonly #payloads: (Held | undefined)[] = new Array<Held | undefined>(WINDOW).fill(undefined);
  #newest = -1;
  #parities: Held[] = [];
  /** All that is held, and some that was let go, the oldest first. */
  readonly #order = new EventQueue<Held>();
  #oldest: Held | undefined;
  #heldBytes = 0;
  received = 0;
  repaired = 0;
  /** Copies, and what came after its repair. */
  duplicates = 0;
  malformed = 0;

  constructor(options: FecDecoderOptions = {}) {
    this.#bytesMax = options.bytesMax ?? HELD_BYTES_MAX;
    this.#ageMsMax = options.ageMsMax ?? HELD_MS_MAX;
  }

  /** Bytes held for repairs. */
  get heldBytes(): number {
    return this.#heldBytes;
  }

  /** Takes what a NUMBERED_DATAGRAM frame holds, which is lent, and returns what is new. Never throws. */
  receive(bytes: Uint8Array, now: Instant): readonly FecDatagram[] {
    this.handleTimeout(now);
    const head = readVarint(bytes, 0, bytes.length);
    if (head < 0) {
      this.malformed++;
      return NOTHING;
    }
    const headBytes = varintBytesAt(bytes, 0);
    const first = Math.floor(head / 2);
    if (head % 2 === 1) return this.#onParity(first, bytes.subarray(headBytes), now);
    if (this.#isSeen(first)) {
      this.duplicates++;
      return NOTHING;
    }
    this.received++;
    const payload = new Uint8Array(bytes.subarray(headBytes));
    // What is held is a copy: the application may write into its own.
    this.#note(first, payload, now);
    const out: FecDatagram[] = [{ sequence: first, payload, isRepaired: false }];
    this.#repairAround(first, out, now);
    return out;
  }

  /** Lets go of what is too old. Nothing is lost when it comes late. */
  handleTimeout(now: Instant): void {
    for (let held = this.#peekOldest(); held !== undefined; held = this.#peekOldest()) {
      if (now < held.cameAt + this.#ageMsMax) return;
      this.#dropOldest();
    }
  }

  /** When to let go of something next; `NEVER` when nothing is held. */
  pollTimeout(): Instant {
    const oldest = this.#peekOldest();
    return oldest === undefined ? NEVER : oldest.cameAt + this.#ageMsMax;
  }

  #onParity(first: number, fields: Uint8Array, now: Instant): readonly FecDatagram[] {
    const count = fields[0] ?? 0;
    const isEven = fields.length >= PARITY_FIELD_BYTES && count >= 1 && count <= FEC_GROUP_MAX;
    if (!isEven || first + count - 1 > SEQUENCE_MAX) {
      this.malformed++;
      return NOTHING;
    }
    const lengths = (fields[1] as number) | ((fields[2] as number) << 8);
    const bytes = new Uint8Array(fields.subarray(PARITY_FIELD_BYTES));
    const parity: Held = { first, count, lengths, cameAt: now, bytes };
    const missing = this.#missingOf(parity);
    if (missing === HOPELESS) return NOTHING;
    if (missing === WAITS) {
      if (this.#parities.length >= PARITIES_MAX) this.#release(this.#parities.shift() as Held);
      this.#parities.push(parity);
      this.#hold(parity);
      return NOTHING;
    }
    const out: FecDatagram[] = [];
    this.#repair(parity, missing, out, now);
    return out;
  }

  /** Looks at the parities that a new datagram may complete, and at those that a repair completes in turn. */
  #repairAround(sequence: number, out: FecDatagram[], now: Instant): void {
    const fresh = [sequence];
    for (let next = fresh.pop(); next !== undefined && this.#parities.length > 0; next = fresh.pop()) {
      for (const parity of [...this.#parities]) {
        if (next < parity.first || next >= parity.first + parity.count) continue;
        const missing = this.#missingOf(parity);
        if (missing === WAITS) continue;
        this.#parities.splice(this.#parities.indexOf(parity), 1);
        if (missing !== HOPELESS && this.#repair(parity, missing, out, now)) fresh.push(missing);
        this.#release(parity);
      }
    }
  }

  /** The one datagram that a group lacks, or why there is none to repair. */
  #missingOf(parity: Held): number {
    if (parity.bytes === undefined) return HOPELESS;
    let missing = WAITS;
    let lacking = 0;
    let isHopeless = false;
    for (let sequence = parity.first; sequence < parity.first + parity.count; sequence++) {
      const place = sequence % WINDOW;
      if (this.#seen[place] === sequence) isHopeless ||= this.#payloads[place]?.bytes === undefined;
      else if (this.#isSeen(sequence)) isHopeless = true;
      else {
        lacking++;
        missing = sequence;
      }
    }
    if (isHopeless || lacking === 0) return HOPELESS;
    return lacking === 1 ? missing : WAITS;
  }

  #repair(parity: Held, missing: number, out: FecDatagram[], now: Instant): boolean {
    const xor = new Uint8Array(parity.bytes as Uint8Array);
    let length = parity.lengths;
    for (let sequence = parity.first; sequence < parity.first + parity.count; sequence++) {
      if (sequence === missing) continue;
      const bytes = (this.#payloads[sequence % WINDOW] as Held).bytes as Uint8Array;
      length ^= bytes.length;
      if (bytes.length > xor.length) length = Number.POSITIVE_INFINITY;
      else xorInto(xor, bytes);
      if (length > FEC_PAYLOAD_BYTES_MAX) break;
    }
    // What is left after the payload is padding: it is zero, or this was never the parity of these datagrams.
    if (length > xor.length || !isZeroFrom(xor, length)) {
      this.malformed++;
      return false;
    }
    const payload = xor.slice(0, length);
    this.repaired++;
    this.#note(missing, payload, now);
    out.push({ sequence: missing, payload, isRepaired: true });
    return true;
  }

  #isSeen(sequence: number): boolean {
    return sequence <= this.#newest - WINDOW || this.#seen[sequence % WINDOW] === sequence;
  }

  /** Notes that a datagram is delivered, and holds a copy of it. */
  #note(sequence: number, payload: Uint8Array, now: Instant): void {
    const place = sequence % WINDOW;
    const before = this.#payloads[place];
    if (before !== undefined) this.#release(before);
    if (sequence > this.#newest) this.#newest = sequence;
    this.#seen[place] = sequence;
    const held: Held = { first: sequence, count: 0, lengths: 0, cameAt: now, bytes: new Uint8Array(payload) };
    this.#payloads[place] = held;
    this.#hold(held);
  }

  #hold(held: Held): void {
    this.#order.push(held);
    this.#heldBytes += held.bytes?.length ?? 0;
    // Empty ones count as well: what is let go in the middle stays in the order until it is the oldest.
    while (this.#heldBytes > this.#bytesMax || this.#order.size > WINDOW + PARITIES_MAX) this.#dropOldest();
  }

  #peekOldest(): Held | undefined {
    this.#oldest ??= this.#order.shift();
    return this.#oldest;
  }

  #dropOldest(): void {
    const held = this.#peekOldest();
    this.#oldest = undefined;
    if (held !== undefined) this.#release(held);
  }

  #release(held: Held): void {
    this.#heldBytes -= held.bytes?.length ?? 0;
    held.bytes = undefined;
  }
}

/** XORs all of `bytes` into the start of `into`, which is at least as long. */
function xorInto(into: Uint8Array, bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length; at++) into[at] = (into[at] as number) ^ (bytes[at] as number);
}

function isZeroFrom(bytes: Uint8Array, start: number): boolean {
  for (let at = start; at < bytes.length; at++) if (bytes[at] !== 0) return false;
  return true;
}
