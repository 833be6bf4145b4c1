/**
 * What a session tells a trace: the events in their order, and nothing that is anybody else's business.
 *
 * @module
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import { QlogEncoder } from "../../../core/connection/qlog.ts";
import type { SessionConfig } from "../../../core/connection/session_types.ts";
import type { TraceEvent, TraceFrame } from "../../../core/connection/trace.ts";
import { describeFrames } from "../../../core/connection/trace_frames.ts";
import { seededNumbers } from "../test_environment.ts";
import { readAll, SessionPair } from "./session_pair.ts";

interface Traced {
  readonly pair: SessionPair;
  readonly left: TraceEvent[];
  readonly right: TraceEvent[];
}

/** A pair on one path of datagrams, with the events of both sides. */
function traced(config: Partial<SessionConfig> = {}): Traced {
  const left: TraceEvent[] = [];
  const right: TraceEvent[] = [];
  const pair = new SessionPair({
    kind: "datagrams",
    // One size for all packages: probes for larger ones would be in between.
    config: { datagramPathBytesMax: 548, ...config },
    leftTrace: () => (event) => void left.push(event),
    rightTrace: () => (event) => void right.push(event),
  });
  return { pair, left, right };
}

function typesOf(events: readonly TraceEvent[]): string[] {
  return events.map(({ type }) => type);
}

function ofType<Type extends TraceEvent["type"]>(events: readonly TraceEvent[], type: Type) {
  return events.filter((event): event is Extract<TraceEvent, { type: Type }> => event.type === type);
}

/** Sends what a side has to say; the packages with these numbers are lost on the way. */
function sendLosing(pair: SessionPair, numbers: readonly number[]): void {
  const [pipe] = pair.pipes;
  const before = pair.left.session.path(0)?.nextPackageNumber ?? 0;
  pair.collect(pair.left);
  if (pipe === undefined) return;
  const kept = pipe.underWay.filter((_, index) => !numbers.includes(before + index));
  pipe.underWay.splice(0, pipe.underWay.length, ...kept);
}

test("trace: a package of a scripted session is lost, found missing and sent again, told in this order", () => {
  const { pair, left, right } = traced();
  const { session } = pair.left;
  const stream = session.openStream() as number;
  session.write(stream, new Uint8Array(2_000));
  session.finish(stream);
  sendLosing(pair, [1]);
  assert.deepEqual(typesOf(left).slice(0, 3), ["sessionStarted", "pathAssigned", "packageSent"]);
  assert.deepEqual(
    ofType(left, "packageSent").map((event) => [event.package.number, event.package.frames[0]?.type]),
    [0, 1, 2, 3, 4].map((number) => [number, "stream"]),
  );
  pair.now += 20;
  pair.deliver(pair.pipes[0] as (typeof pair.pipes)[0]);
  pair.collect(pair.right);
  pair.now += 20;
  // Room for an acknowledgement is left in each package: they are smaller than the path allows.
  const lostBytes = ofType(left, "packageSent")[1]?.package.bytes ?? 0;
  assert.ok(lostBytes > 400 && lostBytes <= 548, `${lostBytes} bytes`);
  left.length = 0;
  pair.deliver(pair.pipes[0] as (typeof pair.pipes)[0]);
  const acked = ofType(left, "packageReceived")[0]?.package.frames.find((frame) => frame.type === "ack");
  assert.deepEqual(acked?.type === "ack" && acked.ranges, [
    [2, 4],
    [0, 0],
  ]);
  assert.deepEqual(ofType(left, "packageLost"), [
    {
      at: pair.now,
      type: "packageLost",
      path: 0,
      number: 1,
      bytes: lostBytes,
      isMtuProbe: false,
      cause: "reordering",
    },
  ]);
  const order = typesOf(left).filter((type) => type !== "timer");
  assert.deepEqual(order, ["packageReceived", "packageLost", "congestionState", "metricsUpdated"]);
  const [state] = ofType(left, "congestionState");
  assert.deepEqual([state?.from, state?.to], ["slowStart", "recovery"]);
  const metrics = ofType(left, "metricsUpdated")[0]?.metrics;
  assert.equal(metrics?.latestRttMs, 40);
  assert.equal(metrics?.bytesInFlight, 0);
  assert.equal(metrics?.slowStartThreshold, metrics?.windowBytes);
  left.length = 0;
  pair.settle();
  const again = ofType(left, "packageSent")[0]?.package;
  assert.equal(again?.number, 5);
  const part = again?.frames.find((frame) => frame.type === "stream");
  assert.equal(part?.type === "stream" && part.offset > 0 && part.offset < 1_000, true);
  assert.equal(readAll(pair.right, stream).bytes.length, 2_000);
  pair.advance(100);
  session.close({ code: "closed", applicationCode: 7, reason: "enough" }, pair.now);
  // What says so leaves a while later: the end is then, not before its last package.
  pair.now += 3;
  pair.settle();
  assert.deepEqual(left.at(-1), {
    at: pair.now,
    type: "sessionClosed",
    code: "closed",
    applicationCode: 7,
    isRemote: false,
  });
  assert.equal(ofType(right, "sessionClosed")[0]?.isRemote, true);
  assert.equal(right.at(-1)?.type, "sessionClosed");
  for (const events of [left, right]) {
    assert.ok(events.every(({ at }, index) => index === 0 || at >= (events[index - 1] as TraceEvent).at));
  }
});

