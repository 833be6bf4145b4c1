/**
 * Sessions over a relay when connections die, the relay is restarted, or goes away with notice. PROTOCOL §10.7.
 *
 * @module
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import { nobleProvider } from "../../../core/crypto/noble_provider.ts";
import { DEFAULT_RELAY_CONFIG } from "../../../core/relay/relay_defaults.ts";
import { tokenDigest } from "../../../core/relay/relay_name.ts";
import { encodeUtf8 } from "../../../core/wire/utf8.ts";
import type { RelayHost, Resident } from "./relay_world.ts";
import { lastRelay, of, RelayWorld } from "./relay_world.ts";
import { Transfer } from "./transfer.ts";

/** Kills every connection of a host, as a network that goes away does. */
function cut(world: RelayWorld, who: Resident | RelayHost): void {
  for (const end of [...who.host.pipes.values()]) world.network.killLink(end.link);
}

function begin(options: { readonly bytes: number; readonly seed?: number }) {
  const world = new RelayWorld({ seed: options.seed ?? 1, model: { bytesPerMs: 2000 } });
  const relay = world.addRelay();
  const [a, b] = [world.add("a", { name: "alice" }), world.add("b", { name: "bob" })];
  world.settle(a, b);
  const sessions = world.join(a, b);
  const transfer = new Transfer(world, { from: a, to: b, sessions, bytes: options.bytes });
  return { world, relay, a, b, transfer };
}

test("a transfer over a relay arrives whole", () => {
  const { world, transfer, relay } = begin({ bytes: 3_000_000 });
  assert.ok(world.run(60_000, () => transfer.isDone));
  transfer.check();
  assert.ok(relay.relay.stats().bytesForwarded > 3_000_000);
});

for (const who of ["sender", "receiver", "relay"] as const) {
  test(`a transfer goes on when the connections of the ${who} die, without a new circuit`, () => {
    const { world, relay, a, b, transfer } = begin({ bytes: 3_000_000 });
    assert.ok(world.run(60_000, () => transfer.received > 500_000));
    cut(world, who === "sender" ? a : who === "receiver" ? b : relay);
    assert.ok(world.run(60_000, () => transfer.isDone));
    transfer.check();
    assert.equal(relay.relay.stats().circuitsOpened, 1);
    assert.equal(of(a, "peerSuspended").length + of(b, "peerSuspended").length, 0);
  });
}

for (const isStored of [true, false]) {
  test(`a transfer goes on when the relay is killed and comes back ${isStored ? "with" : "without"} its state`, () => {
    const { world, relay, a, b, transfer } = begin({ bytes: 3_000_000 });
    const tokens = [lastRelay(a).token, lastRelay(b).token];
    assert.ok(world.run(60_000, () => transfer.received > 500_000));
    const snapshot = relay.relay.snapshot(world.now);
    relay.host.kill();
    world.run(5_000);
    assert.ok(!transfer.isDone);
    assert.equal(lastRelay(a).state, "connecting");
    world.restartRelay(relay, {}, isStored ? snapshot : undefined);
    const at = world.now;
    assert.ok(world.run(40_000, () => of(a, "peerResumed").length > 0));
    // The pause of the dial that found nobody, and three round trips.
    assert.ok(world.now - at < 15_000, `The session was back after ${world.now - at} ms`);
    assert.ok(
      world.run(40_000, () => transfer.isDone),
      "The transfer did not go on",
    );
    transfer.check();
    assert.deepEqual([lastRelay(a).name, lastRelay(b).name], ["alice", "bob"]);
    assert.deepEqual([lastRelay(a).token, lastRelay(b).token], tokens);
    assert.equal(of(a, "peerClosed").filter((event) => event.session === transfer.sessions.left).length, 0);
    assert.ok(of(a, "peerResumed").length >= 1);
    assert.equal(of(a, "peerResumed").length, of(a, "peerSuspended").length);
  });
}

test("a session that began over a relay moves to a direct path when there is one, and back when that dies", () => {
  const world = new RelayWorld({ model: { bytesPerMs: 2000 } });
  world.addRelay();
  const [a, b] = [world.add("a"), world.add("b")];
  world.settle(a, b);
  world.network.partition("a", "b");
  const connected = world.connect(a, { id: b.identity.id, addresses: ["tcp://b:1"] });
  assert.ok(connected.type === "connected");
  const kinds = (): string[] => (a.node.session(connected.session)?.stats().paths ?? []).map(({ kind }) => kind).sort();
  assert.deepEqual(kinds(), ["relay"]);
  world.run(30_000);
  world.network.heal("a", "b");
  assert.ok(world.run(90_000, () => kinds().includes("bytes")));
  world.network.partition("a", "b");
  assert.ok(world.run(30_000, () => !kinds().includes("bytes")));
  const transfer = new Transfer(world, {
    from: a,
    to: b,
    sessions: { left: connected.session, right: of(b, "peerConnected")[0]?.session as number },
    bytes: 100_000,
  });
  assert.ok(world.run(30_000, () => transfer.isDone));
  transfer.check();
  assert.equal(of(a, "peerSuspended").length + of(a, "peerClosed").length, 0);
});

