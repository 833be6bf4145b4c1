/**
 * Tests of reaching nodes: the policy of connecting, what hangs on a node, and its end.
 *
 * @module
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import type {
  CircuitId,
  CircuitsExtension,
  CircuitTarget,
  ConnectCommandOptions,
  ExtensionBuilder,
  ExtensionEvent,
  NodeInternals,
  PresenceNode,
  RelayExtension,
} from "../../../core/node/node_types.ts";
import type { Resident } from "./node_world.ts";
import { NodeWorld, of, readAll } from "./node_world.ts";

/**
 * A way round: what a circuit is to a node, made of a plain dial of another address. It claims a protocol, opens streams
 * of its own, and sees the endpoint's events first, as relay client and circuits do.
 */
class Detour implements CircuitsExtension, RelayExtension {
  readonly #internals: NodeInternals;
  readonly #ways: ReadonlyMap<string, string>;
  readonly #dials = new Map<number, CircuitId>();
  readonly seen: ExtensionEvent[] = [];
  hasRelay = true;
  cancelled = 0;
  privateDial: number | undefined;
  #next = 1;

  constructor(internals: NodeInternals, ways: ReadonlyMap<string, string>) {
    this.#internals = internals;
    this.#ways = ways;
    internals.claim("viaduct.test", [1], { streamsPerPeerMax: 10 });
  }

  get internals(): NodeInternals {
    return this.#internals;
  }

  canReach(): boolean {
    return this.hasRelay;
  }

  connect(target: CircuitTarget, options: ConnectCommandOptions, now: number): CircuitId {
    const address = this.#ways.get(target.id ?? target.name ?? "") ?? "tcp://nowhere:1";
    const dial = this.#internals.endpoint.dial(
      { ...(target.id === undefined ? {} : { id: target.id }), addresses: [address] },
      { timeoutMs: options.timeoutMs ?? 1000 },
      now,
    );
    this.#dials.set(dial, this.#next);
    return this.#next++;
  }

  cancel(circuit: CircuitId, now: number): void {
    this.cancelled++;
    for (const [dial, of] of this.#dials) if (of === circuit) this.#internals.endpoint.cancelDial(dial, now);
  }

  readonly isBusy = false;

  isCircuitPipe(): boolean {
    return false;
  }

  handleOutput(): void {}

  handleNodeEvent(event: ExtensionEvent, now: number): boolean {
    this.seen.push(event);
    if (event.type === "connected" && event.dial === this.privateDial) return true;
    if (event.type === "connected" || event.type === "dialFailed") {
      const circuit = this.#dials.get(event.dial);
      if (circuit === undefined) return false;
      this.#dials.delete(event.dial);
      this.#internals.circuitDone(
        circuit,
        event.type === "connected" ? event : { type: "failed", code: "not_here", detail: "" },
        now,
      );
      return true;
    }
    return event.type === "streamOpened" && event.protocol === "viaduct.test/1" && event.metadata[0] !== 0;
  }

  handleTimeout(): void {}
  pollTimeout(): number {
    return Number.POSITIVE_INFINITY;
  }
  close(): void {}
  addRelay(): number {
    return 1;
  }
  setAdmission(): void {}
  watchPresence(): void {}
  unwatchPresence(): void {}
  presences(): Iterable<PresenceNode> {
    return [];
  }
  nameOf(): string | undefined {
    return undefined;
  }
}

function detours(ways: ReadonlyMap<string, string>): { build: ExtensionBuilder; last: () => Detour } {
  let detour: Detour | undefined;
  return {
    build: (internals) => {
      detour = new Detour(internals, ways);
      const nothing = new Detour(internals, new Map());
      nothing.handleNodeEvent = () => false;
      return { relayClient: nothing, circuits: detour };
    },
    last: () => detour as Detour,
  };
}

function pathsOf(who: Resident, session: number): string[] {
  return (
    who.node
      .session(session)
      ?.stats()
      .paths.map((path) => path.remote) ?? []
  );
}

