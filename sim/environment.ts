/**
 * The environment of a simulated machine: seeded "randomness", the pure crypto provider, the real checksum.
 *
 * @module
 */

import { loadChecksum } from "../adapters/checksum.ts";
import { nobleProvider } from "../core/crypto/noble_provider.ts";
import type { CryptoProvider } from "../core/crypto/provider.ts";
import type { Environment } from "../core/machine.ts";
import { SimRandom } from "./random.ts";

let checksum: Promise<(bytes: Uint8Array) => number> | undefined;

/**
 * Makes environments: `dangerous` because its random bytes follow from the seed. Never for anything but a simulation.
 */
export async function dangerousSimEnvironments(
  crypto: CryptoProvider = nobleProvider,
): Promise<(seed: number) => Environment> {
  checksum ??= loadChecksum();
  const loaded = await checksum;
  return (seed) => {
    const random = new SimRandom(seed);
    const jitter = new SimRandom(seed ^ 0x5eed);
    return { random: (out) => random.fill(out), jitter: () => jitter.fraction(), crypto, checksum: loaded };
  };
}
