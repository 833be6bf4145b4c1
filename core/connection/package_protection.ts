/**
 * Protection of packages: header, nonce, sealing, opening and rekeying. PROTOCOL §4.
 *
 * The invariant to hold: a nonce (path id and package number) never repeats under one key; state moves only after a
 * package proved authentic. THREATS t-A8, t-A9.
 *
 * @module
 */

import type { AeadKey, CipherName, CryptoProvider } from "../crypto/provider.ts";
import { KEY_BYTES, NONCE_BYTES, TAG_BYTES } from "../crypto/provider.ts";
import type { Bytes, Instant } from "../machine.ts";
import type { Package } from "../wire/package.ts";
import { PROTECTED_VERSION, writePackageHeader } from "../wire/package.ts";
import { readVarint, varintBytes, varintBytesAt, writeVarint } from "../wire/varint.ts";

/** Flags and connection id. */
const FIXED_HEADER_BYTES = 5;
const PHASE_MASK = 0x03;
/** Version, length and the message header at their largest. */
export const PROTECTION_BYTES_MAX: number = 4 + FIXED_HEADER_BYTES + 5 + 8 + TAG_BYTES;
const PATH_ID_MAX = 0xffffffff;

// "viaduct rekey" in ASCII, then the counter of HKDF-Expand. RFC 5869 §2.3.
const REKEY_LABEL: Uint8Array = Uint8Array.of(118, 105, 97, 100, 117, 99, 116, 32, 114, 101, 107, 101, 121, 1);

/** The clear header of a protected package; filled by `readProtectedHeader`. */
export interface ProtectedHeader {
  phase: number;
  connectionId: number;
  path: number;
  packageNumber: number;
  /** Where the ciphertext starts in the package's bytes. */
  sealedStart: number;
}

/** Makes an empty header to fill. */
export function emptyProtectedHeader(): ProtectedHeader {
  return { phase: 0, connectionId: 0, path: 0, packageNumber: 0, sealedStart: 0 };
}

/** The connection id of a protected package, or `undefined` when it is too short to have one. Unauthenticated. */
export function connectionIdOf(input: Package): number | undefined {
  if (input.version !== PROTECTED_VERSION || input.messageEnd - input.messageStart < FIXED_HEADER_BYTES) {
    return undefined;
  }
  return readU32(input.bytes, input.messageStart + 1);
}

/** The path that a protected package says it is of; -1 when it says none. Unauthenticated. */
export function pathOf(input: Package): number {
  return readVarint(input.bytes, input.messageStart + FIXED_HEADER_BYTES, input.messageEnd);
}

/** Reads the clear header of a protected package. Returns `false` when it is none. Never throws. */
export function readProtectedHeader(input: Package, out: ProtectedHeader): boolean {
  const { bytes, messageStart, messageEnd } = input;
  if (messageEnd - messageStart < FIXED_HEADER_BYTES + 2) return false;
  const flags = bytes[messageStart] as number;
  if ((flags & ~PHASE_MASK) !== 0) return false;
  const pathAt = messageStart + FIXED_HEADER_BYTES;
  const path = readVarint(bytes, pathAt, messageEnd);
  if (path < 0 || path > PATH_ID_MAX) return false;
  const numberAt = pathAt + varintBytesAt(bytes, pathAt);
  const packageNumber = readVarint(bytes, numberAt, messageEnd);
  if (packageNumber < 0) return false;
  out.phase = flags & PHASE_MASK;
  out.connectionId = readU32(bytes, messageStart + 1);
  out.path = path;
  out.packageNumber = packageNumber;
  out.sealedStart = numberAt + varintBytesAt(bytes, numberAt);
  return true;
}

/** Where nonces are made, for all sessions: none is read after the call that it is made for. */
const NONCE = new Uint8Array(NONCE_BYTES);

/** When a key has served long enough. */
export interface RekeyLimits {
  readonly rekeyBytes: number;
  readonly rekeyPackages: number;
  readonly rekeyMs: number;
}

/** Seals the packages of one direction. */
export class SendProtection {
  readonly #crypto: CryptoProvider;
  readonly #cipher: CipherName;
  readonly #limits: RekeyLimits;
  readonly #connectionId: number;
  #secret: Bytes;
  #key: AeadKey;
  #phase = 0;
  #bytesUnderKey = 0;
  #packagesUnderKey = 0;
  #keySince: Instant;
  /** Whether the peer acknowledged a package of this phase: only then may the next one begin. PROTOCOL §4.4. */
  #isPhaseConfirmed = false;
  /** How often the key was changed. */
  rekeys = 0;

  constructor(
    options: { crypto: CryptoProvider; cipher: CipherName; key: Uint8Array; connectionId: number; limits: RekeyLimits },
    now: Instant,
  ) {
    this.#crypto = options.crypto;
    this.#cipher = options.cipher;
    this.#limits = options.limits;
    this.#connectionId = options.connectionId;
    this.#secret = options.key.slice(0, KEY_BYTES);
    this.#key = options.crypto.aeadKey(options.cipher, this.#secret);
    this.#keySince = now;
  }

  /** The phase that packages are sealed under; the owner notes it with each to confirm it on acknowledgement. */
  get phase(): number {
    return this.#phase;
  }