test("connect: a second time gives the same session at once, on both sides", () => {
  const world = new NodeWorld();
  const [a, b] = [world.add("a"), world.add("b")];
  const { left, right } = world.join(a, b);
  const again = a.node.connect({ id: b.identity.id, addresses: ["tcp://nowhere:1"], relays: [] }, {}, world.now);
  assert.equal(a.node.pollTransmit(world.now), undefined);
  a.host.pump();
  assert.deepEqual(a.events.at(-1), { type: "connected", dial: again, session: left });
  const back = world.connect(b, { id: a.identity.id });
  assert.equal(back.type === "connected" && back.session, right);
  assert.deepEqual([of(a, "peerConnected").length, of(b, "peerConnected").length], [1, 1]);
});

test("connect: the peer is told of before the connection, with what both sides know", () => {
  const world = new NodeWorld();
  const [a, b] = [world.add("a"), world.add("b")];
  const connected = world.connect(a, { addresses: ["tcp://b:1"] }, { initMessage: Uint8Array.of(4, 2) });
  assert.deepEqual(a.events.map((event) => event.type).slice(0, 2), ["peerConnected", "connected"]);
  assert.equal(of(a, "peerConnected")[0]?.remoteId, b.identity.id);
  world.run(100);
  const { session: _, ...seen } = of(b, "peerConnected")[0] ?? { session: 0 };
  assert.deepEqual(seen, {
    type: "peerConnected",
    remoteId: a.identity.id,
    name: undefined,
    isInitiator: false,
    initMessage: Uint8Array.of(4, 2),
  });
  assert.equal(connected.type, "connected");
});

test("connect: targets that lead nowhere fail with the code that says so", () => {
  const world = new NodeWorld();
  const a = world.add("a");
  const id = world.add("b").identity.id;
  const cases = [
    [{}, {}, "unreachable"],
    [{ id }, {}, "unreachable"],
    [{ id }, { via: "direct" }, "unreachable"],
    [{ id, addresses: ["tcp://b:1"] }, { via: "relay" }, "no_relay"],
    [{ name: "bob" }, {}, "no_relay"],
    [{ name: "bob", addresses: [] }, { via: "direct" }, "unreachable"],
    [{ id, addresses: ["tcp://nowhere:1"] }, {}, "dial_failed"],
    [{ id: "nonsense", addresses: ["tcp://b:1"] }, {}, "id_invalid"],
  ] as const;
  for (const [target, options, code] of cases) {
    const result = world.connect(a, target, options);
    assert.equal(result.type === "connectFailed" && result.code, code, JSON.stringify([target, options]));
  }
  assert.equal(a.node.stats().connects, 0);
});

test("connect: to oneself works, by id and address, and is one session", () => {
  const world = new NodeWorld();
  const a = world.add("a");
  a.node.serve("chat", [1], { streamsPerPeerMax: 10 });
  const first = world.connect(a, { id: a.identity.id, addresses: ["tcp://a:1"] });
  assert.ok(first.type === "connected");
  world.run(100);
  const again = world.connect(a, { id: a.identity.id });
  assert.equal(again.type === "connected" && again.session, first.session);
  const other = of(a, "peerConnected").find((event) => event.session !== first.session)?.session as number;
  const stream = a.node.openStream(first.session, { protocol: { name: "chat", versions: [1] } }, world.now) as number;
  a.node.write(first.session, stream, Uint8Array.of(1), world.now);
  a.node.sendMessage(first.session, "me", Uint8Array.of(2), world.now);
  a.node.sendRequest(other, "back", Uint8Array.of(3), world.now);
  world.run(200);
  assert.deepEqual(readAll(a, other, stream).bytes, [1]);
  assert.deepEqual(
    of(a, "message").map((event) => [event.session, event.topic]),
    [[other, "me"]],
  );
  assert.deepEqual(
    of(a, "request").map((event) => [event.session, event.name]),
    [[first.session, "back"]],
  );
  a.node.close("closed", "", world.now);
  world.run(6000);
  assert.equal(of(a, "closed").length, 1);
});

