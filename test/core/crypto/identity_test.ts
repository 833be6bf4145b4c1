/**
 * Identities, ids and tickets: round trips, mistypings, hostile texts.
 *
 * @module
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { decodeBase32, encodeBase32 } from "../../../core/crypto/base32.ts";
import { decodeNodeId, dhPublicKeyOfId, identityFromSeed, NODE_ID_LENGTH } from "../../../core/crypto/identity.ts";
import { nobleProvider as crypto } from "../../../core/crypto/noble_provider.ts";
import { decodeTicket, encodeTicket, type Ticket } from "../../../core/crypto/ticket.ts";

const seed32 = fc.uint8Array({ minLength: 32, maxLength: 32 });

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

test("identity: every mistyped letter of an id is noticed", () => {
  const { id } = identityFromSeed(new Uint8Array(32).fill(5), crypto);
  for (let at = 0; at < id.length; at++) {
    const other = id[at] === "a" ? "b" : "a";
    assert.equal(decodeNodeId(id.slice(0, at) + other + id.slice(at + 1), crypto), undefined, `letter ${at}`);
  }
  for (const text of ["", id.slice(1), `${id}a`, "é".repeat(56), "0".repeat(56)]) {
    assert.equal(decodeNodeId(text, crypto), undefined);
  }
});

test("identity: keys of small order and bytes that are no point are no ids", () => {
  for (const hex of [
    "0100000000000000000000000000000000000000000000000000000000000000",
    "0000000000000000000000000000000000000000000000000000000000000000",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "0200000000000000000000000000000000000000000000000000000000000000",
  ]) {
    const key = Uint8Array.from(hex.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
    assert.equal(dhPublicKeyOfId(key), undefined, hex);
  }
});

test("base32: decoding encoding is the identity, and only canonical texts decode", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
      assert.deepEqual(decodeBase32(encodeBase32(bytes)), bytes);
    }),
    { seed: 2, numRuns: 200 },
  );
  assert.equal(decodeBase32("ab"), decodeBase32("ab"));
  assert.equal(decodeBase32("ac"), undefined);
  assert.equal(decodeBase32("a"), undefined);
});

const address = fc.webUrl({ validSchemes: ["ws", "wss"] }).filter((text) => text.length < 200);
const ticket: fc.Arbitrary<Ticket> = fc.record(
  {
    id: seed32.map((seed) => identityFromSeed(seed, crypto).id),
    name: fc.stringMatching(/^[a-z0-9-]{3,32}$/),
    addresses: fc.array(address, { maxLength: 4 }),
    relays: fc.array(
      fc.record(
        { id: seed32.map((seed) => identityFromSeed(seed, crypto).id), addresses: fc.array(address, { maxLength: 2 }) },
        { requiredKeys: ["addresses"], noNullPrototype: true },
      ),
      { maxLength: 3 },
    ),
    token: fc.uint8Array({ minLength: 1, maxLength: 64 }),
  },
  { requiredKeys: ["id", "addresses", "relays"], noNullPrototype: true },
);

test("ticket: what was written is read, in either case, with blanks around it", () => {
  fc.assert(
    fc.property(ticket, (value) => {
      const text = encodeTicket(value, crypto);
      assert.match(text, /^via1[a-z2-7]+$/);
      assert.deepEqual(decodeTicket(text, crypto), value);
      assert.deepEqual(decodeTicket(` ${text.toUpperCase()}\n`, crypto), value);
    }),
    { seed: 3, numRuns: 40 },
  );
});

test("ticket: cut, changed and hostile texts are none, and cost nothing", () => {
  const text = encodeTicket(
    { id: identityFromSeed(new Uint8Array(32), crypto).id, addresses: ["tcp://127.0.0.1:1"], relays: [] },
    crypto,
  );
  for (let at = 4; at < text.length; at++) {
    assert.equal(decodeTicket(text.slice(0, at), crypto), undefined);
    const other = text[at] === "a" ? "b" : "a";
    assert.equal(decodeTicket(text.slice(0, at) + other + text.slice(at + 1), crypto), undefined);
  }
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (body) => {
      // A right checksum in front of garbage: the parser must hold by itself.
      const sealed = new Uint8Array(body.length + 4);
      sealed.set(body);
      sealed.set(crypto.sha256(body).subarray(0, 4), body.length);
      decodeTicket(`via1${encodeBase32(sealed)}`, crypto);
    }),
    { seed: 4, numRuns: 300 },
  );
  assert.equal(decodeTicket(`via1${"a".repeat(100_000)}`, crypto), undefined);
});
