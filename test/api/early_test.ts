/** Early data over real sockets: a stream that begins with the first message of a connection. @module */

import assert from "node:assert/strict";
import { test } from "node:test";
import type { Node, Stream } from "../../adapters/api/types.ts";
import { createNode } from "./runtime_under_test.ts";

const encode = (text: string): Uint8Array => new TextEncoder().encode(text);

async function textOf(stream: Stream): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  for (;;) {
    const bytes = await stream.read({ timeoutMs: 10_000 });
    if (bytes === undefined) return text;
    text += decoder.decode(bytes, { stream: true });
  }
}

/** A node that answers with what it was told, and whether that came early. */
async function answering(address: string, acceptEarly = true): Promise<Node> {
  const node = await createNode({ listen: [address] });
  node.handle(
    "ask/1",
    async (stream) => {
      const text = await textOf(stream);
      await stream.write(encode(`${stream.isEarly ? "early" : "late"}: ${text.slice(0, 20)} (${text.length})`));
      await stream.finish();
    },
    { acceptEarly },
  );
  return node;
}

async function peerClosed(node: Node): Promise<void> {
  for await (const { type } of node.events({ signal: AbortSignal.timeout(10_000) })) if (type === "peerClosed") return;
}

async function ask(node: Node, server: Node, text: string): Promise<{ answer: string; isEarly: boolean }> {
  const gone = peerClosed(server);
  const stream = await node.openStream(server.ticket(), "ask/1", { data: encode(text) });
  await stream.finish();
  const answer = await textOf(stream);
  await stream.peer.close();
  // As long as the session is there, nothing takes its place early.
  await gone;
  return { answer, isEarly: stream.isEarly };
}

for (const scheme of ["udp", "tcp", "ws"]) {
  test(`early: over ${scheme} the second connection brings its stream along, and so does the third`, async () => {
    await using server = await answering(`${scheme}://127.0.0.1:0`);
    await using client = await createNode();
    assert.deepEqual(await ask(client, server, "one"), { answer: "late: one (3)", isEarly: false });
    assert.deepEqual(await ask(client, server, "two"), { answer: "early: two (3)", isEarly: true });
    assert.deepEqual(await ask(client, server, "three"), { answer: "early: three (5)", isEarly: true });
  });

  test(`early: over ${scheme} what does not fit the first message follows, in order and once`, async () => {
    await using server = await answering(`${scheme}://127.0.0.1:0`);
    await using client = await createNode();
    const text = "0123456789".repeat(6_000);
    await ask(client, server, text);
    assert.deepEqual(await ask(client, server, text), {
      answer: "early: 01234567890123456789 (60000)",
      isEarly: true,
    });
  });
}

test("early: a protocol that does not ask for it gets no stream early, and every stream all the same", async () => {
  await using server = await answering("udp://127.0.0.1:0", false);
  server.handle("other/1", async (stream) => void stream.reset(), { acceptEarly: true });
  await using client = await createNode();
  for (const text of ["one", "two"]) {
    assert.deepEqual(await ask(client, server, text), { answer: `late: ${text} (3)`, isEarly: false });
  }
});

test("early: a node that was restarted does not know its tickets; nobody notices", async () => {
  const seed = new Uint8Array(32).fill(9);
  for (const scheme of ["udp", "tcp"]) {
    const client = await createNode();
    for (const life of ["first", "second"]) {
      await using server = await createNode({ identity: seed, listen: [`${scheme}://127.0.0.1:0`] });
      server.handle(
        "ask/1",
        async (stream) => {
          const text = await textOf(stream);
          await stream.write(encode(`${stream.isEarly ? "early" : "late"}: ${text}`));
          await stream.finish();
        },
        { acceptEarly: true },
      );
      assert.equal((await ask(client, server, life)).answer, `late: ${life}`);
      assert.equal((await ask(client, server, "again")).answer, "early: again");
    }
    await client.close();
  }
});

test("early: a session that is there is used, and too much data or no bytes at all are told at once", async () => {
  await using server = await answering("tcp://127.0.0.1:0");
  await using client = await createNode();
  const peer = await client.connect(server.ticket());
  const stream = await client.openStream(server.ticket(), "ask/1", { data: encode("hello") });
  const told = await client.openStream(server.ticket(), "ask/1", { data: encode(">"), message: "hi" });
  await told.finish();
  assert.equal(await textOf(told), "late: >\x03\xa2hi (5)".replace("\xa2", "\ufffd"));
  assert.equal(stream.peer, peer);
  assert.equal(stream.isEarly, false);
  await stream.finish();
  assert.equal(await textOf(stream), "late: hello (5)");
  await assert.rejects(client.openStream(server.ticket(), "ask/1", { data: new Uint8Array(65_537) }), RangeError);
  await assert.rejects(client.openStream(server.ticket(), "ask/1", { data: "text" as never }), TypeError);
});