test("connect: both at once end with one session that both were told of", () => {
  for (const seed of [1, 2, 3, 4, 5, 6]) {
    const world = new NodeWorld({ seed });
    const [a, b] = [world.add("a"), world.add("b")];
    a.node.connect({ id: b.identity.id, addresses: ["tcp://b:1"], relays: [] }, {}, world.now);
    b.node.connect({ id: a.identity.id, addresses: ["tcp://a:1"], relays: [] }, {}, world.now);
    world.run(3000);
    for (const who of [a, b]) {
      assert.equal(of(who, "connected").length, 1, `seed ${seed}`);
      assert.equal(who.node.stats().sessions, 1, `seed ${seed}`);
      const session = of(who, "connected")[0]?.session as number;
      assert.ok(
        of(who, "peerConnected").some((event) => event.session === session),
        `seed ${seed}`,
      );
    }
    a.node.sendMessage(of(a, "connected")[0]?.session as number, "", Uint8Array.of(1), world.now);
    world.run(500);
    assert.equal(of(b, "message").length, 1, `seed ${seed}`);
  }
});

test("connect: cancelled and timed out attempts leave nothing", () => {
  const world = new NodeWorld();
  const [a, b] = [world.add("a"), world.add("b")];
  world.network.partition("a", "b");
  const target = { id: b.identity.id, addresses: ["tcp://b:1"], relays: [] };
  b.host.isRunning = false;
  const dial = a.node.connect(target, {}, world.now);
  a.node.cancelConnect(dial, world.now);
  world.run(60_000);
  assert.deepEqual(a.events, []);
  assert.deepEqual(
    { ...a.node.stats(), dropped: 0 },
    { sessions: 0, pipes: 0, handshakes: 0, dials: 0, connects: 0, dropped: 0 },
  );
});

test("connect: at most so many attempts at once", () => {
  const world = new NodeWorld();
  const a = world.add("a", { limits: { connectsMax: 2 } });
  const target = { addresses: ["tcp://nowhere:1"], relays: [] };
  for (let index = 0; index < 3; index++) a.node.connect(target, {}, world.now);
  world.run(1000);
  assert.deepEqual(
    of(a, "connectFailed")
      .map((event) => event.code)
      .sort(),
    ["dial_failed", "dial_failed", "limit"],
  );
});

test("connect: what cannot be reached directly is reached by circuit, after the head start or the failure", () => {
  const world = new NodeWorld();
  const b = world.add("b");
  const { build, last } = detours(
    new Map([
      [b.identity.id, "tcp://b:1"],
      ["bob", "tcp://b:1"],
    ]),
  );
  const a = world.add("a", { build });
  // Refused at once: no waiting.
  const before = world.now;
  const failed = world.connect(a, { id: b.identity.id, addresses: ["tcp://nowhere:1"] });
  assert.equal(failed.type, "connected");
  assert.ok(world.now - before < 500);
  a.node.closePeer(failed.type === "connected" ? failed.session : 0, { code: "closed" }, world.now);
  world.run(1000);
  // By name: there is no direct way to try, and whoever has the name is taken.
  const named = world.connect(a, { name: "bob" });
  assert.equal(named.type, "connected");
  a.node.closePeer(named.type === "connected" ? named.session : 0, { code: "closed" }, world.now);
  world.run(1000);
  // Both fail: the relay knows more than "no address answered".
  const nobody = world.add("c").identity.id;
  const both = world.connect(a, { id: nobody, addresses: ["tcp://nowhere:1"] });
  assert.equal(both.type === "connectFailed" && both.code, "not_here");
  assert.match(both.type === "connectFailed" ? both.detail : "", /directly/);
  assert.equal(last().cancelled, 0);
});

