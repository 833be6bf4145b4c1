/**
 * The limits of a relay, kept against clients that want too much, say nonsense, or never read. THREATS part F.
 *
 * @module
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { DEFAULT_SESSION_CONFIG } from "../../../core/connection/session_defaults.ts";
import { errorCodeOfWire } from "../../../core/error.ts";
import { Endpoint } from "../../../core/node/endpoint.ts";
import { DEFAULT_ENDPOINT_LIMITS } from "../../../core/node/endpoint_defaults.ts";
import type { EndpointEvent } from "../../../core/node/endpoint_types.ts";
import {
  type ControlRecord,
  ControlRecordReader,
  decodeControlRecord,
  encodeCircuitMetadata,
  encodeControlRecord,
} from "../../../core/node/relay_codec.ts";
import { errorCodeOfStreamCode } from "../../../core/node/stream_code.ts";
import { decodeStreamStatus, encodeStreamHeader } from "../../../core/node/stream_header.ts";
import { DEFAULT_RELAY_CONFIG } from "../../../core/relay/relay_defaults.ts";
import type { SimHost } from "../../../sim/network.ts";
import { testEnvironment } from "../test_environment.ts";
import type { RelayHost, RelayWorldOptions } from "./relay_world.ts";
import { identityOf, lastRelay, of, RelayWorld } from "./relay_world.ts";
import { Transfer } from "./transfer.ts";

const SEED = 20_250_113;
const NONE = new Uint8Array(0);
const { anonymous } = DEFAULT_RELAY_CONFIG.classes;

/** A client that speaks the protocol by hand, as it likes. */
class Hostile {
  readonly world: RelayWorld;
  readonly endpoint: Endpoint;
  readonly host: SimHost;
  readonly events: EndpointEvent[] = [];
  readonly key: Uint8Array;
  session = 0;
  control = 0;

  constructor(world: RelayWorld, relay: RelayHost, seed: number) {
    const identity = identityOf(seed);
    this.world = world;
    this.key = identity.publicKey;
    const config = { identity, session: DEFAULT_SESSION_CONFIG, limits: DEFAULT_ENDPOINT_LIMITS };
    this.endpoint = new Endpoint(config, testEnvironment(seed), world.now);
    this.host = world.network.addHost(`hostile-${seed}`, this.endpoint);
    this.host.onEvent = (event) => this.events.push(event as EndpointEvent);
    this.endpoint.dial({ id: relay.identity.id, addresses: ["tcp://relay:1"] }, {}, world.now);
    world.run(500);
    const connected = this.events.find((event) => event.type === "connected");
    if (connected?.type !== "connected") throw new Error("A hostile client was not let in");
    this.session = connected.session;
  }

  get isClosed(): boolean {
    return this.endpoint.session(this.session) === undefined;
  }

  /** The code by which the relay ended the session. */
  get closedWith(): string | undefined {
    for (const event of this.events) {
      if (event.type === "session" && event.event.type === "closed") return event.event.code;
    }
    return undefined;
  }

  open(protocol: string, bytes: Uint8Array = NONE, metadata?: Uint8Array): number {
    const stream = this.endpoint.openStream(this.session, {}, this.world.now);
    if (stream === undefined) throw new Error("No stream can be opened");
    const header = encodeStreamHeader({ name: protocol, versions: [1], ...(metadata ? { metadata } : {}) });
    this.write(stream, header);
    this.write(stream, bytes);
    return stream;
  }

  write(stream: number, bytes: Uint8Array): number {
    const taken = this.endpoint.write(this.session, stream, bytes, this.world.now);
    this.host.pump();
    return taken;
  }

  register(name = ""): void {
    this.control = this.open("viaduct.relay", encodeControlRecord({ type: "register", name, token: NONE, about: "" }));
    this.world.run(300);
  }

  send(record: ControlRecord): void {
    this.write(this.control, encodeControlRecord(record));
  }

