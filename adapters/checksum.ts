/**
 * The checksum of clear packages, XXH3-64 by `hash-wasm`, loaded once before the first machine is made: WebAssembly is
 * compiled asynchronously, the core is synchronous. Implements PROTOCOL §1.2.
 *
 * The invariant to hold: a function that does not reproduce the known vector is never handed out.
 *
 * @module
 */

import { createXXHash3 } from "hash-wasm";

const SEED_LOW = 0x01000193; // PROTOCOL §1.2: the 32-bit FNV prime, as libatbus-rs has it
const SEED_HIGH = 0;
const VECTOR_CHECKSUM = 0xa7a43f88; // of the bytes 0 to 9; on the wire 88 3f a4 a7

/**
 * Loads the function that gives the low 32 bits of XXH3-64 with seed 0x01000193, as an unsigned number. Each call
 * makes an instance with memory of its own: load it once and share it.
 *
 * @throws {Error} If the host has no WebAssembly or computes something else.
 */
export async function loadChecksum(): Promise<(bytes: Uint8Array) => number> {
  const hasher = await createXXHash3(SEED_LOW, SEED_HIGH);
  const checksum = (bytes: Uint8Array): number => {
    hasher.init();
    hasher.update(bytes);
    const digest = hasher.digest("binary"); // canonical, thus big-endian: the low half is at the end
    const low = (digest[7] as number) | ((digest[6] as number) << 8) | ((digest[5] as number) << 16);
    return (low | ((digest[4] as number) << 24)) >>> 0;
  };
  const found = checksum(Uint8Array.of(0, 1, 2, 3, 4, 5, 6, 7, 8, 9));
  if (found !== VECTOR_CHECKSUM) {
    throw new Error(`Bug: XXH3 gives ${found.toString(16)} where ${VECTOR_CHECKSUM.toString(16)} is known`);
  }
  return checksum;
}
