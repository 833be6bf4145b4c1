/**
 * What a relay that cheats can do: end sessions, and nothing else. It forwards what it cannot read or change.
 *
 * @module
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import { decodeCircuitMetadata, encodeCircuitMetadata } from "../../../core/node/relay_codec.ts";
import { encodeUtf8 } from "../../../core/wire/utf8.ts";
import { seededNumbers } from "../test_environment.ts";
import type { RelayHost } from "./relay_world.ts";
import { identityOf, of, RelayWorld } from "./relay_world.ts";
import { Transfer, tap } from "./transfer.ts";

/** A chunk of a circuit as it passes the relay. */
interface Chunk {
  readonly direction: "forward" | "backward";
  /** The number of the chunk in its direction, over all circuits. */
  readonly number: number;
  readonly bytes: Uint8Array;
}

/** What the relay does to a chunk: what comes out in its place. */
type Cheat = (chunk: Chunk) => readonly Uint8Array[];

const HONEST: Cheat = ({ bytes }) => [bytes];

/** Makes a relay cheat on all that passes through its circuits, seen at the stream to the target. */
function corrupt(relay: RelayHost, cheat: Cheat): { count: number; setCheat: (next: Cheat) => void } {
  const { node } = relay.relay;
  const far = new Set<string>();
  const numbers = { forward: 0, backward: 0 };
  const state = { count: 0, setCheat: (next: Cheat) => (cheat = next) };
  const openStream = node.openStream.bind(node);
  node.openStream = (session, options, now) => {
    const stream = openStream(session, options, now);
    if (options.protocol.name === "viaduct.circuit") far.add(`${session}/${stream}`);
    return stream;
  };
  const write = node.write.bind(node);
  /** What a cheat brought in addition and the stream had no room for is lost, which is a cheat as well. */
  node.write = (session, stream, bytes, now) => {
    if (!far.has(`${session}/${stream}`)) return write(session, stream, bytes, now);
    state.count++;
    const parts = cheat({ direction: "forward", number: numbers.forward++, bytes });
    for (const part of parts) {
      const taken = write(session, stream, part, now);
      if (parts.length === 1 && part.length === bytes.length) return taken;
    }
    return bytes.length;
  };
  const read = node.read.bind(node);
  node.read = (session, stream) => {
    const result = read(session, stream);
    if (result?.type !== "data" || !far.has(`${session}/${stream}`)) return result;
    state.count++;
    const parts = cheat({ direction: "backward", number: numbers.backward++, bytes: result.bytes });
    const joined = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
    let at = 0;
    for (const part of parts) {
      joined.set(part, at);
      at += part.length;
    }
    return { type: "data", bytes: joined };
  };
  return state;
}

function flipped(bytes: Uint8Array, at: number): Uint8Array {
  const out = new Uint8Array(bytes);
  const index = at % out.length;
  out[index] = (out[index] as number) ^ (1 << (at & 7));
  return out;
}

function begin(seed = 1) {
  const world = new RelayWorld({ seed, model: { bytesPerMs: 2000 } });
  const relay = world.addRelay();
  const [a, b] = [world.add("a", { name: "alice" }), world.add("b", { name: "bob" })];
  world.settle(a, b);
  return { world, relay, a, b };
}

test("nothing of a message, a stream or a request that passes a relay can be found in what it forwards", () => {
  const { world, relay, a, b } = begin();
  const secret = "a sentence that nobody but the two ends may ever read";
  const seen: number[] = [];
  corrupt(relay, ({ bytes }) => {
    for (const byte of bytes) seen.push(byte);
    return [bytes];
  });
  const { left } = world.join(a, b);
  const plaintext = encodeUtf8(secret.repeat(50));
  b.node.serve("secret", [1], { streamsPerPeerMax: 1 });
  const stream = a.node.openStream(
    left,
    { protocol: { name: "secret", versions: [1] }, metadata: encodeUtf8(secret) },
    world.now,
  );
  a.node.write(left, stream as number, plaintext, world.now);
  a.node.sendMessage(left, "secret", plaintext, world.now);
  a.node.sendRequest(left, "secret", plaintext, world.now);
  a.node.sendDatagram(left, plaintext, world.now);
  world.run(2_000);
  assert.equal(of(b, "message").length, 1);
  assert.ok(seen.length > 4 * plaintext.length);
  const text = String.fromCharCode(...seen.slice(0, 60_000));
  for (const part of [secret.slice(0, 8), secret.slice(20, 30), "secret", "viaduct.message"]) {
    assert.ok(!text.includes(part), `"${part}" was seen`);
  }
});

