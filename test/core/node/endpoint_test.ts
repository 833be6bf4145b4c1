/**
 * Endpoints: handshakes, identity, resume, simultaneous dials, restarts and hostile bytes.
 *
 * @module
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import { encodeClearMessage } from "../../../core/node/clear_messages.ts";
import type { EndpointEvent } from "../../../core/node/endpoint_types.ts";
import { CLEAR_VERSION, encodeClearPackage } from "../../../core/wire/package.ts";
import type { SimMachine } from "../../../sim/network.ts";
import { type Inhabitant, sessionEvents, World } from "./endpoint_world.ts";

function openedBy(who: Inhabitant): Extract<EndpointEvent, { type: "sessionOpened" }>[] {
  return who.events.filter((event) => event.type === "sessionOpened") as never;
}

function drainStream(who: Inhabitant, session: number, stream: number): { bytes: number[]; isEnd: boolean } {
  const bytes: number[] = [];
  for (;;) {
    const result = who.endpoint.read(session, stream);
    if (result === undefined) return { bytes, isEnd: false };
    if (result.type !== "data") return { bytes, isEnd: result.type === "end" };
    bytes.push(...result.bytes);
  }
}

for (const kind of ["bytes", "messages"] as const) {
  test(`endpoint: IK, XX and NK over a ${kind} pipe agree on keys and on who is there`, () => {
    for (const pattern of ["IK", "XX", "NK"] as const) {
      const world = new World();
      const [a, b] = [world.add("a", kind), world.add("b", kind)];
      const { session } = world.connect(a, b, {
        isAnonymous: pattern === "NK",
        ...(pattern === "XX" ? { by: "address" as const } : {}),
      });
      assert.equal(a.endpoint.remoteIdOf(session), b.identity.id);
      world.network.run(100);
      assert.equal(openedBy(b)[0]?.remoteId, pattern === "NK" ? undefined : a.identity.id);
      const stream = a.endpoint.openStream(session, {}, world.network.now) as number;
      a.endpoint.write(session, stream, Uint8Array.of(1, 2, 3), world.network.now);
      a.endpoint.finish(session, stream, world.network.now);
      a.host.pump();
      world.network.run(100);
      const remote = openedBy(b)[0]?.session as number;
      assert.deepEqual(drainStream(b, remote, stream), { bytes: [1, 2, 3], isEnd: true });
    }
  });
}

test("endpoint: another node than the one dialled is refused, on both sides nothing is left", () => {
  const world = new World();
  const [a, b, c] = [world.add("a"), world.add("b"), world.add("c")];
  const result = world.connect(a, b, { id: c.identity.id });
  assert.equal(result.code, "identity_mismatch");
  world.network.run(30_000);
  for (const who of [a, b]) {
    assert.deepEqual(
      { ...who.endpoint.stats(), dropped: undefined },
      { sessions: 0, pipes: 0, handshakes: 0, dials: 0, dropped: undefined },
    );
  }
});

test("endpoint: a dial without an answer, to nobody, or to garbage ends with one clear failure", () => {
  const world = new World();
  const a = world.add("a");
  const b = world.add("b");
  const nobody = world.connect(a, { ...b, name: "nobody" });
  assert.equal(nobody.code, "dial_failed");
  assert.match(nobody.detail ?? "", /nobody/);
  b.host.onEvent = () => {};
  // A server that speaks something else: it answers every chunk with HTTP.
  const asked: number[] = [];
  const bytes = new TextEncoder().encode("HTTP/1.1 400 Bad Request\r\n\r\n");
  b.host.machine = {
    ...silent(),
    handleInput: (input) => {
      if (input.type === "pipeData") asked.push(input.pipe);
    },
    pollTransmit: () => {
      const pipe = asked.shift();
      return pipe === undefined ? undefined : { type: "send", pipe, bytes };
    },
  };
  assert.equal(world.connect(a, b).code, "version");
  b.host.machine = silent();
  assert.equal(world.connect(a, b).code, "handshake_timeout");
  world.network.run(30_000);
  assert.equal(a.endpoint.stats().pipes, 0);
});

/** A server that accepts and says nothing. */
function silent(): SimMachine {
  let pipe = 1000;
  return {
    handleInput: () => {},
    handleTimeout: () => {},
    pollTransmit: () => undefined,
    pollEvent: () => undefined,
    pollTimeout: () => Number.POSITIVE_INFINITY,
    allocatePipe: () => pipe++,
  };
}

