/**
 * Random stories of three endpoints that dial, cancel, ban, write, drop, restart and lose their pipes: every dial ends
 * once, what is read is a prefix of what was written, at most one session with each node is left, and in the end nothing
 * is.
 *
 * @module
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import type { DialId, EndpointEvent, SessionId } from "../../../core/node/endpoint_types.ts";
import { SimRandom } from "../../../sim/random.ts";
import { type Inhabitant, World } from "./endpoint_world.ts";

const SEEDS = 15;
const STEPS = 80;

/** What one endpoint did and saw. */
class Teller {
  readonly who: Inhabitant;
  readonly #world: World;
  readonly dials = new Map<DialId, "open" | "ended" | "cancelled">();
  readonly sessions = new Set<SessionId>();
  /** Dials that showed no key, and the sessions that came of them. */
  readonly #anonymousDials = new Set<DialId>();
  readonly anonymous = new Set<SessionId>();
  /** Bytes written to and read from each stream, as counts: byte `n` of a stream is `n & 0xff`. */
  readonly written = new Map<string, number>();
  readonly readCounts = new Map<string, number>();

  constructor(world: World, who: Inhabitant) {
    this.#world = world;
    this.who = who;
    who.host.onEvent = (event) => this.#onEvent(event as EndpointEvent);
  }

  act(random: SimRandom, all: readonly Teller[]): void {
    const { endpoint } = this.who;
    const { now } = this.#world.network;
    const other = random.pick(all).who;
    const kind = random.between(0, 19);
    const session = this.sessions.size === 0 ? undefined : random.pick([...this.sessions]);
    if (kind < 6) {
      const options = { isAnonymous: random.chance(0.2), timeoutMs: random.between(100, 20_000) };
      const isById = options.isAnonymous || random.chance(0.6);
      const addresses = random.chance(0.2) ? ["tcp://nobody:1", `tcp://${other.name}:1`] : [`tcp://${other.name}:1`];
      const dial = endpoint.dial(isById ? { id: other.identity.id, addresses } : { addresses }, options, now);
      this.dials.set(dial, "open");
      if (options.isAnonymous) this.#anonymousDials.add(dial);
    } else if (kind === 6) {
      const open = [...this.dials].filter(([, state]) => state === "open");
      if (open.length === 0) return;
      const [dial] = random.pick(open);
      endpoint.cancelDial(dial, now);
      this.dials.set(dial, "cancelled");
    } else if (kind < 14 && session !== undefined) {
      this.#write(session, random.between(1, 3000));
    } else if (kind === 14 && session !== undefined) {
      endpoint.closeSession(session, { code: "closed", applicationCode: 1 }, now);
    } else if (kind === 15 && session !== undefined && random.chance(0.3)) {
      endpoint.dropSession(session, "aborted", now);
    } else if (kind === 16 && random.chance(0.3)) {
      endpoint.ban(other.identity.id, now);
      endpoint.unban(other.identity.id);
    } else if (kind === 18 && random.chance(0.2)) {
      this.#restart(random.next());
    } else if (kind === 17 && session !== undefined) {
      endpoint.ping(session, now);
      endpoint.sendDatagram(session, Uint8Array.of(1), now);
    }
    this.who.host.pump();
  }

  /** As after `kill -9`: the key is the same, everything else is forgotten. */
  #restart(seed: number): void {
    const { who } = this;
    who.host.kill();
    who.endpoint = this.#world.newEndpoint(who.identity, seed);
    for (const dial of this.dials.keys()) this.dials.delete(dial);
    for (const forgotten of [this.sessions, this.anonymous, this.#anonymousDials, this.written, this.readCounts]) {
      forgotten.clear();
    }
    who.host.restart(who.endpoint);
  }

