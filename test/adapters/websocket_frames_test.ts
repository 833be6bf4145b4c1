/**
 * Frames of WebSockets and heads of requests: every split, every rule that can be broken, and what they may cost.
 *
 * @module
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import { encodeResponse, HEAD_BYTES_MAX, hasToken, headEnd, readRequest } from "../../adapters/http_head.ts";
import { encodeFrame, WebSocketFrameReader } from "../../adapters/websocket_frames.ts";

const LIMIT = 1000;

/** A frame as a client sends it. */
function frame(payload: Uint8Array, first: number, options: { readonly length?: number; isMasked?: boolean } = {}) {
  const length = options.length ?? payload.length;
  const isMasked = options.isMasked ?? true;
  const mask = isMasked ? [0x37, 0xfa, 0x21, 0x3d] : [];
  const bit = isMasked ? 0x80 : 0;
  const long = [0, 0, 0, 0, (length >>> 24) & 0xff, (length >>> 16) & 0xff, (length >>> 8) & 0xff, length & 0xff];
  const size =
    length < 126 ? [bit | length] : length < 65_536 ? [bit | 126, length >> 8, length & 0xff] : [bit | 127, ...long];
  const masked = payload.map((byte, index) => byte ^ (mask[index & 3] ?? 0));
  return Uint8Array.of(first, ...size, ...mask, ...masked);
}

function read(bytes: Uint8Array, cuts: number, limit = LIMIT) {
  const seen: string[] = [];
  const reader = new WebSocketFrameReader(
    {
      onMessage: (message) => seen.push(`message ${[...message].join()}`),
      onPing: (payload) => seen.push(`ping ${[...payload].join()}`),
      onClose: () => seen.push("close"),
    },
    limit,
  );
  for (let at = 0; at < bytes.length; at += cuts) {
    const fault = reader.push(bytes.slice(at, at + cuts));
    if (fault !== undefined) return { seen, fault };
  }
  return { seen, fault: undefined };
}

const join = (...parts: readonly Uint8Array[]): Uint8Array => Uint8Array.from(parts.flatMap((part) => [...part]));
const count = (length: number): Uint8Array => Uint8Array.from({ length }, (_byte, index) => index & 0xff);

test("websocket frames: messages arrive whole whatever way they were split and fragmented", () => {
  const large = count(700);
  const bytes = join(
    frame(count(5), 0x82),
    frame(new Uint8Array(0), 0x82),
    frame(large.subarray(0, 300), 0x02),
    frame(count(3), 0x89), // A ping between fragments: RFC 6455 §5.4.
    frame(large.subarray(300, 301), 0x00),
    frame(large.subarray(301), 0x80),
    frame(count(1), 0x8a), // A pong nobody asked for: RFC 6455 §5.5.3.
    frame(Uint8Array.of(3, 232), 0x88),
    frame(count(9), 0x82), // Behind the close.
  );
  const expected = ["message 0,1,2,3,4", "message ", "ping 0,1,2", `message ${[...large].join()}`, "close"];
  for (let cuts = 1; cuts <= bytes.length; cuts++) {
    assert.deepEqual(read(bytes, cuts), { seen: expected, fault: undefined }, `cut each ${cuts} bytes`);
  }
});

test("websocket frames: what breaks the rules is closed with its number, and nothing after it is looked at", () => {
  const end = frame(count(2), 0x82);
  for (const [what, bytes, fault] of [
    ["unmasked", frame(count(2), 0x82, { isMasked: false }), 1002],
    ["unmasked and empty", frame(count(0), 0x82, { isMasked: false }), 1002],
    ["a reserved bit", frame(count(2), 0xc2), 1002],
    ["text", frame(count(2), 0x81), 1003],
    ["an unknown kind", frame(count(2), 0x83), 1002],
    ["an unknown control frame", frame(count(2), 0x8b), 1002],
    ["a ping in fragments", frame(count(2), 0x09), 1002],
    ["a ping that is too long", frame(count(126), 0x89), 1002],
    ["a continuation of nothing", frame(count(2), 0x80), 1002],
    ["a message inside another one", join(frame(count(2), 0x02), frame(count(2), 0x82)), 1002],
    ["a message that is too long", frame(count(3), 0x82, { length: LIMIT + 1 }), 1009],
    ["one of 4 GiB", frame(count(3), 0x82, { length: 0xffffffff }), 1009],
    ["fragments that are too long together", join(frame(count(600), 0x02), frame(count(401), 0x00)), 1009],
    ["fragments without end", join(...Array.from({ length: 70 }, (_, at) => frame(count(0), at === 0 ? 2 : 0))), 1009],
  ] as const) {
    for (const cuts of [1, 3, 10_000]) {
      assert.deepEqual(read(join(bytes, end), cuts), { seen: [], fault }, `${what}, cut each ${cuts} bytes`);
    }
  }
});

