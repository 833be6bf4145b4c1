/**
 * The ticket of a node: who it is and how to reach it.
 *
 * The invariant to hold: no address in it means "any" or "here" alone, which another machine would take for itself.
 *
 * @module
 */

import { encodeTicket } from "../../core/crypto/ticket.ts";
import { formatAddress, parseAddress } from "../address.ts";
import type { Runtime } from "../runtime.ts";
import type { NodeId, RelayStatus } from "./types.ts";

const ADDRESSES_MAX = 16;
const RELAYS_MAX = 8;
const LOOPBACK = "127.0.0.1";
const ANY = new Set(["0.0.0.0", "::", "0:0:0:0:0:0:0:0"]);

/** Whether a host stands for every address of a machine. */
export function isAnyHost(host: string): boolean {
  return ANY.has(host);
}

/** What goes into a ticket. */
export interface TicketParts {
  readonly id: NodeId;
  readonly name: string | undefined;
  /** Addresses that the program says others reach it at. */
  readonly announced: readonly string[];
  /** Addresses listened on. */
  readonly addresses: readonly string[];
  readonly relays: readonly RelayStatus[];
  readonly token: Uint8Array | undefined;
}

/** Writes it. */
export function ownTicket(parts: TicketParts, runtime: Runtime): string {
  const { id, name, token } = parts;
  const own = reachableAddresses(parts.addresses, runtime);
  const relays = parts.relays
    .filter((relay) => relay.state !== "refused")
    .map((relay) => ({ addresses: [relay.address], ...(relay.id === undefined ? {} : { id: relay.id }) }));
  return encodeTicket(
    {
      id,
      addresses: [...new Set([...parts.announced, ...own])].slice(0, ADDRESSES_MAX),
      relays: relays.slice(0, RELAYS_MAX),
      ...(name === undefined ? {} : { name }),
      ...(token === undefined ? {} : { token }),
    },
    runtime.crypto,
  );
}

/** Addresses at which others reach what listens on `addresses`: for "any", those of the machine. */
export function reachableAddresses(addresses: readonly string[], runtime: Pick<Runtime, "hostAddresses">): string[] {
  const reachable = new Set<string>();
  for (const text of addresses) {
    const address = parseAddress(text);
    if (address === undefined || !ANY.has(address.host)) {
      reachable.add(text);
      continue;
    }
    const isDual = address.host !== "0.0.0.0";
    const hosts = (runtime.hostAddresses?.() ?? []).filter((host) => isDual || !host.includes(":"));
    // Last, for programs on the same machine: whoever else answers there lacks the key.
    for (const host of [...hosts, LOOPBACK]) reachable.add(formatAddress({ ...address, host }));
  }
  return [...reachable];
}
