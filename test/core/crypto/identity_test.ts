/**
 * Identities and ids: published and own vectors, round trips, mistypings, keys that are none.
 *
 * @module
 */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import fc from "fast-check";
import { decodeBase32, encodeBase32 } from "../../../core/crypto/base32.ts";
import { hexToBytes as bytes, bytesToHex as hex } from "../../../core/crypto/hex.ts";
import {
  decodeNodeId,
  dhPublicKeyOfId,
  encodeNodeId,
  identityFromSeed,
  isUsablePublicKey,
  NODE_ID_LENGTH,
  shortId,
} from "../../../core/crypto/identity.ts";
import { nobleProvider as crypto } from "../../../core/crypto/noble_provider.ts";

interface Vectors {
  identities: {
    name: string;
    seed: string;
    publicKey: string;
    id: string;
    dhSecretKey: string;
    dhPublicKey: string;
  }[];
  refusedTexts: { why: string; text: string }[];
  refusedKeys: { why: string; publicKey: string }[];
}

const VECTORS = JSON.parse(readFileSync(new URL("../../vectors/identity.json", import.meta.url), "utf8")) as Vectors;
const seed32 = fc.uint8Array({ minLength: 32, maxLength: 32 });

for (const vector of VECTORS.identities) {
  test(`identity: vector "${vector.name}"`, () => {
    const identity = identityFromSeed(bytes(vector.seed), crypto);
    assert.equal(hex(identity.publicKey), vector.publicKey);
    assert.equal(identity.id, vector.id);
    assert.equal(hex(identity.dh.secretKey), vector.dhSecretKey);
    assert.equal(hex(identity.dh.publicKey), vector.dhPublicKey);
    assert.equal(hex(dhPublicKeyOfId(identity.publicKey) ?? new Uint8Array()), vector.dhPublicKey);
    assert.equal(hex(decodeNodeId(vector.id, crypto) ?? new Uint8Array()), vector.publicKey);
    assert.equal(shortId(vector.id), vector.id.slice(0, 8));
  });
}

test("identity: what is no id in text form does not decode", () => {
  for (const { why, text } of VECTORS.refusedTexts) assert.equal(decodeNodeId(text, crypto), undefined, why);
});

test("identity: what nobody can hold is no key, even under a right checksum", () => {
  for (const { why, publicKey } of VECTORS.refusedKeys) {
    assert.equal(isUsablePublicKey(bytes(publicKey)), false, why);
    assert.equal(dhPublicKeyOfId(bytes(publicKey)), undefined, why);
  }
});

test("identity: the seed is copied, and must have 32 bytes", () => {
  const seed = new Uint8Array(32).fill(1);
  const identity = identityFromSeed(seed, crypto);
  seed.fill(0);
  assert.deepEqual(identity.seed, new Uint8Array(32).fill(1));
  for (const length of [0, 31, 33, 64]) {
    assert.throws(() => identityFromSeed(new Uint8Array(length), crypto), RangeError);
  }
});

test("identity: the static key of the handshake is the id in another form, from either side", () => {
  fc.assert(
    fc.property(seed32, (seed) => {
      const identity = identityFromSeed(seed, crypto);
      assert.deepEqual(dhPublicKeyOfId(identity.publicKey), identity.dh.publicKey);
      assert.deepEqual(crypto.x25519PublicKey(identity.dh.secretKey), identity.dh.publicKey);
      assert.equal(identity.id.length, NODE_ID_LENGTH);
      assert.deepEqual(decodeNodeId(identity.id.toUpperCase(), crypto), identity.publicKey);
    }),
    { seed: 1, numRuns: 20 },
  );
});

test("identity: every mistyped letter of an id is noticed, and so are two that changed places", () => {
  const { id } = identityFromSeed(new Uint8Array(32).fill(5), crypto);
  for (let at = 0; at < id.length; at++) {
    const other = id[at] === "a" ? "b" : "a";
    assert.equal(decodeNodeId(id.slice(0, at) + other + id.slice(at + 1), crypto), undefined, `letter ${at}`);
    const swapped = `${id.slice(0, at)}${id[at + 1] ?? ""}${id[at]}${id.slice(at + 2)}`;
    if (swapped !== id) assert.equal(decodeNodeId(swapped, crypto), undefined, `letters ${at}`);
  }
});

test("identity: any text gives a key whose text it is, or nothing", () => {
  const letters = fc.constantFrom(..."abcdefghijklmnopqrstuvwxyz234567ABCK189=-é\u212a\u0130\ud800");
  fc.assert(
    fc.property(fc.array(letters, { minLength: 54, maxLength: 58 }), (text) => {
      const key = decodeNodeId(text.join(""), crypto);
      if (key !== undefined) assert.equal(encodeNodeId(key, crypto), text.join("").toLowerCase());
    }),
    { seed: 5, numRuns: 200 },
  );
});

test("base32: decoding encoding is the identity, in either case", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 60 }), (data) => {
      const text = encodeBase32(data);
      assert.match(text, /^[a-z2-7]*$/);
      assert.deepEqual(decodeBase32(text), data);
      assert.deepEqual(decodeBase32(text.toUpperCase()), data);
    }),
    { seed: 2, numRuns: 200 },
  );
});

test("base32: the vectors of RFC 4648 §10, in small letters and without padding", () => {
  const texts = ["", "my", "mzxq", "mzxw6", "mzxw6yq", "mzxw6ytb", "mzxw6ytboi"];
  texts.forEach((text, length) => {
    const data = new TextEncoder().encode("foobar".slice(0, length));
    assert.equal(encodeBase32(data), text);
    assert.deepEqual(decodeBase32(text), data);
  });
});

test("base32: only canonical texts decode", () => {
  assert.deepEqual(decodeBase32("ae"), Uint8Array.of(1));
  for (const text of ["a", "ab", "aba", "mzxw7", "ae======", "a e", "a1", "\u212aa", "ſa"]) {
    assert.equal(decodeBase32(text), undefined, text);
  }
});
