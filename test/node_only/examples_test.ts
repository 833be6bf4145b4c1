/**
 * Every example does what it says, and so does the code in the README and in the guide.
 *
 * @module
 */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { Folder, Program } from "./program.ts";

const EXPECTED: Readonly<Record<string, RegExp>> = {
  echo: /^hello, viaduct\n$/,
  requests: /^20 \+ 22 = 42\nsleep: timeout\n$/,
  relay: /^alice: meet me at the bridge, relay\n$/,
  broadcast: /^reached 2\nhello all\nhello all\nnote to self\n$/,
  udp: /^20 \+ 22 = 42\nover datagrams\n$/,
  bonding: /^before: tcp and udp\nafter: udp\narrived: 16777216 bytes, each as it was sent\n$/,
  datagrams: /^datagram Uint8Array\(3\) \[ 1, 2, 3 \]\n$/,
};

for (const [name, expected] of Object.entries(EXPECTED)) {
  test(`example: ${name}`, async () => {
    await using program = new Program(`examples/${name}.ts`, []);
    assert.equal(await program.exit(), 0, program.output);
    assert.match(program.output, expected);
  });
}

test("example: the code of the README", async () => {
  const readme = readFileSync(new URL("../../README.md", import.meta.url), "utf8");
  const code = /```ts\n([\s\S]*?)```/.exec(readme)?.[1];
  assert.ok(code);
  assert.ok(code.split("\n").length <= 40);
  await using program = new Program("test/node_only/evaluate.ts", [code.replace('"viaduct"', '"./mod.ts"')]);
  assert.equal(await program.exit(), 0, program.output);
  assert.match(program.output, /^42\nover the viaduct\n\w{56} \{ any: 'MessagePack value' \}\n$/);
});

/** What the snippets of the guide find there: a relay and a node to talk with, and a node of their own. */
const GUIDE = `
import { createNode, createRelay, ViaductError } from "./adapters/node/mod.ts";
const theRelay = await createRelay({ listen: ["tcp://127.0.0.1:0"] });
const relayTicket = theRelay.ticket();
const server = await createNode({ listen: ["tcp://127.0.0.1:0", "udp://127.0.0.1:0"] });
const friends = new Set<string>();
const run = async (snippet: (node: Awaited<ReturnType<typeof createNode>>) => Promise<void>) => {
  await using node = await createNode();
  await snippet(node);
};
`;

test("example: the code of the guide", async () => {
  const guide = readFileSync(new URL("../../docs/guide.md", import.meta.url), "utf8");
  using folder = new Folder();
  const snippets = [...guide.matchAll(/```ts\n([\s\S]*?)```/g)].map((match) =>
    (match[1] as string).replace(/^import .*$/gm, "").replaceAll('"app-data/', `"${folder.path}/`),
  );
  assert.ok(snippets.length >= 8);
  const calls = snippets.map((snippet) => `await run(async (node) => {{${snippet}}});`);
  const code = [GUIDE, ...calls, 'console.log("all of it");', "process.exit(0);"].join("\n");
  await using program = new Program("test/node_only/evaluate.ts", [code]);
  assert.equal(await program.exit(), 0, program.output);
  assert.match(program.output, /nobody there: [\s\S]*all of it\n$/);
});
