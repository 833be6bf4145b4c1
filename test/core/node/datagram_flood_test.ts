/**
 * What strangers may do to an endpoint with datagrams: floods, copies, moved addresses, answers that grow.
 *
 * @module
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import { connectionIdOf } from "../../../core/connection/package_protection.ts";
import { DEFAULT_SESSION_CONFIG } from "../../../core/connection/session_defaults.ts";
import { identityFromSeed } from "../../../core/crypto/identity.ts";
import { nobleProvider } from "../../../core/crypto/noble_provider.ts";
import { decodeClearMessage } from "../../../core/node/clear_messages.ts";
import { Endpoint } from "../../../core/node/endpoint.ts";
import { DEFAULT_ENDPOINT_LIMITS } from "../../../core/node/endpoint_defaults.ts";
import type { EndpointOutput, FlowId } from "../../../core/node/endpoint_types.ts";
import { decodePackage } from "../../../core/wire/package.ts";
import { dangerousSimEnvironments } from "../../../sim/environment.ts";
import { connectPair, datagramPair, transfer } from "../../sim/datagram_pair.ts";
import { testEnvironment } from "../test_environment.ts";

const environmentOf = await dangerousSimEnvironments();
const { checksum } = testEnvironment(1);

function endpoint(seed: number, limits: Partial<typeof DEFAULT_ENDPOINT_LIMITS> = {}): Endpoint {
  return new Endpoint(
    {
      identity: identityFromSeed(new Uint8Array(32).fill(seed), nobleProvider),
      session: DEFAULT_SESSION_CONFIG,
      limits: { ...DEFAULT_ENDPOINT_LIMITS, ...limits },
    },
    environmentOf(seed),
    0,
  );
}

function outputsOf(node: Endpoint, now: number): EndpointOutput[] {
  const outputs: EndpointOutput[] = [];
  for (let output = node.pollTransmit(now); output !== undefined; output = node.pollTransmit(now)) outputs.push(output);
  while (node.pollEvent() !== undefined);
  return outputs;
}

/** A first message for `server`, as an honest node writes it. */
function firstMessage(seed: number, server: Endpoint, now: number): Uint8Array {
  const client = endpoint(seed);
  client.dial({ id: serverId, addresses: ["udp://server:1"] }, {}, now);
  const dial = outputsOf(client, now).find((output) => output.type === "dial");
  assert.ok(dial?.type === "dial");
  const flow = client.allocatePipe();
  const facts = { remote: "udp://server:1", remoteHost: "10.0.0.1", isDialled: true } as const;
  client.handleInput({ type: "pipeOpened", pipe: dial.pipe, kind: "datagrams", flow, ...facts }, now);
  const sent = outputsOf(client, now).find((output) => output.type === "sendDatagram");
  assert.ok(sent?.type === "sendDatagram" && server !== client);
  return sent.bytes;
}

const serverId = identityFromSeed(new Uint8Array(32).fill(1), nobleProvider).id;

/** Gives a datagram from an address to an endpoint; the flow is new each time, as the driver makes it. */
function receive(
  node: Endpoint,
  from: string,
  bytes: Uint8Array,
  now: number,
): { flow: FlowId; out: EndpointOutput[] } {
  const flow = node.allocatePipe();
  node.handleInput({ type: "flowOpened", flow, remote: `udp://${from}`, remoteHost: from.split(":")[0] }, now);
  node.handleInput({ type: "flowData", flow, bytes }, now);
  return { flow, out: outputsOf(node, now) };
}

test("datagrams: rubbish from 5,000 addresses leaves no flow, no pipe and no long answer behind", () => {
  const server = endpoint(1);
  let sentBytes = 0;
  let gotBytes = 0;
  for (let index = 0; index < 5_000; index++) {
    const bytes = new Uint8Array(1 + (index % 600));
    for (let at = 0; at < bytes.length; at++) bytes[at] = (index * 31 + at * 7) & 0xff;
    if (index % 3 === 0) bytes[0] = 5;
    if (index % 3 === 1) bytes[0] = 4;
    gotBytes += bytes.length;
    const { flow, out } = receive(server, `10.${index >> 8}.${index & 255}.9:5000`, bytes, index);
    for (const output of out) if (output.type === "sendDatagram") sentBytes += output.bytes.length;
    assert.deepEqual(out.at(-1), { type: "forgetFlow", flow });
  }
  assert.equal(server.stats().pipes, 0);
  assert.ok(sentBytes < gotBytes / 10, `${sentBytes} of ${gotBytes}`);
});

