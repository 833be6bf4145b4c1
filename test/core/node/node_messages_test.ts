/**
 * Tests of messages and requests between nodes: order, sizes, back-pressure, limits, and hostile records. PROTOCOL §8.
 *
 * @module
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { RecordWriter } from "../../../core/node/message_record.ts";
import type { NodeEvent } from "../../../core/node/node_types.ts";
import vectors from "../../vectors/messages.json" with { type: "json" };
import { concat, fromHex } from "../wire/hex.ts";
import type { Resident, ResidentOptions } from "./node_world.ts";
import { MESSAGE_HEADER, NodeWorld, of, openRaw, readAll } from "./node_world.ts";

const SEED = 20_250_703;
const KIB = 1024;
const MIB = 1024 * 1024;

interface Pair {
  world: NodeWorld;
  a: Resident;
  b: Resident;
  left: number;
  right: number;
}

function pair(options: { seed?: number; a?: ResidentOptions; b?: ResidentOptions } = {}): Pair {
  const world = new NodeWorld({ seed: options.seed ?? 1 });
  const [a, b] = [world.add("a", options.a), world.add("b", options.b)];
  return { world, a, b, ...world.join(a, b) };
}

function pattern(length: number, salt = 0): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let index = 0; index < length; index++) bytes[index] = (index * 31 + salt) & 0xff;
  return bytes;
}

/** Answers every request with its own value. */
function echo(world: NodeWorld, who: Resident): void {
  const { onEvent } = who.host;
  who.host.onEvent = (event) => {
    onEvent(event);
    const request = event as NodeEvent;
    if (request.type === "request") who.node.respond(request.session, request.request, request.bytes, world.now);
  };
}

test("messages arrive whole, once and in order, both ways, with their topics", () => {
  const { world, a, b, left, right } = pair();
  for (let index = 0; index < 100; index++) {
    assert.ok(a.node.sendMessage(left, `topic-${index % 3}`, pattern(index + 1), world.now));
    assert.ok(b.node.sendMessage(right, "", pattern(3, index), world.now));
  }
  world.run(500);
  assert.deepEqual(
    of(b, "message"),
    Array.from({ length: 100 }, (_, index) => ({
      type: "message",
      session: right,
      topic: `topic-${index % 3}`,
      bytes: pattern(index + 1),
    })),
  );
  assert.deepEqual(
    of(a, "message").map((event) => event.bytes),
    Array.from({ length: 100 }, (_, index) => pattern(3, index)),
  );
  // Message streams are nobody's business.
  assert.deepEqual(
    [...a.events, ...b.events].filter((event) => "stream" in event),
    [],
  );
});

test("a message may be as large as the limit and not larger", () => {
  const { world, a, b, left } = pair({
    a: { limits: { messageBytesMax: 100_000 } },
    b: { limits: { messageBytesMax: 100_000 } },
  });
  assert.ok(a.node.sendMessage(left, "t".repeat(64), pattern(100_000), world.now));
  assert.throws(() => a.node.sendMessage(left, "", pattern(100_001), world.now), RangeError);
  assert.throws(() => a.node.sendMessage(left, "", new Uint8Array(0), world.now), RangeError);
  assert.throws(() => a.node.sendMessage(left, "t".repeat(65), pattern(1), world.now), RangeError);
  assert.throws(() => a.node.sendMessage(left, "ü".repeat(33), pattern(1), world.now), RangeError);
  assert.throws(() => a.node.sendRequest(left, "", pattern(100_001), world.now), RangeError);
  world.run(1000);
  assert.deepEqual(
    of(b, "message").map((event) => event.bytes),
    [pattern(100_000)],
  );
});

test("a peer with a smaller limit ends the session and says why", () => {
  const { world, a, b, left } = pair({ b: { limits: { messageBytesMax: 1000 } } });
  assert.ok(a.node.sendMessage(left, "", pattern(1001), world.now));
  world.run(500);
  for (const who of [a, b]) assert.equal(of(who, "peerClosed")[0]?.closed.code, "message_too_large");
});