  /** What the relay wrote into a stream, without the status in front; and how it ended. */
  read(stream: number): { bytes: Uint8Array; end: string } {
    const parts: number[] = [];
    let end = "open";
    for (;;) {
      const result = this.endpoint.read(this.session, stream);
      if (result === undefined) break;
      if (result.type === "data") parts.push(...result.bytes);
      else {
        end = result.type === "end" ? "end" : (errorCodeOfStreamCode(result.applicationCode) ?? "application");
        break;
      }
    }
    this.host.pump();
    const bytes = Uint8Array.from(parts);
    const status = bytes.length > 0 ? decodeStreamStatus(bytes) : undefined;
    return { bytes: status === undefined ? bytes : bytes.subarray(status.bytes), end };
  }

  records(): ControlRecord[] {
    const reader = new ControlRecordReader();
    reader.push(this.read(this.control).bytes);
    const records: ControlRecord[] = [];
    for (let bytes = reader.next(); bytes !== undefined; bytes = reader.next()) {
      records.push(decodeControlRecord(bytes) as ControlRecord);
    }
    return records;
  }

  /** Opens a circuit and tells how that ended. */
  tryCircuit(key: Uint8Array): string {
    const stream = this.open("viaduct.circuit", NONE, encodeCircuitMetadata({ type: "targetId", key }));
    this.world.run(200);
    return this.read(stream).end;
  }
}

function begin(config: RelayWorldOptions = {}) {
  const world = new RelayWorld({ model: { bytesPerMs: 2000 } });
  const relay = world.addRelay("relay", config);
  return { world, relay };
}

test("a flood of REGISTER is read at the rate that is allowed, and is answered all the same", () => {
  const { world, relay } = begin();
  const hostile = new Hostile(world, relay, 100);
  hostile.register();
  for (let index = 0; index < 500; index++) {
    hostile.send({ type: "register", name: `name-${index}`, token: NONE, about: "" });
  }
  world.run(1_000);
  const { granted } = relay.relay.stats().registry;
  assert.ok(granted > 20 && granted < 90, `${granted} in a second`);
  world.run(30_000);
  assert.equal(relay.relay.stats().registry.granted, 501);
  assert.equal(relay.relay.stats().clients, 1);
  assert.equal(relay.relay.stats().registry.held, 1);
});

test("a flood of WATCH by a client that does not read costs one list", () => {
  const { world, relay } = begin();
  const hostile = new Hostile(world, relay, 100);
  hostile.register();
  for (let index = 0; index < 200; index++) hostile.send({ type: "watch", isOn: index % 2 === 0 });
  world.run(60_000);
  assert.ok(!hostile.isClosed);
  const { bytes } = hostile.read(hostile.control);
  assert.ok(bytes.length < 100_000);
});

test("garbage on the control stream ends that session and no other", () => {
  const { world, relay } = begin();
  const a = world.add("a");
  world.settle(a);
  const garbage: Uint8Array[] = [
    Uint8Array.of(0),
    Uint8Array.of(0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff),
    Uint8Array.of(0x81, 0x40, 1),
    Uint8Array.of(3, 1, 0x40, 0),
    encodeControlRecord({ type: "notice", wireCode: 1 }),
  ];
  garbage.forEach((bytes, index) => {
    const hostile = new Hostile(world, relay, 100 + index);
    hostile.register();
    hostile.write(hostile.control, bytes);
    world.run(500);
    hostile.read(hostile.control); // A session that is over ends when what had arrived was read.
    assert.equal(hostile.closedWith, "protocol_violation", `garbage ${index}`);
  });
  assert.equal(relay.relay.stats().clients, 1);
  assert.equal(lastRelay(a).state, "registered");
});

test("random bytes on control and circuit streams never make the relay throw", () => {
  const { world, relay } = begin({ circuitOpensPerSecond: 0, circuitFailuresPerSecond: 0 });
  let seed = 100;
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), fc.uint8Array({ maxLength: 60 }), (bytes, metadata) => {
      const hostile = new Hostile(world, relay, ++seed % 250);
      hostile.register();
      hostile.open("viaduct.circuit", bytes, metadata);
      hostile.write(hostile.control, bytes);
      world.run(100);
      hostile.host.kill();
    }),
    { seed: SEED, numRuns: 30 },
  );
  world.run(120_000);
  assert.equal(relay.relay.stats().clients, 0);
  assert.equal(relay.relay.stats().circuits, 0);
});

