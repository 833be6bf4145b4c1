/**
 * Fills packages: control frames, datagrams, stream parts and the acknowledgement that rides along. PROTOCOL §5.
 *
 * The invariant to hold: what goes into a package is noted in its `SentPackage`, so that the death of the path brings
 * it back; an empty package is never sealed.
 *
 * @module
 */

import type { Bytes, Instant } from "../machine.ts";
import { varintBytes } from "../wire/varint.ts";
import { Writer } from "../wire/writer.ts";
import type { ControlFrame } from "./control_frames.ts";
import { CONTROL_FRAME_BYTES_MAX, encodeCloseFrame, encodeControlFrame } from "./control_frames.ts";
import type { DatagramLine, OutgoingDatagram } from "./datagram_line.ts";
import {
  FRAME_NUMBERED_DATAGRAM,
  FRAME_PING,
  FRAME_STREAM,
  STREAM_FIN_BIT,
  STREAM_LENGTH_BIT,
  STREAM_OFFSET_BIT,
} from "./frame_types.ts";
import { PROTECTION_BYTES_MAX, type SendProtection } from "./package_protection.ts";
import { ACK_FRAME_BYTES_MAX, type Path } from "./path.ts";
import type { SentPackage } from "./sent_package.ts";
import type { SendHalf } from "./stream.ts";
import type { StreamPart, StreamTable } from "./stream_table.ts";

/** Room for the largest STREAM frame header: type, id, offset, length. */
const STREAM_HEADER_BYTES_MAX = 1 + 8 + 8 + 3;
/** A node that forgot the session answers only a datagram that is larger than its answer. RFC 9000 §10.3.3. */
const ASKING_DATAGRAM_BYTES_MIN = 41;
const NO_PARTS: readonly StreamPart[] = [];
const NO_DATAGRAMS: OutgoingDatagram[] = [];
const NO_CONTROLS: readonly ControlFrame[] = [];
const PING: ControlFrame = { type: "ping", token: 0 };

/** Bytes of the largest datagram that fits into a package of `packageBytes`. */
export function datagramRoom(packageBytes: number): number {
  return Math.max(0, packageBytes - PROTECTION_BYTES_MAX - ACK_FRAME_BYTES_MAX - 4);
}

/** What a package that asks for an acknowledgement holds. */
type PackageContent = Pick<SentPackage, "parts" | "controls" | "isMtuProbe">;

/** What a builder takes its frames from. */
export interface PackageSources {
  readonly streams: StreamTable;
  readonly datagrams: DatagramLine;
  readonly send: SendProtection;
  /** Where packages are built; shared with other sessions. */
  readonly scratch: Uint8Array;
}

/** Builds the packages of one session. */
export class PackageBuilder {
  readonly #streams: StreamTable;
  readonly #datagrams: DatagramLine;
  readonly #send: SendProtection;
  readonly #scratch: Uint8Array;
  readonly #writer = new Writer(new Uint8Array(0));
  /** What the last package held. */
  #lastParts: readonly StreamPart[] = NO_PARTS;
  #lastDatagrams: OutgoingDatagram[] = NO_DATAGRAMS;

  constructor(sources: PackageSources) {
    this.#streams = sources.streams;
    this.#datagrams = sources.datagrams;
    this.#send = sources.send;
    this.#scratch = sources.scratch;
  }

