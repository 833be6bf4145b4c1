/**
 * Clients of a relay: names and tokens over the wire, fights for them, and who is seen by whom. PROTOCOL §10.3 to §10.5.
 *
 * @module
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import { nobleProvider } from "../../../core/crypto/noble_provider.ts";
import { tokenDigest } from "../../../core/relay/relay_name.ts";
import { encodeUtf8 } from "../../../core/wire/utf8.ts";
import type { Resident } from "./relay_world.ts";
import { lastRelay, of, RelayWorld, UNIX_MS } from "./relay_world.ts";

const operatorToken = encodeUtf8("a token of the operator, of 32 b");
const operators = [{ digest: tokenDigest(operatorToken, nobleProvider) }];

/** What a node has been told of who is there: the names, applied in order. */
function seenBy(who: Resident): string[] {
  const names = new Set<string>();
  for (const { change, node } of of(who, "presence")) {
    if (change === "joined") names.add(node.name);
    else names.delete(node.name);
  }
  return [...names].sort();
}

test("a token brings a name back to a node with another identity, and its former holder gets another name", () => {
  const world = new RelayWorld();
  const relay = world.addRelay();
  const a = world.add("a");
  world.settle(a);
  const { name, token } = lastRelay(a) as { name: string; token: Uint8Array };
  const b = world.add("b", { name, token });
  world.settle(b);
  world.run(2_000);
  assert.equal(lastRelay(b).name, name);
  assert.equal(lastRelay(a).state, "registered");
  assert.notEqual(lastRelay(a).name, name);
  assert.equal(relay.relay.stats().clients, 2);
  // Both stay what they are: nobody fights.
  const count = of(relay, "clientJoined").length;
  world.run(120_000);
  assert.equal(of(relay, "clientJoined").length, count);
});

test("a page that is loaded anew has its name at once, although its old connection has not been noticed to be dead", () => {
  const world = new RelayWorld();
  world.addRelay();
  const a = world.add("a", { name: "tab" });
  world.settle(a);
  const { token } = lastRelay(a) as { token: Uint8Array };
  world.network.partition("a", "relay");
  const again = world.add("again", { name: "tab", token });
  world.settle(again);
  assert.equal(lastRelay(again).name, "tab");
});

test("a name that is taken, reserved or malformed is refused with its code, and again later", () => {
  const world = new RelayWorld();
  world.addRelay();
  const a = world.add("a", { name: "alice" });
  world.settle(a);
  const others = { taken: world.add("b", { name: "Alice" }), reserved: world.add("c", { name: "admin" }) };
  const malformed = world.add("d", { name: "no such name" });
  world.run(5_000);
  for (const who of Object.values(others)) {
    assert.deepEqual([lastRelay(who).state, lastRelay(who).error], ["refused", "name_taken"]);
    assert.ok((lastRelay(who).retryInMs ?? 0) > 0);
    assert.ok(of(who, "relay").filter((event) => event.state === "refused").length > 1);
  }
  assert.deepEqual([lastRelay(malformed).state, lastRelay(malformed).error], ["refused", "name_invalid"]);
  assert.equal(of(malformed, "relay").filter((event) => event.state === "refused").length, 1);
});

test("a token that a relay does not know is told as refused, then the name is asked for without it", () => {
  const world = new RelayWorld();
  world.addRelay();
  const a = world.add("a", { name: "alice", token: new Uint8Array(32).fill(1) });
  world.settle(a);
  const states = of(a, "relay").map((event) => `${event.state} ${event.error ?? ""}`.trim());
  assert.deepEqual(states, ["connecting", "refused token_refused", "registered"]);
  assert.equal(lastRelay(a).name, "alice");
});

test("where tokens are needed, a node without one is refused and one with it is let in", () => {
  const world = new RelayWorld();
  const relay = world.addRelay("relay", { registry: { admission: "token", tokens: operators } });
  const a = world.add("a");
  const wrong = world.add("wrong", { token: new Uint8Array(32) });
  const right = world.add("right", { token: operatorToken });
  world.settle(right);
  world.run(10_000);
  for (const who of [a, wrong]) {
    assert.deepEqual([lastRelay(who).state, lastRelay(who).error], ["refused", "token_refused"]);
  }
  assert.equal(of(relay, "clientJoined").at(-1)?.client.clientClass, "token");
  // The token does not come back changed: the node shows the operator's again after a restart of the relay.
  relay.host.kill();
  world.restartRelay(relay, { registry: { admission: "token", tokens: operators } });
  world.settle(right);
});

test("two processes with one key fight three times in a minute, then both must wait", () => {
  const world = new RelayWorld();
  const relay = world.addRelay();
  const a = world.add("a", { name: "twin", seed: 99 });
  world.settle(a);
  const b = world.add("b", { name: "twin", seed: 99 });
  world.run(300_000);
  const joins = of(relay, "clientJoined").length;
  // Five minutes of fighting, three takeovers in each minute of it at most.
  assert.ok(joins <= 20, `${joins} registrations`);
  assert.ok(joins >= 2);
  const codes = new Set([...of(a, "relay"), ...of(b, "relay")].map((event) => event.error));
  assert.ok(codes.has("replaced") || codes.has("session_lost"));
});

