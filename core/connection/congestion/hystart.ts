/**
 * HyStart++: leaves slow start when the round trip grows, before the queue overflows. RFC 9406.
 *
 * @module
 */

const MIN_RTT_THRESH_MS = 4;
const MAX_RTT_THRESH_MS = 16;
const MIN_RTT_DIVISOR = 8;
const RTT_SAMPLES = 8;
const CSS_GROWTH_DIVISOR = 4;
const CSS_ROUNDS = 5;

/** Rounds of one slow start. */
export class HyStart {
  /** The number that ends the round; none before the first acknowledgement. */
  #windowEnd = -1;
  #lastRoundMin = Number.POSITIVE_INFINITY;
  #roundMin = Number.POSITIVE_INFINITY;
  #samples = 0;
  #cssBaseline = Number.POSITIVE_INFINITY;
  #cssRounds = 0;
  #isConservative = false;

  /** Starts over, as slow start does. */
  reset(): void {
    this.#windowEnd = -1;
    this.#lastRoundMin = this.#roundMin = this.#cssBaseline = Number.POSITIVE_INFINITY;
    this.#samples = this.#cssRounds = 0;
    this.#isConservative = false;
  }

  /** Bytes that the window may grow by for so many acknowledged ones. RFC 9406 §4.2 and §4.3. */
  growth(ackedBytes: number): number {
    return this.#isConservative ? ackedBytes / CSS_GROWTH_DIVISOR : ackedBytes;
  }

  /** Takes an acknowledgement; `true` when slow start is over. `nextPackage` is the number that will be sent next. */
  onAcked(latestRttMs: number, largestAcked: number, nextPackage: number): boolean {
    // The first round is all that left before its first acknowledgement: alone, that would be no measure for the rest.
    if (this.#windowEnd < 0) this.#windowEnd = nextPackage;
    this.#roundMin = Math.min(this.#roundMin, latestRttMs);
    this.#samples++;
    if (this.#samples >= RTT_SAMPLES) {
      if (this.#isConservative) {
        if (this.#roundMin < this.#cssBaseline) {
          // It was only jitter: back to slow start.
          this.#isConservative = false;
          this.#cssBaseline = Number.POSITIVE_INFINITY;
        }
      } else if (this.#lastRoundMin !== Number.POSITIVE_INFINITY) {
        const threshold = Math.max(
          MIN_RTT_THRESH_MS,
          Math.min(this.#lastRoundMin / MIN_RTT_DIVISOR, MAX_RTT_THRESH_MS),
        );
        if (this.#roundMin >= this.#lastRoundMin + threshold) {
          this.#cssBaseline = this.#roundMin;
          this.#cssRounds = 0;
          this.#isConservative = true;
        }
      }
    }
    if (largestAcked < this.#windowEnd) return false;
    this.#windowEnd = nextPackage;
    this.#lastRoundMin = this.#roundMin;
    this.#roundMin = Number.POSITIVE_INFINITY;
    this.#samples = 0;
    return this.#isConservative && ++this.#cssRounds >= CSS_ROUNDS;
  }
}
