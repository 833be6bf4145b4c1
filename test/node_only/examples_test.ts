/**
 * Every example does what it says, and so does the code in the README.
 *
 * @module
 */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { Program } from "./program.ts";

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
