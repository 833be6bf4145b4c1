/**
 * Tickets: everything needed to reach a node in one string that fits a URL, a chat line and a QR code. PROTOCOL §3.13.
 *
 * Base32 rather than base64url: a fifth longer, but it survives a change of case, is read out and typed, is
 * one word to double-click, and a QR code holds it in its alphanumeric mode (in capitals), where it is the shorter one.
 *
 * The invariant to hold: decoding is bounded before it allocates, and never throws; what was encoded decodes.
 *
 * @module
 */

import { ProtocolError } from "../error.ts";
import type { Bytes } from "../machine.ts";
import { Reader } from "../wire/reader.ts";
import { utf8Bytes } from "../wire/utf8.ts";
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
const RELAY_ADDRESSES_MAX = 8;
const ADDRESS_BYTES_MAX = 255;
const NAME_BYTES_MAX = 32;
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
  const writer = new Writer();
  writer.u8(FORMAT);
  writer.bytes(keyOf("id", ticket.id, crypto));
  writer.string(checkedText("name", ticket.name ?? "", NAME_BYTES_MAX));
  writeAddresses(writer, "addresses", ticket.addresses, ADDRESSES_MAX);
  checkCount("relays", ticket.relays.length, RELAYS_MAX);
  writer.varint(ticket.relays.length);
  for (const relay of ticket.relays) {
    writer.u8(relay.id === undefined ? 0 : 1);
    if (relay.id !== undefined) writer.bytes(keyOf("relays.id", relay.id, crypto));
    writeAddresses(writer, "relays.addresses", relay.addresses, RELAY_ADDRESSES_MAX);
  }
  const token = ticket.token ?? new Uint8Array(0);
  checkCount("token", token.length, TOKEN_BYTES_MAX);
  writer.varint(token.length);
  writer.bytes(token);
  const body = writer.finish();
  const text = TICKET_PREFIX + encodeBase32(concatBytes(body, crypto.sha256(body).subarray(0, CHECKSUM_BYTES)));
  checkCount("text", text.length, TEXT_LENGTH_MAX);
  return text;
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
  const name = readText(reader, NAME_BYTES_MAX);
  const addresses = readAddresses(reader, ADDRESSES_MAX);
  const relayCount = bounded(reader.varint(), RELAYS_MAX);
  const relays: TicketRelay[] = [];
  for (let index = 0; index < relayCount; index++) {
    const relayId = bounded(reader.u8(), 1) === 1 ? encodeNodeId(reader.bytes(NODE_ID_BYTES), crypto) : undefined;
    const relayAddresses = readAddresses(reader, RELAY_ADDRESSES_MAX);
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

function keyOf(what: string, id: NodeId, crypto: CryptoProvider): Bytes {
  const key = decodeNodeId(id, crypto);
  if (key === undefined) throw new RangeError(`Cannot write a ticket as '${what}' is no id: current value is '${id}'`);
  return key;
}

function writeAddresses(writer: Writer, what: string, addresses: readonly string[], most: number): void {
  checkCount(what, addresses.length, most);
  writer.varint(addresses.length);
  for (const address of addresses) writer.string(checkedText(what, address, ADDRESS_BYTES_MAX));
}

function checkedText(what: string, text: string, bytesMax: number): string {
  checkCount(what, utf8Bytes(text), bytesMax);
  if (hasControls(text)) throw new RangeError(`Cannot write a ticket as '${what}' has control characters`);
  return text;
}

function checkCount(what: string, count: number, most: number): void {
  if (count <= most) return;
  throw new RangeError(`Cannot write a ticket as '${what}' must be at most ${most}: current value is ${count}`);
}

function readAddresses(reader: Reader, most: number): string[] {
  const count = bounded(reader.varint(), most);
  const addresses: string[] = [];
  for (let index = 0; index < count; index++) addresses.push(readText(reader, ADDRESS_BYTES_MAX));
  return addresses;
}

function readText(reader: Reader, bytesMax: number): string {
  const text = reader.string(bytesMax);
  if (hasControls(text)) throw new ProtocolError("frame_encoding", "A ticket has control characters");
  return text;
}

/** What a ticket says ends up in terminals and logs: nothing in it may move a cursor. */
function hasControls(text: string): boolean {
  for (let index = 0; index < text.length; index++) {
    const unit = text.charCodeAt(index);
    if (unit < 0x20 || (unit >= 0x7f && unit < 0xa0)) return true;
  }
  return false;
}

function bounded(count: number, most: number): number {
  if (count > most) throw new ProtocolError("frame_encoding", "A ticket says more than it may");
  return count;
}
