/**
 * Tests of our UTF-8: PROTOCOL §2.3, against the vectors and the host's codec.
 *
 * @module
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { decodeUtf8, encodeUtf8, utf8Bytes } from "../../../core/wire/utf8.ts";
import { concat, fromHex, toHex, vectors } from "./hex.ts";

const SEED = 20_250_102;

test("decodeUtf8 refuses what is not well-formed, wherever it stands", () => {
  for (const { hex, why } of vectors.badTexts) {
    const bytes = fromHex(hex);
    assert.equal(decodeUtf8(bytes), undefined, why);
    assert.equal(decodeUtf8(concat(fromHex("c3a961"), bytes)), undefined, why);
    assert.equal(decodeUtf8(concat(bytes, fromHex("61"))), undefined, why);
  }
});

test("encodeUtf8 and decodeUtf8 agree with the host on every code point", () => {
  const encoder = new TextEncoder();
  for (let point = 0; point <= 0x10ffff; point += point < 0x3000 ? 1 : 61) {
    if (point >= 0xd800 && point <= 0xdfff) continue;
    const text = String.fromCodePoint(point);
    const bytes = encodeUtf8(text);
    assert.equal(toHex(bytes), toHex(encoder.encode(text)));
    assert.equal(decodeUtf8(bytes), text);
  }
});

test("encodeUtf8 agrees with the host on any string, lone surrogates included", () => {
  const encoder = new TextEncoder();
  const unit = fc.oneof(fc.nat({ max: 0xffff }), fc.integer({ min: 0xd7f0, max: 0xe00f }));
  const units = fc.array(unit, { maxLength: 40 });
  fc.assert(
    fc.property(units, (codes) => {
      const text = String.fromCharCode(...codes);
      const bytes = encodeUtf8(text);
      assert.equal(toHex(bytes), toHex(encoder.encode(text)));
      assert.equal(utf8Bytes(text), bytes.length);
    }),
    { seed: SEED, numRuns: 1000 },
  );
});

test("decodeUtf8 agrees with the host's strict decoder on arbitrary bytes", () => {
  const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  const lead = fc.constantFrom(0x41, 0x80, 0xbf, 0xc2, 0xe0, 0xed, 0xef, 0xf0, 0xf4, 0xa0, 0x9f, 0x90, 0x8f, 0xbb);
  const bytes = fc.array(fc.oneof(lead, fc.nat({ max: 255 })), { maxLength: 8 });
  fc.assert(
    fc.property(bytes, (array) => {
      const input = Uint8Array.from(array);
      let expected: string | undefined;
      try {
        expected = decoder.decode(input);
      } catch {
        expected = undefined;
      }
      assert.equal(decodeUtf8(input), expected, toHex(input));
    }),
    { seed: SEED, numRuns: 3000 },
  );
});

test("decodeUtf8 decodes texts longer than one call of fromCharCode takes", () => {
  const text = "Ωx🌉".repeat(50_000);
  assert.equal(decodeUtf8(encodeUtf8(text)), text);
});