test("connect: while a direct dial hangs, a circuit is tried beside it, and the loser is given up", () => {
  const world = new NodeWorld();
  const b = world.add("b");
  const black = world.addStranger("hole");
  black.host.machine = { ...silent(), allocatePipe: () => 1 };
  const { build, last } = detours(new Map([[b.identity.id, "tcp://b:1"]]));
  const a = world.add("a", { build });
  const before = world.now;
  const result = world.connect(a, { id: b.identity.id, addresses: ["tcp://hole:1"] });
  assert.ok(result.type === "connected");
  assert.ok(world.now - before > 1000 && world.now - before < 1500, `${world.now - before}`);
  assert.deepEqual(pathsOf(a, result.session), ["tcp://b:1"]);
  world.run(100);
  assert.equal(a.node.stats().pipes, 1);
  // And `direct` never goes round.
  const other = world.add("c");
  const direct = world.connect(
    a,
    { id: other.identity.id, addresses: ["tcp://hole:1"] },
    { via: "direct", timeoutMs: 3000 },
  );
  assert.equal(direct.type === "connectFailed" && direct.code, "timeout");
  assert.equal(last().cancelled, 0);
});

test("connect: a direct success gives the circuit up; `relay` uses nothing else", () => {
  const world = new NodeWorld({ model: { delayMs: 600, jitterMs: 0 } });
  const b = world.add("b");
  const { build, last } = detours(new Map([[b.identity.id, "tcp://hole:1"]]));
  const black = world.addStranger("hole");
  black.host.machine = { ...silent(), allocatePipe: () => 1 };
  const a = world.add("a", { build });
  const result = world.connect(a, { id: b.identity.id, addresses: ["tcp://b:1"] });
  assert.equal(result.type, "connected");
  assert.equal(last().cancelled, 1);
  const other = world.add("c");
  const relayed = world.connect(
    a,
    { id: other.identity.id, addresses: ["tcp://c:1"] },
    { via: "relay", timeoutMs: 5000 },
  );
  assert.equal(relayed.type, "connectFailed");
});

test("extensions have streams of their own, of which the application hears nothing", () => {
  const world = new NodeWorld();
  const ways = detours(new Map());
  const others = detours(new Map());
  const a = world.add("a", { build: ways.build });
  const b = world.add("b", { build: others.build });
  const { left, right } = world.join(a, b);
  const mine = ways.last().internals;
  const theirs = others.last().internals;
  const known = [a.events.length, b.events.length];
  const protocol = { name: "viaduct.test", versions: [1] };
  const stream = mine.openStream(left, { protocol, metadata: Uint8Array.of(1) }, world.now) as number;
  mine.write(left, stream, Uint8Array.of(1, 2), world.now);
  world.run(100);
  assert.deepEqual(theirs.read(right, stream), { type: "data", bytes: Uint8Array.of(1, 2) });
  theirs.write(right, stream, Uint8Array.of(3), world.now);
  world.run(100);
  assert.deepEqual(mine.read(left, stream), { type: "data", bytes: Uint8Array.of(3) });
  theirs.reset(right, stream, 0, world.now);
  theirs.stop(right, stream, 0, world.now);
  world.run(300);
  const types = ways
    .last()
    .seen.filter((event) => "stream" in event)
    .map((event) => event.type);
  assert.deepEqual([types[0], types.includes("stopped")], ["streamAccepted", true]);
  assert.deepEqual([a.events.length, b.events.length], known);
  // One that the extension does not want and nobody serves is given up.
  const unwanted = mine.openStream(left, { protocol, metadata: Uint8Array.of(0) }, world.now) as number;
  world.run(300);
  assert.ok(
    ways.last().seen.some((event) => event.type === "streamRefused" || event.type === "stopped"),
    `${unwanted}`,
  );
  assert.deepEqual([a.events.length, b.events.length], known);
  // Served by the owner, it is the owner's.
  b.node.serve("viaduct.test", [1], { streamsPerPeerMax: 10 });
  mine.openStream(left, { protocol, metadata: Uint8Array.of(0) }, world.now);
  world.run(300);
  assert.equal(of(b, "streamOpened").length, 1);
});

