/**
 * Path MTU discovery. RFC 8899.
 *
 * @module
 */

import type { Instant } from "../machine.ts";
import { NEVER } from "../machine.ts";

const LADDER = [1200, 1232, 1372, 1452, 2800, 8900, 16_000, 32_000, 60_000];

/** The size of packages on one path. */
export class MtuProbe {
  packageBytesMax: number;
  readonly #maxBytes: number;
  #next = 0;
  #probe: number | undefined;
  #tries = 0;

  constructor(options: { readonly maxBytes: number; readonly baseBytes?: number }) {
    this.#maxBytes = options.maxBytes;
    this.packageBytesMax = options.baseBytes ?? 548;
  }

  nextProbe(_now: Instant): number | undefined {
    const size = LADDER[this.#next];
    if (this.#probe !== undefined || size === undefined || size > this.#maxBytes) return undefined;
    return size;
  }

  onProbeSent(_size: number, packageNumber: number, _now: Instant): void {
    this.#probe = packageNumber;
  }

  onProbeAcked(packageNumber: number, _now: Instant): void {
    if (packageNumber !== this.#probe) return;
    this.#probe = undefined;
    this.packageBytesMax = LADDER[this.#next++] as number;
    this.#tries = 0;
  }

  onProbeLost(packageNumber: number, _now: Instant): void {
    if (packageNumber !== this.#probe) return;
    this.#probe = undefined;
    if (++this.#tries >= 3) this.#next = LADDER.length;
  }

  onPackageLost(_bytes: number, _now: Instant): void {}

  onPackageAcked(_bytes: number, _now: Instant): void {}

  pollTimeout(): Instant {
    return NEVER;
  }

  reset(_now: Instant): void {
    this.packageBytesMax = 548;
    this.#next = 0;
    this.#probe = undefined;
  }
}
