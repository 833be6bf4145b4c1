/**
 * A deterministic environment for machines under test: seeded randomness, the pure crypto provider, the real checksum.
 *
 * @module
 */

import { loadChecksum } from "../../adapters/checksum.ts";
import { nobleProvider } from "../../core/crypto/noble_provider.ts";
import type { Environment } from "../../core/machine.ts";

const checksum = await loadChecksum();

/** A small generator (xorshift32): the same seed gives the same run in every runtime. */
export function seededNumbers(seed: number): () => number {
  let state = seed >>> 0 || 0x9e3779b9;
  return () => {
    state ^= state << 13;
    state >>>= 0;
    state ^= state >>> 17;
    state ^= state << 5;
    state >>>= 0;
    return state;
  };
}

/** An environment whose random bytes follow from `seed`. */
export function testEnvironment(seed: number): Environment {
  const next = seededNumbers(seed);
  return {
    random: (out) => {
      for (let index = 0; index < out.length; index++) out[index] = next() >>> 11;
    },
    jitter: () => next() / 2 ** 32,
    crypto: nobleProvider,
    checksum,
  };
}
