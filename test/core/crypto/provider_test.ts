/**
 * The same published vectors through every provider of the runtime at hand, and all of them against each other.
 *
 * @module
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { nobleProvider } from "../../../core/crypto/noble_provider.ts";
import type { CryptoProvider } from "../../../core/crypto/provider.ts";

const globals = globalThis as { Deno?: unknown; Bun?: unknown; document?: unknown };
const providers: CryptoProvider[] = [nobleProvider];
if (globals.Deno !== undefined) providers.push((await import("../../../adapters/deno/crypto.ts")).denoProvider);
else if (globals.Bun !== undefined) providers.push((await import("../../../adapters/bun/crypto.ts")).bunProvider);
else if (globals.document === undefined)
  providers.push((await import("../../../adapters/node/crypto.ts")).nodeProvider);

function bytes(hex: string): Uint8Array {
  return Uint8Array.from(hex.replace(/\s/g, "").match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
}

function hex(data: Uint8Array | undefined): string {
  return Array.from(data ?? [], (byte) => byte.toString(16).padStart(2, "0")).join("");
}

for (const provider of providers) {
  test(`crypto: ${provider.name} seals and opens RFC 8439 §2.8.2`, () => {
    const key = provider.aeadKey(
      "chacha20-poly1305",
      bytes("808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f"),
    );
    const nonce = bytes("070000004041424344454647");
    const associated = bytes("50515253c0c1c2c3c4c5c6c7");
    const text =
      "Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, sunscreen would be it.";
    const plaintext = new TextEncoder().encode(text);
    const out = new Uint8Array(3 + plaintext.length + 16);
    assert.equal(key.seal(nonce, associated, plaintext, out, 3), plaintext.length + 16);
    const sealed = out.subarray(3);
    assert.equal(
      hex(sealed),
      "d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d63dbea45e8ca9671282fafb69da92728b1a71de0a9e06" +
        "0b2905d6a5b67ecd3b3692ddbd7f2d778b8c9803aee328091b58fab324e4fad675945585808b4831d7bc3ff4def08e4b7a9de576d2" +
        "6586cec64b61161ae10b594f09e26a7e902ecbd0600691",
    );
    assert.equal(new TextDecoder().decode(key.open(nonce, associated, sealed)), text);
    for (const at of [0, 50, sealed.length - 1]) {
      const forged = sealed.slice();
      forged[at] = (forged[at] as number) ^ 1;
      assert.equal(key.open(nonce, associated, forged), undefined);
    }
    assert.equal(key.open(nonce, new Uint8Array(0), sealed), undefined);
    for (let length = 0; length < 17; length++) {
      assert.equal(key.open(nonce, associated, sealed.subarray(0, length)), undefined);
    }
  });

  test(`crypto: ${provider.name} agrees with RFC 7748 and refuses points of low order`, () => {
    const secret = bytes("77076d0a7318a57d3c16c17251b26645df4c5d7b0a4e2b9b7dc3b3d0c0e0f12a".slice(0, 64));
    const alice = bytes("77076d0a7318a57d3c16c17251b26645c6c2f6c5b5a8e2fbe6f4c2fd5b0e0d2c".slice(0, 64));
    assert.equal(hex(provider.x25519PublicKey(secret)), hex(nobleProvider.x25519PublicKey(secret)));
    assert.equal(
      hex(
        provider.x25519(
          bytes("a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4"),
          bytes("e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c"),
        ),
      ),
      "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552",
    );
    for (const point of [
      "0000000000000000000000000000000000000000000000000000000000000000",
      "0100000000000000000000000000000000000000000000000000000000000000",
      "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
      "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
      "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    ]) {
      assert.equal(provider.x25519(alice, bytes(point)), undefined, point);
    }
  });

  test(`crypto: ${provider.name} signs RFC 8032 §7.1 and verifies strictly`, () => {
    const seed = bytes("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60");
    const publicKey = provider.ed25519PublicKey(seed);
    assert.equal(hex(publicKey), "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a");
    const signature = provider.ed25519Sign(seed, new Uint8Array(0));
    assert.equal(
      hex(signature),
      "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24" +
        "655141438e7a100b",
    );
    assert.ok(provider.ed25519Verify(publicKey, new Uint8Array(0), signature));
    assert.equal(provider.ed25519Verify(publicKey, Uint8Array.of(1), signature), false);
    // S + L is the same scalar written in another way: RFC 8032 §5.1.7 refuses it.
    const order = 2n ** 252n + 27742317777372353535851937790883648493n;
    let scalar = 0n;
    for (let index = 63; index >= 32; index--) scalar = (scalar << 8n) | BigInt(signature[index] as number);
    const malleable = signature.slice();
    for (let index = 32, rest = scalar + order; index < 64; index++, rest >>= 8n)
      malleable[index] = Number(rest & 255n);
    assert.equal(provider.ed25519Verify(publicKey, new Uint8Array(0), malleable), false);
    assert.equal(provider.ed25519Verify(new Uint8Array(32), new Uint8Array(0), new Uint8Array(64)), false);
    assert.equal(provider.ed25519Verify(new Uint8Array(31), new Uint8Array(0), signature), false);
  });

  test(`crypto: ${provider.name} hashes FIPS 180-4 and RFC 4231`, () => {
    const abc = new TextEncoder().encode("abc");
    assert.equal(hex(provider.sha256(abc)), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert.equal(
      hex(provider.hmacSha256(bytes("0b".repeat(20)), new TextEncoder().encode("Hi There"))),
      "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
    );
  });

  if (provider.ciphers.includes("aes-256-gcm")) {
    test(`crypto: ${provider.name} seals AES-256-GCM (GCM specification, test case 14)`, () => {
      const key = provider.aeadKey("aes-256-gcm", new Uint8Array(32));
      const out = new Uint8Array(32);
      key.seal(new Uint8Array(12), new Uint8Array(0), new Uint8Array(16), out, 0);
      assert.equal(hex(out), "cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919");
      assert.equal(hex(key.open(new Uint8Array(12), new Uint8Array(0), out)), "00".repeat(16));
    });
  }

  test(`crypto: ${provider.name} and noble give the same bytes`, () => {
    const some = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });
    fc.assert(
      fc.property(
        some(32),
        some(12),
        fc.uint8Array({ maxLength: 40 }),
        fc.uint8Array({ maxLength: 2_000 }),
        (key, nonce, associated, plaintext) => {
          const sealed = [provider, nobleProvider].map((each) => {
            const out = new Uint8Array(plaintext.length + 16);
            each.aeadKey("chacha20-poly1305", key).seal(nonce, associated, plaintext, out, 0);
            return out;
          });
          assert.deepEqual(sealed[0], sealed[1]);
          assert.equal(hex(provider.x25519PublicKey(key)), hex(nobleProvider.x25519PublicKey(key)));
          assert.equal(hex(provider.hmacSha256(key, plaintext)), hex(nobleProvider.hmacSha256(key, plaintext)));
        },
      ),
      { seed: 20, numRuns: 40 },
    );
  });
}
