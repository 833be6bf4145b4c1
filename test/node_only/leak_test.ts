/**
 * What failure leaves behind: nothing. And what a relay's wire shows: nothing.
 *
 * @module
 */

import assert from "node:assert/strict";
import { connect, createServer, type Socket } from "node:net";
import { test } from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { createNode, createRelay } from "../../adapters/node/mod.ts";
import { Program } from "./program.ts";

setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc") as () => void;

function heapBytes(): number {
  collect();
  return process.memoryUsage().heapUsed;
}

test("leak: 16,000 failed dials leave the heap flat", async () => {
  const node = await createNode();
  const fail = async (count: number): Promise<void> => {
    for (let done = 0; done < count; done += 50) {
      const dials = Array.from({ length: 50 }, () => node.connect("tcp://127.0.0.1:1").catch(() => undefined));
      await Promise.all(dials);
    }
  };
  await fail(4_000);
  const growths: number[] = [];
  for (let batch = 0; batch < 3; batch++) {
    const before = heapBytes();
    await fail(4_000);
    growths.push(heapBytes() - before);
  }
  // The engine's own bookkeeping jumps now and then; a leak grows in every batch, by at least an object for each dial.
  assert.ok(Math.min(...growths) < 120_000, `the heap grew by ${growths} bytes`);
  assert.equal(node.stats().pipes, 0);
  assert.equal(node.stats().handshakes, 0);
  await node.close();
});

test("leak: a peer that is killed in mid-transfer is reported, and nothing of it stays", async () => {
  const node = await createNode({ listen: ["tcp://127.0.0.1:0"], resumeWindowMs: 500 });
  const code = `
    import { createNode } from "./adapters/node/mod.ts";
    const node = await createNode();
    const peer = await node.connect(${JSON.stringify(node.ticket())});
    const stream = await peer.open("sink/1");
    for (;;) await stream.write(new Uint8Array(65536));`;
  let outcome: Promise<unknown> | undefined;
  let received = 0;
  node.handle("sink/1", async (stream) => {
    outcome = stream.closed.catch((error: unknown) => error);
    for (let bytes = await stream.read(); bytes !== undefined; bytes = await stream.read()) received += bytes.length;
  });
  await using program = new Program("test/node_only/evaluate.ts", [code]);
  while (received < 1_000_000) await new Promise((resolve) => setTimeout(resolve, 10));
  program.kill("SIGKILL");
  assert.equal(((await outcome) as { code?: string }).code, "resume_timeout");
  assert.equal(node.peers.size, 0);
  assert.equal(node.stats().sessions, 0);
  assert.equal(node.stats().pipes, 0);
  await node.close();
});

test("leak: nothing of a known message shows on the wires of a relay", async () => {
  const secret = "the quick brown fox jumps over the lazy viaduct";
  const captured: Buffer[] = [];
  const relay = await createRelay({ listen: ["tcp://127.0.0.1:0"] });
  const port = Number(relay.node.addresses[0]?.split(":").at(-1));
  const sockets = new Set<Socket>();
  // Both clients reach the relay through this proxy, which keeps everything.
  const proxy = createServer((client) => {
    const server = connect(port, "127.0.0.1");
    for (const [from, to] of [
      [client, server],
      [server, client],
    ] as const) {
      sockets.add(from);
      from.on("error", () => {});
      from.on("data", (bytes) => {
        captured.push(bytes);
        to.write(bytes);
      });
      from.on("close", () => to.destroy());
    }
  });
  await new Promise<void>((resolve) => proxy.listen(0, "127.0.0.1", resolve));
  const address = `tcp://127.0.0.1:${(proxy.address() as { port: number }).port}`;
  const alice = await createNode({ relays: [address], name: "alice" });
  const bob = await createNode({ relays: [address], name: "bob" });
  await Promise.all([alice.ready, bob.ready]);
  bob.respond("repeat", (value) => value);
  const peer = await alice.connect("bob", { via: "relay" });
  for (let round = 0; round < 20; round++) assert.equal(await peer.request("repeat", secret), secret);
  const wire = Buffer.concat(captured);
  assert.ok(wire.length > 2_000);
  for (const word of secret.split(" ").filter((part) => part.length > 3))
    assert.equal(wire.includes(word), false, word);
  assert.equal(wire.includes("alice"), false);
  await Promise.all([alice.close(), bob.close()]);
  await relay.close();
  for (const socket of sockets) socket.destroy();
  proxy.close();
});
