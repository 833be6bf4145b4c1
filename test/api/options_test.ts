/**
 * Options that cannot be meant are refused at once, by name; none of them reaches a machine, where it would end the
 * node.
 *
 * @module
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import type { NodeOptions } from "../../adapters/api/types.ts";
import { nobleProvider } from "../../core/crypto/noble_provider.ts";
import { decodeTicket } from "../../core/crypto/ticket.ts";
import { createNode } from "./runtime_under_test.ts";

const WRONG: Readonly<Record<string, NodeOptions>> = {
  "paths.wanted": { paths: { wanted: 1.5 } },
  "paths.wanted ": { paths: { wanted: 9 } },
  "paths.datagramBytesMax": { paths: { datagramBytesMax: 1200.5 } },
  "paths.datagramBytesMax ": { paths: { datagramBytesMax: 547 } },
  "paths.datagramBytesMax  ": { paths: { datagramBytesMax: Number.NaN } },
  "paths.policy": { paths: { policy: "fastest" as "best" } },
  "paths.congestion": { paths: { congestion: "vegas" as "cubic" } },
  keepAliveMs: { keepAliveMs: -1 },
  idleTimeoutMs: { idleTimeoutMs: 999 },
  resumeWindowMs: { resumeWindowMs: Number.POSITIVE_INFINITY },
  "limits.sessionsMax": { limits: { sessionsMax: 0.5 } },
  "limits.requestsMax": { limits: { requestsMax: 1.5 } },
  name: { name: "No" },
  about: { about: "x".repeat(129) },
  token: { token: new Uint8Array(65) },
  admission: { admission: "a b" },
  initMessage: { initMessage: new Uint8Array(201) },
  identity: { identity: new Uint8Array(31) },
  trace: { trace: (() => undefined) as unknown as NodeOptions["trace"] & object },
};

for (const [name, options] of Object.entries(WRONG)) {
  test(`options: ${name.trim()} that cannot be meant is a RangeError (${JSON.stringify(options).slice(0, 40)})`, async () => {
    await assert.rejects(createNode(options), (error: Error) => {
      assert.ok(error instanceof RangeError, String(error));
      assert.ok(error.message.includes(name.trim()), error.message);
      return true;
    });
  });
}

test("options: the largest and the smallest datagrams that may be tried make a node that is reached over UDP", async () => {
  for (const datagramBytesMax of [548, 65_000]) {
    const server = await createNode({ listen: ["udp://127.0.0.1:0"], paths: { datagramBytesMax } });
    const client = await createNode({ paths: { datagramBytesMax } });
    server.respond("echo", (value) => value);
    const peer = await client.connect(server.ticket());
    assert.equal(await peer.request("echo", 7), 7);
    await client.close();
    await server.close();
  }
});

test("options: announced addresses come first in tickets; malformed ones and those of any machine are refused", async () => {
  const announce = ["wss://node.example/way", "tcp://203.0.113.7:4000"];
  await using node = await createNode({ listen: ["tcp://127.0.0.1:0"], announce });
  const ticket = decodeTicket(node.ticket(), nobleProvider);
  assert.deepEqual(ticket?.addresses, [...announce, ...node.addresses]);
  await using quiet = await createNode({ announce });
  assert.deepEqual(decodeTicket(quiet.ticket(), nobleProvider)?.addresses, announce);
  for (const bad of ["node.example", "tcp://0.0.0.0:4000", "tcp://[::]:4000", "udp://203.0.113.7:0", 7]) {
    await assert.rejects(createNode({ announce: [bad as string] }), { code: "address_invalid" }, String(bad));
  }
  await assert.rejects(createNode({ announce: Array(9).fill("tcp://203.0.113.7:4000") }), /announce/);
  await assert.rejects(createNode({ announce: "tcp://203.0.113.7:4000" as never }), /announce/);
});
