/**
 * Tests of PASETO v4.public and PASERK k4 against their published vectors, and of base64url.
 *
 * @module
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { decodeBase64url, encodeBase64url } from "../../../core/crypto/base64url.ts";
import { nobleProvider } from "../../../core/crypto/noble_provider.ts";
import {
  dangerousReadPaseto,
  decodePaserkPublic,
  decodePaserkSecret,
  encodePaserkPublic,
  encodePaserkSecret,
  paserkPublicId,
  signPaseto,
  verifyPaseto,
} from "../../../core/crypto/paseto.ts";
import { decodeUtf8, encodeUtf8 } from "../../../core/wire/utf8.ts";
import vectors from "../../vectors/paseto.json" with { type: "json" };
import { fromHex, toHex } from "../wire/hex.ts";

const SEED = 4_200_711;
const KEY = nobleProvider.ed25519PublicKey(new Uint8Array(32).fill(1));

interface Vector {
  readonly "expect-fail": boolean;
  readonly "public-key"?: string;
  readonly "secret-key-seed"?: string;
  readonly token: string;
  readonly payload: string | null;
  readonly footer: string;
  readonly "implicit-assertion": string;
}

test("signPaseto and verifyPaseto reproduce the published vectors", () => {
  let failures = 0;
  for (const vector of vectors.v4 as readonly Vector[]) {
    const implicitAssertion = encodeUtf8(vector["implicit-assertion"]);
    const publicKey = vector["public-key"] === undefined ? KEY : fromHex(vector["public-key"]);
    const verified = verifyPaseto(vector.token, publicKey, { implicitAssertion }, nobleProvider);
    if (vector["expect-fail"]) {
      assert.equal(verified, undefined);
      failures++;
      continue;
    }
    assert.ok(verified !== undefined);
    assert.equal(decodeUtf8(verified.payload), vector.payload);
    assert.equal(decodeUtf8(verified.footer), vector.footer);
    const parts = {
      payload: encodeUtf8(vector.payload as string),
      footer: encodeUtf8(vector.footer),
      implicitAssertion,
    };
    assert.equal(signPaseto(parts, fromHex(vector["secret-key-seed"] as string), nobleProvider), vector.token);
    const other = encodeUtf8("another assertion");
    assert.equal(verifyPaseto(vector.token, publicKey, { implicitAssertion: other }, nobleProvider), undefined);
    assert.equal(verifyPaseto(vector.token, KEY, { implicitAssertion }, nobleProvider), undefined);
  }
  assert.equal(failures, 5);
});

test("PASERK texts reproduce the published vectors", () => {
  for (const { key, paserk, "expect-fail": isBad } of vectors.k4_public) {
    if (isBad) assert.throws(() => encodePaserkPublic(fromHex(key)), RangeError);
    else assert.equal(encodePaserkPublic(fromHex(key)), paserk);
  }
  for (const { key, paserk, "expect-fail": isBad } of vectors.k4_pid) {
    if (isBad) assert.throws(() => paserkPublicId(fromHex(key)), RangeError);
    else assert.equal(paserkPublicId(fromHex(key)), paserk);
  }
  for (const vector of vectors.k4_secret) {
    const { paserk, "expect-fail": isBad } = vector;
    if (isBad || paserk === null) continue;
    const seed = fromHex((vector as { readonly "secret-key-seed": string })["secret-key-seed"]);
    assert.equal(encodePaserkSecret(seed, nobleProvider), paserk);
    assert.equal(toHex(decodePaserkSecret(paserk, nobleProvider) as Uint8Array), toHex(seed));
    assert.equal(
      decodePaserkSecret(paserk.replace(/^(.{20})./, "$1z"), nobleProvider),
      undefined,
      "halves of two keys",
    );
    assert.equal(decodePaserkSecret(paserk.replace("k4", "k3"), nobleProvider), undefined);
  }
});

test("decodePaserkPublic takes what encodePaserkPublic gives, and no key that nobody can hold", () => {
  assert.equal(toHex(decodePaserkPublic(encodePaserkPublic(KEY)) as Uint8Array), toHex(KEY));
  assert.equal(decodePaserkPublic(encodePaserkPublic(new Uint8Array(32))), undefined);
  for (const text of ["", "k4.public.", `k4.public.${"A".repeat(43)}=`, encodePaserkPublic(KEY).slice(0, -1)]) {
    assert.equal(decodePaserkPublic(text), undefined, text);
  }
});

test("base64url: what was encoded decodes, every text has one meaning", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
      const text = encodeBase64url(bytes);
      assert.match(text, /^[A-Za-z0-9_-]*$/);
      assert.deepEqual(decodeBase64url(text), bytes.slice());
    }),
    { seed: SEED, numRuns: 200 },
  );
  for (const text of ["A", "AB", "AA=", "AA==", "A A", "AAB", "+/8", "ÀÀ"]) {
    assert.equal(decodeBase64url(text), undefined, text);
  }
});

test("verifyPaseto: no damaged, cut or foreign text is taken, and nothing throws", () => {
  const seed = new Uint8Array(32).fill(1);
  const parts = { payload: encodeUtf8('{"a":1}'), footer: encodeUtf8("f") };
  const token = signPaseto(parts, seed, nobleProvider);
  assert.ok(verifyPaseto(token, KEY, {}, nobleProvider) !== undefined);
  for (let index = 0; index < token.length; index++) {
    const letter = token[index] === "A" ? "B" : "A";
    const damaged = `${token.slice(0, index)}${letter}${token.slice(index + 1)}`;
    assert.equal(verifyPaseto(damaged, KEY, {}, nobleProvider), undefined, `letter ${index}`);
    assert.equal(verifyPaseto(token.slice(0, index), KEY, {}, nobleProvider), undefined);
  }
  for (const more of [".", ".AA", "=", " "]) assert.equal(dangerousReadPaseto(`${token}${more}`), undefined);
  fc.assert(
    fc.property(fc.string({ maxLength: 200 }), (text) => {
      assert.equal(verifyPaseto(text, KEY, {}, nobleProvider), undefined);
      assert.equal(verifyPaseto(`v4.public.${text}`, KEY, {}, nobleProvider), undefined);
    }),
    { seed: SEED, numRuns: 200 },
  );
});
