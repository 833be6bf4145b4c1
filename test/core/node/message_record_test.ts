/**
 * Tests of records, of their reader, and of what holds them back: PROTOCOL §8.1.
 *
 * @module
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { ProtocolError } from "../../../core/error.ts";
import { ByteQueue } from "../../../core/node/byte_queue.ts";
import { MESSAGE_OVERHEAD_BYTES, MessageCredit } from "../../../core/node/message_credit.ts";
import {
  cutUtf8,
  RECORD_CANCEL,
  RECORD_ERROR,
  RECORD_MESSAGE,
  RECORD_REQUEST,
  RECORD_RESPONSE,
  RecordWriter,
} from "../../../core/node/message_record.ts";
import { NameCache } from "../../../core/node/name_cache.ts";
import { RecordReader } from "../../../core/node/record_reader.ts";
import { encodeUtf8, utf8Bytes } from "../../../core/wire/utf8.ts";
import vectors from "../../vectors/messages.json" with { type: "json" };
import { concat, fromHex, toHex } from "../wire/hex.ts";

const SEED = 20_250_702;
const MIB = 1024 * 1024;

interface Record {
  kind: string;
  id?: number;
  topic?: string;
  name?: string;
  value?: string;
  wire?: number;
  detail?: string;
}

function write(record: Record): Uint8Array {
  const writer = new RecordWriter();
  const value = fromHex(record.value ?? "");
  const id = record.id ?? 0;
  if (record.kind === "message") writer.message(record.topic ?? "", value);
  else if (record.kind === "request") writer.request(id, record.name ?? "", value);
  else if (record.kind === "response") writer.response(id, value);
  else if (record.kind === "error") writer.error(id, record.wire ?? 0, record.detail ?? "");
  else writer.cancel(id);
  return concat(writer.bytes, writer.rest ?? new Uint8Array(0));
}

function newReader(valueBytesMax = MIB): RecordReader {
  return new RecordReader({ valueBytesMax, names: new NameCache() });
}

function taken(reader: RecordReader): Record {
  const value = toHex(reader.value);
  switch (reader.kind) {
    case RECORD_MESSAGE:
      return { kind: "message", topic: reader.text, value };
    case RECORD_REQUEST:
      return { kind: "request", id: reader.id, name: reader.text, value };
    case RECORD_RESPONSE:
      return { kind: "response", id: reader.id, value };
    case RECORD_ERROR:
      return { kind: "error", id: reader.id, wire: reader.wireCode, detail: reader.text };
    case RECORD_CANCEL:
      return { kind: "cancel", id: reader.id };
    default:
      throw new Error(`A kind that is none: ${reader.kind}`);
  }
}

function readAll(reader: RecordReader, chunks: readonly Uint8Array[]): Record[] {
  const records: Record[] = [];
  for (const chunk of chunks) {
    reader.push(chunk);
    while (reader.next()) records.push(taken(reader));
  }
  return records;
}

function split(bytes: Uint8Array, sizes: readonly number[]): Uint8Array[] {
  const chunks: Uint8Array[] = [];
  for (let at = 0, index = 0; at < bytes.length; index++) {
    const size = sizes[index % sizes.length] as number;
    chunks.push(bytes.slice(at, at + size));
    at += size;
  }
  return chunks;
}

test("RecordWriter and RecordReader reproduce the vectors", () => {
  for (const { hex, ...record } of vectors.records) {
    assert.equal(toHex(write(record)), hex);
    assert.deepEqual(readAll(newReader(), [fromHex(hex)]), [record]);
  }
  for (const { hex, ...record } of vectors.acceptedRecords) {
    assert.deepEqual(readAll(newReader(), [fromHex(hex)]), [record]);
  }
});

test("RecordReader refuses malformed records, whole and byte by byte", () => {
  for (const { note, hex, code } of vectors.badRecords) {
    const bytes = fromHex(hex);
    for (const chunks of [[bytes], split(bytes, [1])]) {
      assert.throws(
        () => readAll(newReader(), chunks),
        (error) => error instanceof ProtocolError && error.code === code,
        note,
      );
    }
  }
});

test("RecordReader gives the same records however the bytes are split", () => {
  const value = fc.oneof(
    { weight: 5, arbitrary: fc.uint8Array({ minLength: 1, maxLength: 100 }) },
    { weight: 1, arbitrary: fc.integer({ min: 1, max: 20_000 }).map((length) => new Uint8Array(length).fill(length)) },
  );
  const name = fc.string({ unit: "grapheme", maxLength: 20 }).filter((text) => utf8Bytes(text) <= 64);
  const id = fc.oneof(fc.nat({ max: 300 }), fc.maxSafeNat());
  const PLAIN = { noNullPrototype: true };
  const record = fc.oneof(
    fc.record({ kind: fc.constant("message"), topic: name, value: value.map(toHex) }, PLAIN),
    fc.record({ kind: fc.constant("request"), id, name, value: value.map(toHex) }, PLAIN),
    fc.record({ kind: fc.constant("response"), id, value: value.map(toHex) }, PLAIN),
    fc.record({ kind: fc.constant("error"), id, wire: fc.nat({ max: 300 }), detail: name }, PLAIN),
    fc.record({ kind: fc.constant("cancel"), id }, PLAIN),
  );
  const size = fc.oneof(fc.integer({ min: 1, max: 12 }), fc.integer({ min: 1, max: 30_000 }));
  fc.assert(
    fc.property(
      fc.array(record, { minLength: 1, maxLength: 20 }),
      fc.array(size, { minLength: 1, maxLength: 6 }),
      (records, sizes) => {
        const bytes = concat(...records.map((one) => write(one)));
        const reader = newReader();
        assert.deepEqual(readAll(reader, split(bytes, sizes)), records);
        assert.equal(reader.isInsideRecord, false);
      },
    ),
    { seed: SEED, numRuns: 150 },
  );
});

test("RecordReader answers any bytes with records, a wait or a ProtocolError, and nothing else", () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 60 }), { maxLength: 10 }), (chunks) => {
      try {
        readAll(newReader(1000), chunks);
      } catch (error) {
        assert.ok(error instanceof ProtocolError);
      }
    }),
    { seed: SEED, numRuns: 500 },
  );
});

test("RecordReader tells whether it is inside a record", () => {
  const bytes = write({ kind: "message", topic: "t", value: "00".repeat(300) });
  for (let end = 0; end <= bytes.length; end++) {
    const reader = newReader();
    readAll(reader, [bytes.slice(0, end)]);
    assert.equal(reader.isInsideRecord, end > 0 && end < bytes.length, `${end}`);
  }
});

test("RecordReader keeps memory for what arrived, not for what was declared", () => {
  const readers: RecordReader[] = [];
  const head = write({ kind: "message", topic: "", value: "00".repeat(8) });
  head[0] = 0xff; // a length of 1 MiB less 1 that never comes
  const claimed = concat(Uint8Array.of(0xff, 0xff, 0x3f), new Uint8Array(100));
  // Two thousand declared MiB: only a reader that believed them would fail here.
  for (let index = 0; index < 2000; index++) {
    const reader = newReader();
    readAll(reader, [claimed.slice()]);
    readers.push(reader);
  }
  assert.ok(readers.every((reader) => reader.isInsideRecord));
});

test("RecordReader checks values and records against the limit exactly", () => {
  const fits = write({ kind: "message", topic: "t".repeat(64), value: "00".repeat(1000) });
  assert.equal(readAll(newReader(1000), [fits]).length, 1);
  for (const value of ["00".repeat(1001), "00".repeat(5000)]) {
    assert.throws(
      () => readAll(newReader(1000), [write({ kind: "message", topic: "", value })]),
      (error) => error instanceof ProtocolError && error.code === "message_too_large",
    );
  }
});

test("RecordReader gives out values that pin no buffer of more than twice their size", () => {
  const small = write({ kind: "message", topic: "", value: "01".repeat(60) });
  const large = write({ kind: "message", topic: "", value: "02".repeat(40_000) });
  const reader = newReader();
  const chunk = concat(small, large, small);
  reader.push(chunk);
  const values: Uint8Array[] = [];
  while (reader.next()) values.push(reader.value);
  assert.deepEqual(
    values.map((value) => value.length),
    [60, 40_000, 60],
  );
  for (const value of values) assert.ok(value.buffer.byteLength <= value.length * 2);
  // What is large is not copied.
  assert.equal(values[1]?.buffer, chunk.buffer);
});

test("RecordReader copies out of a subclass whose slice shares memory, as Buffer does", () => {
  class Sharing extends Uint8Array {
    override slice(start?: number, end?: number): Uint8Array<ArrayBuffer> {
      return this.subarray(start, end) as Uint8Array<ArrayBuffer>;
    }
  }
  const bytes = concat(write({ kind: "message", topic: "", value: "01".repeat(100) }), new Uint8Array(0));
  const shared = new Sharing(1000);
  shared.set(bytes);
  const reader = newReader();
  reader.push(shared.subarray(0, bytes.length));
  assert.ok(reader.next());
  shared.fill(0);
  assert.deepEqual(reader.value, new Uint8Array(100).fill(1));
});

test("cutUtf8 cuts between characters", () => {
  assert.equal(cutUtf8("abc", 3), "abc");
  assert.equal(cutUtf8("abcd", 3), "abc");
  assert.equal(cutUtf8("aüü", 4), "aü");
  assert.equal(cutUtf8("a😀😀", 8), "a😀");
  const long = write({ kind: "error", id: 0, wire: 1, detail: "ü".repeat(500) });
  assert.equal(readAll(newReader(), [long])[0]?.detail, "ü".repeat(128));
});

test("NameCache returns what was asked for, whatever shares its slot", () => {
  const names = new NameCache();
  fc.assert(
    fc.property(fc.array(fc.string({ unit: "grapheme", maxLength: 6 }), { maxLength: 40 }), (texts) => {
      for (const text of [...texts, ...texts]) {
        const bytes = encodeUtf8(text);
        const framed = concat(Uint8Array.of(9), bytes, Uint8Array.of(9));
        assert.equal(names.decode(framed, 1, framed.length - 1), text);
      }
    }),
    { seed: SEED, numRuns: 100 },
  );
  assert.equal(names.decode(Uint8Array.of(0xc0, 0x80), 0, 2), undefined);
});

test("ByteQueue gives back what was appended, in order", () => {
  fc.assert(
    fc.property(
      fc.array(fc.oneof(fc.integer({ min: 1, max: 100 }), fc.integer({ min: 1, max: 9000 })), { maxLength: 50 }),
      fc.integer({ min: 1, max: 5000 }),
      (sizes, step) => {
        const queue = new ByteQueue();
        let written = 0;
        let read = 0;
        const check = (): void => {
          const bytes = queue.peek().subarray(0, step);
          for (const byte of bytes) assert.equal(byte, read++ & 0xff);
          queue.drop(bytes.length);
        };
        for (const size of sizes) {
          queue.append(Uint8Array.from({ length: size }, () => written++ & 0xff));
          if (size % 3 === 0) check();
          assert.equal(queue.length, written - read);
        }
        while (queue.length > 0) check();
        assert.equal(read, written);
        assert.equal(queue.peek().length, 0);
      },
    ),
    { seed: SEED, numRuns: 60 },
  );
});

test("MessageCredit: messages given back one by one, in any order, are counted exactly", () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 1, max: 50 }), { minLength: 1, maxLength: 200 }),
      fc.infiniteStream(fc.nat()),
      (lengths, picks) => {
        const credit = new MessageCredit();
        for (const length of lengths) credit.add(length);
        const held = [...lengths];
        while (held.length > 0) {
          const expected = held.reduce((sum, length) => sum + length + MESSAGE_OVERHEAD_BYTES, 0);
          assert.equal(credit.heldBytes, expected);
          const [length] = held.splice((picks.next().value as number) % held.length, 1);
          credit.release(length as number);
        }
        assert.equal(credit.heldBytes, 0);
      },
    ),
    { seed: SEED, numRuns: 60 },
  );
});

test("MessageCredit: messages given back many at once count until the last of them", () => {
  const credit = new MessageCredit();
  for (let index = 0; index < 100; index++) credit.add(1);
  credit.release(60);
  assert.equal(credit.heldBytes, 40 + 100 * MESSAGE_OVERHEAD_BYTES);
  credit.release(40);
  assert.equal(credit.heldBytes, 0);
  credit.release(1000);
  assert.equal(credit.heldBytes, 0);
});
