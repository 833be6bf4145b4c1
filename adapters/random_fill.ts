/**
 * Secure random bytes by Web Crypto, in the portions it allows.
 *
 * @module
 */

/**
 * `getRandomValues` gives at most this much at once.
 * https://www.w3.org/TR/WebCryptoAPI/#Crypto-method-getRandomValues
 */
const PORTION_BYTES = 65_536;

/** Fills `out`; throws when the host has no secure source. */
export function fillRandom(out: Uint8Array): void {
  for (let at = 0; at < out.length; at += PORTION_BYTES) {
    globalThis.crypto.getRandomValues(out.subarray(at, at + PORTION_BYTES) as Uint8Array<ArrayBuffer>);
  }
}
