/**
 * Blocks of addresses such as `203.0.113.0/24` and `2001:db8::/32`, as policies name them.
 *
 * The invariant to hold: a block is compared with the group of an address, so that an IPv6 block is at most a /64 long;
 * an address that is not known is in no block.
 *
 * @module
 */

import { addressGroup, LOOPBACK_GROUP, UNKNOWN_GROUP } from "./address_group.ts";

/** A block of addresses. */
export interface AddressPrefix {
  /** The bits, most significant first. */
  readonly bits: string;
  readonly family: 4 | 6;
}

const GROUP_BITS_MAX = 64;

/** Reads an address or a block, or returns `undefined` when it is neither. `loopback` is this machine. */
export function parseAddressPrefix(text: string): AddressPrefix | "loopback" | undefined {
  if (text === LOOPBACK_GROUP) return LOOPBACK_GROUP;
  const [host, lengthText, ...more] = text.split("/");
  if (host === undefined || more.length > 0) return undefined;
  const whole = bitsOfHost(host);
  if (whole === undefined) return undefined;
  const most = whole.family === 4 ? 32 : 128;
  if (lengthText !== undefined && !/^\d{1,3}$/.test(lengthText)) return undefined;
  const length = lengthText === undefined ? most : Number(lengthText);
  if (length > most) return undefined;
  return {
    family: whole.family,
    bits: whole.bits.slice(0, Math.min(length, whole.family === 4 ? 32 : GROUP_BITS_MAX)),
  };
}

/** Whether the group of an address, as `addressGroup` tells it, lies in a block. */
export function isInPrefix(group: string, prefix: AddressPrefix | "loopback"): boolean {
  if (prefix === LOOPBACK_GROUP || group === LOOPBACK_GROUP) return prefix === group;
  const bits = group === UNKNOWN_GROUP ? undefined : bitsOfGroup(group);
  return bits !== undefined && bits.family === prefix.family && bits.bits.startsWith(prefix.bits);
}

function bitsOfHost(host: string): AddressPrefix | undefined {
  const group = addressGroup(host);
  // A block may hold this machine's own addresses as well: they count by their number then.
  if (group === LOOPBACK_GROUP) return host.includes(":") ? undefined : bitsOfGroup(host);
  return group === UNKNOWN_GROUP ? undefined : bitsOfGroup(group);
}

function bitsOfGroup(group: string): AddressPrefix | undefined {
  if (group.endsWith("::/64")) {
    const words = group.slice(0, -5).split(":");
    if (words.length !== 4) return undefined;
    return { family: 6, bits: words.map((word) => binary(Number.parseInt(word, 16), 16)).join("") };
  }
  const octets = group.split(".").map(Number);
  if (octets.length !== 4 || !octets.every((octet) => Number.isInteger(octet) && octet >= 0 && octet < 256)) {
    return undefined;
  }
  return { family: 4, bits: octets.map((octet) => binary(octet, 8)).join("") };
}

function binary(value: number, digits: number): string {
  return value.toString(2).padStart(digits, "0");
}
