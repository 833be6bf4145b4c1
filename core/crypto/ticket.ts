/**
 * Tickets: everything needed to reach a node in one string that fits a URL, a chat line and a QR code. PROTOCOL §3.2.
 *
 * `via1` and base32 of: format `u8` 1, node id (32 bytes), name (string), addresses (count, strings), relays (count;
 * each: has-id `u8`, id, addresses), token (length, bytes), and 4 bytes of SHA-256 over all before.
 *
 * The invariant to hold: decoding is bounded before it allocates, and never throws.
 *
 * @module
 */

import { ProtocolError } from "../error.ts";
import { Reader } from "../wire/reader.ts";
import { Writer } from "../wire/writer.ts";
import { decodeBase32, encodeBase32 } from "./base32.ts";
import { concatBytes, equalBytes } from "./constant_time.ts";
import type { NodeId } from "./identity.ts";
import { decodeNodeId, encodeNodeId, NODE_ID_BYTES } from "./identity.ts";
import type { CryptoProvider } from "./provider.ts";

/** What a ticket begins with. */
export const TICKET_PREFIX = "via1";

const FORMAT = 1;
const CHECKSUM_BYTES = 4;
const TEXT_LENGTH_MAX = 16 * 1024;
const ADDRESSES_MAX = 16;
const RELAYS_MAX = 8;
const ADDRESS_BYTES_MAX = 255;
const NAME_BYTES_MAX = 64;
const TOKEN_BYTES_MAX = 512;

/** A relay in a ticket. */
export interface TicketRelay {
  readonly id?: NodeId;
  readonly addresses: readonly string[];
}

/** What a ticket says. */
export interface Ticket {
  readonly id: NodeId;
  readonly name?: string;
  readonly addresses: readonly string[];
  readonly relays: readonly TicketRelay[];
  /** Lets its holder in at the relay: the ticket is a secret then. */
  readonly token?: Uint8Array;
}

/** Writes a ticket. Throws `RangeError` when it says more than a ticket may. */
export function encodeTicket(ticket: Ticket, crypto: CryptoProvider): string {
  const id = decodeNodeId(ticket.id, crypto);
  if (id === undefined)
    throw new RangeError(`Cannot write a ticket as 'id' is not valid: current value is '${ticket.id}'`);
  if (ticket.addresses.length > ADDRESSES_MAX || ticket.relays.length > RELAYS_MAX) {
    throw new RangeError(`Cannot write a ticket with more than ${ADDRESSES_MAX} addresses or ${RELAYS_MAX} relays`);
  }
  const writer = new Writer();
  writer.u8(FORMAT);
  writer.bytes(id);
  writer.string(ticket.name ?? "");
  writeAddresses(writer, ticket.addresses);
  writer.varint(ticket.relays.length);
  for (const relay of ticket.relays) {
    const relayId = relay.id === undefined ? undefined : decodeNodeId(relay.id, crypto);
    writer.u8(relayId === undefined ? 0 : 1);
    if (relayId !== undefined) writer.bytes(relayId);
    writeAddresses(writer, relay.addresses);
  }
  writer.varint(ticket.token?.length ?? 0);
  if (ticket.token !== undefined) writer.bytes(ticket.token);
  const body = writer.finish();
  return TICKET_PREFIX + encodeBase32(concatBytes(body, crypto.sha256(body).subarray(0, CHECKSUM_BYTES)));
}

/** Reads a ticket, or returns `undefined` when it is none: mistyped, cut or of another format. */
export function decodeTicket(text: string, crypto: CryptoProvider): Ticket | undefined {
  const trimmed = text.trim();
  if (trimmed.length > TEXT_LENGTH_MAX || !trimmed.toLowerCase().startsWith(TICKET_PREFIX)) return undefined;
  const bytes = decodeBase32(trimmed.slice(TICKET_PREFIX.length));
  if (bytes === undefined || bytes.length < CHECKSUM_BYTES) return undefined;
  const body = bytes.subarray(0, bytes.length - CHECKSUM_BYTES);
  const check = crypto.sha256(body).subarray(0, CHECKSUM_BYTES);
  if (!equalBytes(check, bytes.subarray(body.length))) return undefined;
  try {
    return readTicket(new Reader(body), crypto);
  } catch (error) {
    if (error instanceof ProtocolError) return undefined;
    throw error;
  }
}

function readTicket(reader: Reader, crypto: CryptoProvider): Ticket | undefined {
  if (reader.u8() !== FORMAT) return undefined;
  const id = encodeNodeId(reader.bytes(NODE_ID_BYTES), crypto);
  const name = reader.string(NAME_BYTES_MAX);
  const addresses = readAddresses(reader);
  const relayCount = bounded(reader.varint(), RELAYS_MAX);
  const relays: TicketRelay[] = [];
  for (let index = 0; index < relayCount; index++) {
    const hasId = reader.u8() === 1;
    const relayId = hasId ? encodeNodeId(reader.bytes(NODE_ID_BYTES), crypto) : undefined;
    const relayAddresses = readAddresses(reader);
    relays.push(relayId === undefined ? { addresses: relayAddresses } : { id: relayId, addresses: relayAddresses });
  }
  const token = reader.bytes(bounded(reader.varint(), TOKEN_BYTES_MAX)).slice();
  if (!reader.isAtEnd) return undefined;
  return {
    id,
    addresses,
    relays,
    ...(name === "" ? {} : { name }),
    ...(token.length === 0 ? {} : { token }),
  };
}

function writeAddresses(writer: Writer, addresses: readonly string[]): void {
  writer.varint(addresses.length);
  for (const address of addresses) writer.string(address);
}

function readAddresses(reader: Reader): string[] {
  const count = bounded(reader.varint(), ADDRESSES_MAX);
  const addresses: string[] = [];
  for (let index = 0; index < count; index++) addresses.push(reader.string(ADDRESS_BYTES_MAX));
  return addresses;
}

function bounded(count: number, most: number): number {
  if (count > most) throw new ProtocolError("frame_encoding", "A ticket says more than it may");
  return count;
}
