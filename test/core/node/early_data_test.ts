/**
 * Early data: it counts once, fresh and where it is wanted; in every other case the stream goes on without it, and
 * nobody is told of a failure. PROTOCOL §3.14, THREATS part B.
 *
 * @module
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import { decodeClearMessage } from "../../../core/node/clear_messages.ts";
import { decodePackage } from "../../../core/wire/package.ts";
import { testEnvironment } from "../test_environment.ts";
import type { PairOptions, Side } from "./endpoint_pair.ts";
import { EndpointPair, eventsOf, isEmpty, readAll, sessionEventsOf } from "./endpoint_pair.ts";

const DATA = Uint8Array.from({ length: 100 }, (_, index) => index * 7);
const EARLY = { bytes: DATA, isFinal: true };
const STREAM = 0;
const ALL: PairOptions = { admitsEarly: () => true };

/** Endpoints of which `a` has a ticket of `b`, and no session any more. */
function withTicket(options: PairOptions = ALL): EndpointPair {
  const pair = new EndpointPair(options);
  const { session } = pair.connect();
  pair.a.endpoint.closeSession(session, { code: "closed" }, pair.now);
  pair.advance(1_000);
  assert.ok(isEmpty(pair.a) && isEmpty(pair.b));
  for (const side of [pair.a, pair.b]) {
    side.events.length = 0;
    side.outputs.length = 0;
  }
  return pair;
}

/** The pattern and step of a handshake message. */
function stepOf(bytes: Uint8Array): string | undefined {
  const outcome = decodePackage(bytes, 0, testEnvironment(1).checksum);
  const message = outcome.type === "package" ? decodeClearMessage(outcome.message) : undefined;
  return message?.type === "handshake" ? `${message.pattern}.${message.step}` : message?.type;
}

function opened(side: Side): number[] {
  return eventsOf(side, "sessionOpened").map(({ session }) => session);
}

function patternsSent(side: Side): (string | undefined)[] {
  return side.outputs.flatMap((output) => (output.type === "send" ? [stepOf(output.bytes)] : [])).filter(Boolean);
}

/** The data arrived in full, once, on the only stream of the only session. */
function assertDelivered(pair: EndpointPair, isTaken: boolean): void {
  const { a, b } = pair;
  assert.deepEqual(opened(b).length, 1);
  const [session] = opened(b) as [number];
  assert.deepEqual(readAll(b, session, STREAM), { bytes: [...DATA], isEnd: true });
  const connected = eventsOf(a, "connected");
  assert.equal(connected.length, 1);
  const own = connected[0]?.session as number;
  const early = a.endpoint.earlyOf(own);
  if (early !== undefined) {
    assert.equal(early.isTaken, isTaken);
    assert.equal(early.stream, STREAM);
    assert.equal(early.takeFor(connected[0]?.dial as number), true);
    assert.equal(early.takeFor(connected[0]?.dial as number), false, "A stream is given out once");
  } else assert.equal(isTaken, false);
  assert.deepEqual(eventsOf(a, "dialFailed"), []);
}

for (const kind of ["bytes", "messages"] as const) {
  test(`early: on ${kind} the first message brings a stream, which is there before anything is answered`, () => {
    const pair = withTicket({ ...ALL, kind });
    pair.dial(pair.a, pair.b, { early: EARLY });
    pair.collect(pair.a);
    assert.deepEqual(patternsSent(pair.a), ["4.1"]);
    assert.ok(pair.deliver());
    const [session] = opened(pair.b) as [number];
    assert.deepEqual(readAll(pair.b, session, STREAM), { bytes: [...DATA], isEnd: true });
    assert.equal(pair.b.endpoint.earlyOf(session)?.isOwn, false);
    pair.settle();
    assert.equal(pair.a.endpoint.earlyOf(eventsOf(pair.a, "connected")[0]?.session as number)?.isTaken, true);
    // What was taken is acknowledged by that: nothing of it is sent again.
    assert.equal(sessionEventsOf(pair.a, "delivered").length, 1);
    const sent = pair.a.endpoint.session(eventsOf(pair.a, "connected")[0]?.session as number)?.stats().bytesSent ?? 0;
    assert.ok(sent < DATA.length, `${sent} bytes behind the handshake`);
  });
}

test("early: what does not fit follows behind the handshake", () => {
  const pair = withTicket();
  const bytes = Uint8Array.from({ length: 10_000 }, (_, index) => index ^ (index >> 8));
  pair.dial(pair.a, pair.b, { early: { bytes, isFinal: true } });
  pair.collect(pair.a);
  pair.deliver();
  const [session] = opened(pair.b) as [number];
  const first = readAll(pair.b, session, STREAM);
  assert.ok(first.bytes.length > 1_000 && first.bytes.length < 2_048 && !first.isEnd, `${first.bytes.length}`);
  pair.settle();
  const rest = readAll(pair.b, session, STREAM);
  assert.deepEqual([...first.bytes, ...rest.bytes], [...bytes]);
  assert.ok(rest.isEnd);
});

