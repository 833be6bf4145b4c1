/**
 * Datagrams with redundancy and parities over real sockets and a proxy that loses packages: with both nearly all come,
 * each once, and the figures of both ends say how.
 *
 * @module
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { createNode } from "../../adapters/node/mod.ts";
import { ImpairmentProxy } from "../network/impairment_proxy.ts";

const INPUTS = 120;
const LOSS = { loss: { kind: "uniform", rate: 0.2, burstMax: 2 } } as const;

test("datagrams over a line that loses a fifth: copies and parities bring most of them back, each once", async () => {
  await using server = await createNode({ listen: ["udp://127.0.0.1:0"] });
  const [address] = server.addresses;
  await using proxy = await ImpairmentProxy.start({ seed: 5, targetPort: Number(address?.split(":").at(-1)) });
  const came: Uint8Array[] = [];
  let isComplete = (): void => {};
  const complete = new Promise<void>((resolve) => {
    isComplete = resolve;
  });
  const events = server.events();
  await using client = await createNode({});
  const peer = await client.connect(proxy.address);
  for await (const event of events) {
    if (event.type !== "peerConnected") continue;
    void (async () => {
      for await (const bytes of event.peer.datagrams.readable) {
        came.push(bytes);
        if (came.length === INPUTS) isComplete();
      }
    })();
    break;
  }
  proxy.setOptions("up", LOSS);
  const { datagrams } = peer;
  const before = datagrams.maxDatagramSize;
  datagrams.redundancy = 3;
  datagrams.fec = 3;
  datagrams.outgoingMaxAge = 1_000;
  assert.equal(datagrams.maxDatagramSize, before - 11);
  for (let input = 0; input < INPUTS; input++) {
    assert.ok(datagrams.send(Uint8Array.of(input, 1, 2, 3)));
    await sleep(4);
  }
  await Promise.race([complete, sleep(400)]);
  const numbers = came.map(([number]) => number as number);
  assert.equal(new Set(numbers).size, numbers.length, "each once");
  // Without repairs 24 would be missing: a hundredth of what three sendings lose is left, and bursts.
  assert.ok(numbers.length >= INPUTS - 8, `${numbers.length} of ${INPUTS}`);
  const sent = peer.stats();
  assert.equal(sent.datagramsSent, INPUTS);
  assert.ok(sent.datagramRepairsSent >= INPUTS, `${sent.datagramRepairsSent}`);
  const received = [...server.peers.values()][0]?.stats();
  assert.equal(received?.datagramsReceived, numbers.length);
  const recovered = (received?.datagramsRecoveredByRedundancy ?? 0) + (received?.datagramsRecoveredByFec ?? 0);
  assert.ok(recovered > 0, `${recovered}`);
});

test("datagrams: options out of range are refused by name", async () => {
  await using node = await createNode({ listen: ["udp://127.0.0.1:0"] });
  await using client = await createNode({});
  const { datagrams } = await client.connect(node.ticket());
  const bytes = Uint8Array.of(1);
  for (const [name, options] of [
    ["redundancy", { redundancy: 0 }],
    ["redundancy", { redundancy: 9 }],
    ["redundancy", { redundancy: Number.NaN }],
    ["fec", { fec: -1 }],
    ["fec", { fec: 33 }],
    ["maxAgeMs", { maxAgeMs: -1 }],
    ["maxAgeMs", { maxAgeMs: Number.NaN }],
  ] as const) {
    assert.throws(() => datagrams.send(bytes, options), { name: "RangeError", message: new RegExp(name, "u") });
  }
  datagrams.fec = 40;
  assert.throws(() => datagrams.send(bytes), RangeError);
  assert.ok(datagrams.send(bytes, { fec: 0, maxAgeMs: 0, redundancy: "adaptive" }));
});
