/**
 * Tests of what leads a stream: PROTOCOL §7.
 *
 * @module
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { ErrorCode } from "../../../core/error.ts";
import { ProtocolError } from "../../../core/error.ts";
import { isProtocolName, parseProtocolText, protocolOffer, protocolText } from "../../../core/node/protocol_name.ts";
import { ProtocolTable } from "../../../core/node/protocol_table.ts";
import { APPLICATION_CODE_MAX, errorCodeOfStreamCode, streamCodeOf } from "../../../core/node/stream_code.ts";
import type { StreamStatus } from "../../../core/node/stream_header.ts";
import {
  decodeStreamHeader,
  decodeStreamStatus,
  encodeStreamHeader,
  encodeStreamStatus,
  LEAD_BYTES_MAX,
} from "../../../core/node/stream_header.ts";
import vectors from "../../vectors/stream_header.json" with { type: "json" };
import { concat, fromHex, toHex } from "../wire/hex.ts";

const SEED = 20_250_701;

test("encodeStreamHeader and decodeStreamHeader reproduce the vectors", () => {
  for (const { name, versions, metadata, hex } of vectors.headers) {
    const header = { name, versions, metadata: fromHex(metadata) };
    assert.equal(toHex(encodeStreamHeader(header)), hex);
    const bytes = fromHex(hex);
    assert.deepEqual(decodeStreamHeader(bytes), { value: header, bytes: bytes.length });
  }
});

test("decodeStreamHeader accepts padded varints and fields of a later edition", () => {
  for (const { name, versions, metadata, hex } of vectors.acceptedHeaders) {
    const bytes = fromHex(hex);
    const expected = { value: { name, versions, metadata: fromHex(metadata) }, bytes: bytes.length };
    assert.deepEqual(decodeStreamHeader(bytes), expected);
  }
});

test("decodeStreamHeader refuses malformed headers", () => {
  for (const { note, hex } of vectors.badHeaders) {
    assert.throws(() => decodeStreamHeader(fromHex(hex)), ProtocolError, note);
  }
});

test("decodeStreamHeader waits at every split and leaves what follows alone", () => {
  for (const { hex } of [...vectors.headers, ...vectors.acceptedHeaders]) {
    const bytes = fromHex(hex);
    for (let end = 0; end < bytes.length; end++) assert.equal(decodeStreamHeader(bytes.subarray(0, end)), undefined);
    assert.equal(decodeStreamHeader(concat(bytes, Uint8Array.of(0xff, 0xff)))?.bytes, bytes.length);
  }
});

test("decodeStreamHeader has an answer within LEAD_BYTES_MAX, whatever the bytes", () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 0, maxLength: 40 }), fc.nat({ max: 255 }), (start, fill) => {
      const bytes = new Uint8Array(LEAD_BYTES_MAX).fill(fill);
      bytes.set(start);
      try {
        assert.notEqual(decodeStreamHeader(bytes), undefined);
      } catch (error) {
        assert.ok(error instanceof ProtocolError);
      }
    }),
    { seed: SEED, numRuns: 300 },
  );
});

test("a header keeps its metadata apart from the bytes that it came in", () => {
  const bytes = encodeStreamHeader({ name: "chat", versions: [1], metadata: Uint8Array.of(7) });
  const header = decodeStreamHeader(bytes);
  bytes.fill(0);
  assert.deepEqual(header?.value.metadata, Uint8Array.of(7));
});

test("encodeStreamStatus and decodeStreamStatus reproduce the vectors at every split", () => {
  for (const { status, hex } of vectors.statuses) {
    const bytes = fromHex(hex);
    assert.equal(toHex(encodeStreamStatus(status as StreamStatus)), hex);
    assert.deepEqual(decodeStreamStatus(concat(bytes, Uint8Array.of(0xff))), { value: status, bytes: bytes.length });
    for (let end = 0; end < bytes.length; end++) assert.equal(decodeStreamStatus(bytes.subarray(0, end)), undefined);
  }
  for (const { note, hex } of vectors.badStatuses) {
    assert.throws(() => decodeStreamStatus(fromHex(hex)), ProtocolError, note);
  }
});

test("encodeStreamHeader refuses what the caller may not send", () => {
  assert.throws(() => encodeStreamHeader({ name: "Chat", versions: [1] }), TypeError);
  assert.throws(() => encodeStreamHeader({ name: "a".repeat(65), versions: [1] }), TypeError);
  assert.throws(() => encodeStreamHeader({ name: "chat", versions: [] }), RangeError);
  assert.throws(() => encodeStreamHeader({ name: "chat", versions: [1, 2, 3, 4, 5, 6, 7, 8, 9] }), RangeError);
  assert.throws(() => encodeStreamHeader({ name: "chat", versions: [-1] }), RangeError);
  assert.throws(() => encodeStreamHeader({ name: "chat", versions: [2 ** 31] }), RangeError);
  assert.throws(() => encodeStreamHeader({ name: "", versions: [1] }), RangeError);
  assert.throws(() => encodeStreamHeader({ name: "c", versions: [1], metadata: new Uint8Array(1025) }), RangeError);
});

test("codes of streams: Viaduct's own never meet those of an application", () => {
  for (const { code, streamCode } of vectors.streamCodes) {
    assert.equal(streamCodeOf(code as ErrorCode), streamCode);
    assert.equal(errorCodeOfStreamCode(streamCode), code);
  }
  assert.equal(errorCodeOfStreamCode(APPLICATION_CODE_MAX), undefined);
  assert.equal(errorCodeOfStreamCode(0), undefined);
});

test("names of protocols: text form and back", () => {
  assert.deepEqual(parseProtocolText("chat/1"), { name: "chat", version: 1 });
  assert.deepEqual(parseProtocolText("a-b_c.d/2147483647"), { name: "a-b_c.d", version: 2147483647 });
  assert.deepEqual(parseProtocolText(""), { name: "", version: 0 });
  for (const text of [
    "chat",
    "chat/",
    "/1",
    "chat/01",
    "chat/-1",
    "chat/2147483648",
    "Chat/1",
    "chat/1/2",
    " chat/1",
  ]) {
    assert.equal(parseProtocolText(text), undefined, text);
  }
  assert.equal(protocolText("chat", 1), "chat/1");
  assert.equal(protocolText("", 0), "");
  assert.deepEqual(protocolOffer(["chat/2", "chat/1", "chat/2"]), { name: "chat", versions: [2, 1] });
  assert.throws(() => protocolOffer(["chat/2", "file/1"]), TypeError);
  assert.throws(() => protocolOffer(["chat"]), TypeError);
  assert.throws(() => protocolOffer([]), TypeError);
  assert.ok(isProtocolName(""));
});

test("ProtocolTable.choose: every combination of offered and served versions", () => {
  const sets = [[1], [2], [1, 2], [2, 1], [3], [3, 1], [4, 5, 6]];
  for (const served of sets) {
    const table = new ProtocolTable();
    table.serve("chat", served, { streamsPerPeerMax: 1 });
    for (const offered of sets) {
      // The opener's preference decides.
      const expected = offered.find((version) => served.includes(version));
      assert.equal(table.choose("chat", offered)?.version, expected, `${served} serves ${offered}`);
      assert.equal(table.choose("file", offered), undefined);
      assert.equal(table.chooseClaimed("chat", offered), undefined);
    }
  }
});

test("ProtocolTable: serving again replaces, unserving ends, claims stand apart", () => {
  const table = new ProtocolTable();
  table.serve("chat", [1], { streamsPerPeerMax: 1 });
  table.serve("chat", [2], { streamsPerPeerMax: 7 });
  assert.equal(table.choose("chat", [1]), undefined);
  assert.equal(table.choose("chat", [2])?.served.streamsPerPeerMax, 7);
  table.unserve("chat");
  assert.equal(table.choose("chat", [2]), undefined);
  table.claim("viaduct.x", [1], { streamsPerPeerMax: 1 });
  assert.equal(table.choose("viaduct.x", [1]), undefined);
  assert.equal(table.chooseClaimed("viaduct.x", [1])?.version, 1);
  assert.throws(() => table.serve("Chat", [1], { streamsPerPeerMax: 1 }), TypeError);
  assert.throws(() => table.serve("chat", [], { streamsPerPeerMax: 1 }), RangeError);
  assert.throws(() => table.serve("chat", [1], { streamsPerPeerMax: Number.NaN }), RangeError);
});
