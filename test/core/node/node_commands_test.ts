/**
 * Tests of what a node passes through to its sessions, and of commands that come at an awkward time.
 *
 * @module
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import { DEFAULT_SESSION_CONFIG } from "../../../core/connection/session_defaults.ts";
import type { NodeEvent } from "../../../core/node/node_types.ts";
import { streamCodeOf } from "../../../core/node/stream_code.ts";
import { encodeStreamStatus } from "../../../core/node/stream_header.ts";
import type { Resident, ResidentOptions } from "./node_world.ts";
import { NodeWorld, of, readAll } from "./node_world.ts";

const CHAT = { protocol: { name: "chat", versions: [1] } };
const BYTES = Uint8Array.of(1, 2, 3);

function pair(options: { a?: ResidentOptions; b?: ResidentOptions } = {}): {
  world: NodeWorld;
  a: Resident;
  b: Resident;
  left: number;
  right: number;
} {
  const world = new NodeWorld();
  const [a, b] = [world.add("a", options.a), world.add("b", options.b)];
  b.node.serve("chat", [1], { streamsPerPeerMax: 10 });
  return { world, a, b, ...world.join(a, b) };
}

test("datagrams, pings and keep-alive pass through", () => {
  const { world, a, b, left, right } = pair();
  assert.ok(a.node.sendDatagram(left, BYTES, world.now));
  assert.equal(a.node.sendDatagram(left, new Uint8Array(1_000_000), world.now), false);
  const token = b.node.ping(right, world.now);
  world.run(200);
  assert.deepEqual(of(b, "datagram"), [{ type: "datagram", session: right, bytes: BYTES }]);
  const pong = of(b, "pong")[0];
  assert.ok(pong !== undefined && pong.token === token && pong.rttMs >= 20 && pong.path === 0);
  // Left alone, with nothing to keep it, a session ends.
  a.node.setKeepAlive(left, false, world.now);
  b.node.setKeepAlive(right, false, world.now);
  world.run(120_000);
  assert.equal(of(a, "peerClosed")[0]?.closed.code, "idle_timeout");
});

test("a writer learns of room, and a higher priority goes first", () => {
  const { world, a, b, left, right } = pair({ a: { session: { sendBufferBytes: 100_000 } } });
  const stream = a.node.openStream(left, CHAT, world.now) as number;
  const taken = a.node.write(left, stream, new Uint8Array(200_000), world.now);
  assert.ok(taken > 99_000 && taken < 100_000);
  assert.equal(a.node.writeRoom(left, stream), 0);
  world.run(300);
  assert.equal(of(a, "writable").length, 1);
  const before = of(a, "writable").length;
  a.node.write(left, stream, new Uint8Array(50_000), world.now);
  a.node.awaitRoom(left, stream);
  world.run(300);
  assert.equal(of(a, "writable").length, before + 1);
  assert.equal(readAll(b, right, stream).bytes.length, taken + 50_000);
  const order: number[] = [];
  b.host.onEvent = (event) => {
    if ((event as NodeEvent).type === "streamOpened") order.push((event as { stream: number }).stream);
  };
  const slow = a.node.openStream(left, { ...CHAT, priority: -1 }, world.now) as number;
  const fast = a.node.openStream(left, { ...CHAT, priority: 0 }, world.now) as number;
  a.node.setPriority(left, fast, 5);
  world.run(300);
  assert.deepEqual(order, [fast, slow]);
});

test("a session that is not there takes nothing and nobody minds", () => {
  const { world, a, left } = pair();
  const gone = left + 1000;
  assert.equal(a.node.openStream(gone, CHAT, world.now), undefined);
  assert.equal(a.node.write(gone, 0, BYTES, world.now), 0);
  assert.equal(a.node.writeRoom(gone, 0), 0);
  assert.equal(a.node.read(gone, 0), undefined);
  assert.equal(a.node.sendMessage(gone, "", BYTES, world.now), false);
  assert.equal(a.node.sendRequest(gone, "", BYTES, world.now), undefined);
  assert.equal(a.node.sendDatagram(gone, BYTES, world.now), false);
  assert.equal(a.node.session(gone), undefined);
  assert.equal(a.node.peerName(gone), undefined);
  a.node.finish(gone, 0, world.now);
  a.node.reset(gone, 0, 0, world.now);
  a.node.stop(gone, 0, 0, world.now);
  a.node.setPriority(gone, 0, 1);
  a.node.awaitRoom(gone, 0);
  a.node.ping(gone, world.now);
  a.node.cancelRequest(gone, 0, world.now);
  a.node.respond(gone, 0, BYTES, world.now);
  a.node.respondError(gone, 0, "internal", "", world.now);
  a.node.releaseMessage(gone, 1, world.now);
  a.node.closePeer(gone, { code: "closed" }, world.now);
  a.node.cancelConnect(1000, world.now);
  a.node.unserve("nothing");
  world.run(500);
  assert.equal(of(a, "peerClosed").length, 0);
  assert.equal(a.node.sessionOf(a.identity.id), undefined);
});

test("a configuration that cannot work is refused", () => {
  const world = new NodeWorld();
  assert.throws(() => world.add("a", { session: { sendBufferBytes: 4095 } }), RangeError);
  world.add("b", { session: { ...DEFAULT_SESSION_CONFIG, sendBufferBytes: 4096 } });
});

test("bytes behind a header can be refused unread", () => {
  const { world, a, b, left, right } = pair();
  const stream = a.node.openStream(left, CHAT, world.now) as number;
  a.node.write(left, stream, BYTES, world.now);
  world.run(100);
  b.node.stop(right, stream, 9, world.now);
  assert.equal(b.node.read(right, stream), undefined);
  world.run(200);
  assert.deepEqual(
    of(a, "stopped").map((event) => event.applicationCode),
    [9],
  );
});

test("a stream can be read before its status came: there is nothing yet", () => {
  const { world, a, left } = pair();
  const stream = a.node.openStream(left, CHAT, world.now) as number;
  assert.equal(a.node.read(left, stream), undefined);
  world.run(100);
  assert.equal(a.node.read(left, stream), undefined);
});

test("STOP_SENDING that overtakes a lead is told after it, on both sides", () => {
  const world = new NodeWorld();
  const b = world.add("b");
  b.node.serve("chat", [1], { streamsPerPeerMax: 10 });
  const stranger = world.addStranger("x");
  const { own, theirs } = world.intrude(stranger, b);
  // The stranger stops the half that it is answered on before its header is whole.
  const header = Uint8Array.of(8, 4, 0x63, 0x68, 0x61, 0x74, 1, 1, 0);
  const incoming = stranger.endpoint.openStream(own, {}, world.now) as number;
  stranger.endpoint.write(own, incoming, header.subarray(0, 5), world.now);
  stranger.endpoint.stop(own, incoming, 3, world.now);
  world.run(100);
  assert.equal(of(b, "stopped").length, 0);
  stranger.endpoint.write(own, incoming, header.subarray(5), world.now);
  world.run(100);
  const types = b.events.filter((event) => "stream" in event && event.stream === incoming).map((event) => event.type);
  assert.deepEqual(types.slice(0, 2), ["streamOpened", "stopped"]);
  // And the same for a stream of the node's: stopped first, accepted later.
  const outgoing = b.node.openStream(theirs, CHAT, world.now) as number;
  world.run(100);
  stranger.endpoint.stop(own, outgoing, 4, world.now);
  world.run(100);
  stranger.endpoint.write(own, outgoing, encodeStreamStatus({ type: "accepted", version: 1 }), world.now);
  world.run(100);
  const later = b.events.filter((event) => "stream" in event && event.stream === outgoing).map((event) => event.type);
  assert.deepEqual(later.slice(0, 2), ["streamAccepted", "stopped"]);
});

test("a session that is ending opens no streams, takes none, and says so", () => {
  const { world, a, b, left, right } = pair({ b: { limits: { messageQueueBytes: 1000 } } });
  a.node.serve("chat", [1], { streamsPerPeerMax: 10 });
  // Something keeps the end waiting: messages that nobody takes.
  for (let index = 0; index < 10; index++) a.node.sendMessage(left, "", new Uint8Array(1_000_000).fill(1), world.now);
  world.run(50);
  a.node.closePeer(left, { code: "closed" }, world.now);
  assert.equal(a.node.openStream(left, CHAT, world.now), undefined);
  assert.equal(a.node.sendRequest(left, "", BYTES, world.now), undefined);
  assert.equal(of(a, "peerClosed").length, 0);
  b.node.openStream(right, CHAT, world.now);
  world.run(200);
  assert.deepEqual(
    of(b, "streamRefused").map((event) => event.code),
    ["going_away"],
  );
  // A second close changes nothing; the first one ends in time.
  a.node.closePeer(left, { code: "internal" }, world.now);
  world.run(6_000);
  assert.equal(of(a, "peerClosed")[0]?.closed.code, "closed");
});

test("a request is not taken without room, and can be cancelled while it waits", () => {
  const { world, a, b, left } = pair({ a: { session: { sendBufferBytes: 64 * 1024 } } });
  const first = a.node.sendRequest(left, "a", new Uint8Array(500_000), world.now) as number;
  assert.equal(a.node.sendRequest(left, "b", BYTES, world.now), undefined);
  a.node.cancelRequest(left, first, world.now);
  assert.ok(world.run(10_000, () => of(a, "messagesWritable").length > 0));
  assert.notEqual(a.node.sendRequest(left, "c", BYTES, world.now), undefined);
  world.run(500);
  assert.deepEqual(
    of(b, "request").map((event) => event.name),
    ["a", "c"],
  );
  assert.equal(of(b, "requestCancelled").length, 1);
});

test("closing a session whose peer left while bytes wait ends it at once", () => {
  const { world, a, b, left, right } = pair();
  const stream = a.node.openStream(left, CHAT, world.now) as number;
  a.node.write(left, stream, BYTES, world.now);
  a.host.pump();
  a.node.closePeer(left, { code: "closed" }, world.now);
  world.run(500);
  assert.equal(of(b, "peerClosed").length, 0);
  b.node.closePeer(right, { code: "closed" }, world.now);
  world.run(0);
  assert.equal(of(b, "peerClosed").length, 1);
  b.node.closePeer(right, { code: "closed" }, world.now);
  // The same with bytes that the session still holds.
  const again = pair();
  const other = again.a.node.openStream(again.left, CHAT, again.world.now) as number;
  again.world.run(100);
  again.a.node.write(again.left, other, BYTES, again.world.now);
  again.world.run(100);
  again.a.node.closePeer(again.left, { code: "closed" }, again.world.now);
  again.world.run(500);
  assert.equal(of(again.b, "peerClosed").length, 0);
  again.b.node.close("closed", "", again.world.now);
  again.world.run(10);
  assert.equal(of(again.b, "closed").length, 1);
});

test("a session that comes while the node closes is sent away", () => {
  const world = new NodeWorld();
  const [a, b, c] = [world.add("a"), world.add("b", { limits: { messageQueueBytes: 1000 } }), world.add("c")];
  const { left } = world.join(a, b);
  // A peer that takes nothing keeps the node from being closed at once.
  for (let index = 0; index < 10; index++) a.node.sendMessage(left, "", new Uint8Array(1_000_000).fill(1), world.now);
  world.run(50);
  a.node.close("going_away", "", world.now);
  const dial = c.node.connect({ id: a.identity.id, addresses: ["tcp://a:1"], relays: [] }, {}, world.now);
  world.run(10_000);
  assert.equal(of(a, "closed").length, 1);
  assert.equal(of(a, "peerConnected").length, 1);
  const isOver = of(c, "peerClosed").length > 0 || of(c, "connectFailed").some((event) => event.dial === dial);
  assert.ok(isOver);
});

test("a refusal by number is told apart from the application's own on a unidirectional stream", () => {
  const world = new NodeWorld();
  const b = world.add("b");
  const stranger = world.addStranger("x");
  const { own, theirs } = world.intrude(stranger, b);
  const options = { ...CHAT, isUnidirectional: true };
  const streams = [b.node.openStream(theirs, options, world.now), b.node.openStream(theirs, options, world.now)];
  world.run(100);
  stranger.endpoint.stop(own, streams[0] as number, streamCodeOf("protocol_refused"), world.now);
  stranger.endpoint.stop(own, streams[1] as number, 0x23, world.now);
  world.run(200);
  assert.deepEqual(
    of(b, "streamRefused").map((event) => event.stream),
    [streams[0]],
  );
  assert.deepEqual(
    of(b, "stopped").map((event) => [event.stream, event.applicationCode]),
    [[streams[1], 0x23]],
  );
});
