/**
 * The public API over real sockets of the runtime at hand.
 *
 * @module
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import type { Node, Peer, Stream } from "../../adapters/api/types.ts";
import { createNode } from "./runtime_under_test.ts";

/** Two nodes that are connected; both are closed at the end. */
async function withPair(
  act: (ends: { server: Node; client: Node; peer: Peer; remote: Peer }) => Promise<void>,
  options: { address?: string } = {},
): Promise<void> {
  const server = await createNode({ listen: [options.address ?? "tcp://127.0.0.1:0"] });
  const client = await createNode();
  try {
    const peer = await client.connect(server.ticket());
    const remote = await until(() => server.peers.get(client.id));
    await act({ server, client, peer, remote });
  } finally {
    await Promise.all([client.close(), server.close()]);
  }
}

async function until<Value>(get: () => Value | undefined | false): Promise<Value> {
  for (let round = 0; round < 2_000; round++) {
    const value = get();
    if (value !== undefined && value !== false) return value;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  throw new Error("It never came about");
}

function pattern(length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  let state = 12345;
  for (let index = 0; index < length; index++) {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    bytes[index] = state >>> 16;
  }
  return bytes;
}

async function readAll(stream: Pick<Stream, "read">): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  for (let part = await stream.read(); part !== undefined; part = await stream.read()) parts.push(part);
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

for (const address of ["tcp://127.0.0.1:0", "ws://127.0.0.1:0"]) {
  test(`api: an echo of 20 MB over ${address.slice(0, 3)}, with back-pressure, ends on both sides`, async () => {
    await withPair(
      async ({ server, peer }) => {
        server.handle("echo/1", async (stream) => {
          for (let bytes = await stream.read(); bytes !== undefined; bytes = await stream.read())
            await stream.write(bytes);
          await stream.finish();
        });
        const stream = await peer.open("echo/1");
        const sent = pattern(20_000_000);
        const writing = (async () => {
          for (let at = 0; at < sent.length; at += 100_000) await stream.write(sent.subarray(at, at + 100_000));
          await stream.finish();
        })();
        const received = await readAll(stream);
        await writing;
        assert.equal(received.length, sent.length);
        assert.ok(received.every((byte, index) => byte === sent[index]));
        await stream.closed;
        await stream.accepted;
      },
      { address },
    );
  });
}

test("api: WHATWG streams carry bytes, BYOB readers too", async () => {
  await withPair(async ({ server, peer }) => {
    server.handle("echo/1", (stream) => stream.readable.pipeTo(stream.writable as never));
    const stream = await peer.open("echo/1");
    const writer = stream.writable.getWriter();
    const sent = pattern(300_000);
    const writing = writer.write(sent).then(() => writer.close());
    const reader = stream.readable.getReader({ mode: "byob" });
    let received = 0;
    for (;;) {
      const { value, done } = await reader.read(new Uint8Array(1000));
      if (done) break;
      for (const byte of value) assert.equal(byte, sent[received++]);
    }
    await writing;
    assert.equal(received, sent.length);
  });
});

test("api: versions are agreed on without a round trip, an unknown protocol is refused", async () => {
  await withPair(async ({ server, peer }) => {
    server.handle(["game/1", "game/2"], async (stream) => {
      await stream.write(new TextEncoder().encode(stream.protocol));
      await stream.finish();
    });
    const stream = await peer.open(["game/3", "game/2", "game/1"]);
    await stream.accepted;
    assert.equal(stream.protocol, "game/2");
    assert.equal(new TextDecoder().decode(await readAll(stream)), "game/2");
    const other = await peer.open("nobody/1");
    await assert.rejects(other.accepted, { code: "unknown_protocol" });
    await assert.rejects(other.read(), { code: "unknown_protocol" });
  });
});

test("api: values over a stream, messages to a node, in order and whole", async () => {
  await withPair(async ({ server, client, peer }) => {
    server.handle("values/1", async (stream) => {
      for await (const value of stream.messages()) await stream.send({ got: value });
      await stream.finish();
    });
    const stream = await peer.open("values/1");
    const values = [1, "two", { three: [3, null, true] }, pattern(200_000), new Date(5)];
    for (const value of values) await stream.send(value);
    await stream.finish();
    const answers: unknown[] = [];
    for await (const value of stream.messages()) answers.push((value as { got: unknown }).got);
    assert.deepEqual(answers, values);

    const received: unknown[] = [];
    const reading = (async () => {
      for await (const message of server.messages({ topic: "count" })) {
        assert.equal(message.from.id, client.id);
        received.push(message.value);
        if (received.length === 2_000) return;
      }
    })();
    for (let index = 0; index < 2_000; index++) await client.send(server.id, index, { topic: "count" });
    await reading;
    assert.deepEqual(
      received,
      Array.from({ length: 2_000 }, (_, index) => index),
    );
  });
});

test("api: requests are answered, fail with a code, can be given up", async () => {
  await withPair(async ({ server, client, peer }) => {
    server.respond("add", (value) => (value as number[]).reduce((a, b) => a + b, 0));
    server.respond("fail", () => {
      throw new Error("on purpose");
    });
    let wasAborted = false;
    server.respond("never", (_value, { signal }) => {
      signal.addEventListener("abort", () => {
        wasAborted = true;
      });
      return new Promise(() => {});
    });
    const sums = await Promise.all(Array.from({ length: 500 }, (_, index) => peer.request("add", [index, 1])));
    assert.deepEqual(
      sums,
      Array.from({ length: 500 }, (_, index) => index + 1),
    );
    await assert.rejects(peer.request("fail", null), { code: "request_failed", message: /on purpose/ });
    await assert.rejects(peer.request("unknown", null), { code: "unknown_protocol" });
    await assert.rejects(peer.request("never", null, { timeoutMs: 50 }), { code: "timeout" });
    await assert.rejects(client.request(server.id, "add", new Uint8Array(2_000_000)), { code: "message_too_large" });
    await until(() => wasAborted);
  });
});

test("api: datagrams, ping, stats and events", async () => {
  await withPair(async ({ server, peer, remote }) => {
    const reader = remote.datagrams.readable.getReader();
    assert.ok(peer.datagrams.send(Uint8Array.of(1, 2, 3)));
    assert.deepEqual([...((await reader.read()).value as Uint8Array)], [1, 2, 3]);
    assert.equal(peer.datagrams.send(new Uint8Array(peer.datagrams.maxDatagramSize + 1)), false);
    const { rttMs, remote: via } = await peer.ping();
    assert.ok(rttMs >= 0 && via.startsWith("tcp://127.0.0.1:"));
    assert.equal(peer.stats().paths.length, 1);
    assert.equal(server.stats().sessions, 1);
  });
});

test("api: datagrams that came before anybody asked are there, and those of a session that ended end", async () => {
  await withPair(async ({ peer, remote }) => {
    assert.ok(peer.datagrams.send(Uint8Array.of(4)));
    await peer.ping(); // By the same pipe, behind it.
    await peer.close();
    await remote.closed;
    const reader = remote.datagrams.readable.getReader();
    assert.deepEqual([...((await reader.read()).value as Uint8Array)], [4]);
    assert.equal((await reader.read()).done, true);
  });
  await withPair(async ({ peer, remote }) => {
    await peer.close();
    await remote.closed;
    assert.equal((await remote.datagrams.readable.getReader().read()).done, true);
  });
});

test("api: a node talks to itself", async () => {
  const node = await createNode();
  node.respond("double", (value) => 2 * (value as number));
  const messages = node.messages();
  const value = { list: [1] };
  await node.send(node.id, value);
  value.list.push(2);
  assert.deepEqual((await messages.next()).value.value, { list: [1] });
  assert.equal(await node.request(node.id, "double", 21), 42);
  await node.close();
});

test("api: broadcast reaches all peers that the filter takes", async () => {
  const server = await createNode({ listen: ["tcp://127.0.0.1:0"] });
  const clients = await Promise.all([createNode(), createNode(), createNode()]);
  await Promise.all(clients.map((client) => client.connect(server.ticket())));
  await until(() => server.peers.size === 3);
  const skipped = clients[0]?.id;
  const inboxes = clients.map((client) => client.messages());
  assert.equal(await server.broadcast("hello", { filter: (peer) => peer.id !== skipped }), 2);
  assert.equal((await inboxes[1]?.next())?.value.value, "hello");
  assert.equal((await inboxes[2]?.next())?.value.value, "hello");
  await Promise.all([server, ...clients].map((node) => node.close()));
});

test("api: an anonymous client shows no key, the wrong id is refused, a banned one is told", async () => {
  await using server = await createNode({ listen: ["tcp://127.0.0.1:0"] });
  await using client = await createNode();
  await using other = await createNode();
  const events = server.events();
  await client.connect(server.ticket(), { isAnonymous: true });
  let seen: Peer | undefined;
  for await (const event of events) {
    if (event.type !== "peerConnected") continue;
    seen = event.peer;
    break;
  }
  assert.equal(seen?.id, undefined);
  await assert.rejects(other.connect({ id: other.id, addresses: server.addresses }), {
    code: /handshake_failed|identity/,
  });
  server.ban(other.id);
  const refused = await other.connect(server.ticket()).then(
    (peer) => peer.closed.then((info) => info.code),
    (error: { code: string }) => error.code,
  );
  assert.equal(refused, "banned");
});

test("api: a dial to nobody fails with a code, an aborted one with the reason", async () => {
  await using node = await createNode();
  await assert.rejects(node.connect("tcp://127.0.0.1:1"), { code: "dial_failed" });
  await assert.rejects(node.connect("nonsense!"), { code: "name_invalid" });
  const reason = new Error("changed my mind");
  await assert.rejects(node.connect("tcp://127.0.0.1:1", { signal: AbortSignal.abort(reason) }), reason);
});

test("api: closing settles everything that waits and leaves nothing behind", async () => {
  const server = await createNode({ listen: ["tcp://127.0.0.1:0"] });
  const client = await createNode();
  const peer = await client.connect(server.ticket());
  server.handle("silent/1", () => new Promise(() => {}));
  const stream = await peer.open("silent/1");
  await stream.accepted;
  const reading = assert.rejects(stream.read(), { code: "going_away" });
  const requesting = assert.rejects(peer.request("nothing", 1), { code: /going_away|unknown_protocol/ });
  const messages = client.messages().next();
  await server.close({ reason: "maintenance" });
  await reading;
  await requesting;
  const info = await peer.closed;
  assert.equal(info.code, "going_away");
  assert.equal(info.reason, "maintenance");
  await client.close();
  assert.equal((await messages).done, true);
  for (const node of [server, client]) {
    assert.equal(node.stats().pipes, 0);
    assert.equal(node.stats().sessions, 0);
  }
  await assert.rejects(client.connect(server.ticket()), { code: "closed" });
});

test("api: what was written before a close is read after it", async () => {
  await withPair(async ({ server, peer }) => {
    const received = new Promise<Uint8Array>((resolve) => {
      server.handle("last/1", async (stream) => {
        await stream.read();
        await new Promise((later) => setTimeout(later, 50));
        resolve(await readAll(stream));
      });
    });
    const stream = await peer.open("last/1");
    await stream.write(pattern(10));
    await stream.write(pattern(1_000_000));
    await stream.finish();
    await peer.close();
    assert.ok((await received).length >= 999_000);
  });
});
