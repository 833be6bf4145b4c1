/**
 * NewReno. RFC 9002 §7 and appendix B.
 *
 * @module
 */

import type { Instant } from "../../machine.ts";
import type { AckInfo, CongestionController, LossInfo } from "./congestion_controller.ts";

/** RFC 9002 §7.2. */
export function initialWindow(packageBytes: number): number {
  return Math.min(10 * packageBytes, Math.max(2 * packageBytes, 14_720));
}

/** NewReno. */
export class NewReno implements CongestionController {
  readonly name = "new_reno" as const;
  windowBytes: number;
  pacingBytesPerMs = 0;
  slowStartThreshold: number = Number.POSITIVE_INFINITY;
  #packageBytes: number;
  #recoveryStart: Instant = Number.NEGATIVE_INFINITY;
  #avoidance = 0;
  #undo: { windowBytes: number; threshold: number } | undefined;

  constructor(options: { readonly packageBytes: number }) {
    this.#packageBytes = options.packageBytes;
    this.windowBytes = initialWindow(options.packageBytes);
  }

  onSent(): void {}

  onAcked(info: AckInfo): void {
    if (!info.isAppLimited) {
      for (const { bytes, sentAt } of info.acked) {
        if (sentAt <= this.#recoveryStart) continue;
        if (this.windowBytes < this.slowStartThreshold) this.windowBytes += bytes;
        else {
          this.#avoidance += bytes;
          if (this.#avoidance >= this.windowBytes) {
            this.#avoidance -= this.windowBytes;
            this.windowBytes += this.#packageBytes;
          }
        }
      }
    }
    const factor = this.windowBytes < this.slowStartThreshold ? 2 : 1.25;
    this.pacingBytesPerMs = (factor * this.windowBytes) / Math.max(info.smoothedRttMs, 0.05);
  }

  onLost(loss: LossInfo): void {
    if (loss.largestLostSentAt <= this.#recoveryStart) return;
    this.#undo = { windowBytes: this.windowBytes, threshold: this.slowStartThreshold };
    this.#recoveryStart = loss.now;
    this.windowBytes = Math.max(this.windowBytes / 2, 2 * this.#packageBytes);
    this.slowStartThreshold = this.windowBytes;
    this.#avoidance = 0;
  }

  onEcnCe(): void {}

  onPersistentCongestion(): void {
    this.windowBytes = 2 * this.#packageBytes;
    this.#recoveryStart = Number.NEGATIVE_INFINITY;
    this.#undo = undefined;
  }

  onSpuriousLoss(): void {
    if (this.#undo === undefined) return;
    this.windowBytes = Math.max(this.windowBytes, this.#undo.windowBytes);
    this.slowStartThreshold = this.#undo.threshold;
    this.#undo = undefined;
    this.#recoveryStart = Number.NEGATIVE_INFINITY;
  }

  setPackageBytes(bytes: number): void {
    if (bytes === this.#packageBytes) return;
    const least = this.slowStartThreshold === Number.POSITIVE_INFINITY ? initialWindow(bytes) : 2 * bytes;
    // A window below one package would never let anything leave again. RFC 9002 §7.2.
    this.windowBytes = Math.max(this.windowBytes, least);
    this.#packageBytes = bytes;
  }

  reset(): void {
    this.windowBytes = initialWindow(this.#packageBytes);
    this.slowStartThreshold = Number.POSITIVE_INFINITY;
    this.pacingBytesPerMs = 0;
    this.#recoveryStart = Number.NEGATIVE_INFINITY;
    this.#avoidance = 0;
    // What the old way lost says nothing of the new one's window.
    this.#undo = undefined;
  }
}
