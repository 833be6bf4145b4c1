/**
 * A story told by a seed: two nodes and a relay, transfers in both directions, faults of every kind; and what must hold
 * whatever happens.
 *
 * @module
 */

import { DEFAULT_SESSION_CONFIG } from "../../core/connection/session_defaults.ts";
import type { SessionConfig } from "../../core/connection/session_types.ts";
import { identityFromSeed } from "../../core/crypto/identity.ts";
import { nobleProvider } from "../../core/crypto/noble_provider.ts";
import type { Environment } from "../../core/machine.ts";
import { DEFAULT_ENDPOINT_LIMITS } from "../../core/node/endpoint_defaults.ts";
import { NodeMachine } from "../../core/node/node.ts";
import { DEFAULT_NODE_LIMITS } from "../../core/node/node_defaults.ts";
import type { NodeConfig, NodeEvent } from "../../core/node/node_types.ts";
import { Relay } from "../../core/relay/relay.ts";
import { DEFAULT_RELAY_CONFIG } from "../../core/relay/relay_defaults.ts";
import type { DatagramLink } from "../../sim/datagram_link.ts";
import { type SimHost, SimNetwork } from "../../sim/network.ts";

/** Once faults are over everything must be settled within this much virtual time. */
const SETTLE_MS = 150_000;
/** A link of these stories may carry a few kilobytes in a second. */
const SETTLE_DATAGRAMS_MS = 600_000;
const PROTOCOL = { name: "story", versions: [1] };

interface Transfer {
  readonly from: Teller;
  readonly session: number;
  readonly stream: number;
  readonly bytes: Uint8Array;
  written: number;
  isDelivered: boolean;
  /** Why it ended before it was delivered. */
  failure: string | undefined;
}

interface Arrival {
  readonly tag: number;
  readonly parts: Uint8Array[];
  /** `stopped` by the reader: what is delivered after that is dropped. */
  end: "open" | "end" | "failed" | "stopped";
}

interface Teller {
  readonly name: string;
  readonly host: SimHost;
  readonly node: NodeMachine;
  readonly transfers: Transfer[];
  readonly arrivals: Map<string, Arrival>;
  session: number | undefined;
  outcome: string | undefined;
}

/** How a story ended. */
export interface StoryResult {
  readonly hash: string;
  readonly delivered: number;
  readonly failed: number;
  readonly faults: number;
  readonly virtualMs: number;
}

/**
 * By what the nodes of a story reach each other: pipes alone, or datagrams, several paths and all their faults too. In a
 * swarm machines stand still, clocks jump, ways differ by direction and streams are given up as well.
 */
export type StoryKind = "pipes" | "datagrams" | "swarm";

