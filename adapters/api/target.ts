/**
 * What a program may say to name a node: a ticket, an id, a name, an address, or parts of them.
 *
 * @module
 */

import { decodeNodeId } from "../../core/crypto/identity.ts";
import type { CryptoProvider } from "../../core/crypto/provider.ts";
import { decodeTicket, TICKET_PREFIX } from "../../core/crypto/ticket.ts";
import { ViaductError } from "../../core/error.ts";
import type { ConnectTarget, RelayTarget } from "../../core/node/node_types.ts";
import { parseAddress } from "../address.ts";
import type { NodeId, Target } from "./types.ts";

const NAME = /^[a-z0-9-]{3,32}$/;

/** Reads a target. Throws `ViaductError` with the code of what is wrong. */
export function parseTarget(target: Target, crypto: CryptoProvider): ConnectTarget {
  if (typeof target !== "string") {
    const { id, name, addresses = [], relays = [] } = target;
    return {
      ...(id === undefined ? {} : { id: checkedNodeId(id, crypto) }),
      ...(name === undefined ? {} : { name }),
      addresses: addresses.map((address) => checkedAddress(address)),
      relays: relays.map((relay) => parseRelay(relay, crypto)),
    };
  }
  const text = target.trim();
  if (text.toLowerCase().startsWith(TICKET_PREFIX)) {
    const ticket = decodeTicket(text, crypto);
    if (ticket === undefined) throw new ViaductError("ticket_invalid", { detail: "It was cut or mistyped" });
    const { id, name, addresses, relays } = ticket;
    return { id, addresses, relays, ...(name === undefined ? {} : { name }) };
  }
  if (text.includes("://")) return { addresses: [checkedAddress(text)], relays: [] };
  if (decodeNodeId(text, crypto) !== undefined) return { id: text.toLowerCase(), addresses: [], relays: [] };
  if (NAME.test(text)) return { name: text, addresses: [], relays: [] };
  const code = text.length > 32 ? "id_invalid" : "name_invalid";
  throw new ViaductError(code, { detail: text.slice(0, 64) });
}

/** Reads a relay: an address, or a ticket whose addresses are the relay's. */
export function parseRelay(relay: string, crypto: CryptoProvider): RelayTarget {
  const text = relay.trim();
  if (!text.toLowerCase().startsWith(TICKET_PREFIX)) return { addresses: [checkedAddress(text)] };
  const ticket = decodeTicket(text, crypto);
  if (ticket === undefined) throw new ViaductError("ticket_invalid", { detail: "It was cut or mistyped" });
  return { id: ticket.id, addresses: ticket.addresses };
}

/** A node id in the form in which ids are compared. Throws `ViaductError` `id_invalid`. */
export function checkedNodeId(id: NodeId, crypto: CryptoProvider): NodeId {
  if (typeof id !== "string" || decodeNodeId(id, crypto) === undefined) {
    throw new ViaductError("id_invalid", { detail: String(id).slice(0, 64) });
  }
  return id.toLowerCase();
}

function checkedAddress(text: string): string {
  if (parseAddress(text) === undefined) throw new ViaductError("address_invalid", { detail: text.slice(0, 128) });
  return text;
}
