/**
 * How sessions outlive their pipes: resuming, restarts, resets, graceful and ungraceful ends. PROTOCOL §3.9 and §6.
 *
 * @module
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import { encodeClearMessage } from "../../../core/node/clear_messages.ts";
import { decodePackage, encodeClearPackage } from "../../../core/wire/package.ts";
import { testEnvironment } from "../test_environment.ts";
import { EndpointPair, eventsOf, isEmpty, readAll, sessionEventsOf } from "./endpoint_pair.ts";

const { checksum } = testEnvironment(1);

test("resume: what was in flight when the pipe died arrives once and in order", () => {
  for (let after = 0; after < 12; after++) {
    const pair = new EndpointPair({ seed: after + 1 });
    const { session, remote } = pair.connect();
    const up = pair.a.endpoint.openStream(session, {}, pair.now) as number;
    const down = pair.b.endpoint.openStream(remote, {}, pair.now) as number;
    const pipe = pair.pipeOf(pair.a, session);
    let left = after;
    pair.onChunk = (chunk) => {
      if (chunk.pipe !== pipe) return [chunk.bytes];
      if (left-- > 0) return [chunk.bytes];
      pair.cut(pipe);
      return [];
    };
    const sent = Array.from({ length: 1000 }, (_, index) => index & 0xff);
    for (let part = 0; part < 10; part++) {
      const bytes = Uint8Array.from(sent.slice(part * 100, part * 100 + 100));
      pair.a.endpoint.write(session, up, bytes, pair.now);
      pair.b.endpoint.write(remote, down, bytes, pair.now);
      pair.advance(5);
    }
    pair.a.endpoint.finish(session, up, pair.now);
    pair.b.endpoint.finish(remote, down, pair.now);
    if (pipe.isOpen) pair.cut(pipe);
    pair.advance(20_000);
    assert.deepEqual(readAll(pair.b, remote, up), { bytes: sent, isEnd: true }, `after ${after}`);
    assert.deepEqual(readAll(pair.a, session, down), { bytes: sent, isEnd: true }, `after ${after}`);
    for (const side of [pair.a, pair.b]) {
      const order = eventsOf(side, "session").map((event) => event.event.type);
      const told = order.filter((type) => ["pathDown", "suspended", "pathUp", "resumed"].includes(type));
      assert.deepEqual(told, ["pathDown", "suspended", "pathUp", "resumed"]);
    }
  }
});

test("resume: a pipe that dies before the acceptor had proof still carries the session on", () => {
  for (const isTold of [true, false]) {
    const pair = new EndpointPair();
    let chunks = 0;
    pair.onChunk = (chunk) => {
      // Message 1, message 2, and then the PING that proves the initiator.
      if (chunks++ !== 2) return [chunk.bytes];
      if (isTold) pair.cut(chunk.pipe);
      else pair.cut(chunk.pipe, pair.b);
      return [];
    };
    const dial = pair.dial(pair.a, pair.b);
    pair.collect(pair.a);
    pair.settle();
    const session = eventsOf(pair.a, "connected").find((event) => event.dial === dial)?.session as number;
    const stream = pair.a.endpoint.openStream(session, {}, pair.now) as number;
    pair.a.endpoint.write(session, stream, Uint8Array.of(1, 2, 3), pair.now);
    // The acceptor that was told nothing keeps a pipe that nobody uses until the handshake has lasted too long.
    pair.advance(isTold ? 5_000 : 40_000);
    const remote = eventsOf(pair.b, "sessionOpened")[0]?.session as number;
    assert.deepEqual(readAll(pair.b, remote, stream).bytes, [1, 2, 3]);
    assert.equal(pair.a.endpoint.stats().pipes, 1);
    assert.equal(pair.b.endpoint.stats().pipes, 1);
  }
});

test("resume: tries go on with growing pauses until the window ends, then both sides are told", () => {
  const pair = new EndpointPair();
  const { session } = pair.connect();
  const tries: number[] = [pair.now]; // The first is at once.
  const pipe = pair.pipeOf(pair.a, session);
  pair.sides.delete("b");
  pair.cut(pipe);
  for (let ms = 0; ms < 70_000; ms += 50) {
    const before = pair.a.outputs.length;
    pair.advance(50);
    if (pair.a.outputs.slice(before).some((output) => output.type === "dial")) tries.push(pair.now);
  }
  pair.sides.set("b", pair.b);
  const pauses = tries.slice(1).map((at, index) => at - (tries[index] as number));
  assert.ok(tries.length >= 9 && tries.length <= 20, `${tries.length} tries`);
  assert.ok(Math.max(...pauses) <= 12_100, `${pauses}`);
  assert.ok(Math.max(...pauses.slice(0, 2)) <= 800, `${pauses}`);
  assert.deepEqual(
    sessionEventsOf(pair.a, "closed").map((event) => event.code),
    ["resume_timeout"],
  );
  assert.equal(eventsOf(pair.a, "needsPath").length, 1);
  pair.advance(70_000);
  assert.deepEqual(
    sessionEventsOf(pair.b, "closed").map((event) => event.code),
    ["resume_timeout"],
  );
  assert.ok(isEmpty(pair.a) && isEmpty(pair.b));
});

test("resume: a pipe that opens and stays silent is given up, the next one is tried", () => {
  const pair = new EndpointPair();
  const { session } = pair.connect();
  const first = pair.pipeOf(pair.a, session);
  let silent = 2;
  const blackHoles = new Set<unknown>();
  pair.onChunk = (chunk) => {
    if (chunk.pipe !== first && !blackHoles.has(chunk.pipe) && silent > 0) {
      silent--;
      blackHoles.add(chunk.pipe);
    }
    return blackHoles.has(chunk.pipe) ? [] : [chunk.bytes];
  };
  pair.cut(first);
  pair.advance(30_000);
  assert.equal(sessionEventsOf(pair.a, "resumed").length, 1);
  assert.equal(blackHoles.size, 2);
  assert.equal(pair.a.endpoint.stats().pipes, 1);
  assert.equal(pair.b.endpoint.stats().pipes, 1);
});

test("resume: the owner brings a pipe where this side cannot dial", () => {
  const pair = new EndpointPair();
  const { session, remote } = pair.connect();
  pair.sides.delete("b");
  pair.cut(pair.pipeOf(pair.a, session));
  assert.deepEqual(eventsOf(pair.b, "needsPath"), [{ type: "needsPath", session: remote }]);
  pair.sides.set("b", pair.b);
  // A circuit: virtual on both ends.
  const ends = [
    { side: pair.b, id: pair.b.endpoint.allocatePipe() },
    { side: pair.a, id: pair.a.endpoint.allocatePipe() },
  ] as const;
  pair.pipes.push({ ends, kind: "relay", isOpen: true });
  for (const { side, id } of ends) {
    const opened = { type: "pipeOpened", pipe: id, kind: "relay", remote: "relay", remoteHost: undefined } as const;
    side.endpoint.handleInput({ ...opened, isDialled: side === pair.b }, pair.now);
  }
  assert.equal(pair.b.endpoint.attachOnPipe(remote, ends[0].id, pair.now), true);
  pair.settle();
  assert.equal(sessionEventsOf(pair.a, "resumed").length, 1);
  assert.equal(sessionEventsOf(pair.b, "resumed").length, 1);
  const kinds = (): string[] | undefined =>
    pair.a.endpoint
      .session(session)
      ?.stats()
      .paths.map(({ kind }) => kind);
  assert.equal(kinds()?.[0], "relay");
  // A way around the relay is looked for, and the relay is kept to fall back on.
  pair.advance(20_000);
  assert.deepEqual(kinds(), ["relay", "bytes"]);
  assert.equal(pair.a.endpoint.stats().pipes, 2);
});

test("attachOnPipe: a pipe that is in use, or a session that is over, is no path", () => {
  const pair = new EndpointPair();
  const { session } = pair.connect();
  const [used] = pair.pipeOf(pair.a, session).ends.filter((end) => end.side === pair.a);
  assert.equal(pair.a.endpoint.attachOnPipe(session, used?.id as number, pair.now), false);
  assert.equal(pair.a.endpoint.attachOnPipe(session, 999, pair.now), false);
  const free = pair.open(pair.a);
  assert.equal(pair.a.endpoint.attachOnPipe(77, free, pair.now), false);
  pair.settle();
  assert.equal(pair.a.endpoint.stats().pipes, 1);
  assert.equal(sessionEventsOf(pair.a, "closed").length, 0);
});

test("attachOnPipe: a path that nobody answers on is given up, the session stays", () => {
  const pair = new EndpointPair();
  const { session } = pair.connect();
  const pipe = pair.open(pair.a);
  assert.equal(pair.a.endpoint.attachOnPipe(session, pipe, pair.now), true);
  pair.advance(6_000);
  assert.equal(pair.a.endpoint.stats().pipes, 1);
  assert.equal(pair.a.endpoint.session(session)?.isActive, true);
  assert.equal(sessionEventsOf(pair.a, "suspended").length, 0);
  assert.equal(sessionEventsOf(pair.a, "pathDown").length, 0, "a path that was never up");
});

test("dial: a session that lost its pipe is resumed rather than doubled", () => {
  const pair = new EndpointPair();
  const { session } = pair.connect();
  pair.sides.delete("b");
  pair.cut(pair.pipeOf(pair.a, session));
  pair.advance(3_000);
  pair.sides.set("b", pair.b);
  const dial = pair.dial(pair.a, pair.b);
  pair.advance(20_000);
  assert.deepEqual(eventsOf(pair.a, "connected").at(-1), { type: "connected", dial, session });
  assert.equal(sessionEventsOf(pair.a, "resumed").length, 1);
});

test("dial: when the session that lost its pipe is lost, a new one is made in its place", () => {
  const pair = new EndpointPair();
  const before = pair.connect();
  pair.sides.delete("b");
  pair.restart(pair.b);
  pair.settle();
  pair.sides.set("b", pair.b);
  const dial = pair.dial(pair.a, pair.b);
  pair.advance(14_000);
  const connected = eventsOf(pair.a, "connected").at(-1);
  assert.equal(connected?.dial, dial);
  assert.notEqual(connected?.session, before.session);
  assert.deepEqual(
    sessionEventsOf(pair.a, "closed").map((event) => event.code),
    ["session_lost"],
  );
  assert.equal(pair.b.endpoint.stats().sessions, 1);
});

test("reset: a peer that was restarted with its key says that it forgot", () => {
  for (const isTold of [true, false]) {
    const pair = new EndpointPair();
    pair.connect();
    if (isTold) pair.restart(pair.b);
    else pair.b.endpoint = pair.newEndpoint(pair.b.identity);
    pair.advance(30_000);
    assert.deepEqual(
      sessionEventsOf(pair.a, "closed").map((event) => event.code),
      ["session_lost"],
    );
    pair.connect();
  }
});

test("reset: one without the token changes nothing, one with another session's token neither", () => {
  const pair = new EndpointPair();
  const { session } = pair.connect();
  // The token of a session with somebody else, whose key is another.
  const c = pair.add("c", 3);
  pair.connect(pair.a, c);
  const stranger = pair.open(c);
  const protectedPackage = new Uint8Array(40);
  protectedPackage.set([5, 20, 0, 1, 2, 3, 4]);
  const [answer] = pair.feed(c, stranger, protectedPackage);
  const outcome = decodePackage(answer as Uint8Array, 0, checksum);
  assert.equal(outcome.type, "package");
  for (const token of [new Uint8Array(16), new Uint8Array(16).fill(0xff)]) {
    for (const connectionId of [0, 1, 0xffffffff]) {
      const bytes = encodeClearPackage(encodeClearMessage({ type: "reset", connectionId, token }), checksum);
      const [end] = pair.pipeOf(pair.a, session).ends.filter((one) => one.side === pair.a);
      pair.a.endpoint.handleInput({ type: "pipeData", pipe: end?.id as number, bytes }, pair.now);
      pair.advance(2_000);
      assert.equal(sessionEventsOf(pair.a, "closed").length, 0);
      assert.equal(pair.a.endpoint.session(session)?.isActive, true);
    }
  }
});

test("reset: answers are bounded over all remotes", () => {
  const pair = new EndpointPair({
    limits: { resetsPerSecondMax: 5, pipeBurstPerHost: 1000, handshakesPerHostMax: 1000 },
  });
  const unknown = Uint8Array.from([5, 20, 0, 1, 2, 3, 4, ...new Array(31).fill(0)]);
  const answers = (): number => {
    let count = 0;
    for (let round = 0; round < 20; round++) count += pair.feed(pair.b, pair.open(pair.b), unknown).length;
    return count;
  };
  assert.equal(answers(), 5);
  pair.advance(999);
  assert.equal(answers(), 0);
  pair.advance(1);
  assert.equal(answers(), 5);
  assert.ok(isEmpty(pair.b));
});

test("attach: bytes that only look like a package of a session cost the pipe and nothing else", () => {
  const pair = new EndpointPair();
  const { session, remote } = pair.connect();
  let sample: Uint8Array | undefined;
  pair.onChunk = (chunk) => {
    if (chunk.to.side === pair.b) sample ??= chunk.bytes.slice();
    return [chunk.bytes];
  };
  pair.a.endpoint.ping(session, pair.now);
  pair.settle();
  // A replay on another pipe, and a forgery with the right connection id.
  for (const change of [0, 1, 7, 9, 20]) {
    const bytes = (sample as Uint8Array).slice();
    if (change > 0) bytes[change] = (bytes[change] as number) ^ 1;
    pair.feed(pair.b, pair.open(pair.b), bytes);
  }
  pair.advance(12_000);
  assert.equal(pair.b.endpoint.stats().pipes, 1);
  assert.equal(pair.b.endpoint.session(remote)?.isActive, true);
  assert.equal(sessionEventsOf(pair.b, "pathUp").length, 0);
});

test("close: the peer is told, the pipes end, nothing is left", () => {
  const pair = new EndpointPair();
  const { session } = pair.connect();
  const options = { code: "closed", applicationCode: 42, reason: "bye" } as const;
  pair.a.endpoint.closeSession(session, options, pair.now);
  pair.advance(1_000);
  const [own] = sessionEventsOf(pair.a, "closed");
  const [other] = sessionEventsOf(pair.b, "closed");
  assert.deepEqual(own, { type: "closed", ...options, isRemote: false });
  assert.deepEqual(other, { type: "closed", ...options, isRemote: true });
  assert.ok(isEmpty(pair.a) && isEmpty(pair.b));
  assert.equal(pair.a.endpoint.pollTimeout(), Number.POSITIVE_INFINITY);
  // Commands about a session that is over do nothing.
  assert.equal(pair.a.endpoint.openStream(session, {}, pair.now), undefined);
  assert.equal(pair.a.endpoint.write(session, 0, Uint8Array.of(1), pair.now), 0);
  assert.equal(pair.a.endpoint.read(session, 0), undefined);
  assert.equal(pair.a.endpoint.sendDatagram(session, Uint8Array.of(1), pair.now), false);
  assert.equal(pair.a.endpoint.ping(session, pair.now), 0);
  pair.a.endpoint.closeSession(session, options, pair.now);
  assert.equal(pair.a.endpoint.pollEvent(), undefined);
});

test("close: a session that the acceptor dropped is lost for the initiator as soon as it asks", () => {
  const pair = new EndpointPair();
  const { remote } = pair.connect();
  pair.b.endpoint.dropSession(remote, "aborted", pair.now);
  pair.advance(1_000);
  assert.deepEqual(
    sessionEventsOf(pair.b, "closed").map((event) => event.code),
    ["aborted"],
  );
  assert.deepEqual(
    sessionEventsOf(pair.a, "closed").map((event) => event.code),
    ["session_lost"],
  );
  assert.ok(isEmpty(pair.a) && isEmpty(pair.b));
});

test("closeAll: sessions, handshakes and dials end, later ones are refused", () => {
  const pair = new EndpointPair();
  const c = pair.add("c", 3);
  pair.connect(pair.a, pair.b);
  pair.connect(c, pair.a);
  pair.open(pair.a);
  const dial = pair.dial(pair.a, c, { by: "address", addresses: ["void"] });
  pair.a.endpoint.closeAll({ code: "going_away" }, pair.now);
  pair.settle();
  assert.deepEqual(
    eventsOf(pair.a, "dialFailed").map((event) => [event.dial, event.code]),
    [[dial, "closed"]],
  );
  assert.ok(isEmpty(pair.a));
  assert.equal(pair.a.endpoint.pollTimeout(), Number.POSITIVE_INFINITY);
  for (const side of [pair.b, c]) assert.equal(sessionEventsOf(side, "closed")[0]?.code, "going_away");
  pair.dial(c, pair.a);
  pair.dial(pair.a, c);
  pair.advance(20_000);
  assert.equal(eventsOf(c, "dialFailed").length, 1);
  assert.equal(eventsOf(pair.a, "dialFailed").at(-1)?.code, "closed");
  assert.ok(isEmpty(pair.a));
});

test("a pipe that carries bytes which are no package goes, its session stays", () => {
  const pair = new EndpointPair();
  const { session, remote } = pair.connect();
  const [end] = pair.pipeOf(pair.b, remote).ends.filter((one) => one.side === pair.b);
  pair.b.endpoint.handleInput({ type: "pipeData", pipe: end?.id as number, bytes: Uint8Array.of(9, 9, 9) }, pair.now);
  pair.advance(5_000);
  assert.equal(pair.a.endpoint.session(session)?.isActive, true);
  assert.equal(sessionEventsOf(pair.a, "resumed").length, 1);
  assert.equal(sessionEventsOf(pair.b, "pathDown").length, 1);
});
