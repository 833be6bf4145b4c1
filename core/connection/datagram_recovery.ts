/**
 * Loss detection, probe timeouts, pacing and package size of one path of datagrams. RFC 9002, RFC 8899.
 *
 * The invariants to hold: numbers only, never frames; a package is declared lost at most once, and a loss that turns
 * out to be none is undone; whatever the peer acknowledges, the state here stays bounded and finite.
 *
 * @module
 */

import type { Instant } from "../machine.ts";
import { NEVER } from "../machine.ts";
import type { AckInfo, CongestionController } from "./congestion/congestion_controller.ts";
import { createCongestionController } from "./congestion/create_controller.ts";
import { Pacer } from "./congestion/pacer.ts";
import { MtuProbe } from "./mtu_probe.ts";
import type { PathRecovery } from "./recovery.ts";
import type { RttEstimator } from "./rtt.ts";
import type { SentPackage } from "./sent_package.ts";
import type { CongestionName, DatagramPathStats } from "./session_types.ts";

/** RFC 9002 §6.1.1. */
const PACKAGE_THRESHOLD = 3;
/** RFC 9002 §6.1.2. */
const TIME_THRESHOLD = 9 / 8;
const GRANULARITY_MS = 1;
/** RFC 9002 §6.2.2. */
const INITIAL_RTT_MS = 333;
/** RFC 9000 §18.2 (max_ack_delay). */
const ACK_DELAY_MS_MAX = 25;
/** A probe timeout is doubled at most this often, and never waits longer than the limit. */
const BACKOFF_MAX = 10;
const PTO_MS_MAX = 5_000;
/** RFC 9002 §7.6.1. */
const PERSISTENT_CONGESTION_THRESHOLD = 3;
/** Probes of one timeout. RFC 9002 §6.2.4. */
const PROBES = 2;
/** After so many timeouts in a row the path is doubted, and another one carries the data. */
const DOUBT_AFTER = 3;
/** After so many the packages are as small as always works. RFC 8899 §4.3. */
const SMALL_AFTER = 2;

/** Recovery of one path of datagrams. */
export class DatagramRecovery implements PathRecovery {
  readonly controller: CongestionController;
  readonly mtu: MtuProbe;
  readonly #rtt: RttEstimator;
  readonly #pacer: Pacer;
  /** When the oldest package in flight is lost by time. */
  lossAt: Instant = NEVER;
  largestAcked = -1;
  #timeouts = 0;
  #probesDue = 0;
  #lastSentAt: Instant = NEVER;
  #pacedUntil: Instant = NEVER;
  #firstSampleAt: Instant = NEVER;
  #isWindowFull = false;
  packagesLost = 0;
  spuriousLosses = 0;

  // One acknowledgement at a time: what it settled, in arrays that are used again.
  readonly #acked: SentPackage[] = [];
  #ackedBytes = 0;
  #priorInFlight = 0;
  #lostBytes = 0;
  #hasAck = false;

  // One look for losses.
  #lossDelayMs = 0;
  #lookAt: Instant = 0;
  #lossCount = 0;
  #lossLast: SentPackage | undefined;
  #firstLost = 0;
  #smallestLost = 0;
  #runStart: Instant = NEVER;
  #longestRunMs = 0;

  // The losses that the controller took for one, in case they were none: since when, from which package on, how many.
  #eventAt: Instant = Number.NEGATIVE_INFINITY;
  #eventFirst = 0;
  #eventCount = 0;
  #eventSpurious = 0;

  constructor(options: {
    readonly rtt: RttEstimator;
    readonly congestion: CongestionName;
    readonly payloadBytesMax: number;
    readonly now: Instant;
  }) {
    this.#rtt = options.rtt;
    this.mtu = new MtuProbe({ maxBytes: options.payloadBytesMax });
    this.controller = createCongestionController(options.congestion, { packageBytes: this.mtu.packageBytesMax });
    this.#pacer = new Pacer();
    this.#updatePacer();
  }

  get packageBytesMax(): number {
    // After timeouts in a row the size itself may be what does not get through.
    return this.#timeouts >= SMALL_AFTER ? this.mtu.baseBytes : this.mtu.packageBytesMax;
  }

  /** Whether nothing came back for so long that another path is better. */
  get isDoubted(): boolean {
    return this.#timeouts >= DOUBT_AFTER;
  }

  /** Whether a probe must leave, whatever else there is to say. */
  get isProbeDue(): boolean {
    return this.#probesDue > 0;
  }

  /** Probe timeouts since something was acknowledged. */
  get timeouts(): number {
    return this.#timeouts;
  }

