/**
 * One handshake: Noise messages with payloads, the identity check, and the secrets of the session that comes of it.
 * PROTOCOL §3.3 to §3.5.
 *
 * The invariant to hold: an id is believed only after it was found to map to the static key that Noise authenticated
 * (THREATS t-A1); what was negotiated in clear is in the prologue (t-A3).
 *
 * @module
 */

import { transportParametersOf } from "../connection/session_defaults.ts";
import type { PathKind, SessionConfig, SessionSecrets, TransportParameters } from "../connection/session_types.ts";
import { concatBytes, equalBytes } from "../crypto/constant_time.ts";
import type { DhKeys } from "../crypto/dh_keys.ts";
import { deriveKey } from "../crypto/hkdf.ts";
import type { Identity, NodeId } from "../crypto/identity.ts";
import { encodeNodeId, NODE_ID_BYTES } from "../crypto/identity.ts";
import { NoiseHandshake } from "../crypto/noise.ts";
import type { CipherName, DhKeyPair } from "../crypto/provider.ts";
import type { ErrorCode } from "../error.ts";
import type { Bytes, Environment, Instant } from "../machine.ts";
import { CLEAR_VERSION } from "../wire/package.ts";
import { encodeUtf8 } from "../wire/utf8.ts";
import type { PatternName } from "./clear_messages.ts";
import { PATTERN_NAMES, PATTERN_NUMBERS, RESET_TOKEN_BYTES } from "./clear_messages.ts";
import type { EarlyTickets, OpenedTicket } from "./early_tickets.ts";
import { FIRST_CHECK_BYTES, joinFirstMessage } from "./first_message.ts";
import type { EarlyData, HandshakePayload } from "./handshake_payload.ts";
import { CIPHER_AES, CIPHER_CHACHA, decodeHandshakePayload, encodeHandshakePayload } from "./handshake_payload.ts";
import type { GivenTicket, HeldTicket } from "./ticket_book.ts";
import { EARLY_TICKET_LIFETIME_MS } from "./ticket_book.ts";

/** Bytes of the first package: one datagram, or what a stranger may leave half of on another pipe. */
const FIRST_DATAGRAM_BYTES = 548;
const FIRST_PACKAGE_BYTES = 2048;
/** What is around the payload of the first message at most: package, address token, check, ticket, keys and tags. */
const FIRST_OVERHEAD_BYTES: number = 180 + FIRST_CHECK_BYTES;

/** How a pipe carries packages, as the prologue says it. PROTOCOL §3.3. */
const TRANSPORT_CLASS: Readonly<Record<PathKind, number>> = { bytes: 1, messages: 2, datagrams: 3, relay: 4 };
const MAGIC: Uint8Array = encodeUtf8("viaduct");
const EMPTY: Uint8Array = new Uint8Array(0);

/** What an endpoint brings into each of its handshakes. */
export interface HandshakeContext {
  readonly identity: Identity;
  readonly session: SessionConfig;
  /** Names this life of the node. */
  readonly instance: Uint8Array;
  /** The key that stateless reset tokens are made with. */
  readonly resetKey: Uint8Array;
  /** Forms of ids that were computed before. */
  readonly dhKeys: DhKeys;
  /** Makes tickets for those who come, where early data may be taken. */
  readonly tickets: EarlyTickets | undefined;
  readonly env: Environment;
}

/** What one handshake begins with. */
export interface HandshakeOptions {
  readonly role: "initiator" | "responder";
  readonly pattern: PatternName;
  readonly kind: PathKind;
  /** The number by which the peer shall name the session. */
  readonly localConnectionId: number;
  /** Who must answer; `undefined` for XX and for a responder. */
  readonly remoteKey: Uint8Array | undefined;
  readonly initMessage: Uint8Array | undefined;
  /** Of an initiator of IKpsk1: the ticket, and what to send with it. */
  readonly early?: EarlyStart | undefined;
  /** Of a responder of IKpsk1: the ticket that was shown. */
  readonly opened?: OpenedTicket | undefined;
}

/** What an initiator of IKpsk1 begins with. */
export interface EarlyStart {
  readonly ticket: HeldTicket;
  readonly bytes: Uint8Array;
  readonly isFinal: boolean;
}

/** What a complete handshake agreed on. */
export interface HandshakeResult {
  readonly secrets: SessionSecrets;
  readonly remote: TransportParameters;
  /** Who it is; `undefined` for a client that shows no key. */
  readonly remoteId: NodeId | undefined;
  readonly resetToken: Bytes | undefined;
  readonly instance: Bytes | undefined;
  readonly initMessage: Bytes | undefined;
  /** For the next connection with this node. */
  readonly ticket: GivenTicket | undefined;
}

/** The pattern of a number on the wire, if it is spoken. */
export function patternOfNumber(number: number): PatternName | undefined {
  return PATTERN_NAMES[number];
}

