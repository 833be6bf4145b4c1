/**
 * One path of a session: its package numbers, what is in flight on it, what it owes in acknowledgements, its times.
 *
 * The invariant to hold: a path knows nothing of streams; what it loses it hands back to the session. Package numbers
 * are per path and never reused. draft-ietf-quic-multipath.
 *
 * @module
 */

import { ProtocolError } from "../error.ts";
import type { Instant } from "../machine.ts";
import { NEVER } from "../machine.ts";
import type { Writer } from "../wire/writer.ts";
import type { ControlFrame } from "./control_frames.ts";
import type { DatagramRecovery } from "./datagram_recovery.ts";
import type { AckFrame } from "./frame_parser.ts";
import { FRAME_ACK, RECEIVED_RANGES_MAX } from "./frame_types.ts";
import { RangeSet } from "./range_set.ts";
import type { PathRecovery } from "./recovery.ts";
import type { RttEstimator } from "./rtt.ts";
import type { SentPackage } from "./sent_package.ts";
import type { SessionTrace } from "./session_trace.ts";
import type { PathFacts, PathId, PathStats } from "./session_types.ts";

/** An acknowledgement waits at most this long for company. RFC 9000 §18.2 (max_ack_delay). */
const ACK_DELAY_MS_MAX = 25;
/** On a reliable path an acknowledgement only frees memory: one for each quarter MiB is enough. */
const ACK_EVERY_BYTES = 256 * 1024;
const ACK_EVERY_PACKAGES = 64;
/** On a path of datagrams the sender learns of loss by them. RFC 9000 §13.2.2. */
const DATAGRAM_ACK_EVERY_PACKAGES = 2;
/** Once the sender's window has grown, fewer are enough: a slow way back must not be what limits it. */
const DATAGRAM_ACK_EVERY_LATER = 8;
const DATAGRAM_ACK_OFTEN_UNTIL = 100;
/** A delay that the peer claims is believed up to this. */
const PEER_ACK_DELAY_MS_MAX = 1_000;
/** Bytes of the largest ACK frame with one range. */
export const ACK_FRAME_BYTES_MAX = 40;

/** Takes what acknowledgements settle. */
export interface AckSink {
  onPackageAcked(sent: SentPackage, path: Path, now: Instant): void;
  /** Its frames are to be sent again. */
  onPackageLost(sent: SentPackage, path: Path): void;
}

/** What a path is made from. */
export interface PathOptions {
  readonly id: PathId;
  readonly facts: PathFacts;
  readonly rtt: RttEstimator;
  readonly recovery: PathRecovery;
  readonly datagrams: DatagramRecovery | undefined;
  readonly state: "opening" | "active";
  readonly trace: SessionTrace | undefined;
}

/** A way to carry packages of a session. */
export class Path {
  readonly id: PathId;
  facts: PathFacts;
  readonly recovery: PathRecovery;
  /** Loss, congestion and size of packages, on a path of datagrams. */
  readonly datagrams: DatagramRecovery | undefined;
  readonly rtt: RttEstimator;
  /** Who wants to know; nobody as a rule. */
  readonly trace: SessionTrace | undefined;
  state: "opening" | "active" | "closed";
  isWritable = true;
  /** Whether its window and its pacer let a package go; as of the last look. */
  hasRoom = true;
  /** Whether the package that came last is the newest that ever came. */
  isNewest = false;
  /** The data of our PATH_CHALLENGE, until it was answered. */
  challenge: Uint8Array | undefined;
  /** Control frames that belong on this path and no other. */
  readonly controls: ControlFrame[] = [];
  lastReceivedAt: Instant;
  /** Since when something sent has been waiting for any sign of life; `NEVER` when nothing does. */
  awaitingSince: Instant = NEVER;
  bytesSent = 0;
  bytesReceived = 0;
  packagesSent = 0;
  packagesReceived = 0;

  #nextPackageNumber = 0;
  /** In flight, by package number less `#sentBase`; holes are packages that need no acknowledgement or had it. */
  #sent: (SentPackage | undefined)[] = [];
  #sentBase = 0;
  #inFlightBytes = 0;
  #inFlightPackages = 0;