test("datagrams: an answer is never more than three times what came, and copies cost no second handshake", () => {
  const server = endpoint(1);
  const first = firstMessage(2, server, 0);
  const { flow, out } = receive(server, "10.0.0.2:4000", first, 0);
  let sent = 0;
  for (const output of out) if (output.type === "sendDatagram") sent += output.bytes.length;
  assert.ok(sent > 0 && sent <= 3 * first.length);
  for (let copy = 2; copy <= 20; copy++) {
    server.handleInput({ type: "flowData", flow, bytes: first }, copy);
    for (const output of outputsOf(server, copy)) if (output.type === "sendDatagram") sent += output.bytes.length;
    assert.ok(sent <= 3 * copy * first.length);
  }
  assert.equal(server.stats().handshakes, 1);
});

test("datagrams: under a flood of first messages addresses must be proved, by a token that costs no state", () => {
  const server = endpoint(1, { retryAboveHandshakes: 3 });
  const messages = Array.from({ length: 12 }, (_, index) => firstMessage(10 + index, server, 0));
  let retries = 0;
  for (const [index, message] of messages.entries()) {
    const { out } = receive(server, `10.1.${index}.1:4000`, message, 0);
    for (const output of out) {
      if (output.type === "sendDatagram" && output.bytes[2] === 5) retries++;
    }
  }
  assert.equal(server.stats().handshakes, 3, "The others wait for a proof of their address");
  assert.equal(retries, 9);
  assert.equal(server.stats().dropped.retries, 9);
});

test("datagrams: an honest node comes in although its address must be proved", () => {
  const pair = datagramPair(5, environmentOf, { limits: { retryAboveHandshakes: 0 } });
  assert.ok(connectPair(pair));
  assert.equal(pair.server.endpoint.stats().dropped.retries, 1);
  assert.ok(transfer(pair, 100_000, 10_000) !== undefined);
});

test("datagrams: a package repeated from another address moves a path there only until the peer speaks again", () => {
  const pair = datagramPair(6, environmentOf);
  assert.ok(connectPair(pair));
  const { network, server, client } = pair;
  // A copy of the newest package, overtaking it: as an attacker on the way would send it.
  const link = network.datagrams.link("client", "server");
  const send = link.send.bind(link);
  let stolen: Uint8Array | undefined;
  link.send = (bytes, now) => {
    if (stolen === undefined && bytes[0] === 5 && bytes.length > 60) {
      stolen = bytes.slice();
      const flow = server.endpoint.allocatePipe();
      server.host.input({ type: "flowOpened", flow, remote: "udp://6.6.6.6:666", remoteHost: "6.6.6.6" });
      server.host.input({ type: "flowData", flow, bytes: stolen });
    }
    return send(bytes, now);
  };
  assert.ok(transfer(pair, 300_000, 30_000) !== undefined, "The session goes on");
  assert.ok(stolen !== undefined);
  assert.equal(client.ended, undefined);
  assert.equal(server.endpoint.session(server.session as number)?.stats().paths[0]?.remote, "udp://client:1");
});

test("datagrams: a package that was held back and comes from another address after newer ones moves nothing", () => {
  const pair = datagramPair(6, environmentOf);
  assert.ok(connectPair(pair));
  const { network, server } = pair;
  const link = network.datagrams.link("client", "server");
  const send = link.send.bind(link);
  let stolen: Uint8Array | undefined;
  link.send = (bytes, now) => {
    if (stolen !== undefined || bytes[0] !== 5 || bytes.length < 60) return send(bytes, now);
    stolen = bytes.slice();
    return [];
  };
  assert.ok(transfer(pair, 100_000, 30_000) !== undefined);
  assert.ok(stolen !== undefined);
  const statsOf = () => server.endpoint.session(server.session as number)?.stats();
  const before = statsOf()?.paths[0]?.packagesReceived as number;
  const flow = server.endpoint.allocatePipe();
  server.host.input({ type: "flowOpened", flow, remote: "udp://6.6.6.6:666", remoteHost: "6.6.6.6" });
  server.host.input({ type: "flowData", flow, bytes: stolen });
  assert.equal(statsOf()?.paths[0]?.packagesReceived, before + 1, "it is authentic, and new");
  assert.equal(statsOf()?.paths[0]?.remote, "udp://client:1");
});