/** The token by which the peer believes that a session is not known here. RFC 9000 §10.3.2. */
export function resetTokenOf(context: Pick<HandshakeContext, "resetKey" | "env">, connectionId: number): Bytes {
  return context.env.crypto.hmacSha256(context.resetKey, u32Bytes(connectionId)).slice(0, RESET_TOKEN_BYTES);
}

/** A handshake in progress on one pipe. */
export class Handshake {
  readonly pattern: PatternName;
  readonly role: "initiator" | "responder";
  readonly localConnectionId: number;
  remoteConnectionId = 0;
  /** Why reading failed. */
  failure: ErrorCode = "handshake_failed";
  /** Of an initiator: how many bytes of the early data went along, and whether that was all. */
  earlyBytes = 0;
  isAllEarly = false;
  /** Of a responder: whether it takes the early data. */
  takesEarly = false;
  /** Of a responder: the ticket that was shown. */
  readonly opened: OpenedTicket | undefined;

  readonly #context: HandshakeContext;
  readonly #noise: NoiseHandshake;
  readonly #expectedKey: Uint8Array | undefined;
  readonly #initMessage: Uint8Array | undefined;
  readonly #early: EarlyStart | undefined;
  readonly #kind: PathKind;
  #payload: HandshakePayload | undefined;
  #remoteId: NodeId | undefined;