test("who is not here and who does not want the circuit look alike, and asking is limited", () => {
  const { world, relay } = begin({ circuitFailuresPerSecond: 10 });
  const hostile = new Hostile(world, relay, 100);
  hostile.register();
  // A client that refuses circuits: it serves no such protocol.
  const refusing = new Hostile(world, relay, 101);
  refusing.register();
  const stream = hostile.open("viaduct.circuit", NONE, encodeCircuitMetadata({ type: "targetId", key: refusing.key }));
  world.run(200);
  const opened = refusing.events.find((event) => event.type === "session" && event.event.type === "streamOpened");
  assert.ok(opened?.type === "session" && opened.event.type === "streamOpened");
  refusing.endpoint.reset(refusing.session, opened.event.stream, 2 ** 32 + 0x22, world.now);
  refusing.endpoint.stop(refusing.session, opened.event.stream, 2 ** 32 + 0x22, world.now);
  refusing.host.pump();
  world.run(200);
  assert.equal(hostile.read(stream).end, "not_here");
  assert.equal(hostile.tryCircuit(identityOf(7).publicKey), "not_here");

  const codes: string[] = [];
  for (let index = 0; index < 100; index++) {
    const next = hostile.open(
      "viaduct.circuit",
      NONE,
      encodeCircuitMetadata({ type: "targetId", key: identityOf(7).publicKey }),
    );
    world.run(50);
    codes.push(hostile.read(next).end);
  }
  const told = codes.filter((code) => code === "not_here").length;
  // Five seconds at ten a second, and the burst.
  assert.ok(told <= 95 && codes.includes("quota"), `${told} answers`);
});

test("circuits of a client, to a client, between two and of an address are limited", () => {
  const { world, relay } = begin({
    circuitOpensPerSecond: 0,
    circuitsPerPairMax: 3,
    circuitsPerAddressMax: 7,
    classes: {
      anonymous: { ...anonymous, circuitsMax: 8, incomingCircuitsMax: 5 },
      token: DEFAULT_RELAY_CONFIG.classes.token,
    },
  });
  const [one, two] = [new Hostile(world, relay, 100), new Hostile(world, relay, 101)];
  const targets = [1, 2, 3, 4, 5].map((number) => world.add(`t${number}`));
  world.settle(...targets);
  for (const hostile of [one, two]) hostile.register();
  const keys = targets.map((target) => target.identity.publicKey);
  const open = (who: Hostile, index: number): string => who.tryCircuit(keys[index] as Uint8Array);
  assert.deepEqual(
    [0, 0, 0, 0].map((index) => open(one, index)),
    ["open", "open", "open", "not_here"],
  );
  assert.deepEqual(
    [0, 0, 0].map((index) => open(two, index)),
    ["open", "open", "not_here"],
  );
  assert.deepEqual(
    [1, 1, 1, 2, 2].map((index) => open(one, index)),
    ["open", "open", "open", "open", "quota"],
  );
  assert.equal(relay.relay.stats().circuits, 9);
  assert.deepEqual(relay.relay.stats().drops, { not_here: 2, quota: 1 });
  // A target gives up circuits over which nobody shakes hands.
  world.run(30_000);
  assert.equal(relay.relay.stats().circuits, 0);
  assert.equal(open(one, 2), "open");
  assert.equal(open(two, 0), "open");
});

test("circuits without a registration, with nonsense for a target, or of a relay's kind are refused", () => {
  const { world, relay } = begin();
  const target = world.add("t");
  world.settle(target);
  const hostile = new Hostile(world, relay, 100);
  assert.equal(hostile.tryCircuit(target.identity.publicKey), "refused");
  hostile.register();
  for (const metadata of [
    NONE,
    Uint8Array.of(9),
    encodeCircuitMetadata({ type: "source", key: hostile.key, name: "x" }),
  ]) {
    const stream = hostile.open("viaduct.circuit", NONE, metadata);
    world.run(200);
    assert.equal(hostile.read(stream).end, "protocol_violation");
  }
});