test("a session that is to use relays alone looks for no direct path", () => {
  const world = new RelayWorld();
  world.addRelay();
  const [a, b] = [world.add("a"), world.add("b")];
  world.settle(a, b);
  const connected = world.connect(a, { id: b.identity.id, addresses: ["tcp://b:1"] }, { via: "relay" });
  assert.ok(connected.type === "connected");
  world.run(120_000);
  assert.deepEqual(
    a.node
      .session(connected.session)
      ?.stats()
      .paths.map(({ kind }) => kind),
    ["relay"],
  );
});

test("a relay that is gone for longer than sessions wait ends them with a code, and gets its clients back", () => {
  const { world, relay, a, b, transfer } = begin({ bytes: 30_000_000 });
  assert.ok(world.run(60_000, () => transfer.received > 500_000));
  relay.host.kill();
  world.run(90_000);
  const closed = of(a, "peerClosed").find((event) => event.session === transfer.sessions.left);
  assert.equal(closed?.closed.code, "resume_timeout");
  assert.ok(of(b, "peerClosed").some((event) => event.closed.code === "resume_timeout"));
  assert.equal(lastRelay(a).state, "waiting");
  world.restartRelay(relay);
  world.settle(a, b);
  assert.equal(lastRelay(a).name, "alice");
  world.join(a, b);
});

test("a session whose responder alone lost the relay comes back by the other side's new circuit", () => {
  const { world, a, transfer } = begin({ bytes: 6_000_000 });
  assert.ok(world.run(60_000, () => transfer.received > 500_000));
  // Longer than a path is waited for: the session loses its path while the relay still holds the receiver's session.
  world.network.partition("b", "relay");
  world.run(20_000);
  assert.ok(of(a, "peerSuspended").length > 0);
  world.network.heal("b", "relay");
  assert.ok(world.run(40_000, () => transfer.isDone));
  transfer.check();
});

test("the side that was called opens the circuit when the side that called may not", () => {
  const world = new RelayWorld();
  const token = encodeUtf8("a token of the operator, of 32 b");
  const registry = { tokens: [{ digest: tokenDigest(token, nobleProvider) }] };
  const relay = world.addRelay("relay", { registry });
  const [a, b] = [world.add("a"), world.add("b", { token })];
  world.settle(a, b);
  const sessions = world.join(a, b);
  relay.host.kill();
  const { classes } = DEFAULT_RELAY_CONFIG;
  world.restartRelay(relay, { registry, classes: { ...classes, anonymous: { ...classes.anonymous, circuitsMax: 0 } } });
  const transfer = new Transfer(world, { from: a, to: b, sessions, bytes: 100_000 });
  assert.ok(world.run(20_000, () => transfer.isDone));
  transfer.check();
  assert.ok((relay.relay.stats().drops.quota ?? 0) > 0);
  assert.equal(relay.relay.topology().circuits[0]?.source, b.identity.id);
});

test("clients of a relay that drains come back when they were told to, and sessions go on", () => {
  const { world, relay, a, transfer } = begin({ bytes: 3_000_000 });
  assert.ok(world.run(60_000, () => transfer.received > 500_000));
  const at = world.now;
  relay.relay.drain({ reconnectInMs: 3_000, tryForMs: 20_000 }, world.now);
  relay.host.pump();
  assert.ok(world.run(2_000, () => of(relay, "closed").length > 0));
  relay.host.kill();
  world.run(1_000);
  const waiting = lastRelay(a);
  assert.ok(waiting.state === "waiting" && waiting.error === "going_away");
  world.restartRelay(relay);
  assert.ok(world.run(30_000, () => transfer.isDone));
  transfer.check();
  const again = of(a, "relay").filter((event) => event.state === "registered").length;
  assert.ok(again >= 2);
  assert.ok(world.now - at >= 3_000);
});

test("a drained relay takes nobody new and closes at once when nobody is there", () => {
  const world = new RelayWorld();
  const relay = world.addRelay();
  relay.relay.drain({ reconnectInMs: 0, tryForMs: 0 }, world.now);
  world.run(1_000);
  assert.equal(of(relay, "closed").length, 1);
});

test("nodes dial a relay that is down again and again, ever less often, each at its own time", () => {
  const world = new RelayWorld();
  const nodes = [1, 2, 3, 4, 5].map((number) => world.add(`n${number}`));
  world.run(300_000);
  const tries = nodes.map((who) => of(who, "relay").filter((event) => event.state === "waiting"));
  for (const waits of tries) {
    assert.ok(waits.length >= 10 && waits.length <= 40, `${waits.length} tries in five minutes`);
    assert.ok(waits.every((event) => event.error === "dial_failed"));
    for (const { retryInMs = 0 } of waits) assert.ok(retryInMs <= 45_000);
  }
  assert.equal(new Set(tries.map((waits) => waits.at(-1)?.retryInMs)).size, 5);
  world.addRelay();
  world.settle(...nodes);
});
