/**
 * js-libp2p in the bench: TCP, Noise, yamux, circuit relay v2; limits raised so that they do not throttle. Needs Node
 * 22 or later.
 *
 * @module
 */

import process from "node:process";
import { noise } from "@chainsafe/libp2p-noise";
import { yamux } from "@chainsafe/libp2p-yamux";
import { circuitRelayServer, circuitRelayTransport } from "@libp2p/circuit-relay-v2";
import { identify } from "@libp2p/identify";
import { tcp } from "@libp2p/tcp";
import { multiaddr } from "@multiformats/multiaddr";
import { createLibp2p } from "libp2p";
import { bulk, connects, job, requests, roundTrips, tell } from "./workloads.mjs";

const { role, workload, address, relay } = job;
const LIMITS = {
  maxConnections: 10_000,
  inboundConnectionThreshold: 100_000,
  maxIncomingPendingConnections: 1_000,
};
const UNLIMITED = { maxInboundStreams: 100_000, maxOutboundStreams: 100_000, runOnLimitedConnection: true };
const LISTEN = "/ip4/127.0.0.1/tcp/0";

process.on("uncaughtException", (error) => {
  process.stderr.write(`${error.message}\n`);
  process.exit(1);
});

if (role === "relay") {
  const unlimited = { maxReservations: 1_000, applyDefaultLimit: false };
  const node = await create([LISTEN], { relay: circuitRelayServer({ reservations: unlimited }) });
  tell(node.getMultiaddrs()[0].toString());
} else if (role === "server") await serve();
else if (workload === "connects") {
  await connects(async () => {
    const own = await create([]);
    const connection = await own.dial(multiaddr(address.text));
    await connection.close();
    await own.stop();
  }, 200);
} else if (workload === "roundTrips") await workOverLines();
else await workOnStreams(await (await create([])).dial(multiaddr(address.text)));

function create(listen, services = {}) {
  const isRelayed = relay !== undefined || role === "relay";
  return createLibp2p({
    addresses: { listen },
    transports: [tcp(), ...(isRelayed ? [circuitRelayTransport()] : [])],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux()],
    connectionManager: LIMITS,
    // A reservation at a relay needs to know what the relay serves.
    services: isRelayed ? { identify: identify(), ...services } : services,
  });
}

async function serve() {
  const node = await create(relay ? [`${relay}/p2p-circuit`] : [LISTEN]);
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
  while (node.getMultiaddrs().length === 0) await new Promise((resolve) => setTimeout(resolve, 50));
  const own = node.getMultiaddrs()[0];
  const port = relay ? undefined : Number(/\/tcp\/(\d+)/.exec(own.toString())[1]);
  tell({ text: own.toString(), port });
}

async function workOnStreams(connection) {
  const open = (protocol) => connection.newStream(protocol, UNLIMITED);
  if (workload === "bulk" || workload === "relayBulk") {
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
    });
  } else if (workload === "streams") {
    await requests(async (bytes) => {
      const stream = await open("/echo/1");
      const answer = new Promise((resolve) => stream.addEventListener("message", resolve, { once: true }));
      stream.send(bytes);
      await answer;
      await stream.close();
    }, 16);
  } else await requests(asker(await open("/echo/1")), workload === "requests" ? 32 : 1);
}

/** Asks on one stream, that stays open. */
function asker(stream) {
  const waiting = [];
  let received = 0;
  stream.addEventListener("message", ({ data }) => {
    for (received += data.byteLength; received >= 64; received -= 64) waiting.shift()();
  });
  return (bytes) =>
    new Promise((resolve) => {
      waiting.push(resolve);
      stream.send(bytes);
    });
}

/** Its addresses always name who is meant: there is one mode. */
async function workOverLines() {
  const [, id] = /\/p2p\/(\w+)$/.exec(address.text);
  const prepare = async (_mode, rttMs) => {
    const node = await create([]);
    const target = multiaddr(rttMs ? `/ip4/127.0.0.1/tcp/${job.lines[rttMs]}/p2p/${id}` : address.text);
    return async (bytes) => {
      const connection = await node.dial(target);
      await asker(await connection.newStream("/echo/1", UNLIMITED))(bytes);
      void node.stop();
    };
  };
  await (await prepare())(new Uint8Array(64)); // What is run for the first time is slow: not over a line.
  await roundTrips(prepare, ["known"]);
}
