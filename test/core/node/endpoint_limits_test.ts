/**
 * Dials over several addresses, limits, bans, manual acceptance, back-pressure and the contract of a machine.
 *
 * @module
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import type { EndpointOutput } from "../../../core/node/endpoint_types.ts";
import type { Side } from "./endpoint_pair.ts";
import { EndpointPair, eventsOf, isEmpty, readAll, sessionEventsOf } from "./endpoint_pair.ts";

function dialled(side: Side): string[] {
  return side.outputs.flatMap((output: EndpointOutput) => (output.type === "dial" ? [output.address] : []));
}

test("dial: the next address is tried after 250 ms, and what hangs is given up for who answers", () => {
  const pair = new EndpointPair();
  pair.a.endpoint.dial({ id: pair.b.identity.id, addresses: ["void", "b"] }, {}, pair.now);
  pair.settle();
  assert.deepEqual(dialled(pair.a), ["void"]);
  pair.advance(249);
  assert.deepEqual(dialled(pair.a), ["void"]);
  pair.advance(1);
  assert.deepEqual(dialled(pair.a), ["void", "b"]);
  assert.equal(eventsOf(pair.a, "connected").length, 1);
  assert.equal(
    pair.a.outputs.filter((output) => output.type === "destroy").length,
    1,
    "the one that hangs is given up",
  );
});

test("dial: failures move on at once and are all told, the most telling code first", () => {
  const pair = new EndpointPair();
  const c = pair.add("c", 3);
  const target = { id: c.identity.id, addresses: ["x", "b", "y"] };
  pair.a.endpoint.dial(target, {}, pair.now);
  pair.settle();
  assert.deepEqual(dialled(pair.a), ["x", "b", "y"]);
  const [failed] = eventsOf(pair.a, "dialFailed");
  assert.equal(failed?.code, "identity_mismatch");
  assert.match(failed?.detail ?? "", /x: Connection refused; b: .+; y: Connection refused/);
  assert.ok(isEmpty(pair.a));
});

test("dial: at most four addresses at once, sixteen in all, none twice", () => {
  const pair = new EndpointPair();
  // Each of these names hangs: pipes that nobody opens.
  const addresses = Array.from({ length: 30 }, (_, index) => `h${index % 20}`);
  const hang: number[] = [];
  const { endpoint } = pair.a;
  endpoint.dial({ addresses }, { timeoutMs: 60_000 }, pair.now);
  const seen: string[] = [];
  for (let ms = 0; ms < 8_000; ms += 250) {
    for (let output = endpoint.pollTransmit(pair.now); output !== undefined; output = endpoint.pollTransmit(pair.now)) {
      if (output.type === "dial") {
        seen.push(output.address);
        hang.push(output.pipe);
      }
    }
    assert.ok(hang.length <= 4, `${hang.length} at once`);
    if (ms % 1000 === 750) {
      const pipe = hang.shift() as number;
      endpoint.handleInput({ type: "pipeFailed", pipe, code: "timeout", detail: "" }, pair.now);
    }
    pair.now += 250;
    endpoint.handleTimeout(pair.now);
  }
  assert.ok(seen.length >= 10);
  assert.equal(new Set(seen).size, seen.length);
  while (hang.length > 0) {
    endpoint.handleInput({ type: "pipeFailed", pipe: hang.shift() as number, code: "timeout", detail: "" }, pair.now);
    for (let output = endpoint.pollTransmit(pair.now); output !== undefined; output = endpoint.pollTransmit(pair.now)) {
      if (output.type === "dial") hang.push(output.pipe);
      if (output.type === "dial") seen.push(output.address);
    }
  }
  assert.equal(seen.length, 16);
  assert.equal(endpoint.pollEvent()?.type, "dialFailed");
});

test("dial: nothing to dial, wrong ids and too many dials fail with a code of their own", () => {
  const pair = new EndpointPair({ limits: { dialsMax: 2 } });
  const { endpoint } = pair.a;
  const id = pair.b.identity.id;
  const expected: [number, string][] = [
    [endpoint.dial({ addresses: [] }, {}, pair.now), "unreachable"],
    [endpoint.dial({ id, addresses: [] }, {}, pair.now), "unreachable"],
    [endpoint.dial({ id: "nonsense", addresses: ["b"] }, {}, pair.now), "id_invalid"],
    [
      endpoint.dial({ id: `${id.slice(0, 55)}${id[55] === "a" ? "b" : "a"}`, addresses: ["b"] }, {}, pair.now),
      "id_invalid",
    ],
    [endpoint.dial({ addresses: ["b"] }, { isAnonymous: true }, pair.now), "id_invalid"],
    [endpoint.dial({ addresses: ["b"] }, { initMessage: new Uint8Array(201) }, pair.now), "message_too_large"],
    [endpoint.dialOnPipe(99, { id }, {}, pair.now), "dial_failed"],
  ];
  endpoint.dial({ addresses: ["void"] }, {}, pair.now);
  endpoint.dial({ addresses: ["void"] }, {}, pair.now);
  expected.push([endpoint.dial({ id, addresses: ["b"] }, {}, pair.now), "limit"]);
  pair.settle();
  assert.deepEqual(
    eventsOf(pair.a, "dialFailed").map((event) => [event.dial, event.code]),
    expected,
  );
});

test("dial: gives up in time, at any stage, and says so", () => {
  for (const [addresses, code] of [
    [["void"], "timeout"],
    [["void", "void2"], "timeout"],
  ] as const) {
    const pair = new EndpointPair();
    pair.a.endpoint.dial({ addresses }, { timeoutMs: 3_000 }, pair.now);
    pair.advance(2_999);
    assert.equal(eventsOf(pair.a, "dialFailed").length, 0);
    pair.advance(1);
    assert.equal(eventsOf(pair.a, "dialFailed")[0]?.code, code);
    assert.ok(isEmpty(pair.a));
    assert.equal(pair.a.endpoint.pollTimeout(), Number.POSITIVE_INFINITY);
  }
  const pair = new EndpointPair();
  pair.onChunk = () => [];
  pair.dial(pair.a, pair.b, { timeoutMs: 60_000 });
  pair.advance(10_000);
  assert.equal(eventsOf(pair.a, "dialFailed")[0]?.code, "handshake_timeout");
  pair.dial(pair.a, pair.b, { timeoutMs: 5_000 });
  pair.advance(5_000);
  assert.equal(eventsOf(pair.a, "dialFailed").length, 2);
  assert.ok(isEmpty(pair.a));
});

test("dial: cancelled at any point it leaves nothing and tells nothing", () => {
  for (let after = 0; after < 6; after++) {
    for (const by of ["id", "address"] as const) {
      const pair = new EndpointPair();
      const dial = pair.dial(pair.a, pair.b, { by });
      pair.collect(pair.a);
      for (let chunk = 0; chunk < after; chunk++) pair.deliver();
      const isOver = eventsOf(pair.a, "connected").length > 0;
      pair.a.endpoint.cancelDial(dial, pair.now);
      pair.a.endpoint.cancelDial(dial, pair.now);
      pair.advance(100_000);
      assert.equal(eventsOf(pair.a, "dialFailed").length, 0);
      assert.equal(eventsOf(pair.a, "connected").length, isOver ? 1 : 0);
      if (!isOver) assert.ok(isEmpty(pair.a) && isEmpty(pair.b), `after ${after}`);
    }
  }
});

test("dial: a pipe that opens when nobody wants it any more is destroyed", () => {
  const pair = new EndpointPair();
  const dial = pair.a.endpoint.dial({ addresses: ["void"] }, {}, pair.now);
  pair.settle();
  const asked = pair.a.outputs.find((output) => output.type === "dial") as { pipe: number };
  pair.a.endpoint.cancelDial(dial, pair.now);
  pair.settle();
  const facts = { kind: "bytes", remote: "void", remoteHost: undefined, isDialled: true } as const;
  pair.a.endpoint.handleInput({ type: "pipeOpened", pipe: asked.pipe, ...facts }, pair.now);
  pair.settle();
  assert.deepEqual(pair.a.outputs.at(-1), { type: "destroy", pipe: asked.pipe });
  assert.ok(isEmpty(pair.a));
});

test("dialOnPipe: a virtual pipe carries a handshake; one that is not used is given up", () => {
  const pair = new EndpointPair({ kind: "relay" });
  const ends = [
    { side: pair.a, id: pair.a.endpoint.allocatePipe() },
    { side: pair.b, id: pair.b.endpoint.allocatePipe() },
  ] as const;
  pair.pipes.push({ ends, kind: "relay", isOpen: true });
  for (const { side, id } of ends) {
    const opened = { type: "pipeOpened", pipe: id, kind: "relay", remote: "relay", remoteHost: undefined } as const;
    side.endpoint.handleInput({ ...opened, isDialled: side === pair.a }, pair.now);
  }
  const dial = pair.a.endpoint.dialOnPipe(ends[0].id, { id: pair.b.identity.id }, {}, pair.now);
  pair.settle();
  const connected = eventsOf(pair.a, "connected");
  assert.equal(connected[0]?.dial, dial);
  assert.equal(pair.a.endpoint.sessionOfPipe(ends[0].id), connected[0]?.session);
  pair.cut(pair.pipes[0] as never);
  assert.equal(eventsOf(pair.a, "needsPath").length, 1, "there is no address to dial");
  const idle = pair.a.endpoint.allocatePipe();
  const facts = { kind: "relay", remote: "relay", remoteHost: undefined, isDialled: true } as const;
  pair.a.endpoint.handleInput({ type: "pipeOpened", pipe: idle, ...facts }, pair.now);
  pair.advance(10_000);
  assert.deepEqual(pair.a.outputs.at(-1), { type: "destroy", pipe: idle });
});

test("limits: pipes that prove nothing, over all and for one host", () => {
  const pair = new EndpointPair({ limits: { handshakesMax: 10, handshakesPerHostMax: 4 } });
  const openMany = (count: number, remoteHost: string | undefined): number => {
    const before = pair.b.endpoint.stats().pipes;
    for (let index = 0; index < count; index++) pair.open(pair.b, { remoteHost });
    return pair.b.endpoint.stats().pipes - before;
  };
  assert.equal(openMany(9, "198.51.100.1"), 4);
  assert.equal(openMany(9, "::ffff:198.51.100.1"), 0, "the same host in IPv6 form");
  // One /64 is one host. THREATS t-A5.
  assert.equal(openMany(3, "2001:db8:0:1::1"), 3);
  assert.equal(openMany(9, "2001:0db8:0000:0001:ffff::2"), 1);
  assert.equal(openMany(9, "2001:db8:0:2::1"), 2, "no more than ten in all");
  assert.equal(pair.b.endpoint.stats().handshakes, 10);
  assert.equal(pair.b.outputs.filter((output) => output.type === "destroy").length, 9 + 9 + 3 + 9 + 9 - 10);
  pair.advance(10_000);
  assert.ok(isEmpty(pair.b));
  assert.equal(openMany(5, "198.51.100.1"), 4);
});

test("limits: pipes of one host at once and per second; the machine itself is left out", () => {
  const limits = { pipeBurstPerHost: 5, pipesPerHostPerSecondMax: 1, handshakesPerHostMax: 100, pipesPerHostMax: 100 };
  const pair = new EndpointPair({ limits });
  const isTaken = (remoteHost: string): boolean => {
    const pipe = pair.open(pair.b, { remoteHost });
    const isOpen = pair.b.endpoint.stats().pipes > 0;
    pair.b.endpoint.handleInput({ type: "pipeClosed", pipe }, pair.now);
    return isOpen;
  };
  const taken = (count: number, host: string): number =>
    Array.from({ length: count }, () => isTaken(host)).filter(Boolean).length;
  assert.equal(taken(20, "203.0.113.5"), 5);
  assert.equal(taken(20, "203.0.113.6"), 5);
  pair.advance(2_000);
  assert.equal(taken(20, "203.0.113.5"), 2);
  assert.equal(taken(200, "127.0.0.1"), 200);
  assert.equal(taken(200, "::1"), 200);
  // Hosts that come and go are forgotten in the end, whatever their number.
  for (let index = 0; index < 10_000; index++) isTaken(`10.${index >> 16}.${(index >> 8) & 255}.${index & 255}`);
  assert.ok(isEmpty(pair.b));
  const strict = new EndpointPair({ limits: { ...limits, isLoopbackExempt: false } });
  let open = 0;
  for (let index = 0; index < 20; index++) {
    strict.open(strict.b, { remoteHost: "127.0.0.1" });
    open = strict.b.endpoint.stats().pipes;
  }
  assert.equal(open, 5);
});

test("limits: what a stranger makes us hold of a package is bounded", () => {
  const pair = new EndpointPair();
  for (const version of [4, 5]) {
    const pipe = pair.open(pair.b);
    // A package of 60,000 bytes is announced and comes slowly.
    pair.feed(pair.b, pipe, Uint8Array.from([version, 0xe0, 0xd4, 0x03]));
    for (let sent = 0; sent < 2_000; sent += 100) pair.feed(pair.b, pipe, new Uint8Array(100));
    assert.equal(pair.b.endpoint.stats().pipes, 1);
    pair.feed(pair.b, pipe, new Uint8Array(100));
    assert.equal(pair.b.endpoint.stats().pipes, 0);
  }
});

test("limits: sessions", () => {
  for (const by of ["id", "address"] as const) {
    const pair = new EndpointPair({ limits: { sessionsMax: 1 } });
    pair.connect(pair.a, pair.b, { by });
    const c = pair.add("c", 3);
    pair.dial(c, pair.b, { by });
    pair.advance(20_000);
    assert.deepEqual(
      eventsOf(c, "dialFailed").map((event) => event.code),
      ["limit"],
    );
    assert.equal(pair.b.endpoint.stats().sessions, 1);
    assert.ok(isEmpty(c));
  }
});

test("messages: half a package in a message is a fault, several whole ones are none", () => {
  const pair = new EndpointPair({ kind: "messages" });
  pair.onChunk = ({ bytes }) => [bytes.subarray(0, bytes.length - 1), bytes.subarray(bytes.length - 1)];
  pair.dial(pair.a, pair.b);
  pair.advance(20_000);
  assert.equal(eventsOf(pair.b, "sessionOpened").length, 0);
  assert.ok(isEmpty(pair.a) && isEmpty(pair.b));
});

test("ban: a node is turned away at the door, and its session ends", () => {
  for (const by of ["id", "address"] as const) {
    const pair = new EndpointPair();
    pair.connect();
    pair.b.endpoint.ban(pair.a.identity.id, pair.now);
    pair.advance(100);
    assert.deepEqual(
      sessionEventsOf(pair.a, "closed").map((event) => event.code),
      ["banned"],
    );
    pair.dial(pair.a, pair.b, { by });
    pair.dial(pair.b, pair.a, { by });
    pair.advance(20_000);
    assert.deepEqual(
      eventsOf(pair.a, "dialFailed").map((event) => event.code),
      ["banned"],
    );
    assert.deepEqual(
      eventsOf(pair.b, "dialFailed").map((event) => event.code),
      ["banned"],
    );
    assert.equal(eventsOf(pair.a, "connected").length, 1);
    assert.ok(isEmpty(pair.a) && isEmpty(pair.b));
    assert.equal(pair.b.endpoint.isBanned(pair.a.identity.id), true);
    pair.b.endpoint.unban(pair.a.identity.id);
    pair.connect();
  }
});

test("ban: one that comes between agreement and proof holds too", () => {
  const pair = new EndpointPair();
  let chunks = 0;
  pair.onChunk = (chunk) => {
    if (++chunks === 3) pair.b.endpoint.ban(pair.a.identity.id, pair.now);
    return [chunk.bytes];
  };
  pair.dial(pair.a, pair.b);
  pair.advance(1_000);
  assert.equal(eventsOf(pair.b, "sessionOpened").length, 0);
  assert.deepEqual(
    sessionEventsOf(pair.a, "closed").map((event) => event.code),
    ["banned"],
  );
  assert.ok(isEmpty(pair.a) && isEmpty(pair.b));
});

for (const by of ["id", "address"] as const) {
  test(`incoming: the owner accepts, refuses, or lets it pass (by ${by})`, () => {
    const ask = () => {
      const pair = new EndpointPair({ isAcceptManual: true });
      const initMessage = Uint8Array.of(1, 2);
      pair.dial(pair.a, pair.b, { by, initMessage });
      pair.settle();
      const [incoming] = eventsOf(pair.b, "incoming");
      assert.deepEqual(incoming?.initMessage, initMessage);
      assert.equal(incoming?.remoteId, pair.a.identity.id);
      assert.equal(eventsOf(pair.a, "connected").length, 0);
      return { pair, session: incoming?.session as number };
    };
    const accepted = ask();
    assert.equal(accepted.pair.b.endpoint.acceptIncoming(accepted.session, accepted.pair.now), true);
    accepted.pair.settle();
    assert.equal(eventsOf(accepted.pair.b, "sessionOpened")[0]?.session, accepted.session);
    assert.equal(eventsOf(accepted.pair.a, "connected").length, 1);
    assert.equal(accepted.pair.b.endpoint.acceptIncoming(accepted.session, accepted.pair.now), false);

    const refused = ask();
    assert.equal(refused.pair.b.endpoint.refuseIncoming(refused.session, "refused", refused.pair.now), true);
    refused.pair.settle();
    assert.deepEqual(
      eventsOf(refused.pair.a, "dialFailed").map((event) => event.code),
      ["refused"],
    );
    assert.ok(isEmpty(refused.pair.a) && isEmpty(refused.pair.b));

    const ignored = ask();
    ignored.pair.advance(10_000);
    assert.equal(eventsOf(ignored.pair.a, "dialFailed").length, 1);
    assert.equal(ignored.pair.b.endpoint.acceptIncoming(ignored.session, ignored.pair.now), false);
    assert.ok(isEmpty(ignored.pair.a) && isEmpty(ignored.pair.b));

    const gone = ask();
    gone.pair.cut(gone.pair.pipes[0] as never);
    assert.equal(gone.pair.b.endpoint.acceptIncoming(gone.session, gone.pair.now), false);
  });
}

test("back-pressure: a blocked pipe gets nothing until it is writable, other sessions go on", () => {
  const pair = new EndpointPair();
  const c = pair.add("c", 3);
  const first = pair.connect(pair.a, pair.b);
  const second = pair.connect(pair.a, c);
  const { endpoint } = pair.a;
  const [end] = pair.pipeOf(pair.a, first.session).ends.filter((one) => one.side === pair.a);
  endpoint.handleInput({ type: "pipeBlocked", pipe: end?.id as number }, pair.now);
  for (const { session } of [first, second]) {
    const stream = endpoint.openStream(session, {}, pair.now) as number;
    endpoint.write(session, stream, new Uint8Array(10), pair.now);
  }
  pair.advance(1_000);
  assert.equal(sessionEventsOf(pair.b, "streamOpened").length, 0);
  assert.equal(sessionEventsOf(c, "streamOpened").length, 1);
  endpoint.handleInput({ type: "pipeWritable", pipe: end?.id as number }, pair.now);
  pair.settle();
  assert.equal(sessionEventsOf(pair.b, "streamOpened").length, 1);
});

test("fairness: sessions with much to say take turns", () => {
  const pair = new EndpointPair();
  const others = [3, 4, 5].map((key) => pair.add(`n${key}`, key));
  const sessions = others.map((other) => pair.connect(pair.a, other).session);
  const { endpoint } = pair.a;
  for (const session of sessions) {
    const stream = endpoint.openStream(session, {}, pair.now) as number;
    endpoint.write(session, stream, new Uint8Array(1_000_000), pair.now);
  }
  const order: (number | undefined)[] = [];
  for (let count = 0; count < 30; count++) {
    const output = endpoint.pollTransmit(pair.now);
    if (output?.type === "send") order.push(endpoint.sessionOfPipe(output.pipe));
  }
  for (let at = 3; at < order.length; at += 3) assert.equal(new Set(order.slice(at, at + 3)).size, 3, `${order}`);
});

test("many idle sessions: only those that are due are woken, and the next deadline is the earliest", () => {
  const pair = new EndpointPair({
    limits: { pipeBurstPerHost: 1000, handshakesPerHostMax: 1000, pipesPerHostMax: 1000 },
  });
  const peers = Array.from({ length: 40 }, (_, index) => pair.add(`n${index}`, index + 10));
  for (const peer of peers) {
    pair.connect(peer, pair.a);
    pair.advance(100);
  }
  const { endpoint } = pair.a;
  const each = [...endpoint.sessions()].map((session) => endpoint.session(session)?.pollTimeout() as number);
  assert.equal(endpoint.pollTimeout(), Math.min(...each));
  const sent = pair.a.outputs.length;
  endpoint.handleTimeout(endpoint.pollTimeout() - 1);
  pair.collect(pair.a);
  assert.equal(pair.a.outputs.length, sent, "an early wake-up changes nothing");
  // Keep-alives come one by one, as the sessions came up.
  pair.now = endpoint.pollTimeout();
  endpoint.handleTimeout(pair.now);
  pair.collect(pair.a);
  assert.ok(pair.a.outputs.length - sent <= 2, `${pair.a.outputs.length - sent}`);
});

test("contract: the same inputs give the same outputs, byte for byte", () => {
  const run = (): string => {
    const pair = new EndpointPair({ seed: 5 });
    const { session, remote } = pair.connect();
    const stream = pair.a.endpoint.openStream(session, {}, pair.now) as number;
    pair.a.endpoint.write(session, stream, new Uint8Array(5000).fill(3), pair.now);
    pair.settle();
    assert.equal(readAll(pair.b, remote, stream).bytes.length, 5000);
    pair.cut(pair.pipeOf(pair.a, session));
    pair.advance(15_000);
    pair.b.endpoint.closeSession(remote, { code: "closed" }, pair.now);
    pair.advance(1_000);
    return JSON.stringify([pair.a, pair.b].map((side) => [side.outputs.map(text), side.events]));
  };
  const text = (output: EndpointOutput) => (output.type === "send" ? [output.pipe, [...output.bytes]] : output);
  assert.equal(run(), run());
});

test("contract: inputs about pipes that are not known are ignored", () => {
  const pair = new EndpointPair();
  const { endpoint } = pair.a;
  for (const type of ["pipeClosed", "pipeBlocked", "pipeWritable"] as const) {
    endpoint.handleInput({ type, pipe: 77 }, pair.now);
  }
  endpoint.handleInput({ type: "pipeData", pipe: 77, bytes: Uint8Array.of(1) }, pair.now);
  endpoint.handleInput({ type: "pipeFailed", pipe: 77, code: "timeout", detail: "" }, pair.now);
  assert.equal(endpoint.pollTransmit(pair.now), undefined);
  assert.equal(endpoint.pollEvent(), undefined);
  assert.equal(endpoint.pollTimeout(), Number.POSITIVE_INFINITY);
});
