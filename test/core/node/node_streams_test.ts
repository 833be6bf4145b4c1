/**
 * Tests of a node's streams: headers, versions, refusals, limits, and what a hostile peer makes of them. PROTOCOL §7.
 *
 * @module
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import { errorCodeOfStreamCode, streamCodeOf } from "../../../core/node/stream_code.ts";
import { encodeStreamHeader, encodeStreamStatus } from "../../../core/node/stream_header.ts";
import { concat } from "../wire/hex.ts";
import type { Resident } from "./node_world.ts";
import { NodeWorld, of, openRaw, readAll } from "./node_world.ts";

const BYTES = Uint8Array.of(1, 2, 3);
const CHAT = { name: "chat", versions: [1] } as const;

function pair(seed = 1): { world: NodeWorld; a: Resident; b: Resident; left: number; right: number } {
  const world = new NodeWorld({ seed });
  const [a, b] = [world.add("a"), world.add("b")];
  return { world, a, b, ...world.join(a, b) };
}

test("a stream carries its protocol, metadata and first bytes in one flight", () => {
  const { world, a, b, left, right } = pair();
  b.node.serve("chat", [1, 2], { streamsPerPeerMax: 10 });
  const stream = a.node.openStream(
    left,
    { protocol: { name: "chat", versions: [2, 1] }, metadata: BYTES },
    world.now,
  ) as number;
  assert.equal(a.node.write(left, stream, Uint8Array.of(9, 8), world.now), 2);
  a.node.finish(left, stream, world.now);
  world.run(15); // One way is 10 ms: no round trip has been made.
  assert.deepEqual(of(b, "streamOpened"), [
    { type: "streamOpened", session: right, stream, protocol: "chat/2", metadata: BYTES, isUnidirectional: false },
  ]);
  assert.deepEqual(readAll(b, right, stream), { bytes: [9, 8], end: "end" });
  b.node.write(right, stream, Uint8Array.of(7), world.now);
  b.node.finish(right, stream, world.now);
  world.run(100);
  assert.deepEqual(of(a, "streamAccepted"), [{ type: "streamAccepted", session: left, stream, protocol: "chat/2" }]);
  assert.deepEqual(readAll(a, left, stream), { bytes: [7], end: "end" });
  world.run(500);
  for (const who of [a, b]) {
    assert.equal(of(who, "delivered").length, 1);
    assert.equal(of(who, "streamClosed").length, 1);
  }
});

test("a unidirectional stream has a header and no status", () => {
  const { world, a, b, left, right } = pair();
  a.node.serve("log", [1], { streamsPerPeerMax: 10 });
  const options = { protocol: { name: "log", versions: [1] }, isUnidirectional: true };
  const stream = b.node.openStream(right, options, world.now) as number;
  b.node.write(right, stream, BYTES, world.now);
  b.node.finish(right, stream, world.now);
  world.run(100);
  assert.equal(of(a, "streamOpened")[0]?.isUnidirectional, true);
  assert.deepEqual(readAll(a, left, stream), { bytes: [1, 2, 3], end: "end" });
  world.run(500);
  assert.deepEqual([of(b, "streamAccepted").length, of(b, "delivered").length], [0, 1]);
});

test("raw streams are served like any protocol", () => {
  const { world, a, b, left, right } = pair();
  const raw = { protocol: { name: "", versions: [0] } };
  const refused = a.node.openStream(left, raw, world.now) as number;
  world.run(100);
  assert.deepEqual(of(a, "streamRefused"), [
    { type: "streamRefused", session: left, stream: refused, code: "unknown_protocol" },
  ]);
  b.node.serve("", [0], { streamsPerPeerMax: 10 });
  const stream = a.node.openStream(left, raw, world.now) as number;
  a.node.write(left, stream, BYTES, world.now);
  world.run(100);
  assert.equal(of(b, "streamOpened")[0]?.protocol, "");
  assert.deepEqual(readAll(b, right, stream).bytes, [1, 2, 3]);
});

test("the versions of both sides decide, for every combination", () => {
  const sets = [[1], [2], [1, 2], [2, 1], [3, 2]];
  const { world, a, b, left } = pair();
  for (const served of sets) {
    b.node.serve("chat", served, { streamsPerPeerMax: 100 });
    for (const versions of sets) {
      const stream = a.node.openStream(left, { protocol: { name: "chat", versions } }, world.now);
      world.run(100);
      const expected = versions.find((version) => served.includes(version));
      const accepted = of(a, "streamAccepted").find((event) => event.stream === stream);
      const refused = of(a, "streamRefused").find((event) => event.stream === stream);
      assert.equal(accepted?.protocol, expected === undefined ? undefined : `chat/${expected}`);
      assert.equal(refused?.code, expected === undefined ? "unknown_protocol" : undefined);
    }
  }
});

test("a refused stream takes no more bytes, says so once and is forgotten on both sides", () => {
  for (const isUnidirectional of [false, true]) {
    const { world, a, b, left, right } = pair();
    const stream = a.node.openStream(left, { protocol: CHAT, isUnidirectional }, world.now) as number;
    a.node.write(left, stream, new Uint8Array(100_000), world.now);
    world.run(1000);
    assert.deepEqual(
      of(a, "streamRefused").map((event) => event.code),
      ["unknown_protocol"],
    );
    assert.equal(a.node.write(left, stream, BYTES, world.now), 0);
    assert.equal(a.node.read(left, stream), undefined);
    assert.deepEqual([...of(a, "stopped"), ...of(a, "streamAccepted"), ...of(a, "readable")], []);
    // Nothing of it reached the application there.
    assert.deepEqual(
      b.events.map((event) => event.type),
      ["peerConnected"],
    );
    assert.equal(a.node.session(left)?.streamCount, 0);
    assert.equal(b.node.session(right)?.streamCount, 0);
  }
});

test("streams of a protocol beyond its limit are refused until one ends, for each peer and protocol apart", () => {
  const world = new NodeWorld();
  const [a, b, c] = [world.add("a"), world.add("b"), world.add("c")];
  b.node.serve("chat", [1], { streamsPerPeerMax: 2 });
  b.node.serve("file", [1], { streamsPerPeerMax: 1 });
  const { left, right } = world.join(a, b);
  const other = world.join(c, b);
  const open = (who: Resident, session: number, name: string): number =>
    who.node.openStream(session, { protocol: { name, versions: [1] } }, world.now) as number;
  const streams = [open(a, left, "chat"), open(a, left, "chat"), open(a, left, "chat"), open(a, left, "file")];
  open(c, other.left, "chat");
  world.run(200);
  assert.deepEqual(
    of(a, "streamRefused").map((event) => [event.stream, event.code]),
    [[streams[2], "limit"]],
  );
  assert.deepEqual([of(a, "streamAccepted").length, of(c, "streamAccepted").length], [3, 1]);
  // One ends: there is room for one.
  const first = streams[0] as number;
  a.node.finish(left, first, world.now);
  world.run(100);
  assert.equal(readAll(b, right, first).end, "end");
  b.node.finish(right, first, world.now);
  world.run(100);
  assert.equal(readAll(a, left, first).end, "end");
  world.run(500);
  open(a, left, "chat");
  open(a, left, "chat");
  world.run(200);
  assert.deepEqual([of(a, "streamAccepted").length, of(a, "streamRefused").length], [4, 2]);
});

test("unserve ends the taking of streams, not the streams", () => {
  const { world, a, b, left, right } = pair();
  b.node.serve("chat", [1], { streamsPerPeerMax: 10 });
  const stream = a.node.openStream(left, { protocol: CHAT }, world.now) as number;
  world.run(100);
  b.node.unserve("chat");
  a.node.openStream(left, { protocol: CHAT }, world.now);
  a.node.write(left, stream, BYTES, world.now);
  world.run(100);
  assert.equal(of(a, "streamRefused").length, 1);
  assert.deepEqual(readAll(b, right, stream).bytes, [1, 2, 3]);
});

test("a peer that stops or resets a stream right after taking it is heard in order", () => {
  const { world, a, b, left, right } = pair();
  b.node.serve("chat", [1], { streamsPerPeerMax: 10 });
  b.host.onEvent = (event) => {
    const opened = event as { type: string; stream: number };
    if (opened.type !== "streamOpened") return;
    b.node.stop(right, opened.stream, 77, world.now);
    b.node.reset(right, opened.stream, 78, world.now);
  };
  const stream = a.node.openStream(left, { protocol: CHAT }, world.now) as number;
  world.run(300);
  const types = a.events.filter((event) => "stream" in event && event.stream === stream).map((event) => event.type);
  // The reset may overtake the status, as it drops what was not delivered: then the stream was refused.
  assert.ok(types[0] === "streamRefused" || (types[0] === "streamAccepted" && types.includes("stopped")), types.join());
});

test("applications' own numbers pass through, Viaduct's are told apart", () => {
  const { world, a, b, left, right } = pair();
  b.node.serve("chat", [1], { streamsPerPeerMax: 10 });
  const one = a.node.openStream(left, { protocol: CHAT }, world.now) as number;
  const two = a.node.openStream(left, { protocol: CHAT, isUnidirectional: true }, world.now) as number;
  world.run(100);
  b.node.stop(right, one, 0x22, world.now);
  b.node.stop(right, two, streamCodeOf("handler_failed"), world.now);
  a.node.reset(left, one, 5, world.now);
  world.run(100);
  const stopped = of(a, "stopped");
  // The number 0x22 is also the wire number of a refusal: it must not be taken for one.
  assert.deepEqual(stopped.map((event) => event.applicationCode).slice(-1), [streamCodeOf("handler_failed")]);
  assert.equal(errorCodeOfStreamCode(stopped.at(-1)?.applicationCode ?? 0), "handler_failed");
  assert.equal(of(a, "streamRefused").length, 0);
});

test("opening waits for room when the peer's limit of streams is reached", () => {
  const world = new NodeWorld();
  const a = world.add("a");
  const b = world.add("b", { session: { streamsMax: 2 } });
  b.node.serve("chat", [1], { streamsPerPeerMax: 10 });
  const { left, right } = world.join(a, b);
  const first = a.node.openStream(left, { protocol: CHAT }, world.now) as number;
  a.node.openStream(left, { protocol: CHAT }, world.now);
  assert.equal(a.node.openStream(left, { protocol: CHAT }, world.now), undefined);
  world.run(100);
  a.node.reset(left, first, 0, world.now);
  a.node.stop(left, first, 0, world.now);
  world.run(100);
  b.node.read(right, first);
  world.run(500);
  assert.deepEqual(
    of(a, "streamsAvailable").map((event) => event.isUnidirectional),
    [false],
  );
  assert.notEqual(a.node.openStream(left, { protocol: CHAT }, world.now), undefined);
});

test("a header that is late resets its stream and nothing else", () => {
  for (const isUnidirectional of [false, true]) {
    const world = new NodeWorld();
    const b = world.add("b");
    const stranger = world.addStranger("x");
    const { own, theirs } = world.intrude(stranger, b);
    const header = encodeStreamHeader({ name: "chat", versions: [1] });
    const stream = openRaw(world, stranger, own, { isUnidirectional, bytes: header.subarray(0, 4) });
    world.run(9_000);
    assert.equal(b.node.session(theirs)?.streamCount, 1);
    world.run(2_000);
    assert.equal(b.node.session(theirs)?.streamCount, 0);
    const stopped = stranger.events.find((event) => event.type === "session" && event.event.type === "stopped");
    assert.deepEqual(stopped?.type === "session" && stopped.event, {
      type: "stopped",
      stream,
      applicationCode: streamCodeOf("timeout"),
    });
    assert.equal(of(b, "peerClosed").length, 0);
    assert.deepEqual(
      b.events.filter((event) => "stream" in event),
      [],
    );
  }
});

test("a header may come byte by byte", () => {
  const world = new NodeWorld();
  const b = world.add("b");
  b.node.serve("chat", [1], { streamsPerPeerMax: 10 });
  const stranger = world.addStranger("x");
  const { own, theirs } = world.intrude(stranger, b);
  const bytes = concat(encodeStreamHeader({ name: "chat", versions: [1], metadata: BYTES }), Uint8Array.of(5, 6));
  const stream = openRaw(world, stranger, own, { bytes: bytes.subarray(0, 1) });
  for (let at = 1; at < bytes.length; at++) {
    world.run(50);
    stranger.endpoint.write(own, stream, bytes.subarray(at, at + 1), world.now);
  }
  world.run(100);
  assert.deepEqual(
    of(b, "streamOpened").map((event) => event.metadata),
    [BYTES],
  );
  assert.deepEqual(readAll(b, theirs, stream).bytes, [5, 6]);
});

test("a malformed header, one that is cut off, and a version that was not offered end the session", () => {
  const header = encodeStreamHeader({ name: "chat", versions: [1] });
  const acts: ((world: NodeWorld, b: Resident) => void)[] = [
    (world, b) => {
      const stranger = world.addStranger("x");
      const { own } = world.intrude(stranger, b);
      openRaw(world, stranger, own, { bytes: Uint8Array.of(0) });
    },
    (world, b) => {
      const stranger = world.addStranger("x");
      const { own } = world.intrude(stranger, b);
      const upper = header.map((byte) => (byte === 0x63 ? 0x43 : byte)); // "Chat"
      openRaw(world, stranger, own, { bytes: upper });
    },
    (world, b) => {
      const stranger = world.addStranger("x");
      const { own } = world.intrude(stranger, b);
      const stream = openRaw(world, stranger, own, { bytes: header.subarray(0, 3) });
      stranger.endpoint.finish(own, stream, world.now);
    },
    (world, b) => {
      const stranger = world.addStranger("x");
      const { own, theirs } = world.intrude(stranger, b);
      const stream = b.node.openStream(theirs, { protocol: CHAT }, world.now) as number;
      world.run(100);
      stranger.endpoint.write(own, stream, encodeStreamStatus({ type: "accepted", version: 2 }), world.now);
    },
    (world, b) => {
      const stranger = world.addStranger("x");
      const { own, theirs } = world.intrude(stranger, b);
      const stream = b.node.openStream(theirs, { protocol: CHAT }, world.now) as number;
      world.run(100);
      stranger.endpoint.finish(own, stream, world.now);
    },
  ];
  for (const [index, act] of acts.entries()) {
    const world = new NodeWorld();
    const b = world.add("b");
    act(world, b);
    world.run(500);
    assert.deepEqual(
      of(b, "peerClosed").map((event) => event.closed.code),
      ["protocol_violation"],
      `act ${index}`,
    );
    assert.equal(b.events.at(-1)?.type, "peerClosed");
  }
});

test("a stream that is reset before its header is whole concerns nobody", () => {
  const world = new NodeWorld();
  const b = world.add("b");
  const stranger = world.addStranger("x");
  const { own, theirs } = world.intrude(stranger, b);
  const stream = openRaw(world, stranger, own, { bytes: Uint8Array.of(20) });
  world.run(100);
  stranger.endpoint.reset(own, stream, 1, world.now);
  world.run(500);
  assert.equal(b.node.session(theirs)?.streamCount, 0);
  assert.deepEqual(
    b.events.map((event) => event.type),
    ["peerConnected"],
  );
});

test("a stream that is reset instead of answered was refused", () => {
  const world = new NodeWorld();
  const b = world.add("b");
  const stranger = world.addStranger("x");
  const { own, theirs } = world.intrude(stranger, b);
  const stream = b.node.openStream(theirs, { protocol: CHAT }, world.now) as number;
  world.run(100);
  stranger.endpoint.reset(own, stream, streamCodeOf("timeout"), world.now);
  world.run(500);
  assert.deepEqual(
    of(b, "streamRefused").map((event) => event.code),
    ["timeout"],
  );
});

test("internal protocols are refused where nothing claims them, and cannot be stretched", () => {
  const world = new NodeWorld();
  const b = world.add("b");
  const stranger = world.addStranger("x");
  const { own } = world.intrude(stranger, b);
  for (const [name, versions] of [
    ["viaduct.relay", [1]],
    ["viaduct.circuit", [1]],
    ["viaduct.message", [2]],
    ["viaduct.message", [1]],
  ] as const) {
    openRaw(world, stranger, own, { bytes: encodeStreamHeader({ name, versions }) });
  }
  world.run(500);
  const stopped = stranger.events.filter((event) => event.type === "session" && event.event.type === "stopped");
  assert.equal(stopped.length, 4);
  assert.deepEqual(
    b.events.map((event) => event.type),
    ["peerConnected"],
  );
});

test("what came behind a header reaches the application although its peer closed at once", () => {
  const { world, a, b, left, right } = pair();
  b.node.serve("chat", [1], { streamsPerPeerMax: 10 });
  const stream = a.node.openStream(left, { protocol: CHAT }, world.now) as number;
  a.node.write(left, stream, BYTES, world.now);
  a.host.pump();
  a.node.closePeer(left, { code: "closed" }, world.now);
  world.run(1000);
  assert.deepEqual(of(b, "peerClosed"), []);
  assert.deepEqual(readAll(b, right, stream).bytes, [1, 2, 3]);
  world.run(0);
  assert.deepEqual(
    of(b, "peerClosed").map((event) => event.closed.isRemote),
    [true],
  );
  // And if it never takes it, the session ends all the same.
  const again = pair();
  again.b.node.serve("chat", [1], { streamsPerPeerMax: 10 });
  const untaken = again.a.node.openStream(again.left, { protocol: CHAT }, again.world.now) as number;
  again.a.node.write(again.left, untaken, BYTES, again.world.now);
  again.a.host.pump();
  again.a.node.closePeer(again.left, { code: "closed" }, again.world.now);
  again.world.run(31_000);
  assert.equal(of(again.b, "peerClosed").length, 1);
});

test("large streams pass whole, many at once, over a network that splits everything", () => {
  for (const seed of [11, 12, 13]) {
    const { world, a, b, left, right } = pair(seed);
    b.node.serve("file", [1], { streamsPerPeerMax: 100 });
    const received = new Map<number, Uint8Array>();
    b.host.onEvent = (event) => {
      const { type, stream } = event as { type: string; stream: number };
      if (type !== "readable") return;
      const got = received.get(stream) ?? new Uint8Array(0);
      received.set(stream, concat(got, Uint8Array.from(readAll(b, right, stream).bytes)));
    };
    const sizes = [1, 1000, 70_000, 200_000];
    const sent = sizes.map((size) => Uint8Array.from({ length: size }, (_, index) => (index * 7 + size) & 0xff));
    const streams = sent.map((bytes) => {
      const stream = a.node.openStream(left, { protocol: { name: "file", versions: [1] } }, world.now) as number;
      assert.equal(a.node.write(left, stream, bytes, world.now), bytes.length);
      a.node.finish(left, stream, world.now);
      return stream;
    });
    assert.ok(
      world.run(60_000, () => of(a, "delivered").length === sizes.length),
      `seed ${seed}`,
    );
    world.run(100);
    for (const [index, stream] of streams.entries()) {
      assert.deepEqual(received.get(stream), sent[index], `seed ${seed}`);
    }
  }
});

test("acknowledged is not taken: what a peer has and may refuse counts as delivered once it took the stream", () => {
  for (const status of [{ type: "accepted", version: 1 } as const, { type: "refused", code: "timeout" } as const]) {
    const world = new NodeWorld();
    const b = world.add("b");
    const stranger = world.addStranger("x");
    const { own, theirs } = world.intrude(stranger, b);
    const stream = b.node.openStream(theirs, { protocol: CHAT }, world.now) as number;
    b.node.write(theirs, stream, BYTES, world.now);
    b.node.finish(theirs, stream, world.now);
    b.host.pump();
    world.run(2_000);
    assert.equal(b.node.session(theirs)?.stats().paths[0]?.bytesInFlight, 0, "all was acknowledged");
    assert.deepEqual(of(b, "delivered"), []);
    stranger.endpoint.write(own, stream, encodeStreamStatus(status), world.now);
    stranger.host.pump();
    world.run(2_000);
    assert.equal(of(b, "delivered").length, status.type === "accepted" ? 1 : 0);
    assert.equal(of(b, "streamRefused").length, status.type === "accepted" ? 0 : 1);
  }
});
