/** Early data on a bad network: lost, doubled and late messages change when a stream arrives, never what. @module */

import assert from "node:assert/strict";
import { test } from "node:test";
import { identityFromSeed } from "../../core/crypto/identity.ts";
import { nobleProvider } from "../../core/crypto/noble_provider.ts";
import type { DatagramLinkOptions } from "../../sim/datagram_link.ts";
import { dangerousSimEnvironments } from "../../sim/environment.ts";
import { connectPair, type DatagramPair, datagramPair, INTEROP_LINK, patternAt } from "./datagram_pair.ts";

const environmentOf = await dangerousSimEnvironments();
const SEEDS = 40;
const serverId = identityFromSeed(new Uint8Array(32).fill(2), nobleProvider).id;

/** Connects, closes, and dials once more with the beginning of a stream. Returns how long it took, in virtual time. */
function dialAgain(pair: DatagramPair, bytes: number, severedMs = 0): number | undefined {
  const { network, client, server } = pair;
  assert.ok(connectPair(pair, 30_000), `${client.ended} ${server.ended}`);
  network.run(3_000);
  client.endpoint.closeSession(client.session as number, { code: "closed" }, network.now);
  client.host.pump();
  // Where the goodbye was lost the server's session ends by itself; until then nothing is taken early.
  network.run(120_000, () => server.ended !== undefined);
  server.received = 0;
  server.isEnded = false;
  client.ended = undefined;
  const data = Uint8Array.from({ length: bytes }, (_, index) => patternAt(index));
  const target = { id: serverId, addresses: ["udp://server:1"] };
  const began = network.now;
  const way = network.datagrams.link("server", "client");
  if (severedMs > 0) way.isDown = true;
  client.endpoint.dial(target, { timeoutMs: 30_000, early: { bytes: data, isFinal: true } }, network.now);
  client.host.pump();
  if (severedMs > 0) {
    network.run(severedMs);
    way.isDown = false;
  }
  return network.run(30_000, () => server.isEnded) ? network.now - began : undefined;
}

test("early: over datagrams the stream is there after half a round trip", () => {
  const pair = datagramPair(1, environmentOf, { link: INTEROP_LINK, takesEarly: true });
  const passedMs = dialAgain(pair, 150);
  assert.ok(passedMs !== undefined && passedMs < 17, `${passedMs}`);
  assert.ok(pair.server.isInOrder && pair.server.received === 150);
});

test(`early: with loss, copies and reordering the stream arrives in order and once (${SEEDS} seeds)`, () => {
  let early = 0;
  for (let seed = 1; seed <= SEEDS; seed++) {
    const link: Partial<DatagramLinkOptions> = {
      ...INTEROP_LINK,
      loss: { kind: "uniform", rate: 0.15, burstMax: 3 },
      duplicateRate: 0.2,
      reorderRate: 0.2,
      reorderDelayMs: 40,
    };
    const pair = datagramPair(seed, environmentOf, { link, takesEarly: true });
    const bytes = seed % 2 === 0 ? 150 : 5_000;
    const passedMs = dialAgain(pair, bytes);
    assert.ok(passedMs !== undefined, `seed ${seed}: ${pair.client.ended}`);
    assert.ok(pair.server.isInOrder && pair.server.received === bytes, `seed ${seed}: ${pair.server.received}`);
    const { network, client } = pair;
    network.run(10_000, () => client.endpoint.earlyOf(client.session as number) !== undefined);
    if (client.endpoint.earlyOf(client.session as number)?.isTaken === true) early++;
  }
  assert.ok(early > SEEDS / 2, `${early} of ${SEEDS} were taken early`);
});

test("early: an answer that is lost for a while is asked for again, and the stream is not doubled", () => {
  for (const severedMs of [100, 1_500, 4_000]) {
    const pair = datagramPair(3, environmentOf, { link: INTEROP_LINK, takesEarly: true });
    assert.ok(dialAgain(pair, 150, severedMs) !== undefined);
    const { network, client, server } = pair;
    assert.ok(network.run(10_000, () => client.endpoint.earlyOf(client.session as number)?.isTaken === true));
    assert.equal(server.received, 150, `${severedMs} ms`);
    assert.equal(client.ended, undefined);
  }
});