test("endpoint: a stream goes on after its pipe died, on the first try", () => {
  const world = new World();
  const [a, b] = [world.add("a"), world.add("b")];
  const { session } = world.connect(a, b);
  world.network.run(100);
  const stream = a.endpoint.openStream(session, {}, world.network.now) as number;
  a.endpoint.write(session, stream, new Uint8Array(1000).fill(1), world.network.now);
  a.host.pump();
  world.network.killLink(world.network.links[0] as never);
  a.endpoint.write(session, stream, new Uint8Array(1000).fill(2), world.network.now);
  a.endpoint.finish(session, stream, world.network.now);
  a.host.pump();
  assert.ok(world.network.run(5_000, () => sessionEvents(b, "resumed").length === 1));
  world.network.run(100);
  const remote = openedBy(b)[0]?.session as number;
  const { bytes, isEnd } = drainStream(b, remote, stream);
  assert.equal(bytes.length, 2000);
  assert.ok(isEnd);
  assert.equal(bytes.indexOf(2), 1000);
});

test("endpoint: a partition of 30 s is survived, one of 90 s ends both sides with resume_timeout", () => {
  for (const seconds of [30, 90]) {
    const world = new World();
    const [a, b] = [world.add("a"), world.add("b")];
    world.connect(a, b);
    world.network.run(100);
    world.network.partition("a", "b");
    world.network.run(seconds * 1000);
    world.network.heal("a", "b");
    world.network.run(20_000);
    const closed = [...sessionEvents(a, "closed"), ...sessionEvents(b, "closed")].map((event) => event.code);
    assert.deepEqual(closed, seconds === 30 ? [] : ["resume_timeout", "resume_timeout"]);
    assert.equal(sessionEvents(a, "resumed").length, seconds === 30 ? 1 : 0);
  }
});

test("endpoint: a peer restarted with the same key says so, the session ends as lost", () => {
  const world = new World();
  const [a, b] = [world.add("a"), world.add("b")];
  world.connect(a, b);
  b.host.kill();
  world.network.run(2_000);
  assert.equal(sessionEvents(a, "suspended").length, 1);
  b.endpoint = world.newEndpoint(b.identity, 777);
  b.host.restart(b.endpoint);
  world.network.run(20_000);
  assert.deepEqual(
    sessionEvents(a, "closed").map((event) => event.code),
    ["session_lost"],
  );
  assert.equal(world.connect(a, b).code, undefined);
});

test("endpoint: a node that forgot its session dials anew and replaces the old one", () => {
  const world = new World();
  const [a, b] = [world.add("a"), world.add("b")];
  world.connect(a, b);
  world.network.run(100);
  a.host.kill();
  a.endpoint = world.newEndpoint(a.identity, 778);
  a.host.restart(a.endpoint);
  assert.equal(world.connect(a, b).code, undefined);
  world.network.run(1_000);
  assert.deepEqual(
    sessionEvents(b, "closed").map((event) => event.code),
    ["session_lost"],
  );
  assert.equal(b.endpoint.stats().sessions, 1);
});

test("endpoint: a forged reset changes nothing but its pipe", () => {
  const world = new World();
  const [a, b] = [world.add("a"), world.add("b")];
  world.connect(a, b);
  const message = encodeClearMessage({ type: "reset", connectionId: 1, token: new Uint8Array(16) });
  const bytes = encodeClearPackage(message, world.environment(1).checksum);
  const pipe = [...a.host.pipes.keys()][0] as number;
  a.host.input({ type: "pipeData", pipe, bytes });
  world.network.run(5_000);
  assert.equal(sessionEvents(a, "closed").length, 0);
  assert.equal(sessionEvents(a, "resumed").length, 1);
});

