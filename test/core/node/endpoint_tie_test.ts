/**
 * Two nodes that dial each other: one session comes of it, nothing written into it is lost, whatever the timing and the
 * patterns. PROTOCOL §3.7.
 *
 * @module
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import { encodeNodeId } from "../../../core/crypto/identity.ts";
import { nobleProvider } from "../../../core/crypto/noble_provider.ts";
import type { EndpointEvent } from "../../../core/node/endpoint_types.ts";
import { isSmallerId } from "../../../core/node/handshake_tie.ts";
import { SimRandom } from "../../../sim/random.ts";
import type { Side } from "./endpoint_pair.ts";
import { EndpointPair, eventsOf, sessionEventsOf } from "./endpoint_pair.ts";
import { type Inhabitant, sessionEvents, World } from "./endpoint_world.ts";

test("ties: ids are compared as bytes, not as text", () => {
  const random = new SimRandom(5);
  for (let round = 0; round < 200; round++) {
    const [left, right] = [new Uint8Array(32), new Uint8Array(32)];
    random.fill(left);
    random.fill(right);
    if (round % 2 === 0) right.set(left.subarray(0, 30));
    const at = left.findIndex((byte, index) => byte !== right[index]);
    const isSmaller = at >= 0 && (left[at] as number) < (right[at] as number);
    const [one, two] = [encodeNodeId(left, nobleProvider), encodeNodeId(right, nobleProvider)];
    assert.equal(isSmallerId(one, two), isSmaller);
    assert.equal(isSmallerId(one, one), false);
  }
});

type Way = "id" | "address";

/** What one side of a race does: dials, and writes into whatever it is told it is connected to. */
class Racer {
  readonly who: Inhabitant;
  readonly #world: World;
  readonly wrote: { session: number; stream: number }[] = [];
  readonly read = new Map<string, number[]>();
  connected = 0;

  constructor(world: World, who: Inhabitant) {
    this.who = who;
    this.#world = world;
    who.host.onEvent = (event) => {
      who.events.push(event as EndpointEvent);
      this.#onEvent(event as EndpointEvent);
    };
  }

  dial(to: Inhabitant, way: Way): void {
    const target = { addresses: [`tcp://${to.name}:1`], ...(way === "id" ? { id: to.identity.id } : {}) };
    this.who.endpoint.dial(target, {}, this.#world.network.now);
    this.who.host.pump();
  }

  #onEvent(event: EndpointEvent): void {
    const { endpoint } = this.who;
    const { now } = this.#world.network;
    if (event.type === "connected") {
      this.connected++;
      // At once, as a program does: the session must not be taken away again.
      const stream = endpoint.openStream(event.session, {}, now);
      assert.ok(stream !== undefined, "A session that was just connected takes no stream");
      assert.equal(endpoint.write(event.session, stream, Uint8Array.of(1, 2, 3), now), 3);
      endpoint.finish(event.session, stream, now);
      this.wrote.push({ session: event.session, stream });
    } else if (event.type === "session" && event.event.type === "readable") {
      const { stream } = event.event;
      const bytes = this.read.get(`${event.session}/${stream}`) ?? [];
      this.read.set(`${event.session}/${stream}`, bytes);
      for (;;) {
        const result = endpoint.read(event.session, stream);
        if (result?.type !== "data") break;
        bytes.push(...result.bytes);
      }
    }
  }
}

/** One race: both dial, `lagMs` apart. */
function race(seed: number, ways: readonly [Way, Way], lagMs: number, model: { delayMs: number; jitterMs: number }) {
  const world = new World({ seed, model });
  const [a, b] = seed % 2 === 0 ? [world.add("a"), world.add("b")] : [world.add("b"), world.add("a")];
  const racers = [new Racer(world, a), new Racer(world, b)] as const;
  world.network.plan(0, () => racers[0].dial(b, ways[0]));
  world.network.plan(lagMs, () => racers[1].dial(a, ways[1]));
  world.network.run(20_000);
  const name = `seed ${seed}, ${ways}, lag ${lagMs}`;
  for (const racer of racers) {
    assert.equal(racer.connected, 1, `${name}: ${racer.who.name} connects once`);
    assert.deepEqual(racer.who.endpoint.stats().sessions, 1, `${name}: ${racer.who.name} has one session`);
    assert.equal(racer.who.endpoint.stats().pipes, 1, `${name}: ${racer.who.name} has one pipe`);
    assert.equal(sessionEvents(racer.who, "closed").length, 0, `${name}: ${racer.who.name} loses no session`);
    assert.equal(racer.who.events.filter((event) => event.type === "dialFailed").length, 0, name);
  }
  for (const [index, racer] of racers.entries()) {
    const other = racers[1 - index] as Racer;
    assert.deepEqual([...other.read.values()].flat(), [1, 2, 3], `${name}: what ${racer.who.name} wrote arrives`);
  }
}

