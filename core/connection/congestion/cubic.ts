/**
 * CUBIC with HyStart++. RFC 9438, RFC 9406.
 *
 * The invariants to hold: the window is finite and never below two packages, whatever is acknowledged or lost; one
 * reduction per round trip.
 *
 * @module
 */

import type { Instant } from "../../machine.ts";
import type { AckInfo, CongestionController, LossInfo } from "./congestion_controller.ts";
import { HyStart } from "./hystart.ts";
import { initialWindow } from "./new_reno.ts";

/** RFC 9438 §4.1.2 and §4.6. */
const C = 0.4;
const BETA = 0.7;
/** RFC 9438 §4.3. */
const ALPHA = (3 * (1 - BETA)) / (1 + BETA);
/** RFC 9438 §4.7. */
const FAST_CONVERGENCE = (1 + BETA) / 2;
const MIN_PACKAGES = 2;
/** No path needs more, and a number that grows for ever would be none at last. */
const WINDOW_BYTES_MAX = 2 ** 31;
/** RFC 9002 §7.7. */
const PACING_SLOW_START = 2;
const PACING_AVOIDANCE = 1.25;

/** What a loss changed, in case it was none. RFC 9438 §4.9. */
interface Undo {
  readonly windowBytes: number;
  readonly threshold: number;
  readonly maxPackages: number;
  readonly originPackages: number;
  readonly epochStart: Instant | undefined;
  readonly estimatePackages: number;
  readonly k: number;
}

/** CUBIC. */
export class Cubic implements CongestionController {
  readonly name = "cubic" as const;
  windowBytes: number;
  pacingBytesPerMs = 0;
  slowStartThreshold: number = Number.POSITIVE_INFINITY;
  #packageBytes: number;
  #recoveryStart: Instant = Number.NEGATIVE_INFINITY;
  #nextPackage = 0;
  readonly #hystart = new HyStart();
  /** In packages, as the RFC counts. */
  #maxPackages = 0;
  #originPackages = 0;
  #estimatePackages = 0;
  #epochStart: Instant | undefined;
  #k = 0;
  #undo: Undo | undefined;

  constructor(options: { readonly packageBytes: number }) {
    this.#packageBytes = options.packageBytes;
    this.windowBytes = initialWindow(options.packageBytes);
  }

  onSent(_bytes: number, packageNumber: number): void {
    this.#nextPackage = packageNumber + 1;
  }