  readonly #received = new RangeSet();
  /** The peer is known to have heard of all that came below: it is not told again. RFC 9000 §13.2.4. */
  #toldFloor = 0;
  /** What the acknowledgement written last tells of, until its package is sealed. */
  #toldUpTo = 0;
  /** Numbers below were forgotten and count as received. */
  #receivedFloor = 0;
  #largestReceivedAt: Instant = 0;
  #unackedBytes = 0;
  #unackedPackages = 0;
  #ackDueAt: Instant = NEVER;

  constructor(options: PathOptions, now: Instant) {
    this.id = options.id;
    this.facts = options.facts;
    this.recovery = options.recovery;
    this.datagrams = options.datagrams;
    this.rtt = options.rtt;
    this.trace = options.trace;
    this.state = options.state;
    this.lastReceivedAt = now;
  }

  get nextPackageNumber(): number {
    return this.#nextPackageNumber;
  }

  get bytesInFlight(): number {
    return this.#inFlightBytes;
  }

  get packagesInFlight(): number {
    return this.#inFlightPackages;
  }

  get hasInFlight(): boolean {
    return this.#inFlightPackages > 0;
  }

  /** When an acknowledgement must leave; `NEVER` when none is owed. */
  get ackDueAt(): Instant {
    return this.#ackDueAt;
  }

  /** Whether an acknowledgement can ride along with other frames. */
  get owesAck(): boolean {
    return this.#unackedPackages > 0;
  }

  /** Asks the other end to prove that it gets what is sent on this path. RFC 9000 §8.2.1. */
  startChallenge(data: Uint8Array): void {
    this.challenge = data;
    this.controls.push({ type: "pathChallenge", data });
  }

  /** Whether a response answers the challenge that is open; it is settled then. RFC 9000 §8.2.3. */
  settleChallenge(data: Uint8Array): boolean {
    if (this.challenge === undefined || !this.challenge.every((byte, index) => byte === data[index])) return false;
    this.challenge = undefined;
    return true;
  }

  /** A frame of this path was lost: a challenge that is still open is sent again. RFC 9000 §8.2.1. */
  requeueControl(frame: ControlFrame): void {
    if (frame.type === "pathChallenge" && frame.data === this.challenge) this.controls.push(frame);
  }

  /** Whether nothing came back for several probe timeouts. */
  get isDoubted(): boolean {
    return this.datagrams?.isDoubted ?? false;
  }

  /** Whether a package must leave to find out whether the other side is there. */
  get isProbeDue(): boolean {
    return this.datagrams?.isProbeDue ?? false;
  }

  get windowBytes(): number {
    return this.datagrams?.controller.windowBytes ?? Number.POSITIVE_INFINITY;
  }