test("early: the answer gives a ticket for the next time", () => {
  const pair = withTicket();
  for (let round = 0; round < 5; round++) {
    pair.dial(pair.a, pair.b, { early: EARLY });
    pair.settle();
    assertDelivered(pair, true);
    pair.a.endpoint.closeSession(eventsOf(pair.a, "connected")[0]?.session as number, { code: "closed" }, pair.now);
    pair.advance(500);
    pair.a.events.length = pair.b.events.length = 0;
  }
});

for (const [what, options, dial] of [
  ["there is no ticket", ALL, {}],
  ["nobody takes early data", {}, {}],
  ["the dial shows no key", ALL, { isAnonymous: true }],
] as const) {
  test(`early: where ${what} nothing of it is sent, and the dial is as ever`, () => {
    const pair = new EndpointPair(options);
    if (what !== "there is no ticket") {
      const { session } = pair.connect();
      pair.a.endpoint.closeSession(session, { code: "closed" }, pair.now);
      pair.advance(1_000);
      pair.a.events.length = pair.b.events.length = pair.a.outputs.length = 0;
    }
    pair.dial(pair.a, pair.b, { early: EARLY, ...dial });
    pair.settle();
    assert.ok(!patternsSent(pair.a).includes("4.1"));
    const connected = eventsOf(pair.a, "connected");
    assert.equal(connected.length, 1);
    assert.equal(pair.a.endpoint.earlyOf(connected[0]?.session as number), undefined);
  });
}

test("early: a stream that the policy does not want comes behind the handshake", () => {
  const asked: number[][] = [];
  const pair = withTicket({
    admitsEarly: (beginning) => {
      asked.push([...beginning]);
      return false;
    },
  });
  pair.dial(pair.a, pair.b, { early: EARLY });
  pair.settle();
  assertDelivered(pair, false);
  assert.deepEqual(asked, [[...DATA]]);
  assert.deepEqual(patternsSent(pair.a), ["4.1"]);
});

test("early: an owner who is asked about everybody is given none of it early", () => {
  const pair = new EndpointPair({ ...ALL, isAcceptManual: true });
  for (const round of [0, 1]) {
    pair.dial(pair.a, pair.b, { early: EARLY });
    pair.settle();
    const [incoming] = eventsOf(pair.b, "incoming");
    assert.deepEqual(opened(pair.b), []);
    assert.ok(pair.b.endpoint.acceptIncoming(incoming?.session as number, pair.now));
    pair.settle();
    assert.equal(opened(pair.b).length, 1);
    if (round === 1) assertDelivered(pair, false);
    pair.a.endpoint.closeSession(eventsOf(pair.a, "connected")[0]?.session as number, { code: "closed" }, pair.now);
    pair.advance(500);
    pair.a.events.length = pair.b.events.length = 0;
  }
});

test("early: a replay counts for nothing, while the session is there and after it", () => {
  const pair = withTicket();
  pair.dial(pair.a, pair.b, { early: EARLY });
  pair.collect(pair.a);
  const replay = (pair.queue[0] as { bytes: Uint8Array }).bytes.slice();
  pair.settle();
  assertDelivered(pair, true);
  for (const isClosed of [false, true]) {
    if (isClosed) {
      const { session } = eventsOf(pair.a, "connected")[0] as { session: number };
      pair.a.endpoint.closeSession(session, { code: "closed" }, pair.now);
      pair.settle();
    }
    const answers = pair.feed(pair.b, pair.open(pair.b), replay).map(stepOf);
    // The handshake goes on as any that nobody proves: message 2, and nothing more.
    assert.deepEqual(answers, ["4.2"]);
    pair.advance(11_000);
    assert.equal(opened(pair.b).length, 1);
    assert.equal(sessionEventsOf(pair.b, "streamOpened").length, 1);
    assert.equal(sessionEventsOf(pair.b, "closed").length, isClosed ? 1 : 0);
  }
});

