/**
 * Tests of the relay's records and circuit metadata: PROTOCOL §10.
 *
 * @module
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { ProtocolError } from "../../../core/error.ts";
import type { ControlRecord, PresenceChange } from "../../../core/node/relay_codec.ts";
import {
  ControlRecordReader,
  decodeCircuitMetadata,
  decodeControlRecord,
  encodeCircuitMetadata,
  encodeControlRecord,
  encodePresence,
  RELAY_RECORD_BYTES_MAX,
} from "../../../core/node/relay_codec.ts";
import vectors from "../../vectors/relay.json" with { type: "json" };
import { concat, fromHex, toHex } from "../wire/hex.ts";

const SEED = 20_250_110;

/** A record of the vectors with its byte fields as bytes. */
function revive(value: object): unknown {
  const out: Record<string, unknown> = {};
  for (const [name, field] of Object.entries(value)) {
    if (name === "tokenHex") out.token = fromHex(field as string);
    else if (name === "admissionHex") out.admission = fromHex(field as string);
    else if (name === "keyHex") out.key = fromHex(field as string);
    else if (Array.isArray(field)) out[name] = field.map((part: object) => revive(part));
    else out[name] = field;
  }
  return out;
}

/** Everything as plain values, so that views and arrays of any buffer compare equal. */
function plain(value: unknown): unknown {
  if (value instanceof Uint8Array) return toHex(value);
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value === "object" && value !== null) {
    return Object.fromEntries(Object.entries(value).map(([name, field]) => [name, plain(field)]));
  }
  return value;
}

function readAll(reader: ControlRecordReader): (ControlRecord | undefined)[] {
  const records: (ControlRecord | undefined)[] = [];
  for (let bytes = reader.next(); bytes !== undefined; bytes = reader.next()) records.push(decodeControlRecord(bytes));
  return records;
}

function decodeOne(bytes: Uint8Array): ControlRecord | undefined {
  const reader = new ControlRecordReader();
  reader.push(bytes);
  const records = readAll(reader);
  assert.equal(records.length, 1);
  assert.equal(reader.heldBytes, 0);
  return records[0];
}

test("encodeControlRecord and decodeControlRecord reproduce the vectors", () => {
  for (const { record, hex } of vectors.records) {
    const revived = revive(record) as ControlRecord;
    assert.equal(toHex(encodeControlRecord(revived)), hex);
    assert.deepEqual(plain(decodeOne(fromHex(hex))), plain(revived));
  }
});

test("decodeControlRecord accepts what a later version may send", () => {
  for (const { record, hex, why } of vectors.acceptedRecords) {
    const decoded = decodeOne(fromHex(hex));
    assert.deepEqual(plain(decoded), record === null ? undefined : plain(revive(record)), why);
  }
});

test("ControlRecordReader and decodeControlRecord refuse malformed records with a ProtocolError", () => {
  for (const { hex, why } of vectors.badRecords) {
    const reader = new ControlRecordReader();
    reader.push(fromHex(hex));
    assert.throws(() => readAll(reader), ProtocolError, why);
  }
});

test("ControlRecordReader finds the same records at every split", () => {
  const stream = concat(...vectors.records.map(({ hex }) => fromHex(hex)));
  const expected = plain(vectors.records.map(({ record }) => revive(record)));
  for (let cut = 0; cut <= stream.length; cut += 1) {
    const reader = new ControlRecordReader();
    const records: unknown[] = [];
    for (const part of [stream.slice(0, cut), stream.slice(cut)]) {
      // The bytes are lent: what was read must not depend on them afterwards.
      const lent = part.slice();
      reader.push(lent);
      records.push(...readAll(reader).map(plain));
      lent.fill(0xee);
    }
    assert.deepEqual(records, expected, `cut at ${cut}`);
  }
});

