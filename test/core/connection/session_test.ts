/**
 * The engine over reliable paths: streams, flow control, fairness, path death and resume, close, keep-alive.
 *
 * @module
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import type { SessionEvent } from "../../../core/connection/session_types.ts";
import { decodePackage } from "../../../core/wire/package.ts";
import { seededNumbers } from "../test_environment.ts";
import { type End, readAll, SessionPair } from "./session_pair.ts";

function pattern(length: number, seed = 7): Uint8Array {
  const next = seededNumbers(seed);
  return Uint8Array.from({ length }, () => next() >>> 9);
}

function eventsOf<Type extends SessionEvent["type"]>(side: End, type: Type): Extract<SessionEvent, { type: Type }>[] {
  return side.events.filter((event) => event.type === type) as Extract<SessionEvent, { type: Type }>[];
}

/** Writes everything, reading on the other side as it goes, and returns what arrived. */
function transfer(pair: SessionPair, from: End, stream: number, bytes: Uint8Array, onRound?: (round: number) => void) {
  const to = pair.other(from.name);
  const parts: Uint8Array[] = [];
  let sent = 0;
  for (let round = 0; round < 100_000; round++) {
    if (sent < bytes.length) sent += from.session.write(stream, bytes.subarray(sent));
    if (sent === bytes.length) from.session.finish(stream);
    pair.collect(from);
    pair.collect(to);
    for (const pipe of pair.pipes) pair.deliver(pipe);
    onRound?.(round);
    const result = readAll(to, stream);
    parts.push(result.bytes);
    if (result.end !== "open") return { bytes: concat(parts), end: result.end };
    pair.now += 1;
    pair.left.session.handleTimeout(pair.now);
    pair.right.session.handleTimeout(pair.now);
  }
  throw new Error("The transfer never ends");
}

