/**
 * Path MTU discovery for one path of datagrams: how large packages may be, found out by sending large ones that carry
 * nothing. RFC 8899 (DPLPMTUD), RFC 9000 §14.3.
 *
 * The invariants to hold: only an acknowledgement makes packages larger, and only losses make them smaller; a message
 * of the network (ICMP) is no input at all, so nobody off the path can shrink it (RFC 8899 §4.6, THREATS t-C12). A
 * probe carries no data, so its loss costs none and says nothing about congestion (RFC 9000 §14.4): who owns the
 * path reports it here and not to the congestion controller. After a black hole the size is back at the base, and
 * whatever was in the lost packages is sent again in packages that fit.
 *
 * Packages that answer a probe timeout have at most `baseBytes`: on a path that swallows large ones they are what
 * still gets through, and so what shows that the large ones are lost.
 *
 * @module
 */

import { LazyMap } from "../lazy_collections.ts";
import type { Instant } from "../machine.ts";
import { NEVER } from "../machine.ts";

/** UDP payload that every IPv4 host can take: 576 less 20 and 8. RFC 1122 §3.3.3. */
const BASE_BYTES = 548;
/**
 * Sizes worth a probe: QUIC's minimum, IPv6's minimum (1280-48), a tunnel, Ethernet under IPv6 (1500-48), then jumbo
 * frames (9000-48) and what a loopback interface carries, up to the largest UDP payload over IPv4.
 */
const LADDER: readonly number[] = [1200, 1232, 1372, 1452, 2048, 4048, 8952, 16_384, 32_768, 65_507];
/** Sizes above this are probed one after another: two of them at once could fill a window. */
const ETHERNET_BYTES = 1500;
/** A gain below this is not worth a probe. */
const GAIN_BYTES_MIN = 20;
/** RFC 8899 §5.1.2 (MAX_PROBES): a size is given up after so many lost probes. */
const PROBES_MAX = 3;
/** Side by side: the next size, and the largest that an Ethernet carries. */
const PROBES_IN_FLIGHT_MAX = 2;
/** RFC 8899 §5.1.1 (PMTU_RAISE_TIMER): when a finished search is tried again. */
const RAISE_MS = 600_000;
/** The same where the search got nowhere. */
const RETRY_MS = 60_000;
/** A path that takes probes and then swallows traffic: so many falls, each soon after the one before, make a pause. */
const FALLS_MAX = 3;
/** Looks for losses in a row that found large packages only, before the path is called a black hole. */
const SUSPICIONS_MAX = 3;
/** Probes given up whose late acknowledgement still counts. */
const LATE_PROBES_MAX = 8;

/** What was computed last: paths hardly differ in their limits, and there are as many ladders as paths else. */
let lastLadder = { baseBytes: 0, maxBytes: 0, sizes: LADDER.slice(0, 0) };

function ladderBetween(baseBytes: number, maxBytes: number): readonly number[] {
  if (lastLadder.baseBytes !== baseBytes || lastLadder.maxBytes !== maxBytes) {
    const sizes = LADDER.filter((bytes) => bytes > baseBytes && bytes < maxBytes);
    if (maxBytes > baseBytes) sizes.push(maxBytes);
    lastLadder = { baseBytes, maxBytes, sizes };
  }
  return lastLadder.sizes;
}

/** What a path is probed for. */
export interface MtuProbeOptions {
  /** The largest UDP payload that is tried. */
  readonly maxBytes: number;
  /** The payload that is taken to work without a probe; 548 unless told otherwise. */
  readonly baseBytes?: number;
}

/** The size of packages on one path. */
export class MtuProbe {
  /** The size that works without a probe. */
  readonly baseBytes: number;
  /** The largest size that is known to get through. */
  packageBytesMax: number;
  /** How often the path stopped carrying what it had carried. */
  blackHoles = 0;

