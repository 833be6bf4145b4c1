/**
 * The edge cases of Project Wycheproof through every provider of the runtime at hand: keys on the twist, points of low
 * order, signatures that are malleable or badly encoded, tags and counters at their limits.
 *
 * @module
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import { nobleProvider } from "../../../core/crypto/noble_provider.ts";
import type { CipherName, CryptoProvider } from "../../../core/crypto/provider.ts";
import aes from "../../vectors/wycheproof_aes_256_gcm.json" with { type: "json" };
import chacha from "../../vectors/wycheproof_chacha20_poly1305.json" with { type: "json" };
import ed25519 from "../../vectors/wycheproof_ed25519.json" with { type: "json" };
import hmac from "../../vectors/wycheproof_hmac_sha256.json" with { type: "json" };
import x25519 from "../../vectors/wycheproof_x25519.json" with { type: "json" };

const globals = globalThis as { Deno?: unknown; Bun?: unknown };
const providers: CryptoProvider[] = [nobleProvider];
if (globals.Deno !== undefined) providers.push((await import("../../../adapters/deno/crypto.ts")).denoProvider);
else if (globals.Bun !== undefined) providers.push((await import("../../../adapters/bun/crypto.ts")).bunProvider);
else providers.push((await import("../../../adapters/node/crypto.ts")).nodeProvider);

const AEADS: readonly { readonly cipher: CipherName; readonly vectors: typeof chacha }[] = [
  { cipher: "chacha20-poly1305", vectors: chacha },
  { cipher: "aes-256-gcm", vectors: aes },
];

function bytes(hex: string): Uint8Array {
  return Uint8Array.from(hex.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
}

function hex(data: Uint8Array): string {
  return Array.from(data, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

test("wycheproof: the extracts are whole", () => {
  for (const { count, tests } of [x25519, ed25519, chacha, aes, hmac]) assert.equal(tests.length, count);
});

for (const provider of providers) {
  test(`wycheproof: ${provider.name} computes X25519, and refuses a secret that is all zero`, () => {
    for (const { id, note, secret, public: publicKey, shared } of x25519.tests) {
      const computed = provider.x25519(bytes(secret), bytes(publicKey));
      assert.equal(computed === undefined ? null : hex(computed), shared, `${id}: ${note}`);
    }
  });

  test(`wycheproof: ${provider.name} verifies Ed25519 and refuses what is not exactly a signature`, () => {
    for (const { id, note, public: publicKey, message, signature, isValid } of ed25519.tests) {
      const verified = provider.ed25519Verify(bytes(publicKey), bytes(message), bytes(signature));
      assert.equal(verified, isValid, `${id}: ${note}`);
    }
  });

  test(`wycheproof: ${provider.name} computes HMAC-SHA-256`, () => {
    for (const { id, note, key, message, tag, isValid } of hmac.tests) {
      assert.equal(hex(provider.hmacSha256(bytes(key), bytes(message))) === tag, isValid, `${id}: ${note}`);
    }
  });

  for (const { cipher, vectors } of AEADS) {
    // AES without hardware is not to be had from @noble: see `noble_provider.ts`.
    if (provider === nobleProvider && cipher !== "chacha20-poly1305") continue;
    test(`wycheproof: ${provider.name} seals and opens ${cipher}, and refuses a changed tag`, () => {
      for (const { id, note, isValid, ...fields } of vectors.tests) {
        const key = provider.aeadKey(cipher, bytes(fields.key));
        const [nonce, associated, plaintext] = [bytes(fields.nonce), bytes(fields.associated), bytes(fields.plaintext)];
        const sealed = fields.ciphertext + fields.tag;
        const opened = key.open(nonce, associated, bytes(sealed));
        assert.equal(opened === undefined ? undefined : hex(opened), isValid ? fields.plaintext : undefined, note);
        const out = new Uint8Array(plaintext.length + 16);
        key.seal(nonce, associated, plaintext, out, 0);
        assert.equal(hex(out) === sealed, isValid, `${id}: ${note}`);
        key.destroy();
      }
    });
  }
}
