/**
 * The share of packages that a path lost of late, from its counters: what loss detection gave up and what turned out
 * to have arrived. A weighted mean over some hundred packages. RFC 9002 §6.
 *
 * The invariant to hold: a number from 0 to 1, whatever the counters do.
 *
 * @module
 */

import type { DatagramCarrier } from "./datagram_line.ts";

/** How many packages back one still counts by about a third. */
const HORIZON = 256;
/** Fewer packages than that count as so many: one loss at the start is no third of all. */
const PACKAGES_MIN = 64;

/** The loss of one path. */
export class LossRate {
  #packagesSeen = 0;
  #lostSeen = 0;
  #packages = 0;
  #lost = 0;

  /** Looks at the counters of the path, and returns its loss. */
  update({ packagesSent, datagrams }: DatagramCarrier): number {
    const lostNow = datagrams === undefined ? 0 : datagrams.packagesLost - datagrams.spuriousLosses;
    const packages = Math.max(0, packagesSent - this.#packagesSeen);
    const keep = HORIZON / (HORIZON + packages);
    this.#packages = this.#packages * keep + packages;
    // A loss that was none is taken back.
    const lost = this.#lost * keep + lostNow - this.#lostSeen;
    this.#lost = Math.min(Math.max(0, lost), this.#packages);
    this.#packagesSeen = packagesSent;
    this.#lostSeen = lostNow;
    return this.#lost / Math.max(PACKAGES_MIN, this.#packages);
  }
}
