/**
 * One interpreter for every handshake pattern of the Noise Protocol Framework, revision 34, with
 * 25519_ChaChaPoly_SHA256. Noise §5.3.
 *
 * The invariant to hold: reading a message that is not right ends the handshake and tells nothing else; secrets are
 * wiped as soon as the handshake is over.
 *
 * @module
 */

import type { Bytes } from "../machine.ts";
import { concatBytes } from "./constant_time.ts";
import type { HandshakePattern, Token } from "./noise_patterns.ts";
import { handshakePattern } from "./noise_patterns.ts";
import type { CryptoProvider, DhKeyPair } from "./provider.ts";
import { TAG_BYTES } from "./provider.ts";
import { SymmetricState } from "./symmetric_state.ts";

/** Bytes of the largest message. Noise §3. */
const MESSAGE_BYTES_MAX = 65535;
const DH_BYTES = 32;
const PSK_BYTES = 32;

/** What a handshake starts from. */
export interface NoiseOptions {
  /** A name of the table, such as `XX` or `IKpsk1`. */
  readonly pattern: string;
  readonly role: "initiator" | "responder";
  /** Bytes that both sides must agree on without sending them. Noise §6. */
  readonly prologue: Uint8Array;
  /** Our static key, where the pattern uses one. */
  readonly staticKeys?: DhKeyPair;
  /** The peer's static key, where the pattern knows it before. */
  readonly remoteStaticPublicKey?: Uint8Array;
  /** A fresh key pair, used once. */
  readonly ephemeral: DhKeyPair;
  /** One key of 32 bytes for each `psk` token in order. Noise §9. */
  readonly psks?: readonly Uint8Array[];
  /** In place of `psks` for one that depends on who the peer is: asked at the `psk` token. The handshake wipes it. */
  readonly pskFor?: (remoteStatic: Uint8Array | undefined) => Uint8Array;
  readonly crypto: CryptoProvider;
}

/** A handshake in progress. */
export class NoiseHandshake {
  readonly #pattern: HandshakePattern;
  readonly #isInitiator: boolean;
  readonly #crypto: CryptoProvider;
  readonly #symmetric: SymmetricState;
  readonly #static: DhKeyPair | undefined;
  readonly #ephemeral: DhKeyPair;
  readonly #psks: Uint8Array[];
  readonly #hasPsk: boolean;
  readonly #pskFor: NoiseOptions["pskFor"];
  #remoteStatic: Uint8Array | undefined;
  #remoteEphemeral: Uint8Array | undefined;
  #nextMessage = 0;
  #isFailed = false;

  /** Throws `RangeError` or `TypeError` on a pattern that does not exist or lacks a key: the caller's mistakes. */
  constructor(options: NoiseOptions) {
    const pattern = handshakePattern(options.pattern);
    if (pattern === undefined)
      throw new RangeError(`Cannot use pattern '${options.pattern}' as it is not in the table`);
    this.#pattern = pattern;
    this.#isInitiator = options.role === "initiator";
    this.#crypto = options.crypto;
    this.#static = options.staticKeys;
    this.#ephemeral = options.ephemeral;
    this.#remoteStatic = options.remoteStaticPublicKey;
    this.#psks = [...(options.psks ?? [])];
    this.#pskFor = options.pskFor;
    this.#hasPsk = this.#psks.length > 0 || this.#pskFor !== undefined;
    const tokens = pattern.messages.flat();
    const count = this.#pskFor === undefined ? this.#psks.length : 1;
    if (tokens.filter((token) => token === "psk").length !== count) {
      throw new TypeError(`Cannot use pattern '${pattern.name}' with ${count} pre-shared keys`);
    }
    for (const psk of this.#psks) {
      if (psk.length !== PSK_BYTES) throw new RangeError(`Cannot use a pre-shared key of ${psk.length} bytes`);
    }
    if (this.#remoteStatic !== undefined && this.#remoteStatic.length !== DH_BYTES) {
      throw new RangeError(`Cannot use a static key of ${this.#remoteStatic.length} bytes`);
    }
    this.#symmetric = new SymmetricState(options.crypto, `Noise_${pattern.name}_25519_ChaChaPoly_SHA256`);
    this.#symmetric.mixHash(options.prologue);
    if (pattern.initiatorPreMessage) this.#mixKnown(this.#isInitiator);
    if (pattern.responderPreMessage) this.#mixKnown(!this.#isInitiator);
  }

  /** Whether all messages were exchanged. */
  get isComplete(): boolean {
    return this.#nextMessage === this.#pattern.messages.length;
  }