test("any sizes, any splits: what is sent is what arrives", () => {
  const size = fc.oneof(
    { weight: 6, arbitrary: fc.integer({ min: 1, max: 200 }) },
    { weight: 2, arbitrary: fc.integer({ min: 1, max: 70_000 }) },
    { weight: 1, arbitrary: fc.integer({ min: 100_000, max: MIB }) },
  );
  fc.assert(
    fc.property(fc.array(size, { minLength: 1, maxLength: 25 }), fc.nat({ max: 1000 }), (sizes, seed) => {
      const { world, a, b, left } = pair({ seed: seed + 1, b: { limits: { messageQueueBytes: 64 * MIB } } });
      const waiting = sizes.map((length, index) => pattern(length, index));
      let sent = 0;
      const send = (): void => {
        while (sent < waiting.length && a.node.sendMessage(left, `${sent}`, waiting[sent] as Uint8Array, world.now))
          sent++;
      };
      a.host.onEvent = (event) => {
        if ((event as NodeEvent).type === "messagesWritable") send();
      };
      send();
      world.run(60_000, () => of(b, "message").length === sizes.length);
      const got = of(b, "message");
      assert.deepEqual(
        got.map((event) => event.topic),
        sizes.map((_, index) => `${index}`),
      );
      for (const [index, event] of got.entries()) assert.deepEqual(event.bytes, waiting[index]);
    }),
    { seed: SEED, numRuns: 12 },
  );
});

test("a program that takes no messages stops their sender, and its requests go on", () => {
  const { world, a, b, left, right } = pair({
    a: { session: { streamWindowBytes: 256 * KIB, sendBufferBytes: 256 * KIB } },
    b: {
      session: { streamWindowBytes: 256 * KIB, sendBufferBytes: 256 * KIB },
      limits: { messageQueueBytes: 256 * KIB },
    },
  });
  echo(world, b);
  let sent = 0;
  const flood = (): void => {
    while (sent < 5000 && a.node.sendMessage(left, "", pattern(10 * KIB, sent), world.now)) sent++;
  };
  const { onEvent } = a.host;
  a.host.onEvent = (event) => {
    onEvent(event);
    if ((event as NodeEvent).type === "messagesWritable") flood();
  };
  flood();
  world.run(20_000);
  // Queue of the program, window of the stream, send buffer, one message: and then it stands.
  assert.ok(sent * 10 * KIB < 1.2 * MIB, `sent ${sent}`);
  const held = of(b, "message").length;
  assert.ok(held * 10 * KIB <= 266 * KIB, `held ${held}`);
  const request = a.node.sendRequest(left, "echo", pattern(5), world.now) as number;
  world.run(500);
  assert.deepEqual(of(a, "response"), [{ type: "response", session: left, request, bytes: pattern(5) }]);
  // It takes them: everything comes, in order.
  let released = 0;
  const release = (): void => {
    for (; released < of(b, "message").length; released++) {
      b.node.releaseMessage(right, (of(b, "message")[released] as { bytes: Uint8Array }).bytes.length, world.now);
    }
  };
  for (let round = 0; round < 200 && of(b, "message").length < 300; round++) {
    release();
    world.run(500);
  }
  const salts = of(b, "message")
    .slice(0, 300)
    .map((event) => event.bytes[0]);
  assert.deepEqual(
    salts,
    Array.from({ length: 300 }, (_, index) => index & 0xff),
  );
});

test("messages without weight are held back by their number", () => {
  const { world, a, b, left } = pair({ b: { limits: { messageQueueBytes: 129_000 } } });
  for (let index = 0; index < 5000; index++) a.node.sendMessage(left, "", Uint8Array.of(1), world.now);
  world.run(2000);
  assert.equal(of(b, "message").length, 1000);
});

test("sendMessage takes nothing without room and tells when there is some", () => {
  const { world, a, b, left } = pair({ a: { session: { sendBufferBytes: 64 * KIB } } });
  // Larger than the whole send buffer: taken in full.
  assert.ok(a.node.sendMessage(left, "one", pattern(500 * KIB), world.now));
  assert.equal(a.node.sendMessage(left, "two", pattern(10), world.now), false);
  assert.equal(a.node.sendMessage(left, "three", pattern(10), world.now), false);
  assert.ok(world.run(10_000, () => of(a, "messagesWritable").length > 0));
  assert.ok(a.node.sendMessage(left, "four", pattern(20), world.now));
  world.run(2000);
  assert.deepEqual(
    of(b, "message").map((event) => event.topic),
    ["one", "four"],
  );
  assert.deepEqual(of(b, "message")[0]?.bytes, pattern(500 * KIB));
  assert.equal(of(a, "messagesWritable").length, 1);
});