  readonly #ladder: readonly number[];
  /** Lost probes of each size of the ladder, in this search. */
  readonly #tries: number[] = [];
  /** Sizes of the probes in flight, by package number. */
  readonly #probes = new LazyMap<number, number>();
  /** The same of probes that were given up, the oldest first. */
  readonly #late = new LazyMap<number, number>();
  /** The smallest size that is known not to get through. */
  #failedBytes = Number.POSITIVE_INFINITY;
  #raiseAt: Instant = NEVER;
  #isSearching = true;

  // What speaks for a black hole. A look for losses is told by its instant.
  #suspicions = 0;
  #suspectBytesMin = Number.POSITIVE_INFINITY;
  #lookAt: Instant = Number.NEGATIVE_INFINITY;
  #look: "none" | "suspicious" | "ordinary" = "none";
  #fellAt: Instant = Number.NEGATIVE_INFINITY;
  #falls = 0;

  /** @throws {RangeError} If a size is not a positive whole number. */
  constructor(options: MtuProbeOptions) {
    const { maxBytes, baseBytes = BASE_BYTES } = options;
    for (const bytes of [maxBytes, baseBytes]) {
      if (Number.isSafeInteger(bytes) && bytes > 0) continue;
      throw new RangeError(`Cannot probe for packages of ${bytes} bytes`);
    }
    this.baseBytes = this.packageBytesMax = Math.min(baseBytes, maxBytes);
    this.#ladder = ladderBetween(baseBytes, maxBytes);
    this.#startSearch();
    this.#settle(0);
  }

