/**
 * Round-trip time of a path. RFC 9002 §5.
 *
 * @module
 */

/** The smoothed round-trip time and its variance, from samples of acknowledged packages. */
export class RttEstimator {
  #smoothedMs: number | undefined;
  #varianceMs = 0;
  #leastMs: number | undefined;
  #latestMs: number | undefined;
  #isGuess = false;

  /** The smoothed value; `undefined` before the first sample. */
  get smoothedMs(): number | undefined {
    return this.#smoothedMs;
  }

  get varianceMs(): number | undefined {
    return this.#smoothedMs === undefined ? undefined : this.#varianceMs;
  }

  get latestMs(): number | undefined {
    return this.#latestMs;
  }

  get leastMs(): number | undefined {
    return this.#leastMs;
  }

  /** A first idea of the round trip, such as that of a handshake: as good as a sample until there is one. */
  seed(guessMs: number): void {
    if (this.#smoothedMs !== undefined) return;
    this.#smoothedMs = guessMs;
    this.#varianceMs = guessMs / 2;
    this.#isGuess = true;
  }

  /** The way is another one: what was measured is a guess from here on. RFC 9000 §9.4. */
  restart(): void {
    this.#isGuess = this.#smoothedMs !== undefined;
  }

  /** Takes a sample: the time since sending and the delay that the peer says it added. RFC 9002 §5.3. */
  onSample(sampleMs: number, ackDelayMs: number): void {
    this.#latestMs = sampleMs;
    if (this.#smoothedMs === undefined || this.#isGuess) {
      this.#isGuess = false;
      this.#smoothedMs = this.#leastMs = sampleMs;
      this.#varianceMs = sampleMs / 2;
      return;
    }
    this.#leastMs = Math.min(this.#leastMs ?? sampleMs, sampleMs);
    // RFC 9002 §5.3: the delay is believed only as far as the result is not below the least ever seen.
    const adjustedMs = sampleMs >= this.#leastMs + ackDelayMs ? sampleMs - ackDelayMs : sampleMs;
    this.#varianceMs = 0.75 * this.#varianceMs + 0.25 * Math.abs(this.#smoothedMs - adjustedMs);
    this.#smoothedMs = 0.875 * this.#smoothedMs + 0.125 * adjustedMs;
  }
}
