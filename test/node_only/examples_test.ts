/**
 * Every example does what it says, and so does the code in the README and in the docs.
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
  admission: /^without: token_refused\nwith: player-one\nrevoked: token_revoked\n$/,
  relay: /^alice: meet me at the bridge, relay\n$/,
  broadcast: /^reached 2\nhello all\nhello all\nnote to self\n$/,
  udp: /^20 \+ 22 = 42\nover datagrams\n$/,
  early: /^first connection: .*isEarly: false \}\nsecond connection: .*isEarly: true \}\n$/,
  bonding: /^before: tcp and udp\nafter: udp\narrived: 16777216 bytes, each as it was sent\n$/,
  simulation: /^60 reports, in order: true\ntold again, the same: true with another seed: false\n$/,
  datagrams: /^datagram Uint8Array\(3\) \[ 1, 2, 3 \]\n$/,
};

for (const [name, expected] of Object.entries(EXPECTED)) {
  test(`example: ${name}`, async () => {
    await using program = new Program(`examples/${name}.ts`, []);
    assert.equal(await program.exit(), 0, program.output);
    assert.match(program.output, expected);
  });
}

const README: readonly RegExp[] = [
  /^42\nover the viaduct\n\w{56} \{ any: 'MessagePack value' \}\n$/,
  /^udp:\S+ [\d.]+\ntcp:\S+ [\d.]+\n$/,
];

test("example: the code of the README", async () => {
  const readme = readFileSync(new URL("../../README.md", import.meta.url), "utf8");
  const snippets = [...readme.matchAll(/```ts\n([\s\S]*?)```/g)].map((match) => match[1] as string);
  assert.equal(snippets.length, README.length);
  for (const [index, code] of snippets.entries()) {
    assert.ok(code.split("\n").length <= 40);
    await using program = new Program("test/node_only/evaluate.ts", [code.replace('"viaduct"', '"./mod.ts"')]);
    assert.equal(await program.exit(), 0, program.output);
    assert.match(program.output, README[index] as RegExp);
  }
});

/** What the snippets of the pages find there: a relay and a node to talk with, and a node of their own. */
const GUIDE = `
import { createWriteStream } from "node:fs";
import { createNode, createRelay, ViaductError } from "./adapters/node/mod.ts";
import type { Stream } from "./adapters/node/mod.ts";
import { qlogTrace, traceSessions } from "./adapters/trace/mod.ts";
const theRelay = await createRelay({ listen: ["tcp://127.0.0.1:0"] });
const relayTicket = theRelay.ticket();
const server = await createNode({ listen: ["tcp://127.0.0.1:0", "udp://127.0.0.1:0"] });
const friends = new Set<string>();
const run = async (snippet: (node: Awaited<ReturnType<typeof createNode>>) => Promise<void>) => {
  await using node = await createNode();
  await snippet(node);
};
`;

const PAGES: readonly (readonly [page: string, snippets: number, expected: RegExp])[] = [
  ["guide", 9, /nobody there: [\s\S]*all of it\n$/],
  ["observability", 3, /^\w+:\S+ \w+ active .*\n.*\ntracing .* \w{56}\n\S+ ended with closed 0\nall of it\n$/],
  ["lockstep", 1, /^all of it\n$/],
  ["coming_from", 3, /^count\/1 \{ bytes: 100000 \}\ntrue \d\n\w{4}: hello\nall of it\n$/],
];

for (const [page, count, expected] of PAGES) {
  test(`example: the code of docs/${page}.md`, async () => {
    const text = readFileSync(new URL(`../../docs/${page}.md`, import.meta.url), "utf8");
    using folder = new Folder();
    const snippets = [...text.matchAll(/```ts\n([\s\S]*?)```/g)].map((match) =>
      (match[1] as string).replace(/^import .*$/gm, "").replaceAll(/(["`])app-data\//g, `$1${folder.path}/`),
    );
    assert.ok(snippets.length >= count);
    const calls = snippets.map((snippet) => `await run(async (node) => {{${snippet}}});`);
    const code = [GUIDE, ...calls, 'console.log("all of it");', "process.exit(0);"].join("\n");
    await using program = new Program("test/node_only/evaluate.ts", [code]);
    assert.equal(await program.exit(), 0, program.output);
    assert.match(program.output, expected);
  });
}