test("trace: probe timeouts expire, are told with their packages, and end with the path", () => {
  const { pair, left } = traced({ pathTimeoutMs: 10_000 });
  const stream = pair.left.session.openStream() as number;
  pair.left.session.write(stream, new Uint8Array(10));
  pair.advance(100);
  left.length = 0;
  (pair.pipes[0] as (typeof pair.pipes)[0]).isCut = true;
  pair.left.session.write(stream, new Uint8Array(10));
  pair.advance(60_000);
  const timers = ofType(left, "timer").filter(({ timer }) => timer === "probe");
  assert.deepEqual(
    timers.slice(0, 3).map(({ change }) => change),
    ["set", "expired", "set"],
  );
  assert.ok((timers[2]?.inMs ?? 0) > (timers[0]?.inMs ?? 0) * 1.9, "the second timeout is twice the first");
  assert.ok(ofType(left, "packageSent").some(({ isProbe }) => isProbe));
  const counts = ofType(left, "metricsUpdated").map(({ metrics }) => metrics.probeTimeouts);
  assert.deepEqual(counts.filter((count) => count !== undefined).slice(0, 3), [1, 2, 3]);
  assert.equal(ofType(left, "pathAbandoned").length, 1);
});

test("trace: another path is assigned, validated, moved to and abandoned; larger packages are told", () => {
  const { pair, left, right } = traced({ datagramPathBytesMax: 1_452 });
  pair.left.session.ping(pair.now);
  pair.advance(50);
  assert.deepEqual(ofType(left, "mtuUpdated").at(-1), {
    at: left.at(-1)?.at,
    type: "mtuUpdated",
    path: 0,
    from: 548,
    to: 1_452,
  });
  const pipe = pair.attach(pair.left, "datagrams");
  pair.settle();
  const id = pipe.path.left as number;
  pair.left.session.movePath(id, { kind: "datagrams", remote: "udp://192.0.2.7:4" }, pair.now);
  pair.settle();
  pair.cut(pipe, [pair.left]);
  pair.settle();
  const told = left.filter((event) => event.type.startsWith("path") && "path" in event && event.path === id);
  assert.deepEqual(typesOf(told), ["pathAssigned", "pathValidated", "pathAssigned", "pathAbandoned"]);
  assert.equal(ofType(left, "pathAssigned").at(-1)?.remote, "udp://192.0.2.7:4");
  assert.deepEqual(
    typesOf(right.filter((event) => event.type.startsWith("path") && "path" in event && event.path === id)),
    ["pathAssigned", "pathValidated", "pathAbandoned"],
  );
});

test("trace: keys change on both sides; replays and forgeries are dropped packages", () => {
  const { pair, left, right } = traced({ rekeyPackages: 4 });
  for (let round = 0; round < 12; round++) {
    pair.left.session.ping(pair.now);
    pair.advance(30);
  }
  const sent = ofType(left, "keyUpdated").filter(({ direction }) => direction === "send");
  const received = ofType(right, "keyUpdated").filter(({ direction }) => direction === "receive");
  assert.ok(sent.length >= 2, `${sent.length} keys`);
  assert.deepEqual(
    sent.map(({ generation }) => generation),
    sent.map((_, index) => index + 1),
  );
  assert.deepEqual(
    received.map(({ generation }) => generation),
    sent.map(({ generation }) => generation),
  );
  const pipe = pair.pipes[0] as (typeof pair.pipes)[0];
  pair.left.session.ping(pair.now);
  pair.collect(pair.left);
  const [package_] = pipe.underWay;
  assert.ok(package_ !== undefined);
  const forged = package_.bytes.slice();
  forged[forged.length - 1] = (forged.at(-1) as number) ^ 1;
  pipe.underWay.push({ to: "right", bytes: package_.bytes.slice() }, { to: "right", bytes: forged });
  // The number of the forged one is spent by now: it must be another one to get as far as its tag.
  pipe.underWay.unshift({ to: "right", bytes: forged.slice() });
  right.length = 0;
  pair.deliver(pipe);
  assert.deepEqual(
    ofType(right, "packageDropped").map(({ reason }) => reason),
    ["notAuthentic", "duplicate", "duplicate"],
  );
});