  /** The size of the probe to send now, or `undefined`. It counts once it is reported as sent. */
  nextProbe(now: Instant): number | undefined {
    if (now >= this.#raiseAt) this.#startSearch();
    if (!this.#isSearching || this.#probes.size >= PROBES_IN_FLIGHT_MAX) return undefined;
    const inFlight = [...this.#probes.values()];
    const low = this.#ladder.find((bytes) => this.#isOpen(bytes));
    if (low === undefined) return undefined;
    if (low > ETHERNET_BYTES) return inFlight.length === 0 ? low : undefined;
    if (!inFlight.includes(low)) return low;
    const high = this.#ladder.findLast((bytes) => bytes <= ETHERNET_BYTES && this.#isOpen(bytes));
    return high === undefined || inFlight.includes(high) ? undefined : high;
  }

  /** Notes that a probe of `size` left in a package of its own. */
  onProbeSent(size: number, packageNumber: number, _now: Instant): void {
    this.#probes.set(packageNumber, size);
  }

  /** A probe arrived: its size works. */
  onProbeAcked(packageNumber: number, now: Instant): void {
    const size = this.#probes.get(packageNumber) ?? this.#late.get(packageNumber);
    this.#probes.delete(packageNumber);
    this.#late.delete(packageNumber);
    if (size === undefined) return;
    this.onPackageAcked(size, now);
    if (size > this.packageBytesMax) {
      this.packageBytesMax = size;
      // It was only late: what its loss seemed to say of larger ones is void.
      if (size >= this.#failedBytes) this.#startSearch();
    }
    this.#settle(now);
  }

  /** A probe was lost: not a sign of congestion. RFC 9000 §14.4. */
  onProbeLost(packageNumber: number, now: Instant): void {
    const size = this.#probes.get(packageNumber);
    if (size === undefined) return;
    this.#probes.delete(packageNumber);
    if (this.#late.size >= LATE_PROBES_MAX) this.#late.delete(this.#late.keys().next().value as number);
    this.#late.set(packageNumber, size);
    // A size that came a little smaller than it was asked for counts as the one asked for.
    const rung = this.#ladder.findIndex((bytes) => bytes >= size);
    const tries = (this.#tries[rung] ?? 0) + 1;
    this.#tries[rung] = tries;
    if (tries >= PROBES_MAX) this.#failedBytes = Math.min(this.#failedBytes, size);
    this.#settle(now);
  }

  /**
   * A package that is no probe was lost. Returns whether that revealed a black hole: packages have the base's size
   * from here on. Losses reported at one instant are one look, whatever their number, because a queue that overflows
   * drops many at once.
   */
  onPackageLost(bytes: number, now: Instant): boolean {
    if (bytes > this.packageBytesMax) return false; // From before the last change: it says nothing new.
    if (now !== this.#lookAt) {
      this.#lookAt = now;
      this.#look = "none";
    }
    if (bytes <= this.baseBytes) {
      // Small ones are lost as well: the path is lossy, whatever the size.
      if (this.#look === "suspicious") this.#suspicions--;
      this.#look = "ordinary";
      return false;
    }
    if (this.#look === "ordinary") return false;
    this.#suspectBytesMin = Math.min(this.#suspectBytesMin, bytes);
    if (this.#look === "none") this.#suspicions++;
    this.#look = "suspicious";
    if (this.#suspicions < SUSPICIONS_MAX) return false;
    this.#fall(now);
    return true;
  }

  /** The same for a whole look for losses, by the smallest package that it found lost. */
  onLossEvent(lostBytesMin: number, now: Instant): boolean {
    return this.onPackageLost(lostBytesMin, now);
  }

  /** A package that is no probe arrived. */
  onPackageAcked(bytes: number, _now: Instant): void {
    if (bytes < this.#suspectBytesMin) return;
    this.#clearSuspicion();
  }

  /**
   * Everything that was sent for several probe timeouts is lost (RFC 9002 §7.6); call it after the losses themselves.
   * Returns whether it was a black hole: it was when only large packages are gone.
   */
  onPersistentCongestion(now: Instant): boolean {
    if (this.#look !== "suspicious" || this.#lookAt !== now) return false;
    this.onBlackHole(now);
    return true;
  }

  /** What worked may not any more, timeouts say: packages have the base's size, and probes find out. RFC 8899 §4.3. */
  onBlackHole(now: Instant): void {
    if (this.packageBytesMax === this.baseBytes) return;
    this.blackHoles++;
    this.packageBytesMax = this.baseBytes;
    this.#forgetProbes();
    this.#clearSuspicion();
    this.#startSearch();
    this.#settle(now);
  }

  /** When a finished search may be tried again; `NEVER` while one goes on, or when there is nothing above. */
  get raiseAt(): Instant {
    return this.#raiseAt;
  }

  /** Always `NEVER`: an idle path is not woken for larger packages, the next thing to send after `raiseAt` begins. */
  pollTimeout(): Instant {
    return NEVER;
  }

  /** Starts anew: the path leads elsewhere now. RFC 9000 §14.3, §9.4. */
  reset(now: Instant): void {
    this.packageBytesMax = this.baseBytes;
    this.#falls = 0;
    this.#forgetProbes();
    this.#clearSuspicion();
    this.#startSearch();
    this.#settle(now);
  }

  /** Whether a size is still to be found out about. */
  #isOpen(bytes: number): boolean {
    return bytes >= this.packageBytesMax + GAIN_BYTES_MIN && bytes < this.#failedBytes;
  }

  #startSearch(): void {
    this.#tries.length = 0;
    this.#failedBytes = Number.POSITIVE_INFINITY;
    this.#isSearching = true;
    this.#raiseAt = NEVER;
  }

  /** Ends a search that has nothing left to find out. */
  #settle(now: Instant): void {
    if (!this.#isSearching || this.#ladder.some((bytes) => this.#isOpen(bytes))) return;
    this.#isSearching = false;
    if (this.#failedBytes === Number.POSITIVE_INFINITY) return;
    this.#raiseAt = now + (this.packageBytesMax === this.baseBytes ? RETRY_MS : RAISE_MS);
  }

  /** Falls back on the evidence of lost packages; probes that then succeed do not outweigh it for ever. */
  #fall(now: Instant): void {
    this.onBlackHole(now);
    this.#falls = now - this.#fellAt < RETRY_MS ? this.#falls + 1 : 1;
    this.#fellAt = now;
    if (this.#falls < FALLS_MAX) return;
    this.#isSearching = false;
    this.#raiseAt = now + RETRY_MS;
  }

  #forgetProbes(): void {
    this.#probes.clear();
    this.#late.clear();
  }

  #clearSuspicion(): void {
    this.#suspicions = 0;
    this.#suspectBytesMin = Number.POSITIVE_INFINITY;
    this.#look = "none";
  }
}
