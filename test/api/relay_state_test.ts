/**
 * A relay that is started again with the names of its last run: who held a name, had let it go, or had left long ago
 * finds it again, and nobody else can take it.
 *
 * @module
 */

import assert from "node:assert/strict";
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import type { RelayHandle, RelayOptions } from "../../adapters/api/create_relay.ts";
import type { StateStore } from "../../adapters/api/relay_state.ts";
import type { Node, NodeOptions } from "../../adapters/api/types.ts";
import type { ExtensionBuilder } from "../../core/node/node.ts";
import { relayExtensions } from "../../core/node/relay_extensions.ts";
import { createNode, createRelay } from "./runtime_under_test.ts";

const RELAY_SEED = new Uint8Array(32).fill(9);

/** A relay that believes its table alone: not even its own tokens bring a name back that it does not know. */
function startRelay(state: RelayOptions["state"], leaseMs = 600_000): Promise<RelayHandle> {
  return createRelay({
    identity: RELAY_SEED,
    listen: ["tcp://127.0.0.1:0"],
    relay: { registry: { isTrustingOnRestart: false, leaseMs: { anonymous: leaseMs, token: leaseMs } } },
    ...(state === undefined ? {} : { state }),
  });
}

async function until<Value>(get: () => Value | undefined | false | Promise<Value | undefined | false>): Promise<Value> {
  for (let round = 0; round < 2_000; round++) {
    const value = await get();
    if (value !== undefined && value !== false) return value;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  throw new Error("It never came about");
}

/** A node at the relay, or the code with which the relay refused it. */
async function joinRelay(relay: RelayHandle, options: NodeOptions): Promise<{ node: Node; code: string | undefined }> {
  const node = await createNode({ ...options, relays: [relay.ticket()] });
  const status = await until(() =>
    node.relays.find(({ state, error }) => state === "registered" || state === "refused" || error !== undefined),
  );
  return { node, code: status.error };
}

async function withFolder(act: (folder: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "viaduct relay "));
  try {
    await act(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Registers a name and goes; returns the token once the relay keeps the name in the given way. */
async function visit(relay: RelayHandle, name: string, kept: "leased" | "resting"): Promise<Uint8Array> {
  const before = relay.stats().registry[kept];
  const { node } = await joinRelay(relay, { name });
  assert.equal(node.name, name);
  const token = node.token as Uint8Array;
  await node.close();
  await until(() => relay.stats().registry[kept] === before + 1);
  return token;
}

test("relay state: a restarted relay finds names, leases and rests again in its file", async () => {
  await withFolder(async (folder) => {
    const file = join(folder, "made/on the way/names");
    // The lease of this run is over at once: the name rests.
    const first = await startRelay({ file }, 1);
    const restingToken = await visit(first, "carol", "resting");
    await first.close();

    const second = await startRelay({ file });
    assert.equal(second.stats().registry.resting, 1);
    const leasedToken = await visit(second, "bob", "leased");
    const holder = await joinRelay(second, { name: "alice", identity: new Uint8Array(32).fill(1) });
    assert.equal(holder.node.name, "alice");
    await second.close();
    await holder.node.close();
    if (process.platform !== "win32") assert.equal((await stat(file)).mode & 0o777, 0o600);
    assert.deepEqual(await readdir(join(folder, "made/on the way")), ["names"]);
    // Neither token is in the file, only what proves one.
    const bytes = Buffer.from(await readFile(file));
    for (const token of [restingToken, leasedToken]) assert.equal(bytes.indexOf(token), -1);

    const third = await startRelay({ file });
    const nodes: Node[] = [];
    try {
      const { held, leased, resting } = third.stats().registry;
      assert.deepEqual({ held, leased, resting }, { held: 0, leased: 2, resting: 1 });
      for (const name of ["alice", "bob", "carol"]) {
        const stranger = await joinRelay(third, { name });
        nodes.push(stranger.node);
        assert.equal(stranger.code, "name_taken", name);
      }
      const returning: readonly (readonly [string, NodeOptions])[] = [
        ["carol", { token: restingToken }],
        ["bob", { token: leasedToken }],
        // The key brings a name back without a token.
        ["alice", { identity: new Uint8Array(32).fill(1) }],
      ];
      for (const [name, options] of returning) {
        const back = await joinRelay(third, options);
        nodes.push(back.node);
        assert.equal(back.node.name, name);
      }
      assert.equal(third.stats().registry.held, 3);
    } finally {
      await Promise.all(nodes.map((node) => node.close()));
      await third.close();
    }
  });
});

test("relay state: without it a restarted relay knows nobody", async () => {
  const first = await startRelay(undefined);
  await visit(first, "alice", "leased");
  await first.close();
  const second = await startRelay(undefined);
  const stranger = await joinRelay(second, { name: "alice" });
  assert.equal(stranger.node.name, "alice");
  await stranger.node.close();
  await second.close();
});

test("relay state: it is saved while the relay runs, for it may be killed", async () => {
  let saved: Uint8Array | undefined;
  const store: StateStore = {
    load: async () => saved,
    save: async (bytes) => {
      saved = bytes.slice();
    },
  };
  const first = await startRelay(store);
  const { node } = await joinRelay(first, { name: "alice" });
  // What a kill would leave behind.
  const left = await until(() => saved);
  const second = await startRelay({ load: async () => left, save: async () => {} });
  assert.equal(second.stats().registry.leased, 1);
  const stranger = await joinRelay(second, { name: "alice" });
  assert.equal(stranger.code, "name_taken");
  await Promise.all([node.close(), stranger.node.close()]);
  await Promise.all([first.close(), second.close()]);
});

test("relay state: a store that fails is told as an event and does not stop the relay", async () => {
  const relay = await startRelay({
    load: async () => undefined,
    save: async () => {
      throw new Error("no room");
    },
  });
  const events = relay.node.events();
  const { node } = await joinRelay(relay, { name: "alice" });
  for await (const event of events) {
    if (event.type !== "handlerFailed") continue;
    assert.equal(event.name, "state");
    assert.match(String(event.error), /no room/);
    break;
  }
  assert.equal(node.name, "alice");
  await node.close();
  await relay.close();
});

test("relay state: a file that is damaged or something else is refused and left as it was", async () => {
  await withFolder(async (folder) => {
    const file = join(folder, "names");
    const relay = await startRelay({ file });
    await visit(relay, "alice", "leased");
    await relay.close();
    const good = await readFile(file);
    const flipped = Buffer.from(good);
    flipped[40] = (flipped[40] as number) ^ 1;
    for (const bad of [Buffer.from("something else"), good.subarray(0, good.length - 1), flipped]) {
      await writeFile(file, bad);
      await assert.rejects(startRelay({ file }), { code: "config_invalid" });
      assert.deepEqual(await readFile(file), Buffer.from(bad));
    }
    await assert.rejects(startRelay({ file: folder }), { code: "file_io" });
  });
});

test("relay: its own node uses other relays, by the extensions that one gives it too", async () => {
  const other = await createRelay({ listen: ["tcp://127.0.0.1:0"] });
  const seen: string[] = [];
  const buildExtensions: ExtensionBuilder = (internals, now) => {
    const built = relayExtensions(internals, now);
    const { relayClient } = built;
    const handleNodeEvent = relayClient.handleNodeEvent.bind(relayClient);
    relayClient.handleNodeEvent = (event, at) => {
      seen.push(event.type);
      return handleNodeEvent(event, at);
    };
    return built;
  };
  const relays: RelayHandle[] = [];
  try {
    for (const options of [{}, { buildExtensions }]) {
      const relay = await createRelay({ listen: ["tcp://127.0.0.1:0"], relays: [other.ticket()], ...options });
      relays.push(relay);
      await relay.node.ready;
      assert.equal(seen.length > 0, "buildExtensions" in options);
    }
    assert.equal(other.stats().clients, 2);
  } finally {
    await Promise.all([...relays, other].map((relay) => relay.close()));
  }
});