test("a relay that damages a handshake prevents the connection, with a code, and nothing else", () => {
  for (const direction of ["forward", "backward"] as const) {
    for (const at of [1, 7, 40, 90]) {
      const { world, relay, a, b } = begin(at);
      corrupt(relay, (chunk) => [chunk.direction === direction ? flipped(chunk.bytes, at) : chunk.bytes]);
      const outcome = world.connect(a, { id: b.identity.id }, { timeoutMs: 20_000 });
      assert.ok(outcome.type === "connectFailed", `${direction} ${at}`);
      const codes = ["handshake_failed", "handshake_timeout", "timeout", "closed", "session_lost", "version", "crypto"];
      assert.ok(codes.includes(outcome.code), outcome.code);
      assert.equal(of(b, "peerConnected").filter((event) => event.remoteId === a.identity.id).length, 0);
    }
  }
});

const random = seededNumbers(5);
let held: Uint8Array | undefined;
const CHEATS: Readonly<Record<string, (from: number) => Cheat>> = {
  "flips a bit": (from) => (chunk) => [chunk.number === from ? flipped(chunk.bytes, random()) : chunk.bytes],
  "flips a bit again and again": (from) => (chunk) => [
    chunk.number >= from && chunk.number % 50 === 0 ? flipped(chunk.bytes, random()) : chunk.bytes,
  ],
  "repeats a chunk": (from) => (chunk) => (chunk.number === from ? [chunk.bytes, chunk.bytes] : [chunk.bytes]),
  "swallows a chunk": (from) => (chunk) => (chunk.number === from ? [] : [chunk.bytes]),
  "swallows everything from then on": (from) => (chunk) =>
    chunk.number >= from && chunk.number < from + 200 ? [] : [chunk.bytes],
  "swaps two chunks": (from) => (chunk) => {
    if (chunk.number === from) {
      held = chunk.bytes.slice();
      return [];
    }
    const before = held;
    if (chunk.number !== from + 1 || before === undefined) return [chunk.bytes];
    held = undefined;
    return [chunk.bytes, before];
  },
  "puts garbage in between": (from) => (chunk) =>
    chunk.number === from ? [chunk.bytes, Uint8Array.from({ length: 100 }, () => random())] : [chunk.bytes],
  "cuts a chunk short": (from) => (chunk) => [
    chunk.number === from ? chunk.bytes.subarray(0, chunk.bytes.length >> 1) : chunk.bytes,
  ],
};

for (const [what, makeCheat] of Object.entries(CHEATS)) {
  test(`a relay that ${what} never makes a wrong byte arrive: the transfer goes on or ends with a code`, () => {
    for (const seed of [1, 2, 3]) {
      for (const direction of ["forward", "backward"] as const) {
        const { world, relay, a, b } = begin(seed);
        held = undefined;
        const sessions = world.join(a, b);
        const cheat = makeCheat(2 + seed * 3);
        const state = corrupt(relay, HONEST);
        // Of circuits that were opened before nothing is seen: a new one is needed.
        for (const end of [...relay.host.pipes.values()]) world.network.killLink(end.link);
        relay.host.kill();
        world.restartRelay(relay);
        const cheating = corrupt(relay, (chunk) => (chunk.direction === direction ? cheat(chunk) : [chunk.bytes]));
        const transfer = new Transfer(world, { from: a, to: b, sessions, bytes: 1_500_000 });
        world.run(300_000, () => transfer.isDone || transfer.failure !== undefined);
        assert.equal(state.count, 0);
        assert.ok(cheating.count > 5, "Nothing passed the relay");
        assert.ok(transfer.isDone || transfer.failure !== undefined, `Neither done nor failed: ${transfer.received}`);
        // One cheat costs a path, not the session: it comes back over another circuit.
        if (what !== "swallows everything from then on") assert.equal(transfer.failure, undefined);
        else if (transfer.failure !== undefined) assert.equal(transfer.failure, "resume_timeout");
        if (transfer.failure === undefined) transfer.check();
      }
    }
  });
}