test("early: a message that was held back ends no session, and comes too late after ten seconds", () => {
  for (const [heldMs, isTaken] of [
    [0, true],
    [9_000, true],
    [10_500, false],
  ] as const) {
    const pair = withTicket({ ...ALL, limits: { handshakeTimeoutMs: 30_000 } });
    pair.dial(pair.a, pair.b, { early: EARLY, timeoutMs: 30_000 });
    pair.collect(pair.a);
    pair.now += heldMs;
    pair.settle();
    assertDelivered(pair, isTaken);
  }
  const pair = withTicket();
  const dial = pair.dial(pair.a, pair.b, { early: EARLY });
  pair.collect(pair.a);
  const held = (pair.queue.shift() as { bytes: Uint8Array }).bytes;
  pair.a.endpoint.cancelDial(dial, pair.now);
  pair.settle();
  const { session } = pair.connect();
  pair.feed(pair.b, pair.open(pair.b), held);
  pair.settle();
  assert.equal(opened(pair.b).length, 1);
  assert.equal(pair.a.endpoint.session(session)?.isClosed, false);
  assert.deepEqual(sessionEventsOf(pair.b, "streamOpened"), []);
});

test("early: after a restart, or with a ticket of yesterday, the same pipe carries a plain handshake", () => {
  for (const cause of ["restart", "age"] as const) {
    const pair = withTicket({ ...ALL, session: { resumeWindowMs: 0 } });
    if (cause === "restart") pair.restart(pair.b);
    else pair.advance(24 * 60 * 60 * 1000 - 500); // The holder thinks that it is valid still: it came a bit later.
    const pipes = pair.pipes.length;
    pair.dial(pair.a, pair.b, { early: EARLY });
    pair.settle();
    if (cause === "restart") {
      assert.deepEqual(patternsSent(pair.a), ["4.1", "2.1"]);
      assert.equal(pair.pipes.length, pipes + 1);
    }
    assert.deepEqual(eventsOf(pair.a, "dialFailed"), []);
    assert.equal(eventsOf(pair.a, "connected").length, 1, cause);
  }
});

test("early: another node has no use for a ticket, nor for a message", () => {
  const pair = withTicket();
  const thief = pair.add("thief", 3);
  pair.dial(pair.a, pair.b, { early: EARLY });
  pair.collect(pair.a);
  const stolen = (pair.queue.shift() as { bytes: Uint8Array }).bytes;
  // Meant for b: at another node it opens nothing.
  assert.deepEqual(pair.feed(thief, pair.open(thief), stolen).map(stepOf), ["refused"]);
  assert.deepEqual(opened(thief), []);
});

test("early: a flipped byte in the first message never brings other data, nor ends the dial for good", () => {
  const length = (() => {
    const pair = withTicket();
    pair.dial(pair.a, pair.b, { early: EARLY });
    pair.collect(pair.a);
    return (pair.queue[0] as { bytes: Uint8Array }).bytes.length;
  })();
  for (let at = 0; at < length; at += 13) {
    const pair = withTicket();
    pair.dial(pair.a, pair.b, { early: EARLY });
    pair.collect(pair.a);
    const chunk = pair.queue[0] as { bytes: Uint8Array };
    chunk.bytes = chunk.bytes.slice();
    chunk.bytes[at] = (chunk.bytes[at] as number) ^ 0x20;
    pair.advance(15_000);
    for (const session of opened(pair.b)) {
      const { bytes } = readAll(pair.b, session, STREAM);
      assert.ok(bytes.length === 0 || bytes.length === DATA.length, `byte ${at}`);
      assert.deepEqual(bytes, [...DATA].slice(0, bytes.length), `byte ${at}`);
    }
    const ended = eventsOf(pair.a, "connected").length + eventsOf(pair.a, "dialFailed").length;
    assert.equal(ended, 1, `byte ${at}`);
  }
});

test("early: two nodes that dial each other with tickets have one session in the end", () => {
  for (let order = 0; order < 6; order++) {
    const pair = withTicket({ ...ALL, seed: order + 1 });
    const back = pair.connect(pair.b, pair.a);
    pair.b.endpoint.closeSession(back.session, { code: "closed" }, pair.now);
    pair.advance(1_000);
    pair.a.events.length = pair.b.events.length = 0;
    pair.dial(pair.a, pair.b, { early: EARLY });
    pair.dial(pair.b, pair.a, { early: EARLY });
    pair.collect(pair.a);
    pair.collect(pair.b);
    if (order % 2 === 1) pair.queue.reverse();
    for (let step = 0; step < order; step++) pair.deliver();
    pair.advance(5_000);
    const alive = [pair.a, pair.b].map(({ endpoint }) => [...endpoint.sessions()].length);
    assert.deepEqual(alive, [1, 1], `order ${order}`);
    for (const side of [pair.a, pair.b]) {
      assert.deepEqual(eventsOf(side, "dialFailed"), [], `order ${order}`);
      assert.equal(eventsOf(side, "connected").length, 1, `order ${order}`);
    }
  }
});
