/**
 * Viaduct in the bench.
 *
 * @module
 */

import { bulk, connects, idle, job, requests, roundTrips, tell } from "./workloads.mjs";

const adapter = globalThis.Deno !== undefined ? "deno" : globalThis.Bun !== undefined ? "bun" : "node";
const { createNode, createRelay } = await import(`../../dist/adapters/${adapter}/mod.js`);
const { role, workload, scheme, address, relay, packageBytes } = job;
/** Nodes by the line that they were connected over. */
const lineNodes = new Map();
let closing;
const EARLY_REFUSED_MS = 15_000;
const paths = packageBytes === undefined ? {} : { paths: { datagramBytesMax: packageBytes } };

if (role === "relay") {
  const node = await createRelay({
    listen: [`${scheme}://127.0.0.1:0`],
    relay: { classes: { anonymous: { bytesPerSecond: 0 } } },
  });
  tell(node.ticket());
} else if (role === "server") {
  const node = await serve();
  tell({
    ticket: node.ticket(),
    id: node.id,
    startedAt: Date.now(),
    port: Number(node.addresses[0]?.split(":").at(-1)),
  });
} else await work();

async function work() {
  if (workload === "seal") {
    await measureSealing();
    return;
  }
  if (workload === "roundTrips") {
    const node = await createNode(paths);
    const peer = await node.connect(address.ticket); // What is run for the first time is slow: not over a line.
    await peer.request("echo", new Uint8Array(64));
    await node.close();
    await roundTrips(prepare, ["known", "unknown", "again", "early"]);
    return;
  }
  const node = await createNode({ ...paths, ...(relay ? { relays: [relay] } : {}) });
  await node.ready;
  if (workload === "connects") {
    // One node each would measure the making of nodes: a session is what is counted.
    await connects(async () => {
      const peer = await node.connect(address.ticket, { isAnonymous: true });
      await peer.close();
    });
    return;
  }
  if (workload === "idle") {
    const server = await serve();
    await idle(() => node.connect(server.ticket(), { isAnonymous: true }));
    return;
  }
  const peer = await node.connect(address.ticket, relay ? { via: "relay" } : {});
  if (workload === "bulk" || workload === "bulkLarge" || workload === "relayBulk") {
    await bulk(async () => {
      const stream = await peer.open("sink/1");
      return {
        send: (bytes) => stream.write(bytes),
        finish: async () => {
          await stream.finish();
          while ((await stream.read()) !== undefined);
        },
      };
    });
  } else if (workload === "pingpong" || workload === "relayPingpong") {
    await requests((bytes) => peer.request("echo", bytes), 1);
  } else if (workload === "requests") await requests((bytes) => peer.request("echo", bytes), 32);
  else if (workload === "streams") {
    await requests(async (bytes) => {
      const stream = await peer.open("echo/1");
      await stream.write(bytes);
      void stream.finish();
      while ((await stream.read()) !== undefined);
    }, 16);
  }
}

/**
 * `known`: the id is known. `unknown`: whoever answers. `again`: by a node that was connected before. `early`: the same
 * node again, and the question goes with its first message.
 */
async function prepare(mode, rttMs) {
  const line = `${scheme}://127.0.0.1:${job.lines[rttMs]}`;
  const target = mode === "unknown" ? line : { id: address.id, addresses: [line] };
  await closing; // Or `again` would find the session that is still saying goodbye.
  const isKnown = mode === "again" || mode === "early";
  const node = (isKnown ? lineNodes.get(rttMs) : undefined) ?? (await createNode(paths));
  lineNodes.set(rttMs, node);
  await node.ready;
  if (mode === "early") {
    // A node that was just started cannot know what it was sent before, and takes nothing early.
    const waitMs = address.startedAt + EARLY_REFUSED_MS - Date.now();
    await new Promise((resolve) => setTimeout(resolve, Math.max(0, waitMs)));
    return async (bytes) => {
      const stream = await node.openStream(target, "early/1", { data: bytes });
      await stream.read();
      if (!stream.isEarly) throw new Error("What was sent early was not taken early");
      closing = stream.peer.close();
    };
  }
  return async (bytes) => {
    const peer = await node.connect(target);
    await peer.request("echo", bytes);
    closing = peer.close();
  };
}

/** The cipher that the runtime's sessions use, on packages in a row. */
async function measureSealing() {
  const providers = await import(`../../dist/adapters/${adapter}/crypto.js`);
  const key = providers[`${adapter}Provider`].aeadKey("chacha20-poly1305", new Uint8Array(32).fill(1));
  const nonce = new Uint8Array(12);
  const header = new Uint8Array(12);
  const text = new Uint8Array(packageBytes);
  const sealed = new Uint8Array(packageBytes + 16);
  const timeOf = (act, count) => {
    const began = performance.now();
    for (let index = 0; index < count; index++) act();
    return (1000 * (performance.now() - began)) / count;
  };
  const rounds = (act) => Math.min(...Array.from({ length: 20 }, () => timeOf(act, 5_000)));
  const figure = rounds(() => key.seal(nonce, header, text, sealed, 0));
  tell({ figure, table: { "opening it": rounds(() => key.open(nonce, header, sealed)) } });
}

async function serve() {
  const node = await createNode({
    ...paths,
    ...(relay ? { relays: [relay] } : { listen: [`${scheme}://127.0.0.1:0`], limits: { pipesPerAddressMax: 10_000 } }),
  });
  await node.ready;
  node.respond("echo", (value) => value);
  node.handle("sink/1", async (stream) => {
    while ((await stream.read()) !== undefined);
    await stream.finish();
  });
  node.handle("early/1", async (stream) => void (await stream.write(await stream.read())), { acceptEarly: true });
  node.handle("echo/1", async (stream) => {
    for (let bytes = await stream.read(); bytes !== undefined; bytes = await stream.read()) await stream.write(bytes);
    await stream.finish();
  });
  return node;
}