  constructor(context: HandshakeContext, options: HandshakeOptions) {
    this.#context = context;
    this.pattern = options.pattern;
    this.role = options.role;
    this.localConnectionId = options.localConnectionId;
    this.#initMessage = options.initMessage;
    this.#expectedKey = options.remoteKey;
    this.#early = options.early;
    this.#kind = options.kind;
    this.opened = options.opened;
    const { early, opened } = options;
    const { env, identity } = context;
    const isInitiator = options.role === "initiator";
    const responderKey = options.pattern === "XX" ? undefined : isInitiator ? options.remoteKey : identity.publicKey;
    const remoteStatic =
      isInitiator && options.pattern !== "XX" ? context.dhKeys.of(options.remoteKey ?? EMPTY) : undefined;
    this.#noise = new NoiseHandshake({
      pattern: options.pattern,
      role: options.role,
      prologue: concatBytes(
        MAGIC,
        Uint8Array.of(CLEAR_VERSION, PATTERN_NUMBERS[options.pattern], TRANSPORT_CLASS[options.kind]),
        responderKey ?? new Uint8Array(NODE_ID_BYTES),
      ),
      ephemeral: freshKeyPair(env),
      crypto: env.crypto,
      ...(this.#showsKey ? { staticKeys: identity.dh } : {}),
      ...(remoteStatic === undefined ? {} : { remoteStaticPublicKey: remoteStatic }),
      ...(early === undefined ? {} : { pskFor: () => early.ticket.secret }),
      ...(opened === undefined ? {} : { pskFor: (holder) => opened.secretFor(holder ?? EMPTY) }),
    });
  }

  get isComplete(): boolean {
    return this.#noise.isComplete;
  }

  get isMyTurn(): boolean {
    return this.#noise.isMyTurn;
  }

  /** The next Noise message; `step` numbers it from 1. `undefined` when the peer's key was of low order. */
  write(step: number, now: Instant): Bytes | undefined {
    const payload = this.#hasPayload(step) ? this.#ownPayload(now) : EMPTY;
    if (!this.isMyTurn) throw new TypeError("Bug: a handshake message was written out of turn");
    try {
      const noise = this.#noise.writeMessage(payload);
      if (step !== 1) return noise;
      const ticket = this.#early?.ticket.ticket ?? EMPTY;
      return joinFirstMessage(this.pattern, { ticket, noise }, this.#expectedKey ?? EMPTY, this.#context.env.crypto);
    } catch (error) {
      // THREATS t-A2: a shared secret that anybody knows.
      if (error instanceof TypeError) return undefined;
      throw error;
    }
  }

  /** Takes the peer's Noise message alone; `false` when it is not right: `failure` says why. Never throws. */
  read(step: number, message: Uint8Array): boolean {
    const bytes = this.#noise.readMessage(message);
    if (bytes === undefined) return false;
    if (!this.#hasPayload(step)) return bytes.length === 0;
    const payload = decodeHandshakePayload(bytes);
    if (payload === undefined) return false;
    this.#payload = payload;
    return this.#isRightIdentity(payload);
  }

  /** Who is there, once it is known. */
  get remoteId(): NodeId | undefined {
    const key = this.#payload?.nodeKey;
    if (key === undefined) return undefined;
    this.#remoteId ??= encodeNodeId(key, this.#context.env.crypto);
    return this.#remoteId;
  }

  /** What the initiator shows, on the responder's side. */
  get remoteInitMessage(): Bytes | undefined {
    return this.#payload?.initMessage?.slice();
  }

  /** What the initiator sent with its first message, on the responder's side. */
  get remoteEarly(): EarlyData | undefined {
    return this.opened === undefined ? undefined : this.#payload?.early;
  }

  /** Whether the responder took what was sent with the first message. */
  get isEarlyTaken(): boolean {
    return this.earlyBytes > 0 && this.#payload?.isEarlyTaken === true;
  }

  /** What was agreed on. Only of a complete handshake. */
  result(): HandshakeResult {
    const payload = this.#payload as HandshakePayload;
    const { crypto } = this.#context.env;
    const cipher: CipherName =
      (payload.ciphers & CIPHER_AES) !== 0 && crypto.ciphers.includes("aes-256-gcm")
        ? "aes-256-gcm"
        : "chacha20-poly1305";
    const { send, receive } = this.#noise.split();
    // What came in clear or was chosen is part of the derivation: sides that disagree never open a package.
    const [initiatorId, responderId] =
      this.role === "initiator"
        ? [this.localConnectionId, this.remoteConnectionId]
        : [this.remoteConnectionId, this.localConnectionId];
    const context = concatBytes(u32Bytes(initiatorId), u32Bytes(responderId));
    const secrets: SessionSecrets = {
      cipher,
      sendKey: deriveKey(crypto, send, cipher, context),
      receiveKey: deriveKey(crypto, receive, cipher, context),
      localConnectionId: this.localConnectionId,
      remoteConnectionId: this.remoteConnectionId,
    };
    send.fill(0);
    receive.fill(0);
    return {
      secrets,
      remote: payload.parameters,
      remoteId: this.remoteId,
      resetToken: payload.resetToken?.slice(),
      instance: payload.instance?.slice(),
      initMessage: payload.initMessage?.slice(),
      ticket: this.role === "initiator" && this.#showsKey ? payload.ticket : undefined,
    };
  }

  /** Wipes what is secret. */
  destroy(): void {
    this.#noise.destroy();
  }

  get #showsKey(): boolean {
    return this.role === "responder" || this.pattern !== "NK";
  }

  /** PROTOCOL §3.4: XX keeps its first message empty, it is clear. */
  #hasPayload(step: number): boolean {
    return this.pattern !== "XX" || step > 1;
  }

  #ownPayload(now: Instant): Bytes {
    const { identity, session, instance, env } = this.#context;
    const hasAes = env.crypto.ciphers.includes("aes-256-gcm");
    const payload: HandshakePayload = {
      nodeKey: this.#showsKey ? identity.publicKey : undefined,
      ciphers: CIPHER_CHACHA | (hasAes ? CIPHER_AES : 0),
      parameters: transportParametersOf(session),
      resetToken: resetTokenOf(this.#context, this.localConnectionId),
      // A client without a key must not be recognised by its instance either.
      instance: this.#showsKey ? instance : undefined,
      initMessage: this.#initMessage,
      ticket: this.role === "responder" ? this.#newTicket(now) : undefined,
      isEarlyTaken: this.takesEarly,
    };
    const encoded = encodeHandshakePayload(payload);
    const early = this.#early;
    if (early === undefined) return encoded;
    const packageBytes = this.#kind === "datagrams" ? FIRST_DATAGRAM_BYTES : FIRST_PACKAGE_BYTES;
    this.earlyBytes = Math.max(0, Math.min(early.bytes.length, packageBytes - FIRST_OVERHEAD_BYTES - encoded.length));
    this.isAllEarly = this.earlyBytes === early.bytes.length;
    const bytes = early.bytes.slice(0, this.earlyBytes);
    const ageMs = Math.max(0, now - early.ticket.receivedAt);
    return encodeHandshakePayload({
      ...payload,
      early: { ageMs, bytes, isFinal: early.isFinal && this.isAllEarly },
    });
  }

  /** For who shows a key; IK and IKpsk1 tell it before the last message. */
  #newTicket(now: Instant): GivenTicket | undefined {
    const { tickets } = this.#context;
    const holder = this.#noise.remoteStatic;
    if (tickets === undefined || holder === undefined || this.pattern === "XX" || this.pattern === "NK")
      return undefined;
    const made = tickets.issue(holder, now);
    return made && { ...made, lifetimeMs: EARLY_TICKET_LIFETIME_MS };
  }

  #isRightIdentity(payload: HandshakePayload): boolean {
    const { nodeKey } = payload;
    if (this.role === "responder" && this.pattern === "NK") return nodeKey === undefined;
    if (nodeKey === undefined) return false;
    const dh = this.#context.dhKeys.of(nodeKey);
    const authenticated = this.#noise.remoteStatic;
    if (dh === undefined || authenticated === undefined || !equalBytes(dh, authenticated)) {
      this.failure = "identity_mismatch";
      return false;
    }
    if (this.#expectedKey !== undefined && !equalBytes(nodeKey, this.#expectedKey)) {
      this.failure = "identity_mismatch";
      return false;
    }
    return true;
  }
}

function u32Bytes(value: number): Bytes {
  return Uint8Array.of(value, value >>> 8, value >>> 16, value >>> 24);
}

function freshKeyPair(env: Environment): DhKeyPair {
  const secretKey = new Uint8Array(32);
  env.random(secretKey);
  return { secretKey, publicKey: env.crypto.x25519PublicKey(secretKey) };
}