  onAcked(info: AckInfo): void {
    let acked = 0;
    for (const { bytes, sentAt } of info.acked) if (sentAt > this.#recoveryStart) acked += bytes;
    if (this.windowBytes < this.slowStartThreshold) {
      const isOver = this.#hystart.onAcked(info.latestRttMs, info.largestAckedPackage, this.#nextPackage);
      if (!info.isAppLimited) this.#set(this.windowBytes + this.#hystart.growth(acked));
      if (isOver) this.slowStartThreshold = this.windowBytes;
    } else if (info.isAppLimited) {
      // RFC 9438 §5.8: time in which the window was not used does not count.
      if (this.#epochStart !== undefined) this.#epochStart = undefined;
    } else if (acked > 0) this.#avoid(acked, info.smoothedRttMs, info.now);
    const factor = this.windowBytes < this.slowStartThreshold ? PACING_SLOW_START : PACING_AVOIDANCE;
    this.pacingBytesPerMs = (factor * this.windowBytes) / Math.max(info.smoothedRttMs, 0.05);
  }

  onLost(loss: LossInfo): void {
    if (loss.largestLostSentAt <= this.#recoveryStart) return;
    this.#undo = {
      windowBytes: this.windowBytes,
      threshold: this.slowStartThreshold,
      maxPackages: this.#maxPackages,
      originPackages: this.#originPackages,
      epochStart: this.#epochStart,
      estimatePackages: this.#estimatePackages,
      k: this.#k,
    };
    this.#reduce(loss.now);
  }

  onEcnCe(sentAt: Instant, now: Instant): void {
    if (sentAt <= this.#recoveryStart) return;
    this.#undo = undefined;
    this.#reduce(now);
  }

  onPersistentCongestion(): void {
    this.#set(MIN_PACKAGES * this.#packageBytes);
    this.#recoveryStart = Number.NEGATIVE_INFINITY;
    this.#epochStart = undefined;
    this.#undo = undefined;
    this.#hystart.reset();
  }

  onSpuriousLoss(): void {
    const undo = this.#undo;
    if (undo === undefined) return;
    this.#undo = undefined;
    if (undo.windowBytes <= this.windowBytes) return;
    this.#set(undo.windowBytes);
    this.slowStartThreshold = undo.threshold;
    this.#maxPackages = undo.maxPackages;
    this.#originPackages = undo.originPackages;
    this.#epochStart = undo.epochStart;
    this.#estimatePackages = undo.estimatePackages;
    this.#k = undo.k;
    this.#recoveryStart = Number.NEGATIVE_INFINITY;
  }

  setPackageBytes(bytes: number): void {
    if (bytes === this.#packageBytes) return;
    // RFC 9002 §7.2: the initial window follows the size; later it is bytes that count.
    const isFresh = this.slowStartThreshold === Number.POSITIVE_INFINITY && bytes > this.#packageBytes;
    this.#packageBytes = bytes;
    this.#set(isFresh ? Math.max(this.windowBytes, initialWindow(bytes)) : this.windowBytes);
    this.#epochStart = undefined;
  }

  reset(): void {
    this.windowBytes = initialWindow(this.#packageBytes);
    this.slowStartThreshold = Number.POSITIVE_INFINITY;
    this.pacingBytesPerMs = 0;
    this.#recoveryStart = Number.NEGATIVE_INFINITY;
    this.#maxPackages = 0;
    this.#epochStart = undefined;
    this.#undo = undefined;
    this.#hystart.reset();
  }

  /** Congestion avoidance. RFC 9438 §4.2 to §4.5. */
  #avoid(ackedBytes: number, smoothedRttMs: number, now: Instant): void {
    const windowPackages = this.windowBytes / this.#packageBytes;
    if (this.#epochStart === undefined) {
      this.#epochStart = now;
      this.#estimatePackages = windowPackages;
      if (windowPackages < this.#maxPackages) {
        this.#k = cubeRoot((this.#maxPackages - windowPackages) / C);
        this.#originPackages = this.#maxPackages;
      } else {
        this.#k = 0;
        this.#originPackages = windowPackages;
      }
    }
    const seconds = (now - this.#epochStart + smoothedRttMs) / 1000;
    const sinceOrigin = seconds - this.#k;
    const cubic = this.#originPackages + C * sinceOrigin * sinceOrigin * sinceOrigin;
    const target = Math.min(Math.max(cubic, windowPackages), 1.5 * windowPackages);
    const ackedPackages = ackedBytes / this.#packageBytes;
    // RFC 9438 §4.3: once as large as before the loss, as fast as Reno.
    const alpha = this.#estimatePackages >= this.#maxPackages ? 1 : ALPHA;
    this.#estimatePackages += (alpha * ackedPackages) / windowPackages;
    // Where the round trip has fallen, the curve looks less far ahead; an acknowledgement takes nothing away for that.
    const estimateBytes = this.#estimatePackages * this.#packageBytes;
    if (cubic < this.#estimatePackages) this.#set(Math.max(this.windowBytes, estimateBytes));
    else this.#set(this.windowBytes + ((target - windowPackages) / windowPackages) * ackedBytes);
  }

  #reduce(now: Instant): void {
    const windowPackages = this.windowBytes / this.#packageBytes;
    this.#recoveryStart = now;
    this.#epochStart = undefined;
    this.#maxPackages = windowPackages < this.#maxPackages ? windowPackages * FAST_CONVERGENCE : windowPackages;
    this.#set(this.windowBytes * BETA);
    this.slowStartThreshold = this.windowBytes;
    this.#hystart.reset();
  }

  #set(bytes: number): void {
    const least = MIN_PACKAGES * this.#packageBytes;
    this.windowBytes = bytes >= least ? Math.min(bytes, WINDOW_BYTES_MAX) : least;
  }
}

/** By Newton: engines may approximate `Math.cbrt`, and the same events must give the same window everywhere. */
function cubeRoot(value: number): number {
  let root = Math.max(1, value / 3);
  for (let step = 0; step < 200; step++) {
    const next = (2 * root + value / (root * root)) / 3;
    if (next >= root) return root;
    root = next;
  }
  return root;
}