test("a session that an extension dialled for itself is no peer until the application wants it", () => {
  const world = new NodeWorld();
  const ways = detours(new Map());
  const a = world.add("a", { build: ways.build });
  const b = world.add("b");
  const detour = ways.last();
  detour.privateDial = detour.internals.endpoint.dial({ id: b.identity.id, addresses: ["tcp://b:1"] }, {}, world.now);
  world.run(500);
  assert.equal(a.events.length, 0);
  assert.equal(a.node.stats().sessions, 1);
  for (const link of [...world.network.links]) world.network.killLink(link);
  world.run(2000);
  assert.equal(a.events.length, 0, "its ups and downs are no news");
  const result = world.connect(a, { id: b.identity.id });
  assert.deepEqual(
    a.events.map((event) => event.type),
    ["peerConnected", "connected"],
  );
  assert.equal(result.type, "connected");
});

test("close: attempts fail, sessions say goodbye, then comes one last event", () => {
  const world = new NodeWorld();
  const [a, b, c] = [world.add("a"), world.add("b"), world.add("c")];
  world.join(a, b);
  world.join(a, c);
  a.node.connect({ addresses: ["tcp://nowhere:1"], relays: [] }, {}, world.now);
  a.node.close("going_away", "bye", world.now);
  a.node.close("closed", "again", world.now);
  world.run(500);
  assert.equal(a.events.at(-1)?.type, "closed");
  assert.equal(of(a, "closed").length, 1);
  assert.equal(of(a, "peerClosed").length, 2);
  assert.deepEqual(
    of(a, "connectFailed").map((event) => event.code),
    ["closed"],
  );
  for (const who of [b, c]) {
    assert.deepEqual(
      of(who, "peerClosed").map(({ closed }) => [closed.code, closed.reason]),
      [["going_away", "bye"]],
    );
  }
  const count = a.events.length;
  a.node.connect({ addresses: ["tcp://b:1"], relays: [] }, {}, world.now);
  b.node.connect({ id: a.identity.id, addresses: ["tcp://a:1"], relays: [] }, { timeoutMs: 2000 }, world.now);
  world.run(30_000);
  assert.ok(a.events.slice(count).every((event) => event.type === "connectFailed"));
  assert.equal(a.node.pollTimeout(), Number.POSITIVE_INFINITY);
});

test("close: a node that knows nobody is closed at once", () => {
  const world = new NodeWorld();
  const a = world.add("a");
  a.node.close("closed", "", world.now);
  a.host.pump();
  assert.deepEqual(a.events, [{ type: "closed" }]);
});

test("a banned node loses its session and gets no new one", () => {
  const world = new NodeWorld();
  const [a, b] = [world.add("a"), world.add("b")];
  world.join(a, b);
  b.node.ban(a.identity.id, world.now);
  world.run(500);
  assert.equal(of(a, "peerClosed")[0]?.closed.code, "banned");
  const result = world.connect(a, { id: b.identity.id, addresses: ["tcp://b:1"] });
  world.run(500);
  assert.equal(b.node.stats().sessions, 0);
  assert.ok(result.type === "connectFailed" || of(a, "peerClosed").length === 2);
  b.node.unban(a.identity.id);
  assert.equal(world.connect(a, { id: b.identity.id, addresses: ["tcp://b:1"] }).type, "connected");
});

function silent() {
  return {
    handleInput() {},
    handleTimeout() {},
    pollTransmit: () => undefined,
    pollEvent: () => undefined,
    pollTimeout: () => Number.POSITIVE_INFINITY,
  };
}