test("endpoint: two nodes that dial each other at once end with one session, whoever is the smaller", () => {
  for (let seed = 1; seed <= 30; seed++) {
    const world = new World({ seed, model: { delayMs: 5, jitterMs: 20 } });
    const [a, b] = seed % 2 === 0 ? [world.add("a"), world.add("b")] : [world.add("b"), world.add("a")];
    const options = { isAnonymous: false };
    const one = a.endpoint.dial({ id: b.identity.id, addresses: [`tcp://${b.name}:1`] }, options, 0);
    const two = b.endpoint.dial({ id: a.identity.id, addresses: [`tcp://${a.name}:1`] }, options, 0);
    a.host.pump();
    b.host.pump();
    world.network.run(5_000);
    const connected = (who: Inhabitant, dial: number) =>
      who.events.find((event) => event.type === "connected" && event.dial === dial) as { session: number } | undefined;
    assert.ok(connected(a, one), `seed ${seed}: a`);
    assert.ok(connected(b, two), `seed ${seed}: b`);
    assert.equal(a.endpoint.stats().sessions, 1, `seed ${seed}`);
    assert.equal(b.endpoint.stats().sessions, 1, `seed ${seed}`);
    assert.equal(a.endpoint.stats().pipes, 1, `seed ${seed}`);
  }
});

test("endpoint: connecting to oneself works", () => {
  const world = new World();
  const a = world.add("a");
  const { session } = world.connect(a, a);
  world.network.run(100);
  assert.equal(a.endpoint.remoteIdOf(session), a.identity.id);
  assert.equal(a.endpoint.stats().sessions, 2);
});

test("endpoint: a banned node gets no session, its present one ends", () => {
  const world = new World();
  const [a, b] = [world.add("a"), world.add("b")];
  world.connect(a, b);
  b.endpoint.ban(a.identity.id, world.network.now);
  b.host.pump();
  world.network.run(1_000);
  assert.equal(sessionEvents(a, "closed")[0]?.code, "banned");
  const again = world.connect(a, b);
  world.network.run(1_000);
  assert.equal(b.endpoint.stats().sessions, 0);
  assert.ok(again.code === "banned" || sessionEvents(a, "closed").length === 2);
});

test("endpoint: a dial that is cancelled leaves nothing", () => {
  const world = new World();
  const [a, b] = [world.add("a"), world.add("b")];
  const dial = a.endpoint.dial({ id: b.identity.id, addresses: ["tcp://b:1"] }, {}, 0);
  a.host.pump();
  a.endpoint.cancelDial(dial, 0);
  a.host.pump();
  world.network.run(30_000);
  assert.equal(a.events.length, 0);
  assert.equal(a.endpoint.stats().pipes + b.endpoint.stats().pipes, 0);
});

test("endpoint: handshakes are bounded, silent pipes are closed in time", () => {
  const world = new World({ limits: { handshakesPerHostMax: 4 } });
  const b = world.add("b");
  for (let pipe = 0; pipe < 50; pipe++) {
    const id = b.endpoint.allocatePipe();
    const opened = { type: "pipeOpened", pipe: id, kind: "bytes", remote: "x", remoteHost: "9.9.9.9" } as const;
    b.host.input({ ...opened, isDialled: false });
  }
  assert.equal(b.endpoint.stats().pipes, 4);
  world.network.run(11_000);
  assert.equal(b.endpoint.stats().pipes, 0);
});

test("endpoint: hostile bytes at the first byte never throw and close the pipe", () => {
  const world = new World();
  const b = world.add("b");
  const hostile = [
    [0],
    [3, 1, 0, 0, 0, 0, 0],
    [0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x10],
    [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
    [CLEAR_VERSION, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x0f],
    [CLEAR_VERSION, 1, 1, 0, 0, 0, 0],
    [5, 20, ...new Array(36).fill(0)],
    [5, 0, ...new Array(16).fill(0)],
  ];
  for (const bytes of hostile) {
    const pipe = b.endpoint.allocatePipe();
    const opened = { type: "pipeOpened", pipe, kind: "bytes", remote: "x", remoteHost: "9.9.9.9" } as const;
    b.host.input({ ...opened, isDialled: false });
    b.host.input({ type: "pipeData", pipe, bytes: Uint8Array.from(bytes) });
    assert.equal(b.endpoint.stats().pipes, 0, `bytes ${bytes.slice(0, 12)}`);
  }
});