  #write(session: SessionId, count: number): void {
    const { endpoint } = this.who;
    const { now } = this.#world.network;
    const stream = endpoint.openStream(session, {}, now);
    if (stream === undefined) return;
    const bytes = Uint8Array.from({ length: count }, (_, index) => index & 0xff);
    assert.equal(endpoint.write(session, stream, bytes, now), count);
    this.written.set(`${session}/${stream}`, count);
  }

  #onEvent(event: EndpointEvent): void {
    switch (event.type) {
      case "sessionOpened":
        assert.equal(this.sessions.has(event.session), false);
        this.sessions.add(event.session);
        return;
      case "connected":
      case "dialFailed":
        assert.equal(this.dials.get(event.dial), "open", "a dial ends once, and never after it was cancelled");
        this.dials.set(event.dial, "ended");
        if (event.type === "dialFailed") return;
        assert.ok(this.sessions.has(event.session), "connected to a session that is known");
        if (this.#anonymousDials.has(event.dial)) this.anonymous.add(event.session);
        return;
      case "session":
        assert.ok(this.sessions.has(event.session), `${event.event.type} of a session that is not there`);
        if (event.event.type === "closed") this.sessions.delete(event.session);
        else if (event.event.type === "readable") this.#read(event.session, event.event.stream);
        return;
      case "needsPath":
        assert.ok(this.sessions.has(event.session));
        return;
      default:
        assert.fail(`Nobody asked for ${event.type}`);
    }
  }

  #read(session: SessionId, stream: number): void {
    const key = `${session}/${stream}`;
    for (;;) {
      const result = this.who.endpoint.read(session, stream);
      if (result?.type !== "data") return;
      let at = this.readCounts.get(key) ?? 0;
      for (const byte of result.bytes) assert.equal(byte, at++ & 0xff);
      this.readCounts.set(key, at);
    }
  }
}

function tell(seed: number): string {
  const world = new World({ seed, model: { delayMs: 5, jitterMs: 15 } });
  const tellers = ["a", "b", "c"].map((name) => new Teller(world, world.add(name)));
  const random = new SimRandom(seed ^ 0x5eed);
  for (let step = 0; step < STEPS; step++) {
    random.pick(tellers).act(random, tellers);
    if (random.chance(0.08) && world.network.links.length > 0) world.network.killLink(random.pick(world.network.links));
    if (random.chance(0.02)) world.network.partition("a", "b");
    if (random.chance(0.1)) world.network.heal("a", "b");
    world.network.run(random.between(0, 120));
  }
  world.network.heal("a", "b");
  world.network.run(90_000);
  for (const { who, dials, sessions, anonymous } of tellers) {
    for (const [dial, state] of dials) assert.notEqual(state, "open", `dial ${dial} of ${who.name} never ended`);
    const { endpoint } = who;
    assert.equal(endpoint.stats().sessions, sessions.size);
    assert.equal(endpoint.stats().dials + endpoint.stats().handshakes, 0);
    const remotes = [...sessions]
      .filter((session) => !anonymous.has(session))
      .map((session) => endpoint.remoteIdOf(session))
      .filter((id) => id !== undefined && id !== who.identity.id);
    assert.equal(new Set(remotes).size, remotes.length, `${who.name} has two sessions with one node`);
    for (const session of sessions) assert.ok(endpoint.session(session)?.isActive, "a session is left without a path");
  }
  // Of sessions that live everything written was read.
  const count = (field: "written" | "readCounts"): number =>
    tellers.reduce((sum, teller) => {
      const live = [...teller[field]].filter(([key]) => teller.sessions.has(Number(key.split("/")[0])));
      return sum + live.reduce((bytes, [, length]) => bytes + length, 0);
    }, 0);
  assert.equal(count("readCounts"), count("written"));
  for (const { who } of tellers) {
    who.endpoint.closeAll({ code: "going_away" }, world.network.now);
    who.host.pump();
  }
  world.network.run(10_000);
  for (const { who, sessions } of tellers) {
    const { dropped: _, ...left } = who.endpoint.stats();
    assert.deepEqual(left, { sessions: 0, pipes: 0, handshakes: 0, dials: 0 });
    assert.equal(sessions.size, 0);
    assert.equal(who.endpoint.pollTimeout(), Number.POSITIVE_INFINITY, "a timer is left behind");
  }
  return world.network.hash;
}

test(`stories of three endpoints: ${SEEDS} seeds`, () => {
  for (let seed = 1; seed <= SEEDS; seed++) {
    try {
      tell(seed);
    } catch (error) {
      throw new Error(`The story of seed ${seed} went wrong`, { cause: error });
    }
  }
});

test("a story of endpoints is told the same way twice", () => {
  assert.equal(tell(4321), tell(4321));
});