test("trace: it holds no byte of what is sent and no key, in whatever form it is written", () => {
  const { pair, left, right } = traced();
  const numbers = seededNumbers(11);
  const letters = "abcdefghijklmnopqrstuvwxyz";
  const message = Array.from({ length: 48 }, () => letters[(numbers() >>> 8) % 26]).join("");
  const bytes = Uint8Array.from(message, (letter) => letter.charCodeAt(0));
  const stream = pair.left.session.openStream() as number;
  pair.left.session.write(stream, bytes);
  pair.left.session.sendDatagram(bytes, {}, pair.now);
  pair.settle();
  pair.left.session.close({ code: "closed", reason: message }, pair.now);
  pair.settle();
  assert.ok(left.length > 5 && right.length > 5);
  const found = new Set<string>();
  for (const [events, role] of [
    [left, "initiator"],
    [right, "responder"],
  ] as const) {
    const texts = [JSON.stringify(events)];
    for (const version of ["0.3", "quic-13"] as const) {
      const encoder = new QlogEncoder({ role, version });
      texts.push(encoder.header() + events.map((event) => encoder.encode(event)).join(""));
    }
    for (const text of texts) {
      for (let at = 0; at + 4 <= message.length; at++) {
        const part = message.slice(at, at + 4);
        if (text.includes(part)) found.add(part);
        const hex = [...bytes.subarray(at, at + 4)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
        assert.ok(!text.includes(hex), "a part of the message in hexadecimal");
        assert.ok(!text.includes([...bytes.subarray(at, at + 4)].join(",")), "a part of the message as numbers");
      }
      // The keys of the pair are 32 bytes of 1 and of 2.
      for (const key of ["01010101", "02020202", "1,1,1,1", "2,2,2,2"]) assert.ok(!text.includes(key), key);
    }
  }
  assert.deepEqual([...found], []);
});

test("trace: nobody is asked for a sink before somebody proved to hold the keys", () => {
  let asked = 0;
  const pair = new SessionPair({
    kind: "datagrams",
    rightTrace: () => {
      asked++;
      return undefined;
    },
  });
  const pipe = pair.pipes[0] as (typeof pair.pipes)[0];
  pair.left.session.ping(pair.now);
  pair.collect(pair.left);
  const honest = pipe.underWay.splice(0);
  for (const { to, bytes } of honest) {
    const forged = bytes.slice();
    forged[forged.length - 1] = (forged.at(-1) as number) ^ 1;
    pipe.underWay.push({ to, bytes: forged });
  }
  pair.deliver(pipe);
  assert.equal(asked, 0);
  assert.equal(pair.right.session.stats().packagesRejected, honest.length);
  pipe.underWay.push(...honest);
  pair.deliver(pipe);
  pair.advance(1_000);
  assert.equal(asked, 1);
});

test("trace: a sink that throws is not called again, and the session goes on", () => {
  let calls = 0;
  const pair = new SessionPair({
    kind: "datagrams",
    leftTrace: () => () => {
      calls++;
      throw new Error("The disk is full");
    },
    rightTrace: () => {
      throw new Error("There is no disk");
    },
  });
  const stream = pair.left.session.openStream() as number;
  pair.left.session.write(stream, new Uint8Array(5_000));
  pair.advance(1_000);
  assert.equal(calls, 1);
  assert.equal(readAll(pair.right, stream).bytes.length, 5_000);
});

test("trace: a session goes exactly the same way with a trace and without one", () => {
  const run = (isTraced: boolean): string => {
    const sink = isTraced ? () => () => {} : undefined;
    const pair = new SessionPair({
      kind: "datagrams",
      ...(sink === undefined ? {} : { leftTrace: sink, rightTrace: sink }),
    });
    const stream = pair.left.session.openStream() as number;
    pair.left.session.write(stream, new Uint8Array(50_000));
    pair.advance(200);
    return JSON.stringify([pair.left.session.stats(), pair.right.session.stats(), pair.packages]);
  };
  assert.equal(run(true), run(false));
});

test("trace: frames are described by kind and number; what cannot be read is unknown", () => {
  const cases: readonly (readonly [string, readonly number[], readonly TraceFrame[]])[] = [
    ["padding is one", [0, 0, 0, 1], [{ type: "padding", bytes: 3 }, { type: "ping" }]],
    ["a stream to the end", [0x08, 4, 9, 9], [{ type: "stream", stream: 4, offset: 0, bytes: 2, isFin: false }]],
    ["a datagram with its length", [0x31, 2, 9, 9, 1], [{ type: "datagram", bytes: 2 }, { type: "ping" }]],
    ["an unknown frame ends it", [1, 0x3f, 1], [{ type: "ping" }, { type: "unknown", number: 0x3f }]],
    ["a frame that is cut off", [0x1a, 1, 2], [{ type: "unknown", number: 0x1a }]],
    ["a close without a number", [0x1c, 2, 0, 0, 1], [{ type: "close", wireCode: 2, applicationCode: undefined }]],
  ];
  for (const [name, bytes, frames] of cases) assert.deepEqual(describeFrames(Uint8Array.from(bytes)), frames, name);
});
