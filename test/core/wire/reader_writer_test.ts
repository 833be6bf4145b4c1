/**
 * Tests of `Reader` and `Writer`: PROTOCOL §2.
 *
 * @module
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { ProtocolError } from "../../../core/error.ts";
import { Reader } from "../../../core/wire/reader.ts";
import { varintBytes } from "../../../core/wire/varint.ts";
import { Writer } from "../../../core/wire/writer.ts";
import { concat, fromHex, toHex, vectors } from "./hex.ts";

const SEED = 20_250_103;

type Field =
  | { readonly type: "u8" | "u32" | "varint"; readonly value: number }
  | { readonly type: "bytes"; readonly value: Uint8Array }
  | { readonly type: "string"; readonly value: string };

const field: fc.Arbitrary<Field> = fc.oneof(
  fc.record({ type: fc.constant("u8" as const), value: fc.nat({ max: 0xff }) }),
  fc.record({ type: fc.constant("u32" as const), value: fc.integer({ min: 0, max: 0xffffffff }) }),
  fc.record({ type: fc.constant("varint" as const), value: fc.maxSafeNat() }),
  fc.record({ type: fc.constant("bytes" as const), value: fc.uint8Array({ maxLength: 100 }) }),
  fc.record({ type: fc.constant("string" as const), value: fc.string({ unit: "binary", maxLength: 30 }) }),
);

function isFrameEncoding(error: unknown): boolean {
  return error instanceof ProtocolError && error.code === "frame_encoding";
}

function write(writer: Writer, fields: readonly Field[]): void {
  for (const { type, value } of fields) {
    if (type === "bytes") writer.bytes(value);
    else if (type === "string") writer.string(value);
    else writer[type](value);
  }
}

function read(reader: Reader, fields: readonly Field[]): void {
  for (const { type, value } of fields) {
    if (type === "bytes") assert.equal(toHex(reader.bytes(value.length)), toHex(value));
    else if (type === "string") assert.equal(reader.string(1000), value);
    else assert.equal(reader[type](), value);
  }
}

test("Writer and Reader reproduce the vectors of texts", () => {
  for (const { text, hex } of vectors.texts) {
    const writer = new Writer();
    writer.string(text);
    assert.equal(toHex(writer.finish()), hex);
    const reader = new Reader(fromHex(hex));
    assert.equal(reader.string(100), text);
    assert.ok(reader.isAtEnd);
  }
});

test("u32 is little-endian", () => {
  const writer = new Writer();
  writer.u32(0x89abcdef);
  assert.equal(toHex(writer.written), "efcdab89");
  assert.equal(new Reader(writer.finish()).u32(), 0x89abcdef);
});

test("what a Writer wrote a Reader reads, in a given buffer and in one that grows", () => {
  fc.assert(
    fc.property(fc.array(field, { maxLength: 20 }), fc.nat({ max: 9 }), (fields, start) => {
      const growing = new Writer();
      write(growing, fields);
      const bytes = growing.finish();
      assert.equal(growing.length, 0);

      const buffer = new Uint8Array(start + bytes.length + 3).fill(0xee);
      const writer = new Writer();
      writer.reset(buffer, start, start + bytes.length);
      write(writer, fields);
      assert.equal(writer.remaining, 0);
      assert.equal(writer.offset, start + bytes.length);
      assert.equal(toHex(writer.written), toHex(bytes));
      assert.equal(toHex(buffer.subarray(start + bytes.length)), "eeeeee");

      const reader = new Reader();
      reader.reset(buffer, start, start + bytes.length);
      read(reader, fields);
      assert.ok(reader.isAtEnd);
      assert.equal(reader.remaining, 0);
    }),
    { seed: SEED, numRuns: 300 },
  );
});

test("a Reader throws frame_encoding at every truncation and reads nothing beyond its end", () => {
  fc.assert(
    fc.property(field, fc.nat(), (one, cut) => {
      const writer = new Writer();
      write(writer, [one]);
      const bytes = concat(writer.finish(), new Uint8Array(16));
      const length = bytes.length - 16;
      if (length === 0) return;
      const reader = new Reader();
      reader.reset(bytes, 0, cut % length);
      assert.throws(() => read(reader, [one]), isFrameEncoding);
      assert.ok(reader.offset <= cut % length);
    }),
    { seed: SEED, numRuns: 500 },
  );
});

test("a Reader refuses hostile varints, lengths and texts", () => {
  for (const { hex, why } of vectors.badVarints) {
    assert.throws(() => new Reader(fromHex(hex)).varint(), isFrameEncoding, why);
    assert.throws(() => new Reader(fromHex(hex)).string(1000), isFrameEncoding, why);
  }
  for (const { hex, why } of vectors.badTexts) {
    const bytes = concat(Uint8Array.of(hex.length / 2), fromHex(hex));
    assert.throws(() => new Reader(bytes).string(100), isFrameEncoding, why);
  }
  assert.throws(() => new Reader(fromHex("0361")).string(100), isFrameEncoding, "longer than what is there");
  assert.throws(() => new Reader(fromHex("03616263")).string(2), isFrameEncoding, "longer than allowed");
  assert.throws(() => new Reader(fromHex("ffffffffffffff0f61")).string(2 ** 53 - 1), isFrameEncoding, "2^53-1 bytes");
  const reader = new Reader(fromHex("00"));
  for (const count of [2, 2 ** 53 - 1, -1, Number.NaN]) assert.throws(() => reader.bytes(count), isFrameEncoding);
});

test("a Reader steps over padded varints", () => {
  for (const { value, hex } of vectors.paddedVarints) {
    const reader = new Reader(concat(fromHex(hex), Uint8Array.of(0x2a)));
    assert.equal(reader.varint(), value);
    assert.equal(reader.u8(), 0x2a);
  }
});

test("bytes and rest are plain views into the lent bytes", () => {
  class Lent extends Uint8Array {}
  const lent = new Lent([9, 1, 2, 3, 4]);
  const reader = new Reader();
  reader.reset(lent, 1);
  const first = reader.bytes(2);
  const rest = reader.rest();
  lent[1] = 77;
  lent[4] = 88;
  assert.deepEqual(first, Uint8Array.of(77, 2));
  assert.deepEqual(rest, Uint8Array.of(3, 88));
  assert.equal(Object.getPrototypeOf(first), Uint8Array.prototype);
  assert.equal(reader.rest().length, 0);
});

test("a Writer in a given buffer refuses what does not fit and stays where it was", () => {
  const buffer = new Uint8Array(10).fill(0xee);
  const writer = new Writer();
  writer.reset(buffer, 2, 5);
  writer.u8(1);
  const attempts: readonly (() => void)[] = [
    () => writer.u32(1),
    () => writer.varint(2 ** 14),
    () => writer.bytes(new Uint8Array(3)),
    () => writer.string("ab"),
    () => writer.skip(3),
  ];
  for (const attempt of attempts) assert.throws(attempt, RangeError);
  assert.equal(writer.offset, 3);
  assert.equal(writer.remaining, 2);
  writer.varint(2 ** 14 - 1);
  assert.throws(() => writer.u8(1), RangeError);
  assert.throws(() => writer.varint(0), RangeError);
  assert.equal(toHex(buffer), "eeee01ff7feeeeeeeeee");
});

test("reset refuses a range outside of the bytes", () => {
  const bytes = new Uint8Array(4);
  for (const [start, end] of [
    [-1, 2],
    [3, 2],
    [0, 5],
    [5, 5],
    [Number.NaN, 2],
  ] as const) {
    assert.throws(() => new Reader().reset(bytes, start, end), RangeError);
    assert.throws(() => new Writer().reset(bytes, start, end), RangeError);
  }
});

test("skip and patch write a length behind what it counts", () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 100_000 }), fc.integer({ min: 3, max: 10 }), (value, width) => {
      const writer = new Writer();
      const number = writer.skip(4);
      const at = writer.skip(width);
      const flag = writer.skip(1);
      writer.u8(0x2a);
      writer.patchVarint(at, value, width);
      writer.patchU32(number, 0xfffefdfc);
      writer.patchU8(flag, 7);
      const reader = new Reader(writer.finish());
      assert.equal(reader.u32(), 0xfffefdfc);
      assert.equal(reader.varint(), value);
      assert.equal(reader.offset, 4 + width);
      assert.deepEqual(reader.rest(), Uint8Array.of(7, 0x2a));
    }),
    { seed: SEED, numRuns: 300 },
  );
  const writer = new Writer();
  writer.skip(2);
  assert.throws(() => writer.patchVarint(0, 2 ** 14, 2), RangeError);
  assert.equal(varintBytes(2 ** 14), 3);
});

test("rewind takes back what was written last", () => {
  const writer = new Writer(new Uint8Array(4));
  writer.u8(1);
  const before = writer.offset;
  writer.u8(2);
  writer.rewind(before);
  writer.u8(3);
  assert.throws(() => writer.rewind(3), RangeError);
  assert.throws(() => writer.rewind(-1), RangeError);
  assert.deepEqual(writer.finish(), Uint8Array.of(1, 3));
});

test("finish gives away a copy", () => {
  const writer = new Writer(new Uint8Array(4));
  writer.u8(1);
  const first = writer.finish();
  writer.u8(2);
  assert.deepEqual(first, Uint8Array.of(1));
  assert.deepEqual(writer.finish(), Uint8Array.of(2));
});
