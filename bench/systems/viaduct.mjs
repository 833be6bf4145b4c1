/**
 * Viaduct in the bench.
 *
 * @module
 */

import process from "node:process";
import { createNode, createRelay } from "../../dist/adapters/node/mod.js";
import { bulk, connects, idle, requests, tell } from "./workloads.mjs";

const [role, ...args] = process.argv.slice(2);
const unlimited = { relay: { classes: { anonymous: { bytesPerSecond: 0 } } } };

if (role === "relay") {
  const relay = await createRelay({ listen: ["tcp://127.0.0.1:0"], ...unlimited });
  tell(relay.ticket());
} else if (role === "server") {
  const node = await serve(args[0]);
  tell(node.ticket());
} else {
  const [workload, address, relay] = args;
  const node = await createNode(relay ? { relays: [relay] } : {});
  await node.ready;
  if (workload === "connects") {
    // One node each would measure the making of nodes: a session is what is counted.
    await connects(async () => {
      const peer = await node.connect(address, { isAnonymous: true });
      await peer.close();
    });
  } else if (workload === "idle") {
    const server = await serve();
    await idle(() => node.connect(server.ticket(), { isAnonymous: true }));
  } else {
    const peer = await node.connect(address, relay ? { via: "relay" } : {});
    if (workload === "bulk" || workload === "relayBulk") {
      await bulk(
        async () => {
          const stream = await peer.open("sink/1");
          return { send: (bytes) => stream.write(bytes), finish: () => stream.finish() };
        },
        relay ? 256 : 512,
      );
    } else if (workload === "pingpong" || workload === "relayPingpong") {
      await requests((bytes) => peer.request("echo", bytes), 1, 10_000);
    } else if (workload === "requests") await requests((bytes) => peer.request("echo", bytes), 32, 200_000);
    else if (workload === "streams") {
      await requests(
        async (bytes) => {
          const stream = await peer.open("echo/1");
          await stream.write(bytes);
          void stream.finish();
          while ((await stream.read()) !== undefined);
        },
        16,
        10_000,
      );
    }
  }
}

async function serve(relay) {
  const node = await createNode(
    relay ? { relays: [relay] } : { listen: ["tcp://127.0.0.1:0"], limits: { pipesPerAddressMax: 10_000 } },
  );
  await node.ready;
  node.respond("echo", (value) => value);
  node.handle("sink/1", async (stream) => {
    while ((await stream.read()) !== undefined);
    await stream.finish();
  });
  node.handle("echo/1", async (stream) => {
    for (let bytes = await stream.read(); bytes !== undefined; bytes = await stream.read()) await stream.write(bytes);
    await stream.finish();
  });
  return node;
}