  /** Builds the next package of a path, or returns `undefined` when there is nothing to say. Session frames, streams
   * and datagrams go in only when `session` is given: its control frames, taken from the front. */
  build(path: Path, session: ControlFrame[] | undefined, now: Instant): Bytes | undefined {
    const writer = this.#writer;
    // The sooner larger packages are known to get through, the fewer small ones are sent.
    const isProbing = path.state === "active" && !path.isProbeDue;
    const probeBytes = isProbing ? path.datagrams?.mtu.nextProbe(now) : undefined;
    if (probeBytes !== undefined) return this.#buildMtuProbe(path, probeBytes, now);
    const end = Math.min(this.#scratch.length, path.recovery.packageBytesMax - PROTECTION_BYTES_MAX);
    writer.reset(this.#scratch, 0, end);
    const parts: StreamPart[] = [];
    let taken = NO_DATAGRAMS;
    const controls: ControlFrame[] = [];
    this.#writeControls(path.controls, controls);
    let isEliciting = false;
    // What proves a path goes alone and first: behind bulk data a slow path would be given up before it is proved.
    if (session !== undefined && controls.length === 0) {
      this.#writeControls(session, controls);
      taken = this.#writeDatagrams(path, now);
      isEliciting = taken.length > 0;
      this.#writeStreams(parts);
    }
    isEliciting ||= parts.length > 0 || controls.length > 0;
    const { datagrams } = path;
    if (datagrams !== undefined && !isEliciting) {
      if (datagrams.isProbeDue) {
        writer.u8(FRAME_PING);
        controls.push(PING);
        isEliciting = true;
      } else if (session !== undefined) datagrams.onIdle();
    }
    if (path.owesAck && (isEliciting || now >= path.ackDueAt)) path.writeAck(writer, now);
    if (writer.length === 0) return undefined;
    this.#lastParts = parts;
    this.#lastDatagrams = taken;
    return this.#seal(path, isEliciting ? { parts, controls, isMtuProbe: false } : undefined, now);
  }

  /** Whether the package built last holds something that could go by another path as well. */
  get hasRepeatable(): boolean {
    return this.#lastParts.length > 0 || this.#lastDatagrams.length > 0;
  }

  /** Builds what the last package held once more, for another path, as far as it fits. */
  repeat(path: Path, now: Instant): Bytes | undefined {
    const writer = this.#writer;
    writer.reset(
      this.#scratch,
      0,
      Math.min(this.#scratch.length, path.recovery.packageBytesMax - PROTECTION_BYTES_MAX),
    );
    const parts: StreamPart[] = [];
    for (const last of this.#lastDatagrams) {
      // Without a number the other side could not tell that it is the same.
      if (last.type < FRAME_NUMBERED_DATAGRAM || writer.remaining < last.bytes.length + 8) continue;
      this.#writeDatagram({ type: FRAME_NUMBERED_DATAGRAM + 1, bytes: last.bytes });
    }
    for (const part of this.#lastParts) {
      const half = this.#streams.sendHalf(part.stream);
      // It may have been acknowledged meanwhile, or its stream reset: there is nothing left to copy then.
      if (half?.buffer.isHeldFrom(part.start) !== true) continue;
      if (writer.remaining < part.end - part.start + STREAM_HEADER_BYTES_MAX) continue;
      this.#writePart(half, part);
      parts.push(part);
    }
    this.#lastParts = NO_PARTS;
    this.#lastDatagrams = NO_DATAGRAMS;
    if (writer.length === 0) return undefined;
    return this.#seal(path, { parts, controls: NO_CONTROLS, isMtuProbe: false }, now);
  }

  /** Builds a package that only acknowledges: it leaves whatever the window says. */
  buildAck(path: Path, now: Instant): Bytes | undefined {
    this.#writer.reset(this.#scratch, 0, path.recovery.packageBytesMax - PROTECTION_BYTES_MAX);
    if (path.owesAck) path.writeAck(this.#writer, now);
    return this.#writer.length === 0 ? undefined : this.#seal(path, undefined, now);
  }

  /** Builds the last package of a path. */
  buildClose(
    path: Path,
    close: { readonly wireCode: number; readonly applicationCode: number | undefined; readonly reason: string },
    now: Instant,
  ): Bytes {
    this.#writer.reset(this.#scratch);
    encodeCloseFrame(this.#writer, close.wireCode, close.applicationCode, close.reason);
    return this.#seal(path, undefined, now);
  }

  /** Builds a package of a size that may not get through. RFC 8899 §4.1. */
  #buildMtuProbe(path: Path, bytes: number, now: Instant): Bytes {
    const writer = this.#writer;
    const plaintextBytes = bytes - this.#send.overheadBytes(path.id, path.nextPackageNumber, bytes);
    writer.reset(this.#scratch, 0, plaintextBytes);
    writer.u8(FRAME_PING);
    // FRAME_PADDING is 0.
    this.#scratch.fill(0, writer.skip(plaintextBytes - 1), plaintextBytes);
    return this.#seal(path, { parts: NO_PARTS, controls: [PING], isMtuProbe: true }, now);
  }

  #seal(path: Path, content: PackageContent | undefined, now: Instant): Bytes {
    const packageNumber = path.nextPackageNumber;
    const toldUpTo = path.takeTold();
    if (content !== undefined && path.datagrams !== undefined) this.#pad(path.id, packageNumber);
    const plaintext = this.#writer.written;
    const bytes = this.#send.seal(path.id, packageNumber, plaintext, now);
    if (path.trace !== undefined) {
      const isMtuProbe = content?.isMtuProbe === true;
      path.trace.onSent(path, { bytes: bytes.length, plaintext, phase: this.#send.phase, isMtuProbe }, now);
    }
    if (content === undefined) path.onSent(bytes.length, undefined, now);
    else {
      const { parts, controls, isMtuProbe } = content;
      const sent: SentPackage = {
        packageNumber,
        sentAt: now,
        bytes: bytes.length,
        phase: this.#send.phase,
        parts: parts.length > 0 ? parts : NO_PARTS,
        controls: controls.length > 0 ? controls : NO_CONTROLS,
        isMtuProbe,
        toldUpTo,
        isLost: false,
        isRequeued: false,
      };
      path.onSent(bytes.length, sent, now);
    }
    path.trace?.observe(path, now);
    return bytes;
  }

  /** Makes a package so large that a node that forgot the session says so. FRAME_PADDING is 0. */
  #pad(path: number, packageNumber: number): void {
    const overheadBytes = this.#send.overheadBytes(path, packageNumber, ASKING_DATAGRAM_BYTES_MIN);
    const missing = ASKING_DATAGRAM_BYTES_MIN - overheadBytes - this.#writer.length;
    if (missing <= 0) return;
    const at = this.#writer.skip(missing);
    this.#scratch.fill(0, at, at + missing);
  }

  #writeControls(queue: ControlFrame[], sent: ControlFrame[]): void {
    let taken = 0;
    while (taken < queue.length && this.#writer.remaining >= CONTROL_FRAME_BYTES_MAX + ACK_FRAME_BYTES_MAX) {
      const frame = queue[taken++] as ControlFrame;
      if (encodeControlFrame(this.#writer, frame, this.#streams)) sent.push(frame);
    }
    if (taken > 0) queue.splice(0, taken);
  }

  #writeDatagram({ type, bytes }: OutgoingDatagram): void {
    this.#writer.u8(type);
    this.#writer.varint(bytes.length);
    this.#writer.bytes(bytes);
  }

  #writeDatagrams(path: Path, now: Instant): OutgoingDatagram[] {
    let written = NO_DATAGRAMS;
    for (;;) {
      const length = this.#datagrams.nextBytes(now);
      if (length < 0) return written;
      const needed = 1 + varintBytes(length) + length;
      if (this.#writer.remaining < needed + ACK_FRAME_BYTES_MAX) {
        if (this.#writer.length > 0) return written;
        this.#datagrams.drop(now); // Larger than any package of this path.
        continue;
      }
      const next = this.#datagrams.take(path, now);
      this.#writeDatagram(next);
      if (written === NO_DATAGRAMS) written = [next];
      else written.push(next);
    }
  }

  /** Room for the acknowledgement is left: it is written last, so that it can ride along with anything. */
  #writeStreams(parts: StreamPart[]): void {
    const writer = this.#writer;
    while (this.#streams.hasSendable) {
      const room = writer.remaining - STREAM_HEADER_BYTES_MAX - ACK_FRAME_BYTES_MAX;
      if (room <= 0) return;
      const part: StreamPart = { stream: 0, start: 0, end: 0, isFin: false };
      const half = this.#streams.takePart(room, part);
      if (half === undefined) return;
      this.#writePart(half, part);
      parts.push(part);
    }
  }

  #writePart(half: SendHalf, part: StreamPart): void {
    const writer = this.#writer;
    const offsetBit = part.start > 0 ? STREAM_OFFSET_BIT : 0;
    writer.u8(FRAME_STREAM | STREAM_LENGTH_BIT | offsetBit | (part.isFin ? STREAM_FIN_BIT : 0));
    writer.varint(part.stream);
    if (part.start > 0) writer.varint(part.start);
    const count = part.end - part.start;
    writer.varint(count);
    if (count > 0) half.buffer.copy(part.start, part.end, this.#scratch, writer.skip(count));
  }
}
