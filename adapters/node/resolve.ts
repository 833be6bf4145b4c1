/**
 * Names to IP addresses, by the resolver of the system. Used by Node, Deno and Bun.
 *
 * @module
 */

import { lookup } from "node:dns/promises";
import { isIP } from "node:net";
import { systemFailure } from "../failure.ts";

/** The addresses of a host name, in the order of the system; an IP literal is its own. Rejects with `dial_failed`. */
export async function resolveHost(host: string): Promise<readonly string[]> {
  if (isIP(host) !== 0) return [host];
  try {
    return (await lookup(host, { all: true })).map(({ address }) => address);
  } catch (error) {
    throw systemFailure(error, "dial_failed");
  }
}
