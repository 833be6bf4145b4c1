/**
 * Handshakes over datagrams on a bad network: what is damaged or foreign is as if it had never come, and what was lost
 * does not pass for a long way.
 *
 * @module
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import { identityFromSeed } from "../../../core/crypto/identity.ts";
import { nobleProvider } from "../../../core/crypto/noble_provider.ts";
import { encodeClearMessage } from "../../../core/node/clear_messages.ts";
import { encodeClearPackage } from "../../../core/wire/package.ts";
import { dangerousSimEnvironments } from "../../../sim/environment.ts";
import { connectPair, type DatagramPair, datagramPair, INTEROP_LINK, transfer } from "../../sim/datagram_pair.ts";
import { testEnvironment } from "../test_environment.ts";

const environmentOf = await dangerousSimEnvironments();
const { checksum } = testEnvironment(1);

/** Changes what a direction delivers: `undefined` loses the datagram. `index` counts what was sent. */
function tamper(
  { network }: DatagramPair,
  [from, to]: readonly [string, string],
  change: (bytes: Uint8Array, index: number) => Uint8Array | undefined,
): void {
  const link = network.datagrams.link(from, to);
  const send = link.send.bind(link);
  let index = 0;
  link.send = (bytes, now) => {
    const changed = change(bytes, index++);
    return changed === undefined ? [] : send(changed, now);
  };
}

const UP = ["client", "server"] as const;
const DOWN = ["server", "client"] as const;

test("datagram handshake: a damaged or foreign first package is dropped, and the next one makes the session", () => {
  const pair = datagramPair(1, environmentOf, { link: INTEROP_LINK });
  // The first three datagrams behind the handshake message: protected ones, each with a byte changed.
  tamper(pair, UP, (bytes, index) => {
    if (index === 0 || index > 3) return bytes;
    const changed = bytes.slice();
    changed[changed.length - 1] = (changed.at(-1) as number) ^ 1;
    return changed;
  });
  assert.ok(connectPair(pair), `${pair.client.ended}, ${pair.server.ended}`);
  assert.ok(transfer(pair, 20_000, 10_000) !== undefined);
});

test("datagram handshake: a fifth of all bytes changed and a tenth of all ends cut off cost time alone", () => {
  for (let seed = 1; seed <= 40; seed++) {
    const link = { ...INTEROP_LINK, corruptRate: 0.2, truncateRate: 0.1 };
    const pair = datagramPair(seed, environmentOf, { link });
    assert.ok(connectPair(pair, 20_000), `seed ${seed}: ${pair.client.ended}, ${pair.server.ended}`);
    assert.ok(transfer(pair, 20_000, 20_000) !== undefined, `seed ${seed}`);
  }
});

for (const [versions, isIgnored] of [
  [[4, 5], true],
  [[200, 201], false],
] as const) {
  test(`datagram handshake: a list of the versions ${versions} ${isIgnored ? "is ignored" : "ends it"}`, () => {
    const pair = datagramPair(2, environmentOf, { link: INTEROP_LINK });
    const answer = encodeClearPackage(encodeClearMessage({ type: "versions", versions: [...versions] }), checksum);
    tamper(pair, DOWN, (bytes, index) => (index === 0 ? answer : bytes));
    assert.equal(connectPair(pair), isIgnored);
    if (!isIgnored) assert.match(pair.client.ended ?? "", /^version /);
  });
}

test("datagram handshake: what was lost is no part of the first idea of the round trip", () => {
  const rttOf = ({ client }: DatagramPair): number => {
    const rttMs = client.endpoint.session(client.session as number)?.stats().paths[0]?.rttMs;
    assert.ok(rttMs !== undefined);
    return rttMs;
  };
  const straight = datagramPair(3, environmentOf, { link: INTEROP_LINK });
  assert.ok(connectPair(straight) && rttOf(straight) < 40, `${rttOf(straight)}`);
  for (const direction of [UP, DOWN]) {
    const pair = datagramPair(3, environmentOf, { link: INTEROP_LINK });
    // The first three messages: 1.9 s go by. Then nothing but them, until the session was looked at.
    tamper(pair, direction, (bytes, index) => (index < 3 ? undefined : bytes));
    let guess: number | undefined;
    const { onEvent } = pair.client.host;
    pair.client.host.onEvent = (event) => {
      onEvent(event);
      if (pair.client.session !== undefined) guess ??= rttOf(pair);
    };
    assert.ok(connectPair(pair));
    assert.ok(guess !== undefined && guess <= 100, `${guess}`);
  }
});

test("datagram handshake: no pattern waits for a copy of its first message where nothing is lost", () => {
  const { id } = identityFromSeed(new Uint8Array(32).fill(2), nobleProvider);
  for (const [name, target, isAnonymous, trips] of [
    ["IK", { id }, false, 1.5],
    ["NK", { id }, true, 1.5],
    ["XX", {}, false, 2],
  ] as const) {
    const pair = datagramPair(5, environmentOf, { link: INTEROP_LINK });
    const { network, client, server } = pair;
    client.endpoint.dial({ ...target, addresses: ["udp://server:1"] }, { isAnonymous }, network.now);
    client.host.pump();
    assert.ok(network.run(5_000, () => client.session !== undefined && server.session !== undefined));
    assert.ok(network.now < trips * 30 + 5, `${name}: ${network.now} ms, at 30 ms for a round trip`);
  }
});

test("datagram handshake: a lost third message is sent again, although nobody asks for it", () => {
  for (const lost of [1, 2, 3]) {
    const pair = datagramPair(5, environmentOf, { link: INTEROP_LINK });
    const { network, client, server } = pair;
    // The client does not know whom it dials: XX, in which it speaks last, and says more than in its first message.
    let left = lost;
    tamper(pair, UP, (bytes) => (bytes.length > 100 && left-- > 0 ? undefined : bytes));
    client.endpoint.dial({ addresses: ["udp://server:1"] }, { timeoutMs: 10_000 }, network.now);
    client.host.pump();
    const isMet = network.run(4_000, () => client.session !== undefined && server.session !== undefined);
    assert.ok(isMet, `${lost} lost: ${client.ended}, ${server.ended}`);
    assert.ok(transfer(pair, 20_000, 10_000) !== undefined);
  }
});

test("datagram handshake: a second path that is faster does not take the place of the first one", () => {
  const session = { pathsWanted: 2, pathPolicy: "aggregate" } as const;
  for (const delayMs of [1, 15, 40]) {
    const pair = datagramPair(4, environmentOf, { link: INTEROP_LINK, session });
    const { network, client, server } = pair;
    for (const [from, to] of [UP, DOWN]) network.datagrams.link(`${from}.b`, `${to}.b`).setOptions({ delayMs });
    assert.ok(connectPair(pair, 10_000, ["udp://server:1", "udp://server.b:1"]));
    network.run(300);
    for (const { endpoint, session: id, events, name } of [client, server]) {
      const paths = endpoint
        .session(id as number)
        ?.stats()
        .paths.filter(({ state }) => state === "active");
      assert.equal(paths?.length, 2, `${name}, ${delayMs} ms`);
      assert.ok(!events.some(({ type }) => type === "pathDown"), `${name}, ${delayMs} ms`);
    }
  }
});