test("messages wait for a stream where the peer allows none yet", () => {
  const { world, a, b, left, right } = pair({ b: { session: { streamsMax: 1 } } });
  b.node.serve("log", [1], { streamsPerPeerMax: 10 });
  const log = { protocol: { name: "log", versions: [1] }, isUnidirectional: true };
  const stream = a.node.openStream(left, log, world.now) as number;
  assert.ok(a.node.sendMessage(left, "late", pattern(4), world.now));
  assert.equal(a.node.sendMessage(left, "no", pattern(4), world.now), false);
  a.node.finish(left, stream, world.now);
  world.run(300);
  assert.equal(readAll(b, right, stream).end, "end");
  world.run(1000);
  assert.deepEqual(
    of(b, "message").map((event) => event.topic),
    ["late"],
  );
  assert.ok(of(a, "messagesWritable").length > 0);
});

test("requests are answered, each with its own answer, however many and in whatever order", () => {
  const { world, a, b, left } = pair();
  const open: { session: number; request: number; bytes: Uint8Array }[] = [];
  b.host.onEvent = (event) => {
    if ((event as NodeEvent).type === "request") open.push(event as never);
  };
  const asked = Array.from({ length: 50 }, (_, index) =>
    a.node.sendRequest(left, "twice", pattern(index, index), world.now),
  );
  assert.deepEqual(
    asked,
    Array.from({ length: 50 }, (_, index) => index),
  );
  world.run(100);
  for (const { session, request, bytes } of open.toReversed()) {
    if (request % 5 === 4) b.node.respondError(session, request, "handler_failed", `no ${request}`, world.now);
    else b.node.respond(session, request, concat(bytes, bytes), world.now);
  }
  world.run(200);
  assert.equal(of(a, "response").length, 40);
  for (const { request, bytes } of of(a, "response")) {
    assert.deepEqual(bytes, concat(pattern(request, request), pattern(request, request)));
  }
  const failed = of(a, "requestFailed").find((event) => event.request === 9);
  assert.deepEqual(failed, {
    type: "requestFailed",
    session: left,
    request: 9,
    code: "handler_failed",
    detail: "no 9",
  });
  // A second answer is nobody's.
  b.node.respond(open[0]?.session as number, 0, pattern(1), world.now);
  world.run(100);
  assert.equal(of(a, "response").length, 40);
});

test("requests cross each other on both sides", () => {
  const { world, a, b, left, right } = pair();
  echo(world, a);
  echo(world, b);
  for (let index = 0; index < 200; index++) {
    assert.notEqual(a.node.sendRequest(left, "x", pattern(64, index), world.now), undefined);
    assert.notEqual(b.node.sendRequest(right, "y", pattern(64, index + 7), world.now), undefined);
  }
  world.run(500);
  assert.deepEqual([of(a, "response").length, of(b, "response").length], [200, 200]);
  for (const { request, bytes } of of(b, "response")) assert.deepEqual(bytes, pattern(64, request + 7));
});

test("an answer too large becomes an error of the request's", () => {
  const { world, a, b, left, right } = pair({
    b: { limits: { messageBytesMax: 1000, responseQueueBytes: 4000 }, session: { sendBufferBytes: 4096 } },
  });
  for (let index = 0; index < 20; index++) a.node.sendRequest(left, "x", pattern(1), world.now);
  world.run(100);
  b.node.respond(right, 0, pattern(1001), world.now);
  for (let request = 1; request < 20; request++) b.node.respond(right, request, pattern(900), world.now);
  world.run(2000);
  const codes = of(a, "requestFailed").map((event) => event.code);
  assert.equal(codes[0], "message_too_large");
  assert.ok(codes.length > 1 && codes.slice(1).every((code) => code === "limit"), codes.join());
  assert.equal(of(a, "response").length + codes.length, 20);
});

test("requests beyond the limit are answered with it; answered ones make room", () => {
  const { world, a, b, left, right } = pair({ b: { limits: { requestsMax: 3 } } });
  for (let index = 0; index < 5; index++) a.node.sendRequest(left, "x", pattern(1), world.now);
  world.run(100);
  assert.deepEqual(
    of(a, "requestFailed").map((event) => [event.request, event.code]),
    [
      [3, "limit"],
      [4, "limit"],
    ],
  );
  b.node.respond(right, 1, pattern(1), world.now);
  a.node.sendRequest(left, "x", pattern(1), world.now);
  world.run(100);
  assert.deepEqual(
    of(b, "request").map((event) => event.request),
    [0, 1, 2, 5],
  );
});