test("a flood of circuits is refused, and the client cut off when it goes on", () => {
  const { world, relay } = begin();
  const target = world.add("t");
  world.settle(target);
  const hostile = new Hostile(world, relay, 100);
  hostile.register();
  const header = encodeStreamHeader({
    name: "viaduct.circuit",
    versions: [1],
    metadata: encodeCircuitMetadata({ type: "targetId", key: target.identity.publicKey }),
  });
  const streams: number[] = [];
  for (let index = 0; index < 3000 && hostile.closedWith === undefined; index++) {
    const stream = hostile.endpoint.openStream(hostile.session, {}, world.now);
    if (stream === undefined) break;
    hostile.write(stream, header);
    streams.push(stream);
    world.run(10);
    if (streams.length > 10) hostile.read(streams.shift() as number);
    hostile.endpoint.reset(hostile.session, stream, 0, world.now);
    hostile.endpoint.stop(hostile.session, stream, 0, world.now);
  }
  world.run(1_000);
  hostile.read(hostile.control);
  assert.equal(hostile.closedWith, "limit");
  assert.equal(relay.relay.stats().circuits, 0);
  assert.equal(relay.relay.stats().clients, 1);
});

test("a client that sends faster than it may is read more slowly, told so once, and nothing is lost", () => {
  const { world, relay } = begin({
    classes: {
      anonymous: { ...anonymous, bytesPerSecond: 200_000, burstBytes: 400_000 },
      token: DEFAULT_RELAY_CONFIG.classes.token,
    },
  });
  const [a, b] = [world.add("a"), world.add("b")];
  world.settle(a, b);
  const transfer = new Transfer(world, { from: a, to: b, sessions: world.join(a, b), bytes: 2_000_000 });
  const at = world.now;
  assert.ok(world.run(60_000, () => transfer.isDone));
  transfer.check();
  const seconds = (world.now - at) / 1000;
  // Two megabytes less the burst, at the rate.
  assert.ok(seconds > 7 && seconds < 10, `${seconds} s`);
  assert.equal(of(a, "peerSuspended").length, 0);
  assert.deepEqual(relay.relay.stats().drops, {});
});

test("the relay's own rate holds for all clients together", () => {
  const { world } = begin({ bytesPerSecond: 500_000, burstBytes: 100_000 });
  const nodes = [1, 2, 3, 4].map((number) => world.add(`n${number}`));
  world.settle(...nodes);
  const [a, b, c, d] = nodes as [(typeof nodes)[0], (typeof nodes)[0], (typeof nodes)[0], (typeof nodes)[0]];
  const transfers = [
    new Transfer(world, { from: a, to: b, sessions: world.join(a, b), bytes: 1_000_000 }),
    new Transfer(world, { from: c, to: d, sessions: world.join(c, d), bytes: 1_000_000 }),
  ];
  const at = world.now;
  assert.ok(world.run(60_000, () => transfers.every((transfer) => transfer.isDone)));
  for (const transfer of transfers) transfer.check();
  assert.ok(world.now - at > 3_000, `${world.now - at} ms`);
});

test("a receiver that stops reading stops its sender, and the relay holds no more than its windows", () => {
  const { world, relay } = begin();
  const [a, b] = [world.add("a"), world.add("b")];
  world.settle(a, b);
  const transfer = new Transfer(world, { from: a, to: b, sessions: world.join(a, b), bytes: 40_000_000 });
  assert.ok(world.run(60_000, () => transfer.received > 1_000_000));
  transfer.setReading(false);
  world.run(20_000);
  const held = transfer.written - transfer.received;
  // Both ends' own windows and buffers of 4 MiB, and what the circuit holds.
  assert.ok(held < 12_000_000, `${held} bytes are under way`);
  const forwarded = relay.relay.stats().bytesForwarded;
  world.run(60_000);
  // The ends still tell each other that they are alive.
  assert.ok(relay.relay.stats().bytesForwarded - forwarded < 50_000);
  assert.equal(of(a, "peerClosed").length, 0);
  transfer.setReading(true);
  assert.ok(world.run(120_000, () => transfer.isDone));
  transfer.check();
});

