/**
 * CipherState and SymmetricState of Noise with ChaChaPoly and SHA-256. Noise rev 34 §5.1, §5.2, §12.3, §12.7.
 *
 * The invariant to hold: the nonce moves only when decryption succeeded (THREATS t-A8), and no nonce is used twice: a
 * counter that a number cannot hold exactly is refused.
 *
 * @module
 */

import type { Bytes } from "../machine.ts";
import { encodeUtf8 } from "../wire/utf8.ts";
import { concatBytes } from "./constant_time.ts";
import { noiseHkdf } from "./hkdf.ts";
import type { AeadKey, CryptoProvider } from "./provider.ts";
import { NONCE_BYTES, TAG_BYTES } from "./provider.ts";

const HASH_BYTES = 32;
const EMPTY: Uint8Array = new Uint8Array(0);

/** A key and a counter. Noise §5.1. */
export class CipherState {
  readonly #crypto: CryptoProvider;
  #key: AeadKey | undefined;
  #nonce = 0;

  constructor(crypto: CryptoProvider, key?: Uint8Array) {
    this.#crypto = crypto;
    if (key !== undefined) this.initializeKey(key);
  }

  get hasKey(): boolean {
    return this.#key !== undefined;
  }

  initializeKey(key: Uint8Array): void {
    this.#key?.destroy();
    this.#key = this.#crypto.aeadKey("chacha20-poly1305", key);
    this.#nonce = 0;
  }

  encryptWithAd(associated: Uint8Array, plaintext: Uint8Array): Bytes {
    if (this.#key === undefined) return plaintext.slice();
    const out = new Uint8Array(plaintext.length + TAG_BYTES);
    this.#key.seal(this.#nonceBytes(), associated, plaintext, out, 0);
    this.#nonce++;
    return out;
  }

  /** The plaintext, or `undefined` when it is not authentic; the nonce stays then. */
  decryptWithAd(associated: Uint8Array, sealed: Uint8Array): Bytes | undefined {
    if (this.#key === undefined) return new Uint8Array(sealed);
    const plaintext = this.#key.open(this.#nonceBytes(), associated, sealed);
    if (plaintext !== undefined) this.#nonce++;
    return plaintext;
  }

  destroy(): void {
    this.#key?.destroy();
    this.#key = undefined;
  }

  /** Noise §12.3: 32 zero bits, then the counter in 64 bits, little-endian. */
  #nonceBytes(): Uint8Array {
    if (this.#nonce > Number.MAX_SAFE_INTEGER) throw new RangeError("Cannot use a key for more messages");
    const bytes = new Uint8Array(NONCE_BYTES);
    new DataView(bytes.buffer).setUint32(4, this.#nonce >>> 0, true);
    new DataView(bytes.buffer).setUint32(8, Math.floor(this.#nonce / 0x100000000), true);
    return bytes;
  }
}

/** Chaining key, handshake hash and a cipher. Noise §5.2. */
export class SymmetricState {
  readonly #crypto: CryptoProvider;
  readonly cipher: CipherState;
  #chainingKey: Bytes;
  #hash: Bytes;

  constructor(crypto: CryptoProvider, protocolName: string) {
    this.#crypto = crypto;
    this.cipher = new CipherState(crypto);
    const name = encodeUtf8(protocolName);
    this.#hash = name.length <= HASH_BYTES ? padded(name) : crypto.sha256(name);
    this.#chainingKey = this.#hash.slice();
  }

  get handshakeHash(): Bytes {
    return this.#hash.slice();
  }

  mixKey(material: Uint8Array): void {
    const [chainingKey, key] = noiseHkdf(this.#crypto, this.#chainingKey, material, 2) as [Bytes, Bytes];
    this.#replaceChainingKey(chainingKey);
    this.cipher.initializeKey(key);
    key.fill(0);
  }

  mixHash(data: Uint8Array): void {
    this.#hash = this.#crypto.sha256(concatBytes(this.#hash, data));
  }

  mixKeyAndHash(material: Uint8Array): void {
    const [chainingKey, hash, key] = noiseHkdf(this.#crypto, this.#chainingKey, material, 3) as [Bytes, Bytes, Bytes];
    this.#replaceChainingKey(chainingKey);
    this.mixHash(hash);
    this.cipher.initializeKey(key);
    key.fill(0);
  }

  encryptAndHash(plaintext: Uint8Array): Bytes {
    const sealed = this.cipher.encryptWithAd(this.#hash, plaintext);
    this.mixHash(sealed);
    return sealed;
  }

  decryptAndHash(sealed: Uint8Array): Bytes | undefined {
    const plaintext = this.cipher.decryptWithAd(this.#hash, sealed);
    if (plaintext !== undefined) this.mixHash(sealed);
    return plaintext;
  }

  /** The keys of both directions, the initiator's sending key first. */
  split(): [Bytes, Bytes] {
    return noiseHkdf(this.#crypto, this.#chainingKey, EMPTY, 2) as [Bytes, Bytes];
  }

  destroy(): void {
    this.#chainingKey.fill(0);
    this.cipher.destroy();
  }

  #replaceChainingKey(next: Bytes): void {
    this.#chainingKey.fill(0);
    this.#chainingKey = next;
  }
}

function padded(name: Uint8Array): Bytes {
  const out = new Uint8Array(HASH_BYTES);
  out.set(name);
  return out;
}
