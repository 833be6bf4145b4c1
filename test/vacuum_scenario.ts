/**
 * A handshake, a transfer and a close of two endpoints, for a realm that has nothing but ECMAScript.
 *
 * @module
 */

import {
  DEFAULT_ENDPOINT_LIMITS,
  DEFAULT_SESSION_CONFIG,
  Endpoint,
  type EndpointEvent,
  type Environment,
  identityFromSeed,
  nobleProvider,
  type PipeId,
} from "../core/mod.ts";

const BYTES = 300_000;

/** Runs it and tells `ok …`, or what went wrong. */
export function runInVacuum(): string {
  let counter = 1;
  const env: Environment = {
    random: (out) => {
      for (let index = 0; index < out.length; index++) {
        counter = (counter * 48271) % 0x7fffffff;
        out[index] = counter >>> 7;
      }
    },
    jitter: () => 0.5,
    crypto: nobleProvider,
    // Any checksum that both sides agree on does here.
    checksum: (bytes) => bytes.reduce((sum, byte) => (Math.imul(sum, 31) + byte) >>> 0, 7),
  };
  const endpointOf = (fill: number) => {
    const identity = identityFromSeed(new Uint8Array(32).fill(fill), nobleProvider);
    const endpoint = new Endpoint(
      { identity, session: DEFAULT_SESSION_CONFIG, limits: DEFAULT_ENDPOINT_LIMITS },
      env,
      0,
    );
    return { identity, endpoint, pipe: 0 as PipeId, events: [] as EndpointEvent[] };
  };
  const client = endpointOf(1);
  const server = endpointOf(2);
  const settle = (now: number): void => {
    for (let round = 0; round < 1000; round++) {
      let moved = 0;
      for (const [from, to] of [
        [client, server],
        [server, client],
      ] as const) {
        for (
          let output = from.endpoint.pollTransmit(now);
          output !== undefined;
          output = from.endpoint.pollTransmit(now)
        ) {
          moved++;
          if (output.type === "dial") {
            client.pipe = output.pipe;
            server.pipe = server.endpoint.allocatePipe();
            const opened = { type: "pipeOpened", kind: "bytes", remote: "vacuum", remoteHost: undefined } as const;
            server.endpoint.handleInput({ ...opened, pipe: server.pipe, isDialled: false }, now);
            client.endpoint.handleInput({ ...opened, pipe: client.pipe, isDialled: true }, now);
          } else if (output.type === "send") {
            to.endpoint.handleInput({ type: "pipeData", pipe: to.pipe, bytes: output.bytes }, now);
          }
        }
        for (let event = from.endpoint.pollEvent(); event !== undefined; event = from.endpoint.pollEvent()) {
          from.events.push(event);
        }
      }
      if (moved === 0) return;
    }
  };
  client.endpoint.dial({ id: server.identity.id, addresses: ["vacuum"] }, {}, 0);
  settle(0);
  const opened = client.events.find((event) => event.type === "connected");
  if (opened?.type !== "connected") return `no session: ${client.events.map((event) => event.type).join()}`;
  const stream = client.endpoint.openStream(opened.session, {}, 1);
  if (stream === undefined) return "no stream";
  client.endpoint.write(opened.session, stream, new Uint8Array(BYTES).fill(42), 1);
  client.endpoint.finish(opened.session, stream, 1);
  settle(1);
  const remote = server.events.find((event) => event.type === "sessionOpened");
  if (remote?.type !== "sessionOpened") return "no remote session";
  let received = 0;
  for (;;) {
    const result = server.endpoint.read(remote.session, stream);
    if (result?.type !== "data") return received === BYTES && result?.type === "end" ? `ok ${received} bytes` : "cut";
    received += result.bytes.length;
  }
}