/** Tells the story of a seed. Throws what was broken, with the seed. */
export function tellStory(
  seed: number,
  environmentOf: (seed: number) => Environment,
  storyKind: StoryKind = "pipes",
): StoryResult {
  const network = new SimNetwork({ seed, model: { delayMs: 5 + (seed % 40), jitterMs: seed % 30 } });
  const { random } = network;
  const isDatagrams = storyKind !== "pipes";
  const reach = isDatagrams ? drawReach(network) : PIPES_ONLY;
  const config = (fill: number): NodeConfig => ({
    endpoint: {
      identity: identityFromSeed(new Uint8Array(32).fill(fill), nobleProvider),
      session: { ...DEFAULT_SESSION_CONFIG, streamWindowBytes: 60_000, sendBufferBytes: 40_000, ...reach.session },
      limits: DEFAULT_ENDPOINT_LIMITS,
    },
    limits: DEFAULT_NODE_LIMITS,
    name: undefined,
    token: undefined,
    about: "",
  });
  const newRelay = (): Relay =>
    new Relay(
      { config: DEFAULT_RELAY_CONFIG, node: config(9), unixMs: 1_700_000_000_000 + network.now },
      environmentOf(random.next()),
      network.now,
    );
  const relay = network.addHost("relay", newRelay());
  const tellers = ["alice", "bob"].map((name, index): Teller => {
    const node = new NodeMachine(config(index + 1), environmentOf(random.next()), network.now);
    const host = network.addHost(name, node);
    const teller: Teller = {
      name,
      host,
      node,
      transfers: [],
      arrivals: new Map(),
      session: undefined,
      outcome: undefined,
    };
    node.serve(PROTOCOL.name, PROTOCOL.versions, { streamsPerPeerMax: 100 });
    host.onEvent = (event) => onEvent(teller, event as NodeEvent, network);
    node.addRelay({ addresses: reach.relay }, network.now);
    host.pump();
    return teller;
  });
  const [alice, bob] = tellers as [Teller, Teller];
  network.run(2_000);
  const bobId = identityFromSeed(new Uint8Array(32).fill(2), nobleProvider).id;
  const isDirect = random.chance(0.5);
  const isMet = (): boolean => alice.session !== undefined && bob.session !== undefined;
  // Where datagrams are lost, bob may not have reached the relay yet.
  for (let tries = 0; tries < (isDatagrams ? 5 : 1) && !isMet(); tries++) {
    alice.outcome = undefined;
    alice.node.connect(
      { id: bobId, addresses: isDirect ? reach.bob : [], relays: [] },
      { via: isDirect ? "direct" : "relay" },
      alice.host.now,
    );
    alice.host.pump();
    network.run(30_000, () => isMet() || (isDatagrams && alice.outcome !== undefined));
    if (!isMet() && isDatagrams) network.run(3_000);
  }
  if (alice.session === undefined || bob.session === undefined) throw new Error(`seed ${seed}: no session`);

  let faults = 0;
  for (let chapter = 0; chapter < 4 + random.between(0, 4); chapter++) {
    const teller = random.pick([alice, bob]);
    if (teller.session !== undefined) begin(teller, chapter, random.between(1, 150_000));
    network.run(random.between(1, 300));
    faults += isDatagrams && random.chance(0.5) ? causeOnDatagrams(network) : cause(network, relay, newRelay);
    if (storyKind === "swarm") faults += causeInSwarm(network, tellers);
    network.run(random.between(1, 3_000));
  }
  network.heal("alice", "bob");
  network.heal("alice", "relay");
  network.heal("bob", "relay");
  if (!relay.isRunning) relay.restart(newRelay());
  network.datagrams.setAllDown(false);
  const isSettled = (): boolean =>
    tellers.every((teller) =>
      teller.transfers.every((transfer) => transfer.isDelivered || transfer.failure !== undefined),
    );
  const isInTime = network.run(isDatagrams ? SETTLE_DATAGRAMS_MS : SETTLE_MS, isSettled);
  if (!isInTime) throw new Error(`seed ${seed}: a transfer neither arrives nor fails`);
  network.run(1_000);
  if (storyKind === "swarm") checkLeftovers(seed, tellers, network);
  return check(seed, alice, bob, network, faults);
}

/** How the nodes of a story are reached. */
interface Reach {
  readonly relay: string[];
  readonly bob: string[];
  readonly session: Partial<SessionConfig>;
}

const PIPES_ONLY: Reach = { relay: ["tcp://relay:1"], bob: ["tcp://bob:1"], session: {} };

/** A random set of ways and of faults: each is there or not. */
function drawReach(network: SimNetwork): Reach {
  const { random } = network;
  const some = (probability: number, value: number): number => (random.chance(0.4) ? probability * value : 0);
  network.datagrams.options = {
    rateBitsPerSecond: random.chance(0.5) ? random.between(1, 50) * 1_000_000 : 0,
    queuePackages: random.between(10, 100),
    delayMs: random.between(1, 80),
    jitterMs: some(random.fraction(), 20),
    loss: random.chance(0.5)
      ? { kind: "uniform", rate: some(random.fraction(), 0.15), burstMax: random.between(1, 5) }
      : { kind: "gilbertElliott", p: 0.01, r: 0.2, lossGood: 0, lossBad: some(random.fraction(), 0.8) },
    duplicateRate: some(random.fraction(), 0.1),
    reorderRate: some(random.fraction(), 0.2),
    reorderDelayMs: random.between(1, 60),
    corruptRate: some(random.fraction(), 0.05),
    truncateRate: some(random.fraction(), 0.05),
    mtuBytes: random.pick([548, 700, 1280, 1452, 65_535]),
  };
  const ways = ["udp://bob:1", "udp://bob.b:1", "tcp://bob:1"];
  const bob = ways.filter((_, index) => index === 0 || random.chance(0.5));
  return {
    relay: [random.chance(0.5) ? "udp://relay:1" : "tcp://relay:1"],
    bob,
    session: {
      pathsWanted: random.between(1, 3),
      pathPolicy: random.pick(["best", "aggregate", "backup", "redundant"] as const),
      congestion: random.pick(["cubic", "new_reno"] as const),
    },
  };
}