test("a circuit whose receiver takes nothing is closed for stalling, the others of its sender go on", () => {
  const { world, relay } = begin({ stallTimeoutMs: 10_000 });
  const [a, b] = [world.add("a"), world.add("b")];
  world.settle(a, b);
  const sleeper = new Hostile(world, relay, 100);
  sleeper.register("sleeper");
  const sender = new Hostile(world, relay, 101);
  sender.register();
  const stream = sender.open("viaduct.circuit", NONE, encodeCircuitMetadata({ type: "targetName", name: "sleeper" }));
  for (let index = 0; index < 200; index++) {
    sender.write(stream, new Uint8Array(65_536));
    world.run(20);
  }
  assert.equal(relay.relay.stats().circuits, 1);
  const transfer = new Transfer(world, { from: a, to: b, sessions: world.join(a, b), bytes: 1_000_000 });
  assert.ok(world.run(5_000, () => transfer.isDone));
  transfer.check();
  world.run(15_000);
  assert.equal(sender.read(stream).end, "timeout");
  assert.deepEqual(relay.relay.stats().drops, { timeout: 1 });
  assert.equal(relay.relay.stats().circuits, 1);
  assert.ok(!sleeper.isClosed && !sender.isClosed);
});

test("a control stream that is opened anew replaces the older one, and one that ends ends the registration", () => {
  const { world, relay } = begin();
  const hostile = new Hostile(world, relay, 100);
  hostile.register("first");
  const first = hostile.control;
  hostile.register("second");
  assert.equal(hostile.read(first).end, "replaced");
  assert.equal(relay.relay.stats().clients, 1);
  assert.deepEqual(
    relay.relay.topology().clients.map((client) => client.name),
    ["second"],
  );
  hostile.endpoint.finish(hostile.session, hostile.control, world.now);
  world.run(500);
  assert.equal(relay.relay.stats().clients, 0);
  assert.ok(!hostile.isClosed);
});

test("a node that shows no key cannot register", () => {
  const { world, relay } = begin();
  const hostile = new Hostile(world, relay, 100);
  hostile.endpoint.dial({ id: relay.identity.id, addresses: ["tcp://relay:1"] }, { isAnonymous: true }, world.now);
  world.run(500);
  const connected = hostile.events.filter((event) => event.type === "connected").at(-1);
  hostile.session = connected?.type === "connected" ? connected.session : 0;
  hostile.register();
  const [record] = hostile.records();
  assert.ok(record?.type === "refused" && errorCodeOfWire(record.wireCode) === "refused");
});

test("a relay that is full refuses with its code, and takes the next when one leaves", () => {
  const { world, relay } = begin({ clientsMax: 2 });
  const [a, b] = [world.add("a"), world.add("b")];
  world.settle(a, b);
  const c = world.add("c");
  world.run(2_000);
  assert.deepEqual([lastRelay(c).state, lastRelay(c).error], ["refused", "relay_full"]);
  a.node.close("closed", "", world.now);
  world.settle(c);
  assert.equal(relay.relay.stats().clients, 2);
});

test("the topology shows who talks with whom, with addresses but no ports", () => {
  const { world, relay } = begin();
  const [a, b] = [world.add("a", { name: "alice" }), world.add("b", { name: "bob", about: "b" })];
  world.settle(a, b);
  world.join(a, b);
  const { clients, circuits, isTruncated } = relay.relay.topology();
  assert.deepEqual(
    clients.map(({ name, remote, circuits: count, isSuspended }) => [name, remote, count, isSuspended]),
    [
      ["alice", "tcp://a", 1, false],
      ["bob", "tcp://b", 1, false],
    ],
  );
  assert.deepEqual([circuits[0]?.source, circuits[0]?.target], [a.identity.id, b.identity.id]);
  assert.ok(!isTruncated);
  const events = relay.events.map((event) => event.type);
  assert.deepEqual(
    events.filter((type) => type.startsWith("c")),
    ["clientJoined", "clientJoined", "circuitOpened"],
  );
  assert.ok(events.includes("registryChanged"));
});
