/**
 * The X25519 forms of ids, remembered: computing one costs more than the rest of a handshake.
 *
 * The invariant to hold: bounded, and never anything but what `dhPublicKeyOfId` gives.
 *
 * @module
 */

import type { Bytes } from "../machine.ts";
import { dhPublicKeyOfId } from "./identity.ts";

const KEYS_MAX = 256;

/** A memory of the last few hundred. */
export class DhKeys {
  readonly #known = new Map<string, Bytes | undefined>();

  /** As `dhPublicKeyOfId`. */
  of(publicKey: Uint8Array): Bytes | undefined {
    const name = String.fromCharCode(...publicKey);
    if (this.#known.has(name)) return this.#known.get(name);
    const key = dhPublicKeyOfId(publicKey);
    this.#known.set(name, key);
    if (this.#known.size > KEYS_MAX) this.#known.delete(this.#known.keys().next().value as string);
    return key;
  }
}