  /** Notes a package that leaves; `undefined` for one that needs no acknowledgement. */
  onSent(bytes: number, sent: SentPackage | undefined, now: Instant): void {
    if (this.#sent.length === 0) this.#sentBase = this.#nextPackageNumber;
    if (sent !== undefined || this.#sent.length > 0) this.#sent.push(sent);
    if (sent !== undefined) {
      this.#inFlightBytes += bytes;
      this.#inFlightPackages++;
      if (this.awaitingSince === NEVER) this.awaitingSince = now;
      this.datagrams?.onSent(sent, this.#inFlightBytes, now);
    }
    this.#nextPackageNumber++;
    this.bytesSent += bytes;
    this.packagesSent++;
  }

  /** Whether a package with this number was seen already. */
  isDuplicate(packageNumber: number): boolean {
    return packageNumber < this.#receivedFloor || this.#received.has(packageNumber);
  }

  /** Notes an authentic package. */
  onReceived(packageNumber: number, bytes: number, isAckEliciting: boolean, isAckAtOnce: boolean, now: Instant): void {
    this.lastReceivedAt = now;
    this.bytesReceived += bytes;
    this.packagesReceived++;
    this.awaitingSince = this.#inFlightPackages > 0 ? now : NEVER;
    const last = this.#received.last;
    this.isNewest = last === undefined || packageNumber >= last.end;
    const isInOrder = packageNumber === (last?.end ?? 0);
    if (this.isNewest) this.#largestReceivedAt = now;
    this.#received.add(packageNumber, packageNumber + 1);
    if (packageNumber < this.#toldFloor) this.#toldFloor = packageNumber; // A late one was not told of.
    while (this.#received.rangeCount > RECEIVED_RANGES_MAX) {
      this.#receivedFloor = (this.#received.first as { end: number }).end;
      this.#received.removeFirst();
    }
    if (!isAckEliciting) return;
    this.#unackedBytes += bytes;
    this.#unackedPackages++;
    const isDatagrams = this.datagrams !== undefined;
    const isYoung = this.packagesReceived < DATAGRAM_ACK_OFTEN_UNTIL;
    const datagramsMax = isYoung ? DATAGRAM_ACK_EVERY_PACKAGES : DATAGRAM_ACK_EVERY_LATER;
    const packagesMax = isDatagrams ? datagramsMax : ACK_EVERY_PACKAGES;
    // RFC 9000 §13.2.1: a gap is told at once.
    const isAtOnce = isAckAtOnce || (isDatagrams && !isInOrder);
    if (isAtOnce || this.#unackedBytes >= ACK_EVERY_BYTES || this.#unackedPackages >= packagesMax) {
      this.#ackDueAt = now;
    } else if (this.#ackDueAt === NEVER) {
      this.#ackDueAt = now + ACK_DELAY_MS_MAX;
    }
  }

  /** Writes the acknowledgement that is owed. RFC 9000 §19.3. */
  writeAck(writer: Writer, now: Instant): void {
    const ranges = this.#received.ranges;
    let index = ranges.length - 1;
    const last = ranges[index];
    if (last === undefined) return;
    writer.u8(FRAME_ACK);
    writer.varint(this.id);
    writer.varint(last.end - 1);
    writer.varint(Math.max(0, Math.round((now - this.#largestReceivedAt) * 1000)));
    const room = Math.floor((writer.remaining - ACK_FRAME_BYTES_MAX) / 16);
    let untold = 0;
    while (untold < index && (ranges[index - 1 - untold] as { end: number }).end > this.#toldFloor) untold++;
    const more = Math.max(0, Math.min(untold, room));
    this.#toldUpTo = more === untold ? last.end : 0;
    writer.varint(more);
    writer.varint(last.end - 1 - last.start);
    let smallest = last.start;
    for (let written = 0; written < more; written++) {
      const range = ranges[--index] as { start: number; end: number };
      writer.varint(smallest - range.end - 1);
      writer.varint(range.end - 1 - range.start);
      smallest = range.start;
    }
    this.#unackedBytes = this.#unackedPackages = 0;
    this.#ackDueAt = NEVER;
  }

  /** How far the acknowledgement tells that was written since the last call; 0 when there was none. */
  takeTold(): number {
    const told = this.#toldUpTo;
    this.#toldUpTo = 0;
    return told;
  }

  /** Takes an ACK frame for this path. Throws `ProtocolError` when it covers what was never sent. THREATS t-C5. */
  onAck(ack: AckFrame, sink: AckSink, now: Instant): boolean {
    if ((ack.ends[0] as number) > this.#nextPackageNumber) {
      throw new ProtocolError("protocol_violation", "A package that was never sent was acknowledged");
    }
    const { datagrams } = this;
    datagrams?.beginAck(this.#inFlightBytes);
    let isNew = false;
    for (let index = ack.count - 1; index >= 0; index--) {
      const end = Math.min(ack.ends[index] as number, this.#sentBase + this.#sent.length);
      let number = Math.max(ack.starts[index] as number, this.#sentBase);
      for (; number < end; number++) {
        const sent = this.#sent[number - this.#sentBase];
        if (sent === undefined) continue;
        this.#sent[number - this.#sentBase] = undefined;
        isNew = true;
        if ((sent.toldUpTo ?? 0) > this.#toldFloor) this.#toldFloor = sent.toldUpTo as number;
        if (!sent.isLost) {
          this.#inFlightBytes -= sent.bytes;
          this.#inFlightPackages--;
        }
        if (index === 0 && number === (ack.ends[0] as number) - 1) {
          this.rtt.onSample(now - sent.sentAt, Math.min(ack.delayMs, PEER_ACK_DELAY_MS_MAX));
        }
        datagrams?.noteAcked(sent, now);
        sink.onPackageAcked(sent, this, now);
      }
    }
    if (datagrams !== undefined && isNew) {
      datagrams.endAck((ack.ends[0] as number) - 1, now);
      this.#detectLost(sink, now);
      datagrams.settleAck(this.#inFlightBytes, now);
    }
    this.#trimSent();
    if (this.#inFlightPackages === 0) this.awaitingSince = NEVER;
    return isNew;
  }

  /** When the path itself must act: loss, a probe, the end of a pause of its pacer. */
  pollTimeout(): Instant {
    return this.datagrams?.pollTimeout(this.#inFlightPackages > 0) ?? NEVER;
  }

  /** Gives up what is lost by now, and asks for probes when nothing was heard. RFC 9002 §6. */
  onTimeout(sink: AckSink, now: Instant): void {
    const { datagrams } = this;
    if (datagrams === undefined) return;
    if (now >= datagrams.lossAt) {
      this.#detectLost(sink, now);
      datagrams.settleAck(this.#inFlightBytes, now);
      this.#trimSent();
    }
    if (datagrams.onTimeout(this.#inFlightPackages > 0, now)) this.#requeueForProbes(sink);
  }

  /** Hands everything in flight back to be sent on another path; it may still be acknowledged. RFC 9002 §6.2.4. */
  requeueInFlight(sink: AckSink): void {
    for (const sent of this.#sent) if (sent !== undefined) this.#requeue(sent, sink);
  }

  /** Takes out everything in flight: the path is gone. */
  takeInFlight(): SentPackage[] {
    const lost = this.#sent.filter((sent) => sent !== undefined && !sent.isRequeued) as SentPackage[];
    this.#sent = [];
    this.#inFlightBytes = this.#inFlightPackages = 0;
    this.awaitingSince = NEVER;
    this.#ackDueAt = NEVER;
    return lost;
  }

  stats(): PathStats {
    return {
      path: this.id,
      kind: this.facts.kind,
      remote: this.facts.remote,
      state: this.state,
      rttMs: this.rtt.smoothedMs,
      rttVarianceMs: this.rtt.varianceMs,
      bytesSent: this.bytesSent,
      bytesReceived: this.bytesReceived,
      packagesSent: this.packagesSent,
      packagesReceived: this.packagesReceived,
      bytesInFlight: this.#inFlightBytes,
      ...this.datagrams?.stats(),
    };
  }

  /** RFC 9002 §6.1: lost is what was sent long enough, or far enough, before something that was acknowledged. */
  #detectLost(sink: AckSink, now: Instant): void {
    const datagrams = this.datagrams as DatagramRecovery;
    datagrams.beginLoss(now);
    for (let index = 0; index < this.#sent.length; index++) {
      const sent = this.#sent[index];
      if (sent === undefined) {
        datagrams.noteGap();
        continue;
      }
      if (sent.packageNumber >= datagrams.largestAcked) break;
      if (sent.isLost) {
        if (datagrams.isForgotten(sent, now)) this.#sent[index] = undefined;
        continue;
      }
      if (!datagrams.isLost(sent)) break;
      sent.isLost = true;
      this.#inFlightBytes -= sent.bytes;
      this.#inFlightPackages--;
      datagrams.noteLost(sent, now);
      this.trace?.onLost(this, sent, datagrams.isOvertaken(sent) ? "reordering" : "time", now);
      this.#requeue(sent, sink);
    }
    datagrams.endLoss(this.#inFlightBytes, now);
  }

  #requeueForProbes(sink: AckSink): void {
    let left = 2;
    for (const sent of this.#sent) {
      if (sent === undefined || sent.isRequeued || sent.isMtuProbe) continue;
      this.#requeue(sent, sink);
      if (--left === 0) return;
    }
  }

  #requeue(sent: SentPackage, sink: AckSink): void {
    if (sent.isRequeued) return;
    sent.isRequeued = true;
    sink.onPackageLost(sent, this);
  }

  #trimSent(): void {
    let settled = 0;
    while (settled < this.#sent.length && this.#sent[settled] === undefined) settled++;
    if (settled === 0) return;
    if (settled === this.#sent.length) this.#sent.length = 0;
    else if (settled >= 16 || settled * 2 >= this.#sent.length) this.#sent.splice(0, settled);
    else return;
    this.#sentBase += settled;
  }
}