  /** Seals `plaintext` into a fresh package. The caller counts `packageNumber` up for each path, never reusing one. */
  seal(path: number, packageNumber: number, plaintext: Uint8Array, now: Instant): Bytes {
    if (this.#isPhaseConfirmed && this.#isWornOut(now)) this.#rekey(now);
    const messageHeaderBytes = FIXED_HEADER_BYTES + varintBytes(path) + varintBytes(packageNumber);
    const messageBytes = messageHeaderBytes + plaintext.length;
    const out = new Uint8Array(1 + varintBytes(messageBytes) + messageBytes + TAG_BYTES);
    let at = writePackageHeader(out, 0, PROTECTED_VERSION, messageBytes);
    out[at] = this.#phase;
    writeU32(out, at + 1, this.#connectionId);
    at = writeVarint(out, writeVarint(out, at + FIXED_HEADER_BYTES, path), packageNumber);
    writeNonce(NONCE, path, packageNumber);
    this.#key.seal(NONCE, out.subarray(0, at), plaintext, out, at);
    this.#bytesUnderKey += plaintext.length;
    this.#packagesUnderKey++;
    return out;
  }

  /** Bytes that a package of about `bytes` has besides its plaintext. */
  overheadBytes(path: number, packageNumber: number, bytes: number): number {
    return 1 + varintBytes(bytes) + FIXED_HEADER_BYTES + varintBytes(path) + varintBytes(packageNumber) + TAG_BYTES;
  }

  /** Notes that the peer acknowledged a package sealed under `phase`. */
  onAcked(phase: number): void {
    if (phase === this.#phase) this.#isPhaseConfirmed = true;
  }

  /** Wipes the keys. */
  destroy(): void {
    this.#secret.fill(0);
    this.#key.destroy();
  }

  #isWornOut(now: Instant): boolean {
    return (
      this.#bytesUnderKey >= this.#limits.rekeyBytes ||
      this.#packagesUnderKey >= this.#limits.rekeyPackages ||
      now - this.#keySince >= this.#limits.rekeyMs
    );
  }

  #rekey(now: Instant): void {
    this.#key.destroy();
    this.#secret = nextSecret(this.#crypto, this.#secret);
    this.#key = this.#crypto.aeadKey(this.#cipher, this.#secret);
    this.#phase = (this.#phase + 1) & PHASE_MASK;
    this.#bytesUnderKey = this.#packagesUnderKey = 0;
    this.#keySince = now;
    this.#isPhaseConfirmed = false;
    this.rekeys++;
  }
}

/** Opens the packages of one direction. */
export class ReceiveProtection {
  readonly #crypto: CryptoProvider;
  readonly #cipher: CipherName;
  #secret: Bytes;
  #current: AeadKey;
  /** Packages of the phase before may still arrive by a slower path. */
  #previous: AeadKey | undefined;
  #phase = 0;

  constructor(options: { crypto: CryptoProvider; cipher: CipherName; key: Uint8Array }) {
    this.#crypto = options.crypto;
    this.#cipher = options.cipher;
    this.#secret = options.key.slice(0, KEY_BYTES);
    this.#current = options.crypto.aeadKey(options.cipher, this.#secret);
  }

  /** Opens a package whose header was read, or returns `undefined` when it is not authentic. */
  open(input: Package, header: ProtectedHeader): Bytes | undefined {
    const { bytes } = input;
    writeNonce(NONCE, header.path, header.packageNumber);
    const associated = bytes.subarray(input.start, header.sealedStart);
    const sealed = bytes.subarray(header.sealedStart, input.end);
    if (sealed.length < TAG_BYTES) return undefined;
    if (header.phase === this.#phase) return this.#current.open(NONCE, associated, sealed);
    if (header.phase === ((this.#phase + 1) & PHASE_MASK)) return this.#openNext(associated, sealed);
    if (header.phase === ((this.#phase - 1) & PHASE_MASK)) {
      return this.#previous?.open(NONCE, associated, sealed);
    }
    return undefined;
  }

  /** Wipes the keys. */
  destroy(): void {
    this.#secret.fill(0);
    this.#current.destroy();
    this.#previous?.destroy();
  }

  #openNext(associated: Uint8Array, sealed: Uint8Array): Bytes | undefined {
    const secret = this.#crypto.hmacSha256(this.#secret, REKEY_LABEL);
    const key = this.#crypto.aeadKey(this.#cipher, secret);
    const plaintext = key.open(NONCE, associated, sealed);
    if (plaintext === undefined) {
      // A forged phase moves nothing. THREATS t-A8.
      secret.fill(0);
      key.destroy();
      return undefined;
    }
    this.#previous?.destroy();
    this.#previous = this.#current;
    this.#current = key;
    this.#secret.fill(0);
    this.#secret = secret;
    this.#phase = (this.#phase + 1) & PHASE_MASK;
    return plaintext;
  }
}

/** The secret after `secret`, from which it cannot be computed back: forward secrecy within a session. */
function nextSecret(crypto: CryptoProvider, secret: Bytes): Bytes {
  const next = crypto.hmacSha256(secret, REKEY_LABEL);
  secret.fill(0);
  return next;
}

/** Path id as 4 bytes, package number as 8, little-endian. PROTOCOL §4.3. */
function writeNonce(nonce: Uint8Array, path: number, packageNumber: number): void {
  writeU32(nonce, 0, path);
  writeU32(nonce, 4, packageNumber);
  // Numbers stay below 2^53, so the high word is exact.
  writeU32(nonce, 8, Math.floor(packageNumber / 0x100000000));
}

function readU32(bytes: Uint8Array, at: number): number {
  const low = (bytes[at] as number) | ((bytes[at + 1] as number) << 8) | ((bytes[at + 2] as number) << 16);
  return (low | ((bytes[at + 3] as number) << 24)) >>> 0;
}

function writeU32(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value;
  bytes[at + 1] = value >>> 8;
  bytes[at + 2] = value >>> 16;
  bytes[at + 3] = value >>> 24;
}
