/** A node that closes says goodbye to everybody, over relays too. @module */

import assert from "node:assert/strict";
import { test } from "node:test";
import type { Peer } from "../../adapters/api/types.ts";
import { createNode, createRelay } from "./runtime_under_test.ts";

for (const [how, act] of [
  ["a session and then its node", async (peer: Peer) => peer.close({ closeCode: 7, reason: "bye" })],
  ["a node", async () => undefined],
] as const) {
  test(`goodbye: closing ${how} is heard through a relay, and nobody waits for a resume`, async () => {
    await using relay = await createRelay({ listen: ["tcp://127.0.0.1:0"] });
    const relays = [relay.ticket()];
    await using stays = await createNode({ relays });
    await stays.ready;
    const told: string[] = [];
    const closed = (async () => {
      for await (const event of stays.events({ signal: AbortSignal.timeout(20_000) })) {
        told.push(event.type);
        if (event.type === "peerClosed") return event.info;
      }
      return undefined;
    })();
    using _serving = stays.handle("echo/1", async (stream) => {
      for await (const value of stream.messages()) await stream.send(value);
      await stream.finish();
    });
    const leaves = await createNode({ relays });
    const peer = await leaves.connect(stays.ticket());
    const stream = await peer.open("echo/1");
    await stream.send("hello");
    assert.equal((await stream.messages().next()).value, "hello");
    await stream.finish();
    await act(peer);
    await leaves.close({ reason: "done" });
    const info = await closed;
    assert.equal(info?.isRemote, true);
    assert.equal(info?.code, how === "a node" ? "going_away" : "closed");
    assert.equal(info?.closeCode, how === "a node" ? 0 : 7);
    assert.ok(!told.includes("peerSuspended"), told.join());
  });
}