for (const ways of [
  ["id", "id"],
  ["id", "address"],
  ["address", "id"],
  ["address", "address"],
] as const) {
  test(`ties: ${ways.join(" against ")}: one session, nothing lost, at any lag`, () => {
    let seed = 1;
    for (const delayMs of [1, 20]) {
      for (const jitterMs of [0, 30]) {
        for (const lag of [0, 0.5, 1, 1.5, 2, 2.5, 3, 4, 6]) {
          for (let round = 0; round < 2; round++) race(seed++, ways, lag * delayMs + round, { delayMs, jitterMs });
        }
      }
    }
  });
}

/** Every order in which two dials may interleave, chosen by random walks over one queue for each pipe and direction. */
test("ties: any interleaving of the packages of two dials ends with one session", () => {
  for (let seed = 1; seed <= 150; seed++) {
    const random = new SimRandom(seed);
    const pair = new EndpointPair({ seed });
    const ways = [random.chance(0.5), random.chance(0.5)];
    pair.dial(pair.a, pair.b, ways[0] === true ? { by: "address" } : {});
    pair.collect(pair.a);
    if (random.chance(0.7)) {
      pair.dial(pair.b, pair.a, ways[1] === true ? { by: "address" } : {});
      pair.collect(pair.b);
    }
    let isSecondDialled = eventsOf(pair.b, "connected").length > 0 || pair.b.endpoint.stats().dials > 0;
    for (let step = 0; step < 200 && (pair.queue.length > 0 || !isSecondDialled); step++) {
      if (!isSecondDialled && random.chance(0.4)) {
        pair.dial(pair.b, pair.a, ways[1] === true ? { by: "address" } : {});
        pair.collect(pair.b);
        isSecondDialled = true;
        continue;
      }
      // The first chunk of a random pipe and direction goes next.
      const chosen = pair.queue[random.between(0, Math.max(0, pair.queue.length - 1))];
      if (chosen === undefined) continue;
      const first = pair.queue.findIndex((chunk) => chunk.pipe === chosen.pipe && chunk.to.side === chosen.to.side);
      pair.queue.unshift(...pair.queue.splice(first, 1));
      pair.deliver();
    }
    pair.advance(30_000);
    for (const side of [pair.a, pair.b]) {
      const name = `seed ${seed} side ${side.name}`;
      assert.equal(side.endpoint.stats().sessions, 1, name);
      assert.equal(side.endpoint.stats().pipes, 1, name);
      assert.equal(eventsOf(side, "connected").length, 1, name);
      assert.equal(sessionEventsOf(side, "closed").length, 0, name);
    }
  }
});

test("ties: a replayed request cannot keep a node from dialling", () => {
  // The smaller id waits for a handshake of the larger one, but not for ever.
  const pair = new EndpointPair();
  const [small, large] = isSmallerId(pair.a.identity.id, pair.b.identity.id) ? [pair.a, pair.b] : [pair.b, pair.a];
  let first: Uint8Array | undefined;
  pair.onChunk = (chunk) => {
    first ??= chunk.bytes.slice();
    return [chunk.bytes];
  };
  const { session } = pair.connect(large, small);
  large.endpoint.closeSession(session, { code: "closed" }, pair.now);
  pair.settle();
  for (let round = 0; round < 3; round++) pair.feed(small, pair.open(small), first as Uint8Array);
  pair.dial(small, large);
  pair.advance(2_000);
  assert.equal(eventsOf(small, "connected").length, 1);
});