test("a cancelled request is heard of, counts until it is answered, and its answer goes nowhere", () => {
  const { world, a, b, left, right } = pair({ b: { limits: { requestsMax: 1 } } });
  const request = a.node.sendRequest(left, "x", pattern(1), world.now) as number;
  world.run(100);
  a.node.cancelRequest(left, request, world.now);
  a.node.cancelRequest(left, request, world.now);
  a.node.sendRequest(left, "x", pattern(1), world.now);
  world.run(100);
  assert.deepEqual(of(b, "requestCancelled"), [{ type: "requestCancelled", session: right, request }]);
  assert.deepEqual(
    of(a, "requestFailed").map((event) => [event.request, event.code]),
    [[1, "limit"]],
  );
  b.node.respond(right, request, pattern(1), world.now);
  a.node.sendRequest(left, "x", pattern(1), world.now);
  world.run(100);
  assert.deepEqual(
    of(b, "request").map((event) => event.request),
    [0, 2],
  );
  assert.equal(of(a, "response").length, 0);
  // An answer under way when the request is cancelled is dropped as well.
  b.node.respond(right, 2, pattern(1), world.now);
  a.node.cancelRequest(left, 2, world.now);
  world.run(200);
  assert.equal(of(a, "response").length, 0);
  assert.equal(of(a, "peerClosed").length, 0);
});

test("large requests in progress stop the asker, not the answers", () => {
  const { world, a, b, left, right } = pair({ b: { limits: { messageQueueBytes: 100 * KIB } } });
  for (let index = 0; index < 8; index++) a.node.sendRequest(left, "x", pattern(30 * KIB), world.now);
  world.run(1000);
  assert.equal(of(b, "request").length, 4);
  const own = b.node.sendRequest(right, "y", pattern(1), world.now) as number;
  world.run(100);
  a.node.respond(left, own, pattern(2), world.now);
  world.run(100);
  assert.equal(of(b, "response").length, 1);
  for (let request = 0; request < 8; request++) {
    b.node.respond(right, request, pattern(1), world.now);
    world.run(100);
  }
  assert.equal(of(a, "response").length, 8);
});

test("every request that waits fails with the session, and the other side hears that nobody waits", () => {
  const { world, a, b, left, right } = pair();
  for (let index = 0; index < 3; index++) a.node.sendRequest(left, "x", pattern(1), world.now);
  world.run(100);
  b.node.closePeer(right, { code: "going_away", reason: "later" }, world.now);
  world.run(1000);
  assert.deepEqual(
    of(a, "requestFailed").map((event) => [event.request, event.code]),
    [
      [0, "going_away"],
      [1, "going_away"],
      [2, "going_away"],
    ],
  );
  assert.equal(a.events.at(-1)?.type, "peerClosed");
  assert.deepEqual(
    of(b, "requestCancelled").map((event) => event.request),
    [0, 1, 2],
  );
  // What is gone takes nothing.
  assert.equal(a.node.sendMessage(left, "", pattern(1), world.now), false);
  assert.equal(a.node.sendRequest(left, "", pattern(1), world.now), undefined);
  a.node.respond(left, 0, pattern(1), world.now);
  a.node.releaseMessage(left, 1, world.now);
});

test("messages sent just before the end arrive before it", () => {
  for (const how of ["closePeer", "close"] as const) {
    const { world, a, b, left } = pair();
    const count = 40;
    for (let index = 0; index < count; index++) a.node.sendMessage(left, "", pattern(50 * KIB, index), world.now);
    if (how === "close") a.node.close("going_away", "bye", world.now);
    else a.node.closePeer(left, { code: "closed", applicationCode: 7, reason: "done" }, world.now);
    assert.equal(a.node.sendMessage(left, "", pattern(1), world.now), false);
    for (let round = 0; round < 100 && of(b, "peerClosed").length === 0; round++) {
      for (const event of of(b, "message")) b.node.releaseMessage(event.session, event.bytes.length, world.now);
      world.run(100);
    }
    assert.equal(of(b, "message").length, count, how);
    assert.deepEqual(of(b, "peerClosed")[0]?.closed, {
      type: "closed",
      code: how === "close" ? "going_away" : "closed",
      applicationCode: how === "close" ? undefined : 7,
      reason: how === "close" ? "bye" : "done",
      isRemote: true,
    });
    world.run(1000);
    assert.equal(of(a, "peerClosed").length, 1);
    assert.equal(of(a, "closed").length, how === "close" ? 1 : 0);
  }
});