  /** Whether this side writes the next message. */
  get isMyTurn(): boolean {
    return !this.isComplete && (this.#nextMessage % 2 === 0) === this.#isInitiator;
  }

  /** The peer's static key, once it is known. */
  get remoteStatic(): Uint8Array | undefined {
    return this.#remoteStatic;
  }

  /** Binds a session to its handshake. Noise §11.2. */
  get handshakeHash(): Bytes {
    return this.#symmetric.handshakeHash;
  }

  /** Writes the next message with a payload. Throws when it is not this side's turn: the caller's mistake. */
  writeMessage(payload: Uint8Array): Bytes {
    if (!this.isMyTurn || this.#isFailed) throw new TypeError("Cannot write a message as it is not this side's turn");
    const parts: Uint8Array[] = [];
    for (const token of this.#pattern.messages[this.#nextMessage] as readonly Token[]) {
      if (token === "e") {
        parts.push(this.#ephemeral.publicKey);
        this.#symmetric.mixHash(this.#ephemeral.publicKey);
        if (this.#hasPsk) this.#symmetric.mixKey(this.#ephemeral.publicKey); // Noise §9.2
      } else if (token === "s") {
        parts.push(this.#symmetric.encryptAndHash(this.#ownStatic().publicKey));
      } else if (!this.#mixToken(token)) {
        this.#fail();
        throw new TypeError("Cannot write a message as the peer's key is of low order");
      }
    }
    parts.push(this.#symmetric.encryptAndHash(payload));
    this.#nextMessage++;
    const message = concatBytes(...parts);
    if (message.length <= MESSAGE_BYTES_MAX) return message;
    this.#fail(); // The state has moved on: there is no second try.
    throw new RangeError(`Cannot write a message of ${message.length} bytes`);
  }

  /** Reads the next message and returns its payload, or `undefined`: then the handshake is over. Never throws. */
  readMessage(message: Uint8Array): Bytes | undefined {
    if (this.#isFailed || this.isComplete || this.isMyTurn || message.length > MESSAGE_BYTES_MAX) return this.#fail();
    let at = 0;
    for (const token of this.#pattern.messages[this.#nextMessage] as readonly Token[]) {
      if (token === "e") {
        if (message.length < at + DH_BYTES) return this.#fail();
        const ephemeral = new Uint8Array(message.subarray(at, at + DH_BYTES));
        at += DH_BYTES;
        this.#remoteEphemeral = ephemeral;
        this.#symmetric.mixHash(ephemeral);
        if (this.#hasPsk) this.#symmetric.mixKey(ephemeral); // Noise §9.2
      } else if (token === "s") {
        const length = DH_BYTES + (this.#symmetric.cipher.hasKey ? TAG_BYTES : 0);
        if (message.length < at + length || this.#remoteStatic !== undefined) return this.#fail();
        this.#remoteStatic = this.#symmetric.decryptAndHash(message.subarray(at, at + length));
        at += length;
        if (this.#remoteStatic === undefined) return this.#fail();
      } else if (!this.#mixToken(token)) {
        return this.#fail();
      }
    }
    const payload = this.#symmetric.decryptAndHash(message.subarray(at));
    if (payload === undefined) return this.#fail();
    this.#nextMessage++;
    return payload;
  }

  /** The keys of a complete handshake, 32 bytes each. */
  split(): { readonly send: Bytes; readonly receive: Bytes } {
    if (!this.isComplete || this.#isFailed) throw new TypeError("Cannot split as the handshake is not complete");
    const [initiator, responder] = this.#symmetric.split();
    return this.#isInitiator ? { send: initiator, receive: responder } : { send: responder, receive: initiator };
  }

  /** Wipes the secrets of the handshake; static keys are the caller's. */
  destroy(): void {
    this.#ephemeral.secretKey.fill(0);
    this.#symmetric.destroy();
  }

  #mixKnown(isOwn: boolean): void {
    const key = isOwn ? this.#ownStatic().publicKey : this.#remoteStatic;
    if (key === undefined) throw new TypeError(`Cannot use pattern '${this.#pattern.name}' without the peer's key`);
    this.#symmetric.mixHash(key);
  }

  #ownStatic(): DhKeyPair {
    if (this.#static === undefined)
      throw new TypeError(`Cannot use pattern '${this.#pattern.name}' without a static key`);
    return this.#static;
  }

  #mixToken(token: Exclude<Token, "e" | "s">): boolean {
    if (token === "psk") {
      const asked = this.#pskFor?.(this.#remoteStatic);
      this.#symmetric.mixKeyAndHash(asked ?? (this.#psks.shift() as Uint8Array));
      asked?.fill(0);
      return true;
    }
    // The first letter is the initiator's key, the second the responder's.
    const ownLetter = this.#isInitiator ? token[0] : token[1];
    const remoteLetter = this.#isInitiator ? token[1] : token[0];
    const own = ownLetter === "e" ? this.#ephemeral : this.#ownStatic();
    const remote = remoteLetter === "e" ? this.#remoteEphemeral : this.#remoteStatic;
    if (remote === undefined) return false;
    const shared = this.#crypto.x25519(own.secretKey, remote);
    if (shared === undefined) return false; // All zero: THREATS t-A2.
    this.#symmetric.mixKey(shared);
    shared.fill(0);
    return true;
  }

  #fail(): undefined {
    this.#isFailed = true;
    this.destroy();
    return undefined;
  }
}