test("a node that is killed and started again with its key has its name at once", () => {
  const world = new RelayWorld();
  world.addRelay();
  const a = world.add("a", { name: "alice", seed: 50 });
  const watcher = world.add("w");
  world.settle(a, watcher);
  for (let round = 0; round < 6; round++) {
    a.host.kill();
    world.run(1_000);
    a.node = world.newNode(a.identity, { name: "alice" });
    a.host.restart(a.node);
    world.addRelayTo(a, "relay");
    world.settle(a);
    assert.equal(lastRelay(a).name, "alice");
    world.run(1_000);
  }
});

test("watchers are told who is there, who comes, and who goes; a short break is not a going", () => {
  const world = new RelayWorld();
  const relay = world.addRelay();
  const [w, a] = [world.add("w", { name: "watcher" }), world.add("a", { name: "alice" })];
  world.settle(w, a);
  w.node.watchPresence(world.now);
  world.run(500);
  assert.deepEqual(seenBy(w), ["alice", "watcher"]);
  const b = world.add("b", { name: "bob" });
  world.settle(b);
  world.run(500);
  assert.deepEqual(seenBy(w), ["alice", "bob", "watcher"]);
  const joined = of(w, "presence").at(-1)?.node;
  assert.equal(joined?.id, b.identity.id);
  assert.ok(Math.abs((joined?.joinedAtUnixMs ?? 0) - UNIX_MS - world.now) < 2_000);

  for (const end of [...b.host.pipes.values()]) world.network.killLink(end.link);
  world.run(10_000);
  assert.equal(of(w, "presence").filter((event) => event.change === "left").length, 0);

  b.host.kill();
  world.run(4_000);
  assert.deepEqual(seenBy(w), ["alice", "bob", "watcher"]);
  world.run(3_000);
  assert.deepEqual(seenBy(w), ["alice", "watcher"]);
  // The session still waits: the name is kept.
  assert.equal(relay.relay.stats().clients, 3);
  world.run(120_000);
  assert.equal(relay.relay.stats().clients, 2);

  a.node.close("closed", "", world.now);
  world.run(1_000);
  assert.deepEqual(seenBy(w), ["watcher"]);
  w.node.unwatchPresence(world.now);
  world.settle(world.add("c", { name: "carol" }));
  world.run(1_000);
  assert.deepEqual(seenBy(w), ["watcher"]);
  assert.deepEqual([...w.node.presences()], []);
});

test("after a restart of the relay a watcher has the same picture again", () => {
  const world = new RelayWorld();
  const relay = world.addRelay();
  const nodes = ["alice", "bob", "carol"].map((name) => world.add(name, { name }));
  world.settle(...nodes);
  const [watcher, , carol] = nodes as [Resident, Resident, Resident];
  watcher.node.watchPresence(world.now);
  world.run(500);
  relay.host.kill();
  carol.host.kill();
  world.restartRelay(relay);
  world.run(20_000);
  assert.deepEqual(seenBy(watcher), ["alice", "bob"]);
  assert.deepEqual([...watcher.node.presences()].map((node) => node.name).sort(), ["alice", "bob"]);
});

test("a relay that keeps presence to itself tells nobody", () => {
  const world = new RelayWorld();
  world.addRelay("relay", { isPresencePublic: false });
  const [a, b] = [world.add("a"), world.add("b")];
  world.settle(a, b);
  a.node.watchPresence(world.now);
  world.run(5_000);
  assert.deepEqual([...a.node.presences()], []);
  world.join(a, b);
});

test("a list of who is there is bounded, and says so", () => {
  const world = new RelayWorld();
  world.addRelay("relay", { presencesMax: 3 });
  const nodes = [1, 2, 3, 4, 5].map((number) => world.add(`n${number}`));
  world.settle(...nodes);
  const watcher = nodes[0] as Resident;
  watcher.node.watchPresence(world.now);
  world.run(500);
  assert.equal([...watcher.node.presences()].length, 3);
  assert.deepEqual(
    of(watcher, "presenceComplete").map((event) => event.isTruncated),
    [true],
  );
});

test("a node at two relays is told once as joined and left when it is at neither", () => {
  const world = new RelayWorld();
  const [one, two] = [world.addRelay("one"), world.addRelay("two")];
  const [w, a] = [
    world.add("w", { relays: ["one", "two"] }),
    world.add("a", { name: "alice", relays: ["one", "two"] }),
  ];
  w.node.watchPresence(world.now);
  world.run(3_000);
  const changesOf = (): string[] =>
    of(w, "presence")
      .filter((event) => event.node.id === a.identity.id)
      .map((event) => event.change);
  assert.deepEqual(changesOf(), ["joined"]);
  one.host.kill();
  world.run(90_000);
  assert.deepEqual(changesOf(), ["joined"]);
  // The other relay alone still connects them.
  world.join(w, a);
  two.host.kill();
  // The session waits for a minute, and who was there is believed to be for one more.
  world.run(150_000);
  assert.deepEqual(changesOf(), ["joined", "left"]);
});

