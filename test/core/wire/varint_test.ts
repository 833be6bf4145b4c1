/**
 * Tests of varints: PROTOCOL §2.1.
 *
 * @module
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  encodeVarint,
  MALFORMED,
  NEEDS_MORE,
  readVarint,
  VARINT_BYTES_MAX,
  VARINT_MAX,
  varintBytes,
  varintBytesAt,
  writeVarint,
} from "../../../core/wire/varint.ts";
import { concat, fromHex, toHex, vectors } from "./hex.ts";

const SEED = 20_250_101;

/** Values of every size, as a plain `integer` would nearly always be above 2^49. */
const value = fc.tuple(fc.integer({ min: 0, max: 53 }), fc.maxSafeNat()).map(([bits, n]) => n % 2 ** bits);

test("encodeVarint and readVarint reproduce the vectors", () => {
  for (const { value: number, hex } of vectors.varints) {
    const bytes = fromHex(hex);
    assert.equal(toHex(encodeVarint(number)), hex);
    assert.equal(varintBytes(number), bytes.length);
    assert.equal(readVarint(bytes, 0, bytes.length), number);
    assert.equal(varintBytesAt(bytes, 0), bytes.length);
  }
});

test("readVarint accepts padded encodings up to 10 bytes", () => {
  for (const { value: number, hex } of vectors.paddedVarints) {
    const bytes = concat(fromHex(hex), Uint8Array.of(0xff));
    assert.equal(readVarint(bytes, 0, bytes.length), number, hex);
    assert.equal(varintBytesAt(bytes, 0), hex.length / 2);
  }
});

test("readVarint tells truncated from malformed", () => {
  for (const { hex, outcome, why } of vectors.badVarints) {
    const bytes = fromHex(hex);
    const expected = outcome === "malformed" ? MALFORMED : NEEDS_MORE;
    assert.equal(readVarint(bytes, 0, bytes.length), expected, why);
  }
});

test("readVarint needs more at every proper prefix and never looks beyond the end", () => {
  for (const { value: number, hex } of [...vectors.varints, ...vectors.paddedVarints]) {
    const bytes = fromHex(hex);
    for (let end = 0; end < bytes.length; end += 1) assert.equal(readVarint(bytes, 0, end), NEEDS_MORE, `${number}`);
    assert.equal(readVarint(bytes, bytes.length, bytes.length), NEEDS_MORE);
    assert.equal(readVarint(bytes, bytes.length + 1, bytes.length), NEEDS_MORE);
  }
});

test("writeVarint and readVarint round-trip at any offset and touch nothing else", () => {
  fc.assert(
    fc.property(value, fc.nat({ max: 8 }), (number, offset) => {
      const out = new Uint8Array(offset + VARINT_BYTES_MAX + 1).fill(0xee);
      const end = writeVarint(out, offset, number);
      assert.equal(end - offset, varintBytes(number));
      assert.equal(readVarint(out, offset, end), number);
      assert.equal(varintBytesAt(out, offset), end - offset);
      assert.ok(out.subarray(0, offset).every((byte) => byte === 0xee));
      assert.ok(out.subarray(end).every((byte) => byte === 0xee));
    }),
    { seed: SEED, numRuns: 1000 },
  );
});

test("readVarint agrees with arithmetic on arbitrary bytes", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 12 }), fc.boolean(), (bytes, isLong) => {
      if (isLong) for (let index = 0; index < bytes.length - 1; index += 1) bytes[index] = (bytes[index] ?? 0) | 0x80;
      let expected = BigInt(NEEDS_MORE);
      let sum = 0n;
      for (let index = 0; index < bytes.length && expected === BigInt(NEEDS_MORE); index += 1) {
        const byte = BigInt(bytes[index] ?? 0);
        sum += (byte & 0x7fn) << BigInt(7 * index);
        const isInRange = index < VARINT_BYTES_MAX && sum <= BigInt(VARINT_MAX);
        if (byte < 0x80n) expected = isInRange ? sum : BigInt(MALFORMED);
        else if (index === VARINT_BYTES_MAX - 1) expected = BigInt(MALFORMED);
      }
      assert.equal(BigInt(readVarint(bytes, 0, bytes.length)), expected, toHex(bytes));
    }),
    { seed: SEED, numRuns: 2000 },
  );
});

test("writing a varint refuses what is no integer in range", () => {
  const out = new Uint8Array(16);
  const wrongs = [-1, -0.5, 0.5, 127.5, 2 ** 40 + 0.5, 2 ** 53, 2 ** 60, Number.NaN, Infinity, -Infinity, -(2 ** 32)];
  for (const wrong of wrongs) {
    assert.throws(() => writeVarint(out, 0, wrong), RangeError, `${wrong}`);
    assert.throws(() => varintBytes(wrong), RangeError, `${wrong}`);
    assert.throws(() => encodeVarint(wrong), RangeError, `${wrong}`);
  }
});