test("datagrams: a reset is asked for by more than 40 bytes, has fewer, and only the peer's ends a session", () => {
  const pair = datagramPair(7, environmentOf);
  const { network, client } = pair;
  let connectionId = 0;
  const up = network.datagrams.link("client", "server");
  const sendUp = up.send.bind(up);
  up.send = (bytes, now) => {
    const sent = decodePackage(bytes, 0, checksum);
    if (sent.type === "package") connectionId = connectionIdOf(sent) ?? connectionId;
    return sendUp(bytes, now);
  };
  assert.ok(connectPair(pair));
  assert.notEqual(connectionId, 0);
  const answersTo = (fill: number, bytes: number): Uint8Array[] => {
    const cause = Uint8Array.of(5, bytes - 2 - 16, 0, 0, 0, 0, 0, ...new Array(bytes - 7).fill(0));
    for (let at = 0; at < 4; at++) cause[3 + at] = connectionId >>> (8 * at);
    const { out } = receive(endpoint(fill), "10.0.0.3:4000", cause, 0);
    return out.flatMap((output) => (output.type === "sendDatagram" ? [output.bytes] : []));
  };
  // The server has forgotten all; so has somebody else, who never knew.
  assert.deepEqual(answersTo(2, 40), []);
  const [real] = answersTo(2, 41) as [Uint8Array];
  const [foreign] = answersTo(3, 41) as [Uint8Array];
  assert.ok(real.length <= 40, "else two that forgot would answer each other for ever");
  const down = network.datagrams.link("server", "client");
  const sendDown = down.send.bind(down);
  const put = (bytes: Uint8Array): void => {
    let isPut = false;
    down.send = (own, now) => {
      const sent = isPut ? own : bytes;
      isPut = true;
      return sendDown(sent, now);
    };
    client.endpoint.ping(client.session as number, network.now);
    client.host.pump();
    network.run(1_000);
    assert.equal(isPut, true);
  };
  const flipped = real.slice();
  flipped[flipped.length - 1] = (flipped.at(-1) as number) ^ 1;
  for (const forged of [foreign, flipped]) put(forged);
  assert.equal(client.ended, undefined);
  assert.ok((client.endpoint.stats().dropped.forgedReset ?? 0) >= 1);
  put(real);
  assert.equal(client.ended, "session_lost");
});

test("datagrams: a package that proves nothing proves no address", () => {
  const server = endpoint(1);
  const client = endpoint(2);
  client.dial({ addresses: ["udp://server:1"] }, {}, 0);
  const dial = outputsOf(client, 0).find((output) => output.type === "dial");
  assert.ok(dial?.type === "dial");
  const facts = { remote: "udp://server:1", remoteHost: "10.0.0.1", isDialled: true } as const;
  const pipe = { pipe: dial.pipe, kind: "datagrams", flow: client.allocatePipe() } as const;
  client.handleInput({ type: "pipeOpened", ...pipe, ...facts }, 0);
  const first = outputsOf(client, 0).find((output) => output.type === "sendDatagram");
  assert.ok(first?.type === "sendDatagram");
  const { flow, out } = receive(server, "10.0.0.2:4000", first.bytes, 0);
  let got = first.bytes.length;
  let sent = 0;
  const count = (outputs: readonly EndpointOutput[]): void => {
    for (const output of outputs) if (output.type === "sendDatagram") sent += output.bytes.length;
    assert.ok(sent <= 3 * got, `${sent} after ${got}`);
  };
  count(out);
  let connectionId: number | undefined;
  for (let copy = 1; copy <= 30; copy++) {
    // Every other one names the handshake, and is of nobody.
    const bytes = copy % 2 === 0 && connectionId !== undefined ? forgedPackage(connectionId) : first.bytes;
    got += bytes.length;
    server.handleInput({ type: "flowData", flow, bytes }, copy);
    const outputs = outputsOf(server, copy);
    count(outputs);
    const answer = outputs.find((output) => output.type === "sendDatagram");
    if (answer?.type !== "sendDatagram") continue;
    const outcome = decodePackage(answer.bytes, 0, checksum);
    const message = outcome.type === "package" ? decodeClearMessage(outcome.message) : undefined;
    if (message?.type === "handshake") connectionId = message.sourceConnectionId;
  }
  assert.notEqual(connectionId, undefined, "it answered");
});

