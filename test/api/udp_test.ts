/**
 * Sessions over UDP and over UDP and TCP together, on real sockets.
 *
 * @module
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import type { Node, Peer } from "../../adapters/api/types.ts";
import { createNode } from "./runtime_under_test.ts";

const SIZE = 3 * 1024 * 1024;

function pattern(size: number): Uint8Array {
  const bytes = new Uint8Array(size);
  for (let index = 0; index < size; index++) bytes[index] = (index * 7 + (index >>> 10)) & 0xff;
  return bytes;
}

async function serve(listen: readonly string[]): Promise<Node> {
  const node = await createNode({ listen });
  node.respond("echo", (value) => value);
  node.handle("mirror/1", async (stream) => {
    for (let bytes = await stream.read(); bytes !== undefined; bytes = await stream.read()) await stream.write(bytes);
    await stream.finish();
  });
  await node.ready;
  return node;
}

async function mirror(peer: Peer, bytes: Uint8Array): Promise<Uint8Array> {
  const stream = await peer.open("mirror/1");
  const writing = (async () => {
    for (let at = 0; at < bytes.length; at += 50_000) await stream.write(bytes.subarray(at, at + 50_000));
    await stream.finish();
  })();
  const out = new Uint8Array(bytes.length);
  let length = 0;
  for (let part = await stream.read(); part !== undefined; part = await stream.read()) {
    out.set(part, length);
    length += part.length;
  }
  await writing;
  assert.equal(length, bytes.length);
  return out;
}

test("udp: requests, a stream of megabytes and datagrams go over one socket; nothing is left", async () => {
  const server = await serve(["udp://127.0.0.1:0"]);
  const client = await createNode({});
  await client.ready;
  const peer = await client.connect(server.ticket());
  assert.deepEqual(await peer.request("echo", { a: [1, 2, 3] }), { a: [1, 2, 3] });
  const sent = pattern(SIZE);
  assert.deepEqual(await mirror(peer, sent), sent);
  const [path] = peer.stats().paths;
  assert.equal(path?.kind, "datagrams");
  assert.ok((path?.packageBytesMax ?? 0) >= 1200, "The size of packages was found out");
  await client.close();
  await server.close();
});

test("udp: several nodes and several sessions of a node share the sockets", async () => {
  const server = await serve(["udp://127.0.0.1:0"]);
  const clients = await Promise.all(Array.from({ length: 4 }, () => createNode({})));
  const peers = await Promise.all(
    clients.flatMap((client) => [
      client.connect(server.ticket()),
      client.connect(server.ticket(), { isAnonymous: true }),
      client.connect(server.ticket(), { isAnonymous: true }),
    ]),
  );
  const answers = await Promise.all(peers.map((peer, index) => peer.request("echo", index)));
  assert.deepEqual(answers, [...peers.keys()]);
  await Promise.all(clients.map((client) => client.close()));
  await server.close();
});

test("udp: an address where nobody listens is told within the deadline", async () => {
  const server = await serve(["udp://127.0.0.1:0"]);
  const ticket = server.ticket();
  await server.close();
  const client = await createNode({});
  await client.ready;
  await assert.rejects(client.connect(ticket, { timeoutMs: 1_500 }), { name: "ViaductError" });
  await client.close();
});