test("a close does not wait for a peer that takes nothing", () => {
  const { world, a, left } = pair({
    b: { limits: { messageQueueBytes: 10 * KIB }, session: { streamWindowBytes: 10 * KIB } },
  });
  for (let index = 0; index < 10; index++) a.node.sendMessage(left, "", pattern(10 * KIB), world.now);
  a.node.close("closed", "", world.now);
  world.run(4000);
  assert.equal(of(a, "closed").length, 0);
  world.run(1500);
  assert.equal(of(a, "closed").length, 1);
  assert.equal(a.node.pollTimeout(), Number.POSITIVE_INFINITY);
});

test("what a peer closed behind its last messages is taken whole, although the program is slow", () => {
  const { world, a, b, left, right } = pair({ b: { limits: { messageQueueBytes: 20 * KIB } } });
  for (let index = 0; index < 10; index++) a.node.sendMessage(left, "", pattern(15 * KIB, index), world.now);
  world.run(200);
  // Everything is on the other side, in its session or in its program.
  a.node.closePeer(left, { code: "closed" }, world.now);
  let released = 0;
  for (let round = 0; round < 50; round++) {
    world.run(100);
    const next = of(b, "message")[released];
    if (next === undefined) continue;
    released++;
    b.node.releaseMessage(right, next.bytes.length, world.now);
  }
  assert.equal(released, 10);
  assert.equal(b.events.at(-1)?.type, "peerClosed");
});

test("messages, requests and streams share a session over a link that dies again and again", () => {
  for (const seed of [21, 22, 23, 24]) {
    const { world, a, b, left, right } = pair({ seed });
    b.node.serve("file", [1], { streamsPerPeerMax: 10 });
    echo(world, b);
    const file = pattern(300 * KIB, seed);
    let got = new Uint8Array(0);
    const { onEvent } = b.host;
    b.host.onEvent = (event) => {
      onEvent(event);
      const { type } = event as NodeEvent;
      if (type !== "readable") return;
      got = concat(got, Uint8Array.from(readAll(b, right, (event as { stream: number }).stream).bytes));
    };
    const stream = a.node.openStream(left, { protocol: { name: "file", versions: [1] } }, world.now) as number;
    a.node.write(left, stream, file, world.now);
    a.node.finish(left, stream, world.now);
    for (let round = 0; round < 30; round++) {
      a.node.sendMessage(left, `${round}`, pattern(round * 500 + 1, round), world.now);
      a.node.sendRequest(left, "echo", pattern(round * 100, round), world.now);
      world.run(7);
      if (round % 6 === 5) for (const link of [...world.network.links]) world.network.killLink(link);
    }
    assert.ok(
      world.run(60_000, () => of(a, "response").length === 30 && of(b, "message").length === 30),
      `seed ${seed}`,
    );
    world.run(2000);
    assert.deepEqual(
      of(b, "message").map((event) => event.topic),
      Array.from({ length: 30 }, (_, index) => `${index}`),
    );
    for (const { request, bytes } of of(a, "response")) assert.deepEqual(bytes, pattern(request * 100, request));
    assert.deepEqual(got, file, `seed ${seed}`);
    assert.ok(of(a, "peerSuspended").length > 0 && of(a, "peerResumed").length > 0);
    assert.equal(of(a, "peerClosed").length, 0);
  }
});

function record(write: (writer: RecordWriter) => void): Uint8Array {
  const writer = new RecordWriter();
  write(writer);
  return concat(writer.bytes, writer.rest ?? new Uint8Array(0));
}