test("ties: a node that lost its session is let in again, the old one ends", () => {
  const pair = new EndpointPair();
  for (const [forgets, keeps] of [
    [pair.a, pair.b],
    [pair.b, pair.a],
  ] as [Side, Side][]) {
    const before = pair.connect(forgets, keeps);
    forgets.endpoint.dropSession(before.session, "aborted", pair.now);
    // The other side has not noticed yet: its pipe only seems to be open.
    const after = pair.connect(forgets, keeps);
    assert.notEqual(after.remote, before.remote);
    assert.equal(keeps.endpoint.stats().sessions, 1);
    assert.equal(keeps.endpoint.sessionOf(forgets.identity.id), after.remote);
    forgets.endpoint.closeSession(after.session, { code: "closed" }, pair.now);
    pair.settle();
  }
});

test("dial: a node that there is a session with is connected already", () => {
  const pair = new EndpointPair();
  const { session, remote } = pair.connect();
  const pipes = pair.pipes.length;
  pair.dial(pair.a, pair.b);
  pair.dial(pair.b, pair.a);
  pair.settle();
  assert.equal(pair.pipes.length, pipes);
  assert.deepEqual(
    eventsOf(pair.a, "connected").map((event) => event.session),
    [session, session],
  );
  assert.deepEqual(
    eventsOf(pair.b, "connected").map((event) => event.session),
    [remote],
  );
  // By address it turns out in the handshake.
  pair.dial(pair.a, pair.b, { by: "address" });
  pair.advance(1_000);
  assert.equal(eventsOf(pair.a, "connected").at(-1)?.session, session);
  assert.equal(pair.a.endpoint.stats().pipes, 1);
  assert.equal(pair.b.endpoint.stats().pipes, 1);
});

test("dial: several dials of one node at once share one session", () => {
  const pair = new EndpointPair();
  for (let round = 0; round < 4; round++) pair.dial(pair.a, pair.b, { by: round % 2 === 0 ? "id" : "address" });
  pair.advance(5_000);
  const sessions = new Set(eventsOf(pair.a, "connected").map((event) => event.session));
  assert.equal(eventsOf(pair.a, "connected").length, 4);
  assert.equal(sessions.size, 1);
  assert.equal(pair.b.endpoint.stats().sessions, 1);
  assert.equal(pair.b.endpoint.stats().pipes, 1);
  assert.equal(sessionEventsOf(pair.b, "closed").length, 0);
});

test("dial: an anonymous session stands beside the one with the key", () => {
  const pair = new EndpointPair();
  const known = pair.connect();
  const anonymous = pair.connect(pair.a, pair.b, { isAnonymous: true });
  assert.notEqual(anonymous.session, known.session);
  assert.equal(pair.a.endpoint.stats().sessions, 2);
  assert.equal(pair.a.endpoint.sessionOf(pair.b.identity.id), known.session);
  assert.equal(pair.b.endpoint.remoteIdOf(anonymous.remote), undefined);
});

test("dial: oneself, by id and by address, twice", () => {
  for (const by of ["id", "address"] as const) {
    const pair = new EndpointPair();
    const { session } = pair.connect(pair.a, pair.a, { by });
    assert.equal(pair.a.endpoint.stats().sessions, 2);
    assert.equal(pair.a.endpoint.sessionOf(pair.a.identity.id), session);
    const again = pair.connect(pair.a, pair.a);
    assert.equal(again.session, session);
    const [stream] = [pair.a.endpoint.openStream(session, {}, pair.now) as number];
    pair.a.endpoint.write(session, stream, Uint8Array.of(5), pair.now);
    pair.settle();
    const other = [...pair.a.endpoint.sessions()].find((one) => one !== session) as number;
    assert.deepEqual(pair.a.endpoint.read(other, stream), { type: "data", bytes: Uint8Array.of(5) });
    pair.a.endpoint.closeSession(session, { code: "closed" }, pair.now);
    pair.advance(1_000);
    assert.equal(pair.a.endpoint.stats().sessions + pair.a.endpoint.stats().pipes, 0);
  }
});
