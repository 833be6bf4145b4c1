/**
 * The `CryptoProvider` on `node:crypto`: native primitives, keys prepared once; but ChaCha20-Poly1305 of packages in
 * WebAssembly. Used by Node and Deno, and by Bun where it has the primitive.
 *
 * @module
 */

import {
  createCipheriv,
  createDecipheriv,
  createHash,
  createHmac,
  createPrivateKey,
  createPublicKey,
  createSecretKey,
  diffieHellman,
  type KeyObject,
  sign,
  verify,
} from "node:crypto";
import { equalBytes, isAllZero } from "../../core/crypto/constant_time.ts";
import { isUsablePublicKey } from "../../core/crypto/identity.ts";
import { nobleProvider } from "../../core/crypto/noble_provider.ts";
import type { AeadKey, CipherName, CryptoProvider } from "../../core/crypto/provider.ts";
import { KEY_BYTES, TAG_BYTES } from "../../core/crypto/provider.ts";
import type { Bytes } from "../../core/machine.ts";
import { type WasmAeadOptions, wasmAeadKey } from "../crypto/wasm_aead.ts";

/** The two uses of the curve, as RFC 8037 §2 names them. */
type Curve = "X25519" | "Ed25519";

/** DER in front of a raw secret. RFC 8410 §7. */
const SECRET_PREFIX: Readonly<Record<Curve, string>> = {
  X25519: "302e020100300506032b656e04220420",
  Ed25519: "302e020100300506032b657004220420",
};
const RAW_BYTES = 32;

/** An AEAD key of the host. Always a `KeyObject`: a raw key costs three times as much. */
class NativeAeadKey implements AeadKey {
  readonly cipher: CipherName;
  #key: KeyObject | undefined;

  constructor(cipher: CipherName, key: Uint8Array) {
    if (key.length !== KEY_BYTES) throw new RangeError(`Cannot use a key of ${key.length} bytes`);
    this.cipher = cipher;
    this.#key = createSecretKey(key);
  }