test("ControlRecordReader keeps no more than one record of a stream that comes byte by byte", () => {
  const stream = concat(...vectors.records.map(({ hex }) => fromHex(hex)));
  const reader = new ControlRecordReader();
  const records: unknown[] = [];
  for (const byte of stream) {
    reader.push(Uint8Array.of(byte));
    records.push(...readAll(reader).map(plain));
    assert.ok(reader.heldBytes <= RELAY_RECORD_BYTES_MAX + 10);
  }
  assert.deepEqual(records, plain(vectors.records.map(({ record }) => revive(record))));
});

test("the control stream never throws anything but a ProtocolError on hostile bytes", () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 8 }), (chunks) => {
      const reader = new ControlRecordReader();
      try {
        for (const chunk of chunks) {
          reader.push(chunk);
          readAll(reader);
        }
      } catch (error) {
        assert.ok(error instanceof ProtocolError);
      }
    }),
    { seed: SEED, numRuns: 300 },
  );
});

test("encodeControlRecord refuses fields that no receiver would take", () => {
  const register = { type: "register", name: "", token: new Uint8Array(0), about: "" } as const;
  assert.throws(() => encodeControlRecord({ ...register, name: "n".repeat(33) }), RangeError);
  assert.throws(() => encodeControlRecord({ ...register, token: new Uint8Array(65) }), RangeError);
  assert.throws(() => encodeControlRecord({ ...register, about: "é".repeat(65) }), RangeError);
});

const change: fc.Arbitrary<PresenceChange> = fc.record({
  isJoined: fc.boolean(),
  key: fc.uint8Array({ minLength: 32, maxLength: 32 }),
  name: fc.stringMatching(/^[a-z0-9-]{3,32}$/),
  about: fc.string({ unit: "binary", maxLength: 30 }),
  joinedAtUnixMs: fc.nat({ max: 2 ** 31 - 1 }).map((value) => value * 1000),
});

test("encodePresence splits changes into records of at most 4 KiB, in order, with the flags at the ends", () => {
  fc.assert(
    fc.property(fc.array(change, { maxLength: 120 }), fc.boolean(), (changes, isTruncated) => {
      const records = encodePresence(changes, { isReset: true, isComplete: true, isTruncated }).map((bytes) => {
        assert.ok(bytes.length <= RELAY_RECORD_BYTES_MAX + 2);
        const record = decodeOne(bytes);
        assert.ok(record?.type === "presence");
        return record;
      });
      assert.deepEqual(plain(records.flatMap((record) => record.changes)), plain(changes));
      records.forEach((record, index) => {
        assert.equal(record.isReset, index === 0);
        assert.equal(record.isComplete, index === records.length - 1);
        assert.equal(record.isTruncated, isTruncated && index === records.length - 1);
      });
    }),
    { seed: SEED, numRuns: 50 },
  );
});

test("encodePresence fills records with the largest entries without exceeding the limit", () => {
  const largest: PresenceChange = {
    isJoined: true,
    key: new Uint8Array(32),
    name: "n".repeat(32),
    about: "a".repeat(128),
    joinedAtUnixMs: Number.MAX_SAFE_INTEGER,
  };
  const records = encodePresence(new Array<PresenceChange>(100).fill(largest), {
    isReset: false,
    isComplete: false,
    isTruncated: false,
  });
  assert.ok(records.length <= 6);
  for (const bytes of records) assert.ok(bytes.length <= RELAY_RECORD_BYTES_MAX + 2);
});

test("encodeCircuitMetadata and decodeCircuitMetadata reproduce the vectors", () => {
  for (const { metadata, hex } of vectors.circuitMetadata) {
    const revived = revive(metadata) as Parameters<typeof encodeCircuitMetadata>[0];
    assert.equal(toHex(encodeCircuitMetadata(revived)), hex);
    assert.deepEqual(plain(decodeCircuitMetadata(fromHex(hex))), plain(revived));
  }
  for (const { hex, why } of vectors.badCircuitMetadata) {
    assert.equal(decodeCircuitMetadata(fromHex(hex)), undefined, why);
  }
});

test("decodeCircuitMetadata never throws on hostile bytes", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 80 }), (bytes) => {
      decodeCircuitMetadata(bytes);
    }),
    { seed: SEED, numRuns: 300 },
  );
});
