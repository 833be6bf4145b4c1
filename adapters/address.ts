/**
 * Addresses of pipes as text: `tcp://host:port`, `udp://host:port`, `ws://host:port/path`, `wss://host/path`.
 *
 * The invariant to hold: what parses is bounded and holds no secret: no user, no query, no fragment.
 *
 * @module
 */

import type { Address, Scheme } from "./runtime.ts";

const ADDRESS_LENGTH_MAX = 512;
const DEFAULT_PORTS: Readonly<Partial<Record<Scheme, number>>> = { ws: 80, wss: 443 };
const PATTERN = /^(tcp|udp|ws|wss):\/\/(?:\[([0-9a-fA-F:.%a-z]+)\]|([a-zA-Z0-9._-]+))(?::(\d{1,5}))?(\/[^?#\s]*)?$/;

/** Parses an address, or returns `undefined` when it is none. */
export function parseAddress(text: string): Address | undefined {
  if (text.length > ADDRESS_LENGTH_MAX) return undefined;
  const match = PATTERN.exec(text);
  if (match === null) return undefined;
  const scheme = match[1] as Scheme;
  const host = (match[2] ?? match[3]) as string;
  const port = match[4] === undefined ? DEFAULT_PORTS[scheme] : Number(match[4]);
  if (port === undefined || port > 65535) return undefined;
  const path = match[5] ?? "/";
  if ((scheme === "tcp" || scheme === "udp") && path !== "/") return undefined;
  return { scheme, host, port, path };
}

/** Writes an address so that `parseAddress` gives it back. */
export function formatAddress(address: Address): string {
  const host = address.host.includes(":") ? `[${address.host}]` : address.host;
  const path = address.scheme === "tcp" || address.path === "/" ? "" : address.path;
  return `${address.scheme}://${host}:${address.port}${path}`;
}
