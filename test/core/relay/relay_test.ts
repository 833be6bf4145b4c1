/**
 * A relay and nodes together: registration, presence, circuits. PROTOCOL §10.
 *
 * @module
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import { lastRelay, of, RelayWorld, type Resident } from "./relay_world.ts";

/** Reads whatever a stream has now. */
function readAll(who: Resident, session: number, stream: number): { bytes: Uint8Array; end: "open" | "end" | "reset" } {
  const parts: number[] = [];
  for (;;) {
    const result = who.node.read(session, stream);
    if (result === undefined) return { bytes: Uint8Array.from(parts), end: "open" };
    if (result.type !== "data") return { bytes: Uint8Array.from(parts), end: result.type };
    for (const byte of result.bytes) parts.push(byte);
  }
}

test("a node registers, is given a name and a token, and is seen by others", () => {
  const world = new RelayWorld();
  const relay = world.addRelay();
  const [a, b] = [world.add("a", { name: "alice", about: "a laptop" }), world.add("b")];
  world.settle(a, b);
  assert.equal(lastRelay(a).name, "alice");
  assert.match(lastRelay(b).name ?? "", /^[a-z2-7]{13}$/);
  assert.equal(lastRelay(a).token?.length, 32);
  assert.equal(lastRelay(a).id, relay.identity.id);
  b.node.watchPresence(world.now);
  world.run(500);
  const seen = [...b.node.presences()].map(({ id, name, about }) => ({ id, name, about }));
  assert.deepEqual(
    seen.sort((x, y) => (x.name < y.name ? -1 : 1)),
    [
      { id: a.identity.id, name: "alice", about: "a laptop" },
      { id: b.identity.id, name: lastRelay(b).name, about: "" },
    ].sort((x, y) => ((x.name ?? "") < (y.name ?? "") ? -1 : 1)),
  );
  assert.equal(of(b, "presenceComplete").length, 1);
  assert.equal(relay.relay.stats().clients, 2);
});

test("two nodes connect over a relay by id and by name and exchange a stream", () => {
  const world = new RelayWorld();
  world.addRelay();
  const [a, b, c] = [world.add("a"), world.add("b", { name: "bob" }), world.add("c")];
  world.settle(a, b, c);
  b.node.serve("echo", [1], { streamsPerPeerMax: 4 });
  const { left, right } = world.join(a, b);
  const stream = a.node.openStream(left, { protocol: { name: "echo", versions: [1] } }, world.now) as number;
  a.node.write(left, stream, Uint8Array.of(1, 2, 3), world.now);
  a.node.finish(left, stream, world.now);
  world.run(500);
  const opened = of(b, "streamOpened").at(-1);
  assert.equal(opened?.protocol, "echo/1");
  assert.deepEqual(readAll(b, right, opened.stream), { bytes: Uint8Array.of(1, 2, 3), end: "end" });
  assert.equal(a.node.session(left)?.stats().paths[0]?.kind, "relay");

  const named = world.connect(c, { name: "Bob" });
  assert.equal(named.type, "connected");
  const peer = of(c, "peerConnected").at(-1);
  assert.equal(peer?.remoteId, b.identity.id);
});