/** A protected package with nothing in it that could be authentic. */
function forgedPackage(connectionId: number): Uint8Array {
  const bytes = Uint8Array.of(5, 28, 0, 0, 0, 0, 0, ...new Array(39).fill(0));
  for (let at = 0; at < 4; at++) bytes[3 + at] = connectionId >>> (8 * at);
  return bytes;
}

test("datagrams: an unknown version is answered with those that are known, shorter than it was asked", () => {
  for (const [length, isAnswered] of [
    [24, false],
    [25, true],
    [500, true],
  ] as const) {
    const bytes = new Uint8Array(length).fill(9);
    const { out } = receive(endpoint(1), "10.0.0.2:4000", bytes, 0);
    const sent = out.flatMap((output) => (output.type === "sendDatagram" ? [output.bytes] : []));
    assert.equal(sent.length, isAnswered ? 1 : 0, `${length} bytes`);
    assert.ok(sent.every((answer) => answer.length < length));
  }
});

test("datagrams: where a path seems to have moved, no more goes than three times what came until it is proved", () => {
  const pair = datagramPair(8, environmentOf);
  assert.ok(connectPair(pair));
  const { network, server } = pair;
  const flow = server.endpoint.allocatePipe();
  let got = 0;
  let sent = 0;
  const { datagrams } = network;
  const onOutput = datagrams.onOutput.bind(datagrams);
  datagrams.onOutput = (host, output) => {
    if (output.type === "sendDatagram" && output.flow === flow) sent += output.bytes.length;
    onOutput(host, output);
  };
  // From here on somebody sends all that the client says from another address, and the server has much to say.
  server.host.input({ type: "flowOpened", flow, remote: "udp://6.6.6.6:666", remoteHost: "6.6.6.6" });
  datagrams.link("client", "server").send = (bytes, now) => {
    network.plan(now + 15, () => {
      got += bytes.length;
      server.host.input({ type: "flowData", flow, bytes });
      assert.ok(sent <= 3 * got, `${sent} after ${got}`);
    });
    return [];
  };
  const session = server.session as number;
  const stream = server.endpoint.openStream(session, {}, network.now) as number;
  server.endpoint.write(session, stream, new Uint8Array(200_000), network.now);
  server.host.pump();
  network.run(3_000);
  assert.ok(got > 0 && sent > 0, "the path moved, and was asked to prove itself");
  assert.ok(sent <= 3 * got, `${sent} after ${got}`);
});

test("datagrams: an idle session with a node that restarted ends soon, as its next sign of life is answered", () => {
  const pair = datagramPair(9, environmentOf);
  assert.ok(connectPair(pair));
  const { network, client, server } = pair;
  network.run(5_000);
  server.host.kill();
  server.host.restart(endpoint(2));
  const began = network.now;
  assert.ok(network.run(120_000, () => client.ended !== undefined));
  assert.equal(client.ended, "session_lost");
  const waitedMs = network.now - began;
  assert.ok(waitedMs <= DEFAULT_SESSION_CONFIG.keepAliveMs + 1_000, `${waitedMs} ms`);
  client.session = undefined;
  server.session = undefined;
  server.host.onEvent = (event) => {
    if ((event as { type: string }).type === "sessionOpened") server.session = 1;
  };
  assert.ok(connectPair(pair));
});