test("hostile records end the session, and nothing else", () => {
  const request = record((writer) => writer.request(5, "x", pattern(1)));
  const cases: [string, Uint8Array, string][] = [
    ...vectors.badRecords.map(({ note, hex, code }): [string, Uint8Array, string] => [note, fromHex(hex), code]),
    ["a message without a value", fromHex("020000"), "protocol_violation"],
    ["an answer to nothing", record((writer) => writer.response(0, pattern(1))), "protocol_violation"],
    ["an error for nothing", record((writer) => writer.error(0, 1, "")), "protocol_violation"],
    ["a cancel for nothing", record((writer) => writer.cancel(0)), "protocol_violation"],
    ["an id twice", concat(request, request), "protocol_violation"],
    [
      "ids that fall",
      concat(
        request,
        record((writer) => writer.request(4, "x", pattern(1))),
      ),
      "protocol_violation",
    ],
    ["a value above the limit", record((writer) => writer.message("", pattern(MIB + 1))), "message_too_large"],
  ];
  for (const [note, bytes, code] of cases) {
    const world = new NodeWorld();
    const [b, c] = [world.add("b"), world.add("c")];
    world.join(c, b);
    const stranger = world.addStranger("x");
    const { own } = world.intrude(stranger, b);
    openRaw(world, stranger, own, { isUnidirectional: true, bytes: concat(MESSAGE_HEADER, bytes) });
    world.run(500);
    assert.deepEqual(
      of(b, "peerClosed").map((event) => event.closed.code),
      [code],
      note,
    );
    assert.equal(of(c, "peerClosed").length, 0, note);
  }
});

test("a message stream lives as long as its session", () => {
  const whole = record((writer) => writer.message("", pattern(3)));
  for (const [act, code] of [
    ["reset", "protocol_violation"],
    ["cut", "protocol_violation"],
    ["end", undefined],
  ] as const) {
    const world = new NodeWorld();
    const b = world.add("b");
    const stranger = world.addStranger("x");
    const { own } = world.intrude(stranger, b);
    const bytes = concat(MESSAGE_HEADER, act === "cut" ? whole.subarray(0, 3) : whole);
    const stream = openRaw(world, stranger, own, { isUnidirectional: true, bytes });
    world.run(200);
    if (act === "reset") stranger.endpoint.reset(own, stream, 0, world.now);
    else stranger.endpoint.finish(own, stream, world.now);
    world.run(500);
    assert.equal(of(b, "peerClosed")[0]?.closed.code, code, act);
  }
  const { world, a, b, left } = pair();
  a.node.sendMessage(left, "", pattern(1), world.now);
  world.run(100);
  const stranger = world.addStranger("x");
  const { own, theirs } = world.intrude(stranger, b);
  b.node.sendMessage(theirs, "", pattern(1), world.now);
  world.run(200);
  const opened = stranger.events.find((event) => event.type === "session" && event.event.type === "streamOpened");
  const stream = opened?.type === "session" && opened.event.type === "streamOpened" ? opened.event.stream : -1;
  stranger.endpoint.stop(own, stream, 0, world.now);
  world.run(500);
  assert.deepEqual(
    of(b, "peerClosed").map((event) => [event.session, event.closed.code]),
    [[theirs, "protocol_violation"]],
  );
});

test("more message streams than a peer may have end the session", () => {
  const world = new NodeWorld();
  const b = world.add("b");
  const stranger = world.addStranger("x");
  const { own } = world.intrude(stranger, b);
  for (let index = 0; index < 5; index++)
    openRaw(world, stranger, own, { isUnidirectional: true, bytes: MESSAGE_HEADER });
  world.run(500);
  assert.equal(of(b, "peerClosed")[0]?.closed.code, "protocol_violation");
});

test("a peer that asks and asks and reads no answer is shown out", () => {
  const world = new NodeWorld();
  const b = world.add("b", { limits: { requestsMax: 0 }, session: { sendBufferBytes: 4096 } });
  const stranger = world.addStranger("x");
  const { own } = world.intrude(stranger, b);
  const stream = openRaw(world, stranger, own, { isUnidirectional: true, bytes: MESSAGE_HEADER });
  let next = 0;
  // It never reads a stream, so its window for answers is never given back: 4 MiB of them are swallowed first.
  for (let round = 0; round < 400 && of(b, "peerClosed").length === 0; round++) {
    const records = Array.from({ length: 4000 }, () =>
      record((writer) => writer.request(next++, "", new Uint8Array(0))),
    );
    stranger.endpoint.write(own, stream, concat(...records), world.now);
    world.run(100);
  }
  assert.equal(of(b, "peerClosed")[0]?.closed.code, "limit");
});
