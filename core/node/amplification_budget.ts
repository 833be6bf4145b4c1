/**
 * How much may be sent to an address that has not proven that it gets what is sent to it. RFC 9000 §8.1.
 *
 * The invariant to hold: until the address is validated, all that was sent to it is at most three times what came from
 * it, in bytes of UDP payload. Every reply counts: handshake, retry, version answer, refusal, reset and close alike
 * (THREATS t-C1). A reply that does not fit is not sent, and nothing is owed: the other side repeats itself.
 *
 * @module
 */

/** RFC 9000 §8.1. */
export const AMPLIFICATION_FACTOR = 3;

/** The budget of one remote address. */
export class AmplificationBudget {
  #isValidated: boolean;
  #receivedBytes = 0;
  #sentBytes = 0;

  /** An address that we chose to talk to by ourselves is validated from the start. */
  constructor(options: { readonly isValidated?: boolean } = {}) {
    this.#isValidated = options.isValidated ?? false;
  }

  /** Whether the address has proven that it gets what is sent to it. */
  get isValidated(): boolean {
    return this.#isValidated;
  }

  /** Bytes that may leave now; `Infinity` once the address is validated. */
  get roomBytes(): number {
    if (this.#isValidated) return Number.POSITIVE_INFINITY;
    return AMPLIFICATION_FACTOR * this.#receivedBytes - this.#sentBytes;
  }

  get receivedBytes(): number {
    return this.#receivedBytes;
  }

  get sentBytes(): number {
    return this.#sentBytes;
  }

  /** Whether a datagram with this payload may leave now. */
  canSend(bytes: number): boolean {
    return bytes <= this.roomBytes;
  }

  /** Counts a datagram that came from the address, once, whatever it held. RFC 9000 §8.1. */
  onReceived(bytes: number): void {
    this.#receivedBytes += bytes;
  }

  /** Takes the room for a datagram that leaves, or returns `false`: then it must not be sent. */
  take(bytes: number): boolean {
    // Written so that NaN is refused.
    if (!(bytes >= 0 && this.canSend(bytes))) return false;
    this.#sentBytes += bytes;
    return true;
  }

  /** The address is proven: by a package that only who gets our packages can make, or by a token. RFC 9000 §8.1. */
  validate(): void {
    this.#isValidated = true;
  }

  /** Starts anew for another address: what the old one proved says nothing of it. RFC 9000 §9.3. */
  reset(): void {
    this.#isValidated = false;
    this.#receivedBytes = this.#sentBytes = 0;
  }
}
