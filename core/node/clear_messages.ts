/**
 * Messages of clear packages: handshakes, answers to unknown versions, refusals and resets. PROTOCOL §3.
 *
 * The invariant to hold: nothing here is authenticated; decoding allocates nothing but views and never throws.
 *
 * @module
 */

import { ProtocolError } from "../error.ts";
import type { Bytes } from "../machine.ts";
import { Reader } from "../wire/reader.ts";
import { Writer } from "../wire/writer.ts";
import { TOKEN_BYTES } from "./retry_token.ts";

/** Kinds of clear messages. */
const KIND_HANDSHAKE = 0x01;
const KIND_VERSIONS = 0x02;
const KIND_REFUSED = 0x03;
const KIND_RESET = 0x04;
const KIND_RETRY = 0x05;
/** A first handshake message that comes with a token. */
const KIND_TOKEN = 0x06;

/** Bytes of a stateless reset token. RFC 9000 §10.3. */
export const RESET_TOKEN_BYTES = 16;
const VERSIONS_MAX = 16;

/** A Noise pattern that is spoken. */
export type PatternName = "XX" | "IK" | "NK" | "IKpsk1";

/** The patterns by their number on the wire. */
export const PATTERN_NAMES: Readonly<Record<number, PatternName>> = { 1: "XX", 2: "IK", 3: "NK", 4: "IKpsk1" };
/** Number of a pattern on the wire. */
export const PATTERN_NUMBERS: Readonly<Record<PatternName, number>> = { XX: 1, IK: 2, NK: 3, IKpsk1: 4 };

/** A decoded clear message; byte fields are lent. */
export type ClearMessage =
  | {
      readonly type: "handshake";
      readonly pattern: number;
      readonly step: number;
      readonly sourceConnectionId: number;
      readonly targetConnectionId: number;
      readonly noise: Uint8Array;
      /** What a RETRY gave, in a first message over datagrams. */
      readonly token?: Uint8Array | undefined;
    }
  | { readonly type: "versions"; readonly versions: readonly number[] }
  | { readonly type: "refused"; readonly targetConnectionId: number; readonly wireCode: number }
  | { readonly type: "reset"; readonly connectionId: number; readonly token: Uint8Array }
  /** Asks an initiator to prove its address: its first message, once more, with this. */
  | { readonly type: "retry"; readonly targetConnectionId: number; readonly token: Uint8Array };

/** Encodes a clear message. */
export function encodeClearMessage(message: ClearMessage): Bytes {
  const writer = new Writer();
  switch (message.type) {
    case "handshake":
      if (message.token === undefined) writer.u8(KIND_HANDSHAKE);
      else {
        writer.u8(KIND_TOKEN);
        writer.bytes(message.token);
      }
      writer.u8(message.pattern);
      writer.u8(message.step);
      writer.u32(message.sourceConnectionId);
      writer.u32(message.targetConnectionId);
      writer.bytes(message.noise);
      break;
    case "versions":
      writer.u8(KIND_VERSIONS);
      writer.u8(message.versions.length);
      for (const version of message.versions) writer.varint(version);
      break;
    case "refused":
      writer.u8(KIND_REFUSED);
      writer.u32(message.targetConnectionId);
      writer.varint(message.wireCode);
      break;
    case "reset":
      writer.u8(KIND_RESET);
      writer.u32(message.connectionId);
      writer.bytes(message.token);
      break;
    case "retry":
      writer.u8(KIND_RETRY);
      writer.u32(message.targetConnectionId);
      writer.bytes(message.token);
      break;
  }
  return writer.finish();
}

/** Decodes a clear message, or returns `undefined` when it is none that is known. */
export function decodeClearMessage(bytes: Uint8Array): ClearMessage | undefined {
  const reader = new Reader(bytes);
  try {
    const kind = reader.u8();
    if (kind === KIND_HANDSHAKE || kind === KIND_TOKEN) {
      return {
        ...(kind === KIND_TOKEN ? { token: reader.bytes(TOKEN_BYTES) } : {}),
        type: "handshake",
        pattern: reader.u8(),
        step: reader.u8(),
        sourceConnectionId: reader.u32(),
        targetConnectionId: reader.u32(),
        noise: reader.rest(),
      };
    }
    if (kind === KIND_VERSIONS) {
      const count = Math.min(reader.u8(), VERSIONS_MAX);
      return { type: "versions", versions: Array.from({ length: count }, () => reader.varint()) };
    }
    if (kind === KIND_REFUSED) {
      return { type: "refused", targetConnectionId: reader.u32(), wireCode: reader.varint() };
    }
    if (kind === KIND_RESET) {
      return { type: "reset", connectionId: reader.u32(), token: reader.bytes(RESET_TOKEN_BYTES) };
    }
    if (kind === KIND_RETRY) {
      return { type: "retry", targetConnectionId: reader.u32(), token: reader.bytes(TOKEN_BYTES) };
    }
    return undefined;
  } catch (error) {
    if (error instanceof ProtocolError) return undefined;
    throw error;
  }
}