  /** When the next probe timeout is, if anything is in flight. RFC 9002 §6.2.1. */
  get probeAt(): Instant {
    const backoff = 2 ** Math.min(this.#timeouts, BACKOFF_MAX);
    return this.#lastSentAt + Math.min(PTO_MS_MAX, this.probeTimeoutMs * backoff);
  }

  /** The probe timeout, without back-off. RFC 9002 §6.2.1. */
  get probeTimeoutMs(): number {
    const smoothed = this.#rtt.smoothedMs;
    if (smoothed === undefined) return INITIAL_RTT_MS * 3;
    return smoothed + Math.max(4 * (this.#rtt.varianceMs ?? 0), GRANULARITY_MS) + ACK_DELAY_MS_MAX;
  }

  canSend(bytesInFlight: number, now: Instant): boolean {
    this.#pacedUntil = NEVER;
    if (this.#probesDue > 0) return true;
    if (bytesInFlight + this.packageBytesMax > this.controller.windowBytes) {
      this.#isWindowFull = true;
      return false;
    }
    const at = this.#pacer.readyAt(this.packageBytesMax, now);
    if (at <= now) return true;
    this.#pacedUntil = at;
    this.#isWindowFull = true; // RFC 9002 §7.8: waiting for the pacer is no lack of data.
    return false;
  }

  onSent(sent: SentPackage, bytesInFlight: number, now: Instant): void {
    this.controller.onSent(sent.bytes, sent.packageNumber, bytesInFlight, now);
    this.#pacer.onSent(sent.bytes, now);
    this.#lastSentAt = now;
    if (this.#probesDue > 0) this.#probesDue--;
    if (sent.isMtuProbe) this.mtu.onProbeSent(sent.bytes, sent.packageNumber, now);
  }

  /** Nothing more is to be sent although there is room: the rate is the application's, not the path's. */
  onIdle(): void {
    this.#isWindowFull = false;
  }

  // An acknowledgement.

  beginAck(bytesInFlight: number): void {
    this.#acked.length = 0;
    this.#ackedBytes = this.#lostBytes = 0;
    this.#priorInFlight = bytesInFlight;
    this.#hasAck = false;
  }

  noteAcked(sent: SentPackage, now: Instant): void {
    if (sent.isLost) {
      this.#onSpurious(sent, now);
      return;
    }
    if (sent.isMtuProbe) {
      this.mtu.onProbeAcked(sent.packageNumber, now);
      this.controller.setPackageBytes(this.mtu.packageBytesMax);
    } else this.mtu.onPackageAcked(sent.bytes, now);
    this.#acked.push(sent);
    this.#ackedBytes += sent.bytes;
  }

  endAck(largest: number, now: Instant): void {
    this.#hasAck = true;
    if (this.#timeouts >= SMALL_AFTER && !this.#acked.some(({ bytes }) => bytes > this.mtu.baseBytes)) {
      this.mtu.onBlackHole(now);
      this.controller.setPackageBytes(this.mtu.packageBytesMax);
    }
    this.#timeouts = 0;
    this.#probesDue = 0;
    if (largest > this.largestAcked) this.largestAcked = largest;
  }

  /** Tells the controller what an acknowledgement, or a look for losses, came to. */
  settleAck(bytesInFlight: number, now: Instant): void {
    if (this.#hasAck && this.#acked.length > 0) {
      if (this.#firstSampleAt === NEVER && this.#rtt.smoothedMs !== undefined) this.#firstSampleAt = now;
      const smoothedRttMs = this.#rtt.smoothedMs ?? INITIAL_RTT_MS;
      const info: AckInfo = {
        now,
        acked: this.#acked,
        ackedBytes: this.#ackedBytes,
        lostBytes: this.#lostBytes,
        bytesInFlight,
        priorBytesInFlight: this.#priorInFlight,
        latestRttMs: this.#rtt.latestMs ?? smoothedRttMs,
        minRttMs: this.#rtt.leastMs ?? smoothedRttMs,
        smoothedRttMs,
        largestAckedPackage: this.largestAcked,
        isAppLimited: !this.#isWindowFull,
      };
      this.controller.onAcked(info);
    }
    this.#hasAck = false;
    this.#lostBytes = 0;
    // Else an idle path would keep what was acknowledged last.
    this.#acked.length = 0;
    this.#updatePacer();
  }

  #onSpurious(sent: SentPackage, now: Instant): void {
    this.spuriousLosses++;
    if (sent.isMtuProbe) {
      this.mtu.onProbeAcked(sent.packageNumber, now);
      this.controller.setPackageBytes(this.mtu.packageBytesMax);
      return;
    }
    if (this.#eventCount === 0 || sent.packageNumber < this.#eventFirst) return;
    if (++this.#eventSpurious < this.#eventCount) return;
    // RFC 9438 §4.9: all that the last event called lost has arrived.
    this.#forgetEvent();
    this.controller.onSpuriousLoss(now);
  }

  // A look for losses.

  beginLoss(now: Instant): void {
    const rtt = Math.max(this.#rtt.smoothedMs ?? INITIAL_RTT_MS, this.#rtt.latestMs ?? 0);
    this.#lossDelayMs = Math.max(TIME_THRESHOLD * rtt, GRANULARITY_MS);
    this.#lookAt = now;
    this.lossAt = NEVER;
    this.#lossCount = 0;
    this.#lossLast = undefined;
    this.#smallestLost = Number.POSITIVE_INFINITY;
    this.#runStart = NEVER;
    this.#longestRunMs = 0;
  }

  /** Whether a package that something later overtook is lost; else notes when it will be. */
  isLost(sent: SentPackage): boolean {
    // The same sum as in `lossAt`: a difference may round to the other side, and the timer would never be over.
    const lossAt = sent.sentAt + this.#lossDelayMs;
    if (this.isOvertaken(sent) || lossAt <= this.#lookAt) return true;
    this.lossAt = lossAt;
    return false;
  }

  /** Whether so many later packages arrived that it must be lost. RFC 9002 §6.1.1. */
  isOvertaken(sent: SentPackage): boolean {
    return sent.packageNumber <= this.largestAcked - PACKAGE_THRESHOLD;
  }

  /** Something in between was acknowledged, or needs no acknowledgement. */
  noteGap(): void {
    this.#runStart = NEVER;
  }

  noteLost(sent: SentPackage, now: Instant): void {
    this.packagesLost++;
    if (sent.isMtuProbe) {
      this.mtu.onProbeLost(sent.packageNumber, now);
      return;
    }
    this.#smallestLost = Math.min(this.#smallestLost, sent.bytes);
    if (this.#lossCount++ === 0) this.#firstLost = sent.packageNumber;
    this.#lostBytes += sent.bytes;
    this.#lossLast = sent;
    if (sent.sentAt < this.#firstSampleAt) return; // RFC 9002 §7.6.2.
    if (this.#runStart === NEVER) this.#runStart = sent.sentAt;
    this.#longestRunMs = Math.max(this.#longestRunMs, sent.sentAt - this.#runStart);
  }

  endLoss(bytesInFlight: number, now: Instant): void {
    const last = this.#lossLast;
    if (last === undefined) return;
    // RFC 9002 §7.3.2: what left before the window was reduced belongs to the same event.
    if (last.sentAt > this.#eventAt) {
      this.#forgetEvent();
      this.#eventAt = now;
      this.#eventFirst = this.#firstLost;
    }
    this.#eventCount += this.#lossCount;
    if (this.mtu.onLossEvent(this.#smallestLost, now)) this.controller.setPackageBytes(this.mtu.packageBytesMax);
    this.controller.onLost({
      bytes: this.#lostBytes,
      packages: this.#lossCount,
      largestLostSentAt: last.sentAt,
      largestLostPackage: last.packageNumber,
      bytesInFlight,
      now,
    });
    if (this.#longestRunMs > this.probeTimeoutMs * PERSISTENT_CONGESTION_THRESHOLD) {
      this.#forgetEvent();
      this.controller.onPersistentCongestion(now);
    }
    this.#updatePacer();
  }

  /** Whether a lost package's late acknowledgement is not waited for any more. */
  isForgotten(sent: SentPackage, now: Instant): boolean {
    return now - sent.sentAt > 3 * this.probeTimeoutMs;
  }

  // Time.

  pollTimeout(hasInFlight: boolean): Instant {
    const at = Math.min(this.lossAt, this.#pacedUntil, this.mtu.pollTimeout());
    return hasInFlight ? Math.min(at, this.probeAt) : at;
  }

  /** Whether probes are due from now on. RFC 9002 §6.2. */
  onTimeout(hasInFlight: boolean, now: Instant): boolean {
    if (now >= this.#pacedUntil) this.#pacedUntil = NEVER;
    if (!hasInFlight || now < this.probeAt) return false;
    this.#timeouts++;
    this.#probesDue = PROBES;
    // The next timeout counts from here, also when no probe can leave.
    this.#lastSentAt = now;
    return true;
  }

  /** The other end has another address: what is known of the way there is void. RFC 9000 §9.4. */
  reset(now: Instant): void {
    this.controller.reset(now);
    this.#forgetEvent();
    this.#rtt.restart();
    this.#firstSampleAt = NEVER;
    this.mtu.reset(now);
    this.controller.setPackageBytes(this.mtu.packageBytesMax);
    this.#timeouts = 0;
    this.#updatePacer();
  }

  stats(): DatagramPathStats {
    return {
      packageBytesMax: this.packageBytesMax,
      congestion: this.controller.name,
      windowBytes: this.controller.windowBytes,
      pacingBytesPerMs: this.controller.pacingBytesPerMs,
      packagesLost: this.packagesLost,
      spuriousLosses: this.spuriousLosses,
    };
  }

  #forgetEvent(): void {
    this.#eventAt = Number.NEGATIVE_INFINITY;
    this.#eventCount = this.#eventSpurious = 0;
  }

  #updatePacer(): void {
    this.#pacer.setRate(this.controller.pacingBytesPerMs, this.packageBytesMax);
  }
}
