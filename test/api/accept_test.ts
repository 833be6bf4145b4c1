/**
 * The option `accept`: who is turned away never has a session, nor learns of the program more than that.
 *
 * @module
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import type { Node, NodeOptions } from "../../adapters/api/types.ts";
import { createNode, createRelay } from "./runtime_under_test.ts";

type Asked = Parameters<NonNullable<NodeOptions["accept"]>>[0];

interface Ends {
  readonly server: Node;
  readonly client: Node;
  readonly asked: Asked[];
  /** What the client's node told of peers. */
  readonly told: string[];
}

async function withNodes(
  accept: NonNullable<NodeOptions["accept"]>,
  act: (ends: Ends) => Promise<void>,
  options: NodeOptions = {},
): Promise<void> {
  const asked: Asked[] = [];
  const server = await createNode({
    listen: ["tcp://127.0.0.1:0"], // One address: who is refused at one tries the next.
    ...options,
    accept: (request) => {
      asked.push(request);
      return accept(request);
    },
  });
  const client = await createNode({ initMessage: Uint8Array.of(1, 2, 3) });
  const told: string[] = [];
  void (async () => {
    for await (const { type } of client.events()) told.push(type);
  })();
  try {
    await act({ server, client, asked, told });
  } finally {
    await Promise.all([client.close(), server.close()]);
  }
}

/** The ticket tells the id (IK); an address alone does not (XX). */
function targetsOf(server: Node): string[] {
  return [server.ticket(), ...server.addresses];
}

for (const [how, refuse] of [
  ["says no", () => false],
  ["says no later", () => Promise.resolve(false)],
  ["throws", () => assert.fail("a fault of the program")],
  ["rejects", () => Promise.reject(new Error("a fault of the program"))],
] as const) {
  test(`accept: one that ${how} turns everybody away before there is a session`, async () => {
    await withNodes(refuse, async ({ server, client, asked, told }) => {
      const failures: unknown[] = [];
      void (async () => {
        for await (const event of server.events()) if (event.type === "handlerFailed") failures.push(event.name);
      })();
      for (const target of targetsOf(server)) {
        await assert.rejects(client.connect(target), { code: "refused" }, target);
      }
      assert.equal(asked.length, targetsOf(server).length);
      for (const { id, initMessage } of asked) {
        assert.equal(id, client.id);
        assert.deepEqual(new Uint8Array(initMessage ?? []), Uint8Array.of(1, 2, 3));
      }
      assert.deepEqual(
        told.filter((type) => type.startsWith("peer")),
        [],
        "The client must not have seen a peer",
      );
      assert.equal(server.peers.size, 0);
      assert.equal(client.stats().sessions, 0);
      assert.equal(server.stats().sessions, 0);
      const isFault = how === "throws" || how === "rejects";
      assert.deepEqual(failures, isFault ? asked.map(() => "accept") : []);
    });
  });
}

for (const [how, accept] of [
  ["says yes", () => true],
  ["says yes later", () => Promise.resolve(true)],
] as const) {
  test(`accept: one that ${how} lets in, and is asked once for each session`, async () => {
    await withNodes(accept, async ({ server, client, asked }) => {
      server.respond("double", (value) => 2 * Number(value));
      const peer = await client.connect(server.ticket());
      assert.equal(await peer.request("double", 21), 42);
      // The session that is there is used.
      assert.equal(await client.connect(server.ticket()), peer);
      assert.equal(asked.length, 1);
      await peer.close();
      await client.connect(server.addresses[0] as string);
      assert.equal(asked.length, 2);
    });
  });
}

test("accept: datagrams make no difference, however often a handshake is repeated", async () => {
  let isOpen = false;
  await withNodes(
    () => isOpen,
    async ({ server, client, asked }) => {
      for (const target of targetsOf(server)) await assert.rejects(client.connect(target), { code: "refused" });
      assert.equal(asked.length, 2);
      assert.equal(server.stats().sessions, 0);
      isOpen = true;
      assert.equal((await client.connect(server.ticket())).id, server.id);
      assert.equal(asked.length, 3);
    },
    { listen: ["udp://127.0.0.1:0"] },
  );
});

test("accept: who is refused once may be let in later; who dials out is not asked about", async () => {
  let isOpen = false;
  await withNodes(
    () => isOpen,
    async ({ server, client, asked }) => {
      await assert.rejects(client.connect(server.ticket()), { code: "refused" });
      isOpen = true;
      await (await client.connect(server.ticket())).close();
      isOpen = false;
      await using other = await createNode({ listen: ["tcp://127.0.0.1:0"] });
      await server.connect(other.ticket());
      assert.equal(asked.length, 2);
    },
  );
});

test("accept: an answer that never comes is a handshake that lasted too long", async () => {
  await withNodes(
    () => new Promise<boolean>(() => {}),
    async ({ server, client }) => {
      await assert.rejects(client.connect(server.ticket()), (error: { code?: string }) => {
        assert.match(String(error.code), /handshake_timeout|dial_failed|truncated|closed/);
        return true;
      });
      assert.equal(server.stats().sessions, 0);
      assert.equal(server.stats().handshakes, 0);
    },
    { limits: { handshakeTimeoutMs: 300 } },
  );
});

test("accept: whoever comes over a relay is asked about too, the relay is not", async () => {
  const relay = await createRelay({ listen: ["tcp://127.0.0.1:0"] });
  const asked: unknown[] = [];
  let isOpen = false;
  const server = await createNode({
    relays: [relay.ticket()],
    accept: ({ id }) => {
      asked.push(id);
      return isOpen;
    },
  });
  const client = await createNode({ relays: [relay.ticket()] });
  try {
    await Promise.all([server.ready, client.ready]);
    await assert.rejects(client.connect(server.id));
    isOpen = true;
    const peer = await client.connect(server.id);
    assert.equal(peer.id, server.id);
    assert.ok(asked.length >= 2);
    for (const id of asked) assert.equal(id, client.id);
  } finally {
    await Promise.all([server.close(), client.close()]);
    await relay.close();
  }
});