function concat(parts: Uint8Array[]): Uint8Array {
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

test("session: a stream carries bytes both ways, ends, is delivered and forgotten", () => {
  const pair = new SessionPair();
  const id = pair.left.session.openStream() as number;
  assert.equal(pair.left.session.write(id, pattern(100)), 100);
  pair.left.session.finish(id);
  pair.settle();
  assert.deepEqual(
    pair.right.events.map((event) => event.type),
    ["streamOpened", "readable"],
  );
  assert.deepEqual(readAll(pair.right, id), { bytes: pattern(100), end: "end" });
  pair.right.session.write(id, pattern(50, 3));
  pair.right.session.finish(id);
  pair.settle();
  assert.deepEqual(readAll(pair.left, id), { bytes: pattern(50, 3), end: "end" });
  pair.advance(30);
  assert.equal(eventsOf(pair.left, "delivered").length, 1);
  assert.equal(eventsOf(pair.left, "streamClosed").length, 1);
  assert.equal(eventsOf(pair.right, "streamClosed").length, 1);
  assert.equal(pair.left.session.streamCount, 0);
  assert.equal(pair.right.session.streamCount, 0);
});

test("session: a transfer larger than every window arrives whole", () => {
  const config = { streamWindowBytes: 30_000, sessionWindowBytes: 50_000, sendBufferBytes: 20_000 };
  const pair = new SessionPair({ config });
  const id = pair.left.session.openStream() as number;
  const bytes = pattern(700_001);
  const result = transfer(pair, pair.left, id, bytes);
  assert.equal(result.end, "end");
  assert.deepEqual(result.bytes, bytes);
});

test("session: write takes no more than its buffer and tells when there is room again", () => {
  const pair = new SessionPair({ config: { sendBufferBytes: 10_000 } });
  const id = pair.left.session.openStream() as number;
  assert.equal(pair.left.session.write(id, pattern(25_000)), 10_000);
  assert.equal(pair.left.session.write(id, pattern(1)), 0);
  assert.equal(pair.left.session.writeRoom(id), 0);
  pair.advance(30);
  assert.equal(eventsOf(pair.left, "writable").length, 1);
  assert.equal(pair.left.session.writeRoom(id), 10_000);
});

test("session: nothing is sent beyond the peer's stream window until it was read", () => {
  const pair = new SessionPair({ config: { streamWindowBytes: 1000 } });
  const id = pair.left.session.openStream() as number;
  pair.left.session.write(id, pattern(5000));
  pair.advance(100);
  assert.equal(readAll(pair.right, id).bytes.length, 1000);
  pair.advance(100);
  assert.equal(readAll(pair.right, id).bytes.length, 1000);
});

test("session: the session's window bounds all streams together", () => {
  const pair = new SessionPair({ config: { streamWindowBytes: 1000, sessionWindowBytes: 1500 } });
  const one = pair.left.session.openStream() as number;
  const two = pair.left.session.openStream() as number;
  pair.left.session.write(one, pattern(1000));
  pair.left.session.write(two, pattern(1000));
  pair.advance(100);
  assert.equal(readAll(pair.right, one).bytes.length, 1000);
  assert.equal(readAll(pair.right, two).bytes.length, 500);
  pair.advance(100);
  assert.equal(readAll(pair.right, two).bytes.length, 500);
});

test("session: equal streams share a package, a higher priority goes first", () => {
  const pair = new SessionPair();
  const bulk = pair.left.session.openStream() as number;
  const other = pair.left.session.openStream() as number;
  const urgent = pair.left.session.openStream({ priority: 1 }) as number;
  pair.left.session.write(bulk, pattern(1_000_000));
  pair.left.session.write(other, pattern(1000, 2));
  pair.left.session.write(urgent, pattern(1000, 3));
  const output = pair.left.session.pollTransmit(pair.now);
  pair.pipes[0]?.underWay.push({ to: "right", bytes: output?.bytes as Uint8Array });
  pair.deliver(pair.pipes[0] as never);
  assert.deepEqual(
    eventsOf(pair.right, "readable").map((event) => event.stream),
    [urgent, bulk, other],
  );
});

test("session: the peer's limit of streams holds and is raised as streams end", () => {
  const pair = new SessionPair({ config: { streamsMax: 8 } });
  const ids = Array.from({ length: 8 }, () => pair.left.session.openStream() as number);
  assert.equal(pair.left.session.openStream(), undefined);
  for (const id of ids) {
    pair.left.session.finish(id);
    pair.settle();
    assert.equal(readAll(pair.right, id).end, "end");
    pair.right.session.finish(id);
    pair.settle();
    assert.equal(readAll(pair.left, id).end, "end");
    pair.advance(30);
  }
  assert.equal(eventsOf(pair.left, "streamsAvailable").length, 1);
  assert.notEqual(pair.left.session.openStream(), undefined);
});

test("session: reset reaches the reader with its number, stop reaches the writer", () => {
  const pair = new SessionPair();
  const one = pair.left.session.openStream() as number;
  pair.left.session.write(one, pattern(10));
  pair.settle();
  pair.left.session.reset(one, 42);
  pair.settle();
  assert.deepEqual(pair.right.session.read(one), { type: "reset", applicationCode: 42 });
  const two = pair.left.session.openStream() as number;
  pair.left.session.write(two, pattern(10));
  pair.settle();
  pair.right.session.stop(two, 7);
  pair.settle();
  assert.deepEqual(eventsOf(pair.left, "stopped"), [{ type: "stopped", stream: two, applicationCode: 7 }]);
  assert.equal(pair.left.session.write(two, pattern(10)), 0);
  pair.right.session.reset(one, 0);
  pair.right.session.reset(two, 0);
  pair.settle();
  readAll(pair.left, one);
  readAll(pair.left, two);
  pair.advance(100);
  assert.equal(pair.left.session.streamCount, 0);
  assert.equal(pair.right.session.streamCount, 0);
});

test("session: a unidirectional stream has one direction", () => {
  const pair = new SessionPair();
  const id = pair.left.session.openStream({ isUnidirectional: true }) as number;
  assert.equal(id & 2, 2);
  pair.left.session.write(id, pattern(10));
  pair.left.session.finish(id);
  pair.settle();
  assert.equal(pair.right.session.write(id, pattern(1)), 0);
  assert.equal(readAll(pair.right, id).end, "end");
  pair.advance(30);
  assert.equal(pair.left.session.streamCount, 0);
});

test("session: datagrams arrive, too large ones are refused, the oldest is dropped when too many wait", () => {
  const pair = new SessionPair({ config: { datagramsMax: 4, datagramBytesMax: 1000 } });
  assert.equal(pair.left.session.sendDatagram(pattern(1001), {}, pair.now), false);
  for (let index = 0; index < 6; index++)
    assert.equal(pair.left.session.sendDatagram(Uint8Array.of(index), {}, pair.now), true);
  pair.settle();
  assert.deepEqual(
    eventsOf(pair.right, "datagram").map((event) => event.bytes[0]),
    [2, 3, 4, 5],
  );
  assert.equal(pair.left.session.stats().datagramsDropped, 2);
});

test("session: ping measures the round trip", () => {
  const pair = new SessionPair();
  const token = pair.left.session.ping(pair.now);
  pair.collect(pair.left);
  pair.now += 20;
  for (const pipe of pair.pipes) pair.deliver(pipe);
  pair.collect(pair.right);
  pair.now += 20;
  for (const pipe of pair.pipes) pair.deliver(pipe);
  assert.deepEqual(eventsOf(pair.left, "pong"), [{ type: "pong", token, rttMs: 40, path: 0 }]);
});

test("session: a cut pipe in mid-transfer loses nothing once another one is attached", () => {
  const pair = new SessionPair({ config: { streamWindowBytes: 100_000, sendBufferBytes: 80_000 } });
  const id = pair.left.session.openStream() as number;
  const bytes = pattern(3_000_000);
  const result = transfer(pair, pair.left, id, bytes, (round) => {
    if (round !== 5 && round !== 20) return;
    pair.cut(pair.pipes[pair.pipes.length - 1] as never);
    pair.attach(pair.left);
  });
  assert.equal(result.end, "end");
  assert.deepEqual(result.bytes, bytes);
  assert.equal(eventsOf(pair.left, "suspended").length, 2);
  assert.equal(eventsOf(pair.left, "resumed").length, 2);
  assert.equal(eventsOf(pair.right, "resumed").length, 2);
});

test("session: the side that did not notice the death of a path is told on the new one", () => {
  const pair = new SessionPair();
  const id = pair.right.session.openStream() as number;
  pair.right.session.write(id, pattern(1000));
  pair.collect(pair.right);
  pair.cut(pair.pipes[0] as never, [pair.left]);
  pair.attach(pair.left);
  pair.settle();
  assert.deepEqual(eventsOf(pair.right, "pathDown"), [{ type: "pathDown", path: 0, code: "closed" }]);
  assert.deepEqual(readAll(pair.left, id).bytes, pattern(1000));
});

test("session: two paths at once, the direct one is preferred, either may die", () => {
  const pair = new SessionPair();
  pair.attach(pair.left, "relay");
  pair.settle();
  const id = pair.left.session.openStream() as number;
  pair.left.session.write(id, pattern(1000));
  const first = pair.left.session.pollTransmit(pair.now);
  assert.equal(first?.path, 0);
  pair.cut(pair.pipes[0] as never);
  pair.settle();
  assert.deepEqual(readAll(pair.right, id).bytes, pattern(1000));
  assert.equal(eventsOf(pair.left, "suspended").length, 0);
});

test("session: an attach is single use, a replayed package changes nothing", () => {
  const pair = new SessionPair();
  const pipe = pair.attach(pair.left);
  pair.collect(pair.left);
  const bytes = pipe.underWay[0]?.bytes.slice() as Uint8Array;
  pair.settle();
  pair.cut(pipe);
  const replay = decodePackage(bytes, 0, pair.env.checksum);
  assert.equal(replay.type, "package");
  const facts = { kind: "bytes", remote: "attacker" } as const;
  assert.equal(pair.right.session.handlePackage({ package: replay as never, facts }, pair.now), undefined);
  assert.equal(pair.right.session.stats().packagesRejected, 1);
});

test("session: without any path it waits for the resume window, then says so", () => {
  const pair = new SessionPair();
  pair.cut(pair.pipes[0] as never);
  pair.advance(59_000);
  assert.equal(eventsOf(pair.left, "closed").length, 0);
  pair.advance(2_000);
  assert.equal(eventsOf(pair.left, "closed")[0]?.code, "resume_timeout");
  assert.equal(eventsOf(pair.right, "closed")[0]?.code, "resume_timeout");
  assert.equal(pair.left.session.pollTimeout(), Number.POSITIVE_INFINITY);
});

test("session: without a resume window the end of the pipe without a close is a truncation", () => {
  const pair = new SessionPair({ config: { resumeWindowMs: 0 } });
  pair.cut(pair.pipes[0] as never);
  pair.advance(1);
  assert.equal(eventsOf(pair.left, "closed")[0]?.code, "truncated");
});

test("session: close tells the peer code, number and reason", () => {
  const pair = new SessionPair();
  pair.left.session.close({ code: "closed", applicationCode: 9, reason: "bye" }, pair.now);
  pair.settle();
  const expected = { type: "closed", code: "closed", applicationCode: 9, reason: "bye" };
  assert.deepEqual(eventsOf(pair.left, "closed"), [{ ...expected, isRemote: false }]);
  assert.deepEqual(eventsOf(pair.right, "closed"), [{ ...expected, isRemote: true }]);
});

test("session: what arrived before the peer's close can still be read, then comes the end", () => {
  const pair = new SessionPair();
  const id = pair.left.session.openStream() as number;
  pair.left.session.write(id, pattern(1000));
  pair.left.session.finish(id);
  pair.settle();
  pair.left.session.close({ code: "closed" }, pair.now);
  pair.settle();
  assert.equal(eventsOf(pair.right, "closed").length, 0);
  assert.deepEqual(readAll(pair.right, id), { bytes: pattern(1000), end: "end" });
  pair.drain(pair.right);
  assert.equal(eventsOf(pair.right, "closed").length, 1);
});

test("session: what was never read after the peer's close is given up in bounded time", () => {
  const pair = new SessionPair();
  const id = pair.left.session.openStream() as number;
  pair.left.session.write(id, pattern(1000));
  pair.settle();
  pair.left.session.close({ code: "closed" }, pair.now);
  pair.advance(31_000);
  assert.equal(eventsOf(pair.right, "closed").length, 1);
});

test("session: keep-alive holds an idle session, without it the session closes as idle", () => {
  const pair = new SessionPair();
  pair.advance(300_000);
  assert.equal(eventsOf(pair.left, "closed").length, 0);
  assert.ok(pair.packages < 150, `${pair.packages} packages in five idle minutes`);
  pair.left.session.setKeepAlive(false, pair.now);
  pair.right.session.setKeepAlive(false, pair.now);
  pair.advance(31_000);
  assert.equal(eventsOf(pair.left, "closed")[0]?.code, "idle_timeout");
});

test("session: a path that swallows everything is found dead", () => {
  const pair = new SessionPair();
  pair.cut(pair.pipes[0] as never, []);
  pair.advance(21_000);
  assert.deepEqual(eventsOf(pair.left, "pathDown"), [{ type: "pathDown", path: 0, code: "idle_timeout" }]);
  assert.equal(eventsOf(pair.left, "suspended").length, 1);
});

test("session: keys change by volume in both directions and nothing is lost", () => {
  const pair = new SessionPair({ config: { rekeyBytes: 100_000, sendBufferBytes: 50_000 } });
  const id = pair.left.session.openStream() as number;
  const bytes = pattern(2_000_000);
  const result = transfer(pair, pair.left, id, bytes);
  assert.deepEqual(result.bytes, bytes);
  assert.ok(pair.left.session.stats().rekeys >= 5, `${pair.left.session.stats().rekeys} rekeys`);
});

test("session: a blocked path is polled for nothing and wakes nobody", () => {
  const pair = new SessionPair();
  const id = pair.left.session.openStream() as number;
  pair.left.session.write(id, pattern(10));
  pair.left.session.setPathWritable(0, false);
  assert.equal(pair.left.session.pollTransmit(pair.now), undefined);
  pair.left.session.setPathWritable(0, true);
  pair.settle();
  assert.deepEqual(readAll(pair.right, id).bytes, pattern(10));
});

test("session: a flipped bit anywhere in a package is noticed", () => {
  const pair = new SessionPair();
  const id = pair.left.session.openStream() as number;
  pair.left.session.write(id, pattern(20));
  pair.collect(pair.left);
  const whole = pair.pipes[0]?.underWay[0]?.bytes as Uint8Array;
  for (let bit = 0; bit < whole.length * 8; bit++) {
    const forged = whole.slice();
    forged[bit >> 3] = (forged[bit >> 3] as number) ^ (1 << (bit & 7));
    const outcome = decodePackage(forged, 0, pair.env.checksum);
    if (outcome.type !== "package") continue;
    const facts = { kind: "bytes", remote: "test" } as const;
    assert.equal(pair.right.session.handlePackage({ package: outcome, facts }, pair.now), undefined, `bit ${bit}`);
  }
  pair.settle();
  assert.deepEqual(readAll(pair.right, id).bytes, pattern(20));
});
