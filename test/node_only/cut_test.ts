/**
 * A transfer over TCP and UDP at once goes on when either of them is cut, and when both are for a while.
 *
 * @module
 */

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { createSocket, type Socket as UdpSocket } from "node:dgram";
import { connect, createServer, type Server, type Socket } from "node:net";
import { test } from "node:test";
import { createNode } from "../../adapters/node/mod.ts";

const SIZE = 24 * 1024 * 1024;
const CHUNK = 64 * 1024;

/** A proxy that can be cut: what it holds is lost, and nobody is told where it is silent. */
interface Proxy {
  readonly address: string;
  cut(): void;
  mend(): void;
  close(): void;
}

async function tcpProxy(port: number): Promise<Proxy> {
  const sockets = new Set<Socket>();
  let isCut = false;
  const server: Server = createServer((client) => {
    if (isCut) {
      client.destroy();
      return;
    }
    const upstream = connect(port, "127.0.0.1");
    for (const [from, to] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      sockets.add(from);
      from.pipe(to);
      from.on("error", () => to.destroy());
      from.on("close", () => {
        sockets.delete(from);
        to.destroy();
      });
    }
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    address: `tcp://127.0.0.1:${(server.address() as { port: number }).port}`,
    cut: () => {
      isCut = true;
      for (const socket of sockets) socket.destroy();
    },
    mend: () => {
      isCut = false;
    },
    close: () => {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
}

async function udpProxy(port: number): Promise<Proxy> {
  const front = createSocket("udp4");
  const upstreams = new Map<number, UdpSocket>();
  let isCut = false;
  front.on("message", (bytes, from) => {
    if (isCut) return;
    let upstream = upstreams.get(from.port);
    if (upstream === undefined) {
      upstream = createSocket("udp4");
      upstream.on("message", (answer) => {
        if (!isCut) front.send(answer, from.port, from.address);
      });
      upstreams.set(from.port, upstream);
    }
    upstream.send(bytes, port, "127.0.0.1");
  });
  await new Promise<void>((resolve) => front.bind(0, "127.0.0.1", resolve));
  return {
    address: `udp://127.0.0.1:${front.address().port}`,
    cut: () => {
      isCut = true;
    },
    mend: () => {
      isCut = false;
    },
    close: () => {
      for (const upstream of upstreams.values()) upstream.close();
      front.close();
    },
  };
}

function portOf(addresses: readonly string[], scheme: string): number {
  const found = addresses.find((address) => address.startsWith(scheme));
  return Number(found?.split(":").at(-1));
}

for (const [name, cuts] of [
  ["TCP", ["tcp"]],
  ["UDP", ["udp"]],
  ["both for a while", ["tcp", "udp"]],
] as const) {
  test(`cut: a transfer over TCP and UDP goes on when ${name} is cut`, { timeout: 60_000 }, async () => {
    const server = await createNode({ listen: ["tcp://127.0.0.1:0", "udp://127.0.0.1:0"] });
    const received = createHash("sha256");
    let bytesReceived = 0;
    server.handle("sink/1", async (stream) => {
      for (let bytes = await stream.read(); bytes !== undefined; bytes = await stream.read()) {
        received.update(bytes);
        bytesReceived += bytes.length;
      }
      await stream.finish();
    });
    await server.ready;
    const proxies = {
      tcp: await tcpProxy(portOf(server.addresses, "tcp")),
      udp: await udpProxy(portOf(server.addresses, "udp")),
    };
    const client = await createNode({ paths: { wanted: 2, policy: "aggregate" } });
    await client.ready;
    const peer = await client.connect({ id: server.id, addresses: [proxies.tcp.address, proxies.udp.address] });
    while (peer.stats().paths.filter(({ state }) => state === "active").length < 2) {
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    const stream = await peer.open("sink/1");
    const sent = createHash("sha256");
    const kinds = new Set<string>();
    for (let at = 0; at < SIZE; at += CHUNK) {
      const chunk = new Uint8Array(CHUNK).fill((at / CHUNK) & 0xff);
      sent.update(chunk);
      await stream.write(chunk);
      for (const { kind, bytesSent } of peer.stats().paths) if (bytesSent > 100_000) kinds.add(kind);
      if (at === SIZE / 2) {
        for (const cut of cuts) proxies[cut].cut();
        if (cuts.length === 2) {
          setTimeout(() => {
            for (const cut of cuts) proxies[cut].mend();
          }, 1_500);
        }
      }
    }
    await stream.finish();
    await stream.closed;
    assert.equal(bytesReceived, SIZE);
    assert.equal(received.digest("hex"), sent.digest("hex"));
    assert.deepEqual([...kinds].sort(), ["bytes", "datagrams"], "Both ways were used");
    await client.close();
    await server.close();
    for (const proxy of Object.values(proxies)) proxy.close();
  });
}