test("what a node says about itself reaches others without marks that move a cursor or turn a line", () => {
  const world = new RelayWorld();
  world.addRelay();
  const [w, a] = [world.add("w"), world.add("a", { about: "red \u001b[31m \u202e evil \u0007" })];
  world.settle(w, a);
  w.node.watchPresence(world.now);
  world.run(500);
  const about = [...w.node.presences()].find((node) => node.id === a.identity.id)?.about;
  assert.equal(about, "red \ufffd[31m \ufffd evil \ufffd");
});

test("a target's ticket names a relay that this node does not know: it is used, and left when nothing needs it", () => {
  const world = new RelayWorld();
  const relay = world.addRelay();
  const b = world.add("b");
  world.settle(b);
  const a = world.add("a", { relays: [] });
  const connected = world.connect(a, {
    id: b.identity.id,
    relays: [{ id: relay.identity.id, addresses: ["tcp://relay:1"] }],
  });
  assert.equal(connected.type, "connected");
  assert.equal(relay.relay.stats().clients, 2);
  world.run(180_000);
  assert.equal(relay.relay.stats().clients, 2);
  a.node.closePeer((connected as { session: number }).session, { code: "closed" }, world.now);
  world.run(130_000);
  assert.equal(relay.relay.stats().clients, 1);
  assert.equal(a.node.stats().pipes, 0);
});

test("names and nodes that are not there, and relays that are not, are told apart by their codes", () => {
  const world = new RelayWorld();
  const relay = world.addRelay();
  const a = world.add("a");
  world.settle(a);
  const stranger = world.add("x", { relays: [] });
  const codeOf = (outcome: ReturnType<RelayWorld["connect"]>): string =>
    outcome.type === "connectFailed" ? outcome.code : "";
  assert.equal(codeOf(world.connect(a, { id: stranger.identity.id })), "not_here");
  assert.equal(codeOf(world.connect(a, { name: "nobody" })), "unknown_name");
  assert.equal(codeOf(world.connect(a, { name: "no such name" })), "name_invalid");
  assert.equal(codeOf(world.connect(stranger, { name: "nobody" })), "no_relay");
  assert.equal(codeOf(world.connect(stranger, { id: a.identity.id }, { via: "relay" })), "no_relay");
  relay.host.kill();
  world.run(200);
  assert.equal(codeOf(world.connect(a, { name: "nobody" }, { timeoutMs: 5_000 })), "no_relay");
});

test("one process is relay and node at once", () => {
  const world = new RelayWorld();
  const relay = world.addRelay();
  relay.relay.node.serve("time", [1], { streamsPerPeerMax: 4 });
  const a = world.add("a");
  world.settle(a);
  const connected = world.connect(a, { id: relay.identity.id, addresses: ["tcp://relay:1"] });
  assert.ok(connected.type === "connected");
  const stream = a.node.openStream(
    connected.session,
    { protocol: { name: "time", versions: [1] } },
    world.now,
  ) as number;
  world.run(500);
  const opened = of(relay, "streamOpened");
  assert.deepEqual(
    opened.map((event) => event.protocol),
    ["time/1"],
  );
  relay.relay.node.write(opened[0]?.session as number, opened[0]?.stream as number, Uint8Array.of(7), world.now);
  world.run(500);
  const result = a.node.read(connected.session, stream);
  assert.ok(result?.type === "data" && result.bytes[0] === 7);
});

test("closing nodes and relays leaves nothing behind", () => {
  const world = new RelayWorld();
  const relay = world.addRelay();
  const [a, b] = [world.add("a"), world.add("b")];
  world.settle(a, b);
  world.join(a, b);
  a.node.close("closed", "", world.now);
  world.run(2_000);
  assert.deepEqual(
    { ...a.node.stats(), dropped: {} },
    { sessions: 0, pipes: 0, handshakes: 0, dials: 0, connects: 0, dropped: {} },
  );
  assert.equal(a.node.pollTimeout(), Number.POSITIVE_INFINITY);
  assert.equal(relay.relay.stats().circuits, 0);
  assert.equal(relay.relay.stats().clients, 1);
  relay.relay.node.close("going_away", "", world.now);
  world.run(2_000);
  assert.equal(of(relay, "closed").length, 1);
  assert.equal(relay.relay.stats().clients, 0);
  // After the last event there is nothing to wake up for, although leases run.
  assert.equal(relay.relay.stats().registry.leased, 2);
  assert.equal(relay.relay.pollTimeout(), Number.POSITIVE_INFINITY);
  relay.relay.handleTimeout(world.now + 1e9);
  assert.equal(relay.relay.pollEvent(), undefined);
  assert.equal(relay.relay.pollTransmit(world.now + 1e9), undefined);
});
