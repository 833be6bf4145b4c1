/**
 * js-libp2p in the bench: TCP, Noise, yamux; limits raised so that they do not throttle. Needs Node 22 or later.
 *
 * @module
 */

import process from "node:process";
import { noise } from "@chainsafe/libp2p-noise";
import { yamux } from "@chainsafe/libp2p-yamux";
import { tcp } from "@libp2p/tcp";
import { multiaddr } from "@multiformats/multiaddr";
import { createLibp2p } from "libp2p";
import { bulk, connects, requests, tell } from "./workloads.mjs";

const [role, workload, address] = process.argv.slice(2);
const LIMITS = {
  maxConnections: 10_000,
  inboundConnectionThreshold: 100_000,
  maxIncomingPendingConnections: 1_000,
};

function create(listen) {
  return createLibp2p({
    addresses: { listen },
    transports: [tcp()],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux()],
    connectionManager: LIMITS,
  });
}

const UNLIMITED = { maxInboundStreams: 100_000, maxOutboundStreams: 100_000 };

if (role === "server") {
  const node = await create(["/ip4/127.0.0.1/tcp/0"]);
  const closeToo = (stream) => stream.addEventListener("remoteCloseWrite", () => void stream.close());
  await node.handle(
    "/echo/1",
    (stream) => {
      stream.addEventListener("message", (event) => stream.send(event.data));
      closeToo(stream);
    },
    UNLIMITED,
  );
  await node.handle(
    "/sink/1",
    (stream) => {
      stream.addEventListener("message", () => {});
      closeToo(stream);
    },
    UNLIMITED,
  );
  tell(node.getMultiaddrs()[0].toString());
} else {
  const node = await create([]);
  const target = multiaddr(address);
  if (workload === "connects") {
    await connects(async () => {
      const own = await create([]);
      const connection = await own.dial(target);
      await connection.close();
      await own.stop();
    }, 200);
  } else {
    const connection = await node.dial(target);
    const open = (protocol) => connection.newStream(protocol, UNLIMITED);
    if (workload === "bulk") {
      await bulk(async () => {
        const stream = await open("/sink/1");
        stream.addEventListener("message", () => {});
        return {
          send: (bytes) => (stream.send(bytes) ? undefined : stream.onDrain()),
          finish: async () => {
            const ended = new Promise((resolve) => stream.addEventListener("remoteCloseWrite", resolve));
            await stream.close();
            await ended;
          },
        };
      }, 256);
    } else if (workload === "pingpong") {
      const stream = await open("/echo/1");
      let answered = () => {};
      stream.addEventListener("message", () => answered());
      await requests(
        (bytes) =>
          new Promise((resolve) => {
            answered = resolve;
            stream.send(bytes);
          }),
        1,
        10_000,
      );
    } else {
      await requests(
        async (bytes) => {
          const stream = await open("/echo/1");
          const answer = new Promise((resolve) => stream.addEventListener("message", resolve, { once: true }));
          stream.send(bytes);
          await answer;
          await stream.close();
        },
        16,
        2_000,
      );
    }
  }
}
process.on("uncaughtException", (error) => {
  process.stderr.write(`${error.message}\n`);
  process.exit(1);
});