  seal(nonce: Uint8Array, associated: Uint8Array, plaintext: Uint8Array, out: Uint8Array, offset: number): number {
    const cipher = createCipheriv(this.cipher as "chacha20-poly1305", this.#require(), nonce, TAG_OPTIONS);
    cipher.setAAD(associated, AAD_OPTIONS);
    out.set(cipher.update(plaintext), offset);
    cipher.final();
    out.set(cipher.getAuthTag(), offset + plaintext.length);
    return plaintext.length + TAG_BYTES;
  }

  open(nonce: Uint8Array, associated: Uint8Array, sealed: Uint8Array): Bytes | undefined {
    const length = sealed.length - TAG_BYTES;
    if (length < 0) return undefined;
    const decipher = createDecipheriv(this.cipher as "chacha20-poly1305", this.#require(), nonce, TAG_OPTIONS);
    decipher.setAAD(associated, AAD_OPTIONS);
    decipher.setAuthTag(sealed.subarray(length));
    try {
      const plaintext = decipher.update(sealed.subarray(0, length));
      decipher.final();
      return new Uint8Array(plaintext.buffer as ArrayBuffer, plaintext.byteOffset, plaintext.length);
    } catch {
      return undefined;
    }
  }

  destroy(): void {
    this.#key = undefined; // A KeyObject is wiped by its collector.
  }

  #require(): KeyObject {
    if (this.#key === undefined) throw new TypeError("Cannot use a key that was destroyed");
    return this.#key;
  }
}

const TAG_OPTIONS = { authTagLength: TAG_BYTES };
const AAD_OPTIONS = { plaintextLength: 0 };

/**
 * Where calling the host costs less than what it computes faster. Measured with 16, 64, 256, 1200, 8192, 16384 and
 * 65504 bytes on one machine, microseconds a seal. Node 20, WebAssembly: 0.26, 0.28, 0.47, 1.3, 7.4, 15, 58; native:
 * 3.4, 3.7, 4.4, 5.3, 6.8, 9.3, 28. Node 24 and Deno alike. @noble has no size where it would win: 7 to 430.
 */
const WASM_OPTIONS: WasmAeadOptions = {
  textBytesMax: 7 * 1024,
  elsewhere: (key: Uint8Array): AeadKey => new NativeAeadKey("chacha20-poly1305", key),
};

/**
 * The provider on `node:crypto`. It can do AES-256-GCM, but does not offer it: both sides would agree on it, and it
 * takes 3 to 5 µs for any package. Small requests go 14 % faster without; a stream of 64 KiB packages takes 5 to 10 %
 * more of the processor.
 */
export const nodeProvider: CryptoProvider = Object.freeze({
  name: "node",
  ciphers: Object.freeze(["chacha20-poly1305"] as const),
  sha256: (data: Uint8Array): Bytes => plain(createHash("sha256").update(data).digest()),
  hmacSha256: (key: Uint8Array, data: Uint8Array): Bytes => plain(createHmac("sha256", key).update(data).digest()),
  x25519PublicKey: (secretKey: Uint8Array): Bytes => rawPublicKey(privateKey("X25519", secretKey)),
  x25519: (secretKey: Uint8Array, publicKey: Uint8Array): Bytes | undefined => {
    try {
      const shared = plain(
        diffieHellman({
          privateKey: privateKey("X25519", secretKey),
          publicKey: importPublic("X25519", publicKey),
        }),
      );
      return isAllZero(shared) ? undefined : shared;
    } catch {
      return undefined; // OpenSSL refuses low-order keys by itself. RFC 7748 §6.1.
    }
  },
  ed25519PublicKey: (seed: Uint8Array): Bytes => rawPublicKey(privateKey("Ed25519", seed)),
  ed25519Sign: (seed: Uint8Array, message: Uint8Array): Bytes =>
    plain(sign(null, message, privateKey("Ed25519", seed))),
  ed25519Verify: (publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean => {
    // One rule in every runtime, that of @noble (THREATS t-A1). A host checks the equation without the cofactor: what
    // it takes, the rule takes too unless the key is of small order or not canonical. What it refuses, the rule may
    // still take (RFC 8032 §5.1.7 multiplies by the cofactor), so a refusal is asked for twice.
    try {
      if (verify(null, message, importPublic("Ed25519", publicKey), signature)) {
        return isUsablePublicKey(publicKey);
      }
    } catch {
      return false;
    }
    return nobleProvider.ed25519Verify(publicKey, message, signature);
  },
  aeadKey: (cipher: CipherName, key: Uint8Array): AeadKey =>
    cipher === "chacha20-poly1305" ? wasmAeadKey(key, WASM_OPTIONS) : new NativeAeadKey(cipher, key),
});

/** A secret as the host imported it. */
interface ImportedKey {
  /** SHA-256 of the bytes that were imported: an array may hold other bytes by now, or none. */
  readonly digest: Uint8Array;
  readonly key: KeyObject;
}

/**
 * Importing a key costs more than using it, and a handshake uses each of its secrets up to four times. The cache holds
 * no secret longer than its owner holds the bytes.
 */
const PRIVATE_KEYS = new WeakMap<Uint8Array, Map<Curve, ImportedKey>>();

function privateKey(curve: Curve, raw: Uint8Array): KeyObject {
  let forms = PRIVATE_KEYS.get(raw);
  if (forms === undefined) {
    forms = new Map();
    PRIVATE_KEYS.set(raw, forms);
  }
  const digest = createHash("sha256").update(raw).digest();
  const known = forms.get(curve);
  if (known !== undefined && equalBytes(known.digest, digest)) return known.key;
  const isQuick = curve === "X25519" && isQuickImportRight();
  const key = isQuick ? importSecretQuickly(raw) : importSecret(curve, raw);
  forms.set(curve, { digest, key });
  return key;
}

/** As JWK, which OpenSSL need not guess at as it does at DER: on Node 20 5 µs for 75, elsewhere no slower. */
function importPublic(curve: Curve, raw: Uint8Array): KeyObject {
  checkRaw(raw);
  return createPublicKey({ key: { kty: "OKP", crv: curve, x: base64url(raw) }, format: "jwk" });
}

function importSecret(curve: Curve, raw: Uint8Array): KeyObject {
  checkRaw(raw);
  const der = Buffer.concat([Buffer.from(SECRET_PREFIX[curve], "hex"), raw]);
  const key = createPrivateKey({ key: der, format: "der", type: "pkcs8" });
  der.fill(0);
  return key;
}

/**
 * As JWK: on Node 20 35 µs for 350, and a handshake makes a new key. A JWK has to say the public half too, which is
 * what is wanted here; hosts derive it and do not look at what was said.
 */
function importSecretQuickly(raw: Uint8Array): KeyObject {
  checkRaw(raw);
  return createPrivateKey({ key: { kty: "OKP", crv: "X25519", d: base64url(raw), x: ANY_PUBLIC }, format: "jwk" });
}

const ANY_PUBLIC: string = "A".repeat(43); // 32 zero bytes
let isQuickRight: boolean | undefined;

/** Asks the host once whether it does look, or keeps what was said: then it is not done. */
function isQuickImportRight(): boolean {
  if (isQuickRight === undefined) {
    const secret = new Uint8Array(RAW_BYTES).fill(RAW_BYTES);
    try {
      const quick = rawPublicKey(importSecretQuickly(secret));
      isQuickRight = equalBytes(quick, rawPublicKey(importSecret("X25519", secret)));
    } catch {
      isQuickRight = false;
    }
  }
  return isQuickRight;
}

function rawPublicKey(secret: KeyObject): Bytes {
  const spki = createPublicKey(secret as never).export({ format: "der", type: "spki" });
  return plain(spki.subarray(spki.length - RAW_BYTES));
}

function checkRaw(raw: Uint8Array): void {
  if (raw.length !== RAW_BYTES) throw new RangeError(`Cannot use a key of ${raw.length} bytes`);
}

function base64url(raw: Uint8Array): string {
  return Buffer.from(raw.buffer, raw.byteOffset, raw.length).toString("base64url");
}

/** A copy without the pool that a small `Buffer` shares. */
function plain(buffer: Uint8Array): Bytes {
  return new Uint8Array(buffer);
}
