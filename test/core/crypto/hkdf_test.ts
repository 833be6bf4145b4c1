/**
 * Key derivation against RFC 5869, and the comparison of secrets.
 *
 * @module
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { concatBytes, equalBytes, isAllZero } from "../../../core/crypto/constant_time.ts";
import { bytesToHex as hex } from "../../../core/crypto/hex.ts";
import { deriveKey, noiseHkdf } from "../../../core/crypto/hkdf.ts";
import { nobleProvider as crypto } from "../../../core/crypto/noble_provider.ts";

test("hkdf: Noise's is RFC 5869 with the chaining key as salt and no info (A.3)", () => {
  const inputKeyMaterial = new Uint8Array(22).fill(0x0b);
  for (const count of [2, 3] as const) {
    const outputs = noiseHkdf(crypto, new Uint8Array(0), inputKeyMaterial, count);
    assert.equal(outputs.length, count);
    assert.equal(
      hex(concatBytes(...outputs).subarray(0, 42)),
      "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8",
    );
  }
});

test("hkdf: two outputs are the first two of three", () => {
  const [chainingKey, material] = [new Uint8Array(32).fill(1), new Uint8Array(32).fill(2)];
  const three = noiseHkdf(crypto, chainingKey, material, 3);
  assert.deepEqual(noiseHkdf(crypto, chainingKey, material, 2), three.slice(0, 2));
});

test("hkdf: a labelled key is one block of HKDF-Expand: RFC 5869 §2.3", () => {
  const secret = new Uint8Array(32).fill(7);
  const info = concatBytes(new TextEncoder().encode("viaduct name\0"), Uint8Array.of(1, 2));
  const expected = crypto.hmacSha256(secret, concatBytes(info, Uint8Array.of(1)));
  assert.deepEqual(deriveKey(crypto, secret, "name", Uint8Array.of(1, 2)), expected);
});

test("hkdf: secret, label and context each change the key, and label and context do not run into each other", () => {
  const secret = new Uint8Array(32).fill(7);
  const keys = [
    deriveKey(crypto, secret, "a"),
    deriveKey(crypto, secret, "b"),
    deriveKey(crypto, secret, "ab"),
    deriveKey(crypto, secret, "a", new TextEncoder().encode("b")),
    deriveKey(crypto, new Uint8Array(32).fill(8), "a"),
  ].map(hex);
  assert.equal(new Set(keys).size, keys.length);
});

test("constant time: equal is equal, whatever differs is not", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 80 }), fc.nat(), fc.integer({ min: 1, max: 255 }), (left, at, change) => {
      assert.ok(equalBytes(left, left.slice()));
      assert.equal(equalBytes(left, concatBytes(left, Uint8Array.of(0))), false);
      assert.equal(isAllZero(new Uint8Array(left.length)), true);
      if (left.length === 0) return;
      const right = left.slice();
      const index = at % left.length;
      right[index] = (right[index] as number) ^ change;
      assert.equal(equalBytes(left, right), false);
      const one = new Uint8Array(left.length);
      one[index] = change;
      assert.equal(isAllZero(one), false);
    }),
    { seed: 7, numRuns: 100 },
  );
});