test("websocket frames: what is written is what RFC 6455 §5.7 prints", () => {
  assert.deepEqual(encodeFrame(Uint8Array.of(0x48, 0x65, 0x6c), 0xa), Uint8Array.of(0x8a, 3, 0x48, 0x65, 0x6c));
  assert.deepEqual(encodeFrame(new Uint8Array(256)).subarray(0, 4), Uint8Array.of(0x82, 0x7e, 1, 0));
  assert.deepEqual(
    encodeFrame(new Uint8Array(65_536)).subarray(0, 10),
    Uint8Array.of(0x82, 0x7f, 0, 0, 0, 0, 0, 1, 0, 0),
  );
});

test("http head: a request is read, one that is malformed or ambiguous is none", () => {
  const bytes = (text: string): Uint8Array => new TextEncoder().encode(text.replaceAll("\n", "\r\n"));
  const good = bytes("GET /a?b HTTP/1.1\nHost: localhost:1\nX-Two: a\nx-two:b \nEmpty:\n\nrest");
  const end = headEnd(good, 0);
  assert.equal(good.length - end, 4);
  const request = readRequest(good.subarray(0, end));
  assert.deepEqual(request?.method, "GET");
  assert.deepEqual(request?.path, "/a?b");
  assert.deepEqual(
    [...(request?.headers ?? [])],
    [
      ["host", "localhost:1"],
      ["x-two", "a, b"],
      ["empty", ""],
    ],
  );
  for (const text of [
    "GET  / HTTP/1.1\n\n",
    "GET http://localhost/ HTTP/1.1\n\n",
    "GET / HTTP/2\n\n",
    "get / HTTP/1.1\n\n",
    "GET /\u00e9 HTTP/1.1\n\n",
    "GET / HTTP/1.1\nHost: a\nHost: b\n\n",
    "GET / HTTP/1.1\nOrigin: http://a\nORIGIN: http://b\n\n",
    "GET / HTTP/1.1\nno colon\n\n",
    "GET / HTTP/1.1\nspace : a\n\n",
    "GET / HTTP/1.1\nFolded: a\n b\n\n",
    "GET / HTTP/1.1\nNul: a\u0000b\n\n",
    `GET / HTTP/1.1\n${"A: b\n".repeat(101)}\n`,
  ]) {
    const all = bytes(text);
    assert.equal(readRequest(all.subarray(0, headEnd(all, 0))), undefined, text);
  }
  assert.equal(headEnd(new Uint8Array(HEAD_BYTES_MAX), 0), -1);
  assert.ok(hasToken("keep-alive, Upgrade", "upgrade"));
  assert.ok(!hasToken("not-upgrade", "upgrade") && !hasToken(undefined, "upgrade"));
});

test("http head: an answer says its length and ends the connection; a field cannot smuggle another one", () => {
  const text = (parts: readonly Uint8Array[]): string => parts.map((part) => new TextDecoder().decode(part)).join("");
  const answer = { status: 200, headers: { "Content-Length": "7", "X-A": "b" }, body: "é!" };
  const head = "HTTP/1.1 200 \r\ncontent-length: 3\r\nx-a: b\r\nconnection: close\r\n\r\n";
  assert.equal(text(encodeResponse(answer, false)), `${head}é!`);
  assert.equal(text(encodeResponse(answer, true)), head);
  assert.throws(() => encodeResponse({ status: 200, headers: { a: "b\r\nc: d" } }, false), RangeError);
});