/** Something goes wrong with the datagrams. */
function causeOnDatagrams(network: SimNetwork): number {
  const { random, datagrams } = network;
  const ends = random.pick([
    ["alice", "bob"],
    ["alice.b", "bob.b"],
    ["alice", "relay"],
    ["bob", "relay"],
  ] as const);
  const links = [datagrams.link(ends[0], ends[1]), datagrams.link(ends[1], ends[0])];
  const kind = random.between(0, 3);
  if (kind === 0) {
    const host = network.hosts.get(random.pick(["alice", "bob"]));
    if (host !== undefined) datagrams.rebind(host);
  } else if (kind === 1) {
    for (const link of links) link.isDown = true;
    network.plan(network.now + random.between(100, 30_000), () => {
      for (const link of links) link.isDown = false;
    });
  } else if (kind === 2) (links[0] as DatagramLink).setOptions({ mtuBytes: random.between(548, 1200) });
  else for (const link of links) link.setOptions({ delayMs: random.between(1, 300) });
  return 1;
}

/** Something goes wrong with machines, clocks, one direction of a way, or a stream. */
function causeInSwarm(network: SimNetwork, tellers: readonly Teller[]): number {
  const { random, datagrams } = network;
  const host = network.hosts.get(random.pick(["alice", "bob", "relay"])) as SimHost;
  const teller = random.pick(tellers);
  const kind = random.between(0, 5);
  if (kind === 0) host.stall(random.pick([5, 50, 400, 3_000, 40_000]));
  else if (kind === 1) host.jump(random.pick([10, 500, 5_000, 40_000, 3_600_000]));
  else if (kind === 2) {
    const ends = random.pick([
      ["alice", "bob"],
      ["bob", "alice"],
      ["alice", "relay"],
      ["relay", "bob"],
    ] as const);
    const rateBitsPerSecond = random.pick([100_000, 1_000_000, 0]);
    datagrams.link(ends[0], ends[1]).setOptions({ rateBitsPerSecond, queuePackages: random.between(3, 200) });
  } else if (kind === 3) {
    const transfer = teller.transfers.find(({ isDelivered, failure }) => !isDelivered && failure === undefined);
    if (transfer === undefined) return 0;
    transfer.failure = "reset";
    teller.node.reset(transfer.session, transfer.stream, 7, teller.host.now);
    teller.host.pump();
  } else if (kind === 4) {
    const [key, arrival] = [...teller.arrivals].find(([, { end }]) => end === "open") ?? [];
    if (key === undefined || arrival === undefined) return 0;
    const [session, stream] = key.split("/").map(Number) as [number, number];
    arrival.end = "stopped";
    teller.node.stop(session, stream, 8, teller.host.now);
    teller.host.pump();
  } else return 0;
  return 1;
}

/** Something goes wrong, or not. */
function cause(network: SimNetwork, relay: SimHost, newRelay: () => Relay): number {
  const { random } = network;
  const kind = random.between(0, 6);
  const link = network.links.length > 0 ? random.pick(network.links) : undefined;
  if (kind <= 2 && link !== undefined) network.killLink(link);
  else if (kind === 3 && link !== undefined) link.isHanging = true;
  else if (kind === 4) {
    const pair = random.pick([
      ["alice", "bob"],
      ["alice", "relay"],
      ["bob", "relay"],
    ] as const);
    network.partition(pair[0], pair[1]);
    network.plan(network.now + random.between(100, 20_000), () => network.heal(pair[0], pair[1]));
  } else if (kind === 5 && relay.isRunning) {
    relay.kill();
    network.plan(network.now + random.between(10, 15_000), () => {
      if (!relay.isRunning) relay.restart(newRelay());
    });
  } else return 0;
  return 1;
}

function begin(teller: Teller, tag: number, size: number): void {
  const session = teller.session as number;
  const stream = teller.node.openStream(
    session,
    { protocol: PROTOCOL, metadata: Uint8Array.of(tag), priority: tag % 2 },
    teller.host.now,
  );
  if (stream === undefined) return;
  const bytes = new Uint8Array(size);
  for (let index = 0; index < size; index += 97) bytes[index] = (index * 31 + tag) & 0xff;
  const transfer: Transfer = {
    from: teller,
    session,
    stream,
    bytes,
    written: 0,
    isDelivered: false,
    failure: undefined,
  };
  teller.transfers.push(transfer);
  pour(transfer);
  teller.host.pump();
}

function pour(transfer: Transfer): void {
  const { from, session, stream, bytes } = transfer;
  if (transfer.written === bytes.length) return;
  transfer.written += from.node.write(session, stream, bytes.subarray(transfer.written), from.host.now);
  if (transfer.written === bytes.length) from.node.finish(session, stream, from.host.now);
}