test("a relay that joins a circuit with another node than the one asked for brings no session about", () => {
  const { world, relay, a, b } = begin();
  const c = world.add("c");
  world.settle(c);
  const { node } = relay.relay;
  const sessionOfC = node.sessionOf(c.identity.id) as number;
  const openStream = node.openStream.bind(node);
  node.openStream = (session, options, now) =>
    openStream(session === node.sessionOf(b.identity.id) ? sessionOfC : session, options, now);
  const outcome = world.connect(a, { id: b.identity.id }, { timeoutMs: 10_000 });
  assert.ok(outcome.type === "connectFailed");
  for (const who of [b, c])
    assert.equal(of(who, "peerConnected").filter((event) => event.remoteId === a.identity.id).length, 0);
});

test("a relay that lies about who opened a circuit deceives nobody: the handshake tells", () => {
  const { world, relay, a, b } = begin();
  const victim = identityOf(200);
  const { node } = relay.relay;
  const openStream = node.openStream.bind(node);
  node.openStream = (session, options, now) => {
    const metadata = decodeCircuitMetadata(options.metadata ?? new Uint8Array(0));
    if (metadata?.type !== "source") return openStream(session, options, now);
    const lie = encodeCircuitMetadata({ type: "source", key: victim.publicKey, name: "victim" });
    return openStream(session, { ...options, metadata: lie }, now);
  };
  world.join(a, b);
  assert.deepEqual(
    of(b, "peerConnected")
      .map((event) => event.remoteId)
      .filter((id) => id !== relay.identity.id),
    [a.identity.id],
  );
});

test("a relay that mixes the bytes of two circuits ends them and mixes nothing else", () => {
  const { world, relay, a, b } = begin();
  const c = world.add("c");
  world.settle(c);
  let isSwapping = false;
  const far: [number, number][] = [];
  const { node } = relay.relay;
  const openStream = node.openStream.bind(node);
  node.openStream = (session, options, now) => {
    const stream = openStream(session, options, now);
    if (options.protocol.name === "viaduct.circuit") far.push([session, stream as number]);
    return stream;
  };
  const write = node.write.bind(node);
  node.write = (session, stream, bytes, now) => {
    const index = isSwapping ? far.findIndex(([s, t]) => s === session && t === stream) : -1;
    const [toSession, toStream] = far[index === 0 ? 1 : 0] ?? [session, stream];
    return index === 0 || index === 1 ? write(toSession, toStream, bytes, now) : write(session, stream, bytes, now);
  };
  const one = new Transfer(world, { from: a, to: b, sessions: world.join(a, b), bytes: 1_000_000 });
  const two = new Transfer(world, { from: c, to: b, sessions: world.join(c, b), bytes: 1_000_000 });
  world.run(20);
  isSwapping = true;
  world.run(500);
  isSwapping = false;
  const isOver = (transfer: Transfer): boolean => transfer.isDone || transfer.failure !== undefined;
  assert.ok(world.run(200_000, () => isOver(one) && isOver(two)));
  for (const transfer of [one, two]) if (transfer.failure === undefined) transfer.check();
});

test("circuits that come from a node which is no relay of this one are refused", () => {
  const { world, a, b } = begin();
  const stranger = world.add("x", { relays: [] });
  const session = world.connect(stranger, { id: b.identity.id, addresses: ["tcp://b:1"] });
  assert.ok(session.type === "connected");
  const refusals: string[] = [];
  tap(stranger, (event) => {
    if (event.type === "streamRefused") refusals.push(event.code);
  });
  stranger.node.openStream(
    session.session,
    {
      protocol: { name: "viaduct.circuit", versions: [1] },
      metadata: encodeCircuitMetadata({ type: "source", key: a.identity.publicKey, name: "alice" }),
    },
    world.now,
  );
  world.run(1_000);
  assert.deepEqual(refusals, ["protocol_refused"]);
});
