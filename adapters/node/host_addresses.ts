/**
 * The addresses of this machine, by `node:os`.
 *
 * @module
 */

import { networkInterfaces } from "node:os";

/** Neither loopback nor link-local, IPv4 first. */
export function hostAddresses(): readonly string[] {
  const all = Object.values(networkInterfaces()).flatMap((list) => list ?? []);
  const usable = all.filter(({ internal, address }) => !internal && !isLinkLocal(address));
  return usable.sort((left, right) => left.family.localeCompare(right.family)).map(({ address }) => address);
}

/** Of use with the name of an interface alone. RFC 4291 §2.5.6, RFC 3927. */
export function isLinkLocal(address: string): boolean {
  return /^fe[89ab]/i.test(address) || address.startsWith("169.254.");
}
