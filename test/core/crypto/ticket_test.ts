/**
 * Tickets: vectors of an independent program, round trips, limits from both sides, hostile texts.
 *
 * @module
 */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import fc from "fast-check";
import { encodeBase32 } from "../../../core/crypto/base32.ts";
import { hexToBytes as bytes, bytesToHex as hex } from "../../../core/crypto/hex.ts";
import { identityFromSeed } from "../../../core/crypto/identity.ts";
import { nobleProvider as crypto } from "../../../core/crypto/noble_provider.ts";
import { decodeTicket, encodeTicket, type Ticket } from "../../../core/crypto/ticket.ts";

interface Vectors {
  tickets: { name: string; ticket: Ticket; token?: string; text: string }[];
  refused: { why: string; text: string }[];
}

const VECTORS = JSON.parse(readFileSync(new URL("../../vectors/ticket.json", import.meta.url), "utf8")) as Vectors;
const { id } = identityFromSeed(new Uint8Array(32), crypto);

for (const { name, ticket, token, text } of VECTORS.tickets) {
  test(`ticket: vector "${name}"`, () => {
    const whole = token === undefined ? ticket : { ...ticket, token: bytes(token) };
    assert.equal(encodeTicket(whole, crypto), text);
    assert.deepEqual(decodeTicket(text, crypto), whole);
  });
}

test("ticket: what says more than it may, or says it wrongly, is none", () => {
  for (const { why, text } of VECTORS.refused) assert.equal(decodeTicket(text, crypto), undefined, why);
});

const ids = fc.uint8Array({ minLength: 32, maxLength: 32 }).map((seed) => identityFromSeed(seed, crypto).id);
const address = fc.webUrl({ validSchemes: ["ws", "wss"] }).filter((text) => text.length < 200);
const ticket: fc.Arbitrary<Ticket> = fc.record(
  {
    id: ids,
    name: fc.stringMatching(/^[a-z0-9-]{3,32}$/),
    addresses: fc.array(address, { maxLength: 4 }),
    relays: fc.array(
      fc.record(
        { id: ids, addresses: fc.array(address, { maxLength: 2 }) },
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

test("ticket: what was written can be read, or is refused in writing", () => {
  const sizes = fc.constantFrom(0, 1, 8, 9, 16, 17);
  const lengths = fc.constantFrom(1, 32, 33, 255, 256);
  const texts = fc.tuple(sizes, lengths).map(([count, length]) => Array<string>(count).fill("x".repeat(length)));
  const value = fc.record({
    id: fc.constantFrom(id, "junk", id.slice(1)),
    name: lengths.map((length) => "n".repeat(length)),
    addresses: texts,
    relays: fc.tuple(sizes, texts).map(([count, addresses]) => Array(count).fill({ addresses })),
    token: fc.constantFrom(1, 512, 513).map((length) => new Uint8Array(length)),
  });
  fc.assert(
    fc.property(value, (each) => {
      let text: string;
      try {
        text = encodeTicket(each, crypto);
      } catch (error) {
        assert.ok(error instanceof RangeError);
        return;
      }
      const read = decodeTicket(text, crypto);
      assert.deepEqual(read?.addresses, each.addresses);
      assert.equal(hex(read?.token ?? new Uint8Array()), hex(each.token));
    }),
    { seed: 6, numRuns: 150 },
  );
});

test("ticket: each limit is named in writing", () => {
  const least = { id, addresses: [], relays: [] };
  const wrong: [Partial<Ticket>, RegExp][] = [
    [{ id: "junk" }, /'id' is no id/],
    [{ name: "n".repeat(33) }, /'name' must be at most 32/],
    [{ name: "ü".repeat(17) }, /'name' must be at most 32/],
    [{ name: "a\nb" }, /'name' has control characters/],
    [{ addresses: Array(17).fill("a") }, /'addresses' must be at most 16/],
    [{ addresses: ["a".repeat(256)] }, /'addresses' must be at most 255/],
    [{ addresses: ["\x9b"] }, /'addresses' has control characters/],
    [{ relays: Array(9).fill({ addresses: [] }) }, /'relays' must be at most 8/],
    [{ relays: [{ id: "junk", addresses: [] }] }, /'relays.id' is no id/],
    [{ relays: [{ addresses: Array(9).fill("a") }] }, /'relays.addresses' must be at most 8/],
    [{ token: new Uint8Array(513) }, /'token' must be at most 512/],
    [{ relays: Array(8).fill({ addresses: Array(8).fill("a".repeat(255)) }) }, /'text' must be at most 16384/],
  ];
  for (const [change, message] of wrong) {
    assert.throws(() => encodeTicket({ ...least, ...change }, crypto), { name: "RangeError", message });
  }
});

test("ticket: a cut and a changed letter are noticed wherever they are", () => {
  const text = encodeTicket({ id, addresses: ["tcp://127.0.0.1:1"], relays: [] }, crypto);
  for (let at = 0; at < text.length; at++) {
    assert.equal(decodeTicket(text.slice(0, at), crypto), undefined, `cut at ${at}`);
    const other = text[at] === "a" ? "b" : "a";
    assert.equal(decodeTicket(text.slice(0, at) + other + text.slice(at + 1), crypto), undefined, `letter ${at}`);
  }
});

test("ticket: garbage under a right checksum is read within bounds or not at all", () => {
  const head = Uint8Array.of(1, ...new Uint8Array(32));
  fc.assert(
    fc.property(fc.boolean(), fc.uint8Array({ maxLength: 300 }), (hasHead, rest) => {
      const body = hasHead ? Uint8Array.of(...head, ...rest) : rest;
      const sealed = Uint8Array.of(...body, ...crypto.sha256(body).subarray(0, 4));
      const read = decodeTicket(`via1${encodeBase32(sealed)}`, crypto);
      assert.ok(read === undefined || (read.addresses.length <= 16 && read.relays.length <= 8));
    }),
    { seed: 4, numRuns: 400 },
  );
  for (const text of [`via1${"a".repeat(100_000)}`, "\ud800", "via1\u212a", `via1${"7".repeat(16_000)}`]) {
    assert.equal(decodeTicket(text, crypto), undefined);
  }
});