function onEvent(teller: Teller, event: NodeEvent, network: SimNetwork): void {
  network.note(`${teller.name} ${event.type} ${network.now.toFixed(3)}`);
  switch (event.type) {
    case "peerConnected":
      teller.session = event.session;
      return;
    case "peerClosed": {
      if (teller.session === event.session) teller.session = undefined;
      for (const transfer of teller.transfers) {
        if (transfer.session === event.session && !transfer.isDelivered) transfer.failure ??= event.closed.code;
      }
      for (const [key, arrival] of teller.arrivals) {
        if (key.startsWith(`${event.session}/`) && arrival.end === "open") arrival.end = "failed";
      }
      return;
    }
    case "connectFailed":
      teller.outcome = event.code;
      return;
    case "streamOpened":
      teller.arrivals.set(`${event.session}/${event.stream}`, {
        tag: event.metadata[0] as number,
        parts: [],
        end: "open",
      });
      drain(teller, event.session, event.stream);
      return;
    case "readable":
      drain(teller, event.session, event.stream);
      return;
    case "writable":
    case "delivered":
    case "streamRefused":
    case "stopped": {
      const transfer = teller.transfers.find(
        (candidate) => candidate.session === event.session && candidate.stream === event.stream,
      );
      if (transfer === undefined) return;
      if (event.type === "writable") pour(transfer);
      else if (event.type === "delivered") transfer.isDelivered = true;
      else transfer.failure ??= event.type;
      return;
    }
    default:
  }
}

function drain(teller: Teller, session: number, stream: number): void {
  const arrival = teller.arrivals.get(`${session}/${stream}`);
  if (arrival === undefined || arrival.end !== "open") return;
  for (;;) {
    const result = teller.node.read(session, stream);
    if (result === undefined) return;
    if (result.type === "data") arrival.parts.push(result.bytes);
    else {
      arrival.end = result.type === "end" ? "end" : "failed";
      if (result.type === "end") teller.node.finish(session, stream, teller.host.now);
      return;
    }
  }
}

/** Delivered means: there, whole, once and in order. Failed means: never more than a prefix is there. */
function check(seed: number, alice: Teller, bob: Teller, network: SimNetwork, faults: number): StoryResult {
  let delivered = 0;
  let failed = 0;
  for (const [from, to] of [
    [alice, bob],
    [bob, alice],
  ] as const) {
    for (const transfer of from.transfers) {
      const tag = from.transfers.indexOf(transfer);
      const arrival = [...to.arrivals.values()].find((candidate) => isOf(candidate, transfer));
      if (transfer.isDelivered) {
        delivered++;
        const isStopped = arrival?.end === "stopped";
        if (!isStopped && arrival?.end !== "end") {
          throw new Error(`seed ${seed}: ${from.name}'s transfer ${tag} was acknowledged and is not there`);
        }
        const isWhole = isStopped || (arrival !== undefined && lengthOf(arrival) === transfer.bytes.length);
        if (!isWhole) throw new Error(`seed ${seed}: a transfer has another length`);
      } else failed++;
      if (arrival !== undefined && !isPrefix(arrival, transfer.bytes)) {
        throw new Error(`seed ${seed}: what arrived is not what was sent`);
      }
    }
  }
  return { hash: network.hash, delivered, failed, faults, virtualMs: network.now };
}

/** Two minutes after the last fault nothing is left of what failed. */
function checkLeftovers(seed: number, tellers: readonly Teller[], network: SimNetwork): void {
  network.run(120_000);
  for (const { name, node } of tellers) {
    const { sessions, pipes, handshakes } = node.stats();
    const isClean = sessions <= 3 && pipes <= 4 * sessions + 4 && handshakes <= 4;
    if (!isClean)
      throw new Error(`seed ${seed}: ${name} keeps ${sessions} sessions, ${pipes} pipes, ${handshakes} new`);
  }
}

function isOf(arrival: Arrival, transfer: Transfer): boolean {
  return arrival.tag === ((transfer.bytes[0] as number) & 0xff);
}

function lengthOf(arrival: Arrival): number {
  return arrival.parts.reduce((sum, part) => sum + part.length, 0);
}

function isPrefix(arrival: Arrival, bytes: Uint8Array): boolean {
  let at = 0;
  for (const part of arrival.parts) {
    for (const byte of part) if (byte !== bytes[at++]) return false;
  }
  return true;
}
