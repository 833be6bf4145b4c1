/**
 * Two endpoints on a simulated network, one that sends and one that reads: the ground of the scenarios over datagrams.
 *
 * @module
 */

import { DEFAULT_SESSION_CONFIG } from "../../core/connection/session_defaults.ts";
import type { SessionConfig, SessionEvent } from "../../core/connection/session_types.ts";
import { identityFromSeed } from "../../core/crypto/identity.ts";
import { nobleProvider } from "../../core/crypto/noble_provider.ts";
import type { Environment } from "../../core/machine.ts";
import { EarlyTickets } from "../../core/node/early_tickets.ts";
import { Endpoint } from "../../core/node/endpoint.ts";
import { DEFAULT_ENDPOINT_LIMITS } from "../../core/node/endpoint_defaults.ts";
import type { EndpointEvent, EndpointLimits, SessionTracing } from "../../core/node/endpoint_types.ts";
import type { DatagramLinkOptions } from "../../sim/datagram_link.ts";
import type { SimHost } from "../../sim/network.ts";
import { SimNetwork } from "../../sim/network.ts";

/** One end. */
export interface DatagramEnd {
  readonly name: string;
  readonly endpoint: Endpoint;
  readonly host: SimHost;
  session: number | undefined;
  /** Why the session ended, or the dial failed. */
  ended: string | undefined;
  readonly events: SessionEvent[];
  /** Bytes read, and a checksum over them in order. */
  received: number;
  isEnded: boolean;
  isInOrder: boolean;
  datagrams: Uint8Array[];
}

/** Both ends. */
export interface DatagramPair {
  readonly network: SimNetwork;
  readonly client: DatagramEnd;
  readonly server: DatagramEnd;
}

/** The byte of a transfer at an offset: a hole, a repetition or a swap shows. */
export function patternAt(offset: number): number {
  return (offset ^ (offset >>> 8) ^ (offset >>> 16) ^ (offset >>> 24)) & 0xff;
}

/** The link of the QUIC interop runner. */
export const INTEROP_LINK: Partial<DatagramLinkOptions> = {
  rateBitsPerSecond: 10_000_000,
  delayMs: 15,
  queuePackages: 25,
};

/** Makes both ends; nothing is dialled yet. */
export function datagramPair(
  seed: number,
  environmentOf: (seed: number) => Environment,
  options: {
    readonly link?: Partial<DatagramLinkOptions>;
    readonly session?: Partial<SessionConfig>;
    readonly limits?: Partial<EndpointLimits>;
    /** Of one end's sessions. */
    /** Whether the server takes early data. */
    readonly takesEarly?: boolean;
    readonly trace?: { readonly client?: SessionTracing; readonly server?: SessionTracing };
  } = {},
): DatagramPair {
  const network = new SimNetwork({ seed, model: { delayMs: 15, jitterMs: 0 } });
  network.datagrams.options = options.link ?? INTEROP_LINK;
  const make = (name: "client" | "server", fill: number): DatagramEnd => {
    const endpoint = new Endpoint(
      {
        identity: identityFromSeed(new Uint8Array(32).fill(fill), nobleProvider),
        session: { ...DEFAULT_SESSION_CONFIG, ...options.session },
        limits: { ...DEFAULT_ENDPOINT_LIMITS, ...options.limits },
        trace: options.trace?.[name],
        early:
          options.takesEarly === true && name === "server"
            ? { makeTickets: (env) => new EarlyTickets(env), admits: () => true }
            : undefined,
      },
      environmentOf(network.random.next()),
      network.now,
    );
    const host = network.addHost(name, endpoint);
    const end: DatagramEnd = {
      name,
      endpoint,
      host,
      session: undefined,
      ended: undefined,
      events: [],
      received: 0,
      isEnded: false,
      isInOrder: true,
      datagrams: [],
    };
    host.onEvent = (event) => onEvent(end, event as EndpointEvent);
    return end;
  };
  return { network, client: make("client", 1), server: make("server", 2) };
}

function onEvent(end: DatagramEnd, event: EndpointEvent): void {
  if (event.type === "sessionOpened") end.session = event.session;
  else if (event.type === "dialFailed") end.ended = `${event.code} ${event.detail}`;
  else if (event.type === "session") {
    const inner = event.event;
    if (inner.type === "datagram") end.datagrams.push(inner.bytes);
    else if (inner.type === "readable") readAll(end, event.session, inner.stream);
    else end.events.push(inner);
    if (inner.type === "closed") end.ended = inner.code;
  }
}

function readAll(end: DatagramEnd, session: number, stream: number): void {
  for (;;) {
    const result = end.endpoint.read(session, stream);
    if (result === undefined) return;
    if (result.type !== "data") {
      end.isEnded = result.type === "end";
      if (result.type === "reset") end.ended = "reset";
      return;
    }
    const { bytes } = result;
    for (let index = 0; index < bytes.length; index++) {
      if (bytes[index] !== patternAt(end.received + index)) end.isInOrder = false;
    }
    end.received += bytes.length;
  }
}

/** Dials the server and runs until the session is there on both sides, or `ms` passed. */
export function connectPair(pair: DatagramPair, ms = 10_000, addresses: string[] = ["udp://server:1"]): boolean {
  const { network, client, server } = pair;
  const id = identityFromSeed(new Uint8Array(32).fill(2), nobleProvider).id;
  client.endpoint.dial({ id, addresses }, { timeoutMs: ms }, network.now);
  client.host.pump();
  return network.run(ms, () => client.session !== undefined && server.session !== undefined);
}

/** Sends `total` bytes on a new stream; returns the virtual time it took until all was read, or `undefined`. */
export function transfer(pair: DatagramPair, total: number, limitMs: number): number | undefined {
  const { network, client, server } = pair;
  const session = client.session as number;
  const began = network.now;
  const stream = client.endpoint.openStream(session, {}, network.now) as number;
  let written = 0;
  const chunk = new Uint8Array(16 * 1024);
  const write = (): void => {
    while (written < total) {
      const count = Math.min(chunk.length, total - written);
      for (let index = 0; index < count; index++) chunk[index] = patternAt(written + index);
      const taken = client.endpoint.write(session, stream, chunk.subarray(0, count), network.now);
      written += taken;
      if (taken < count) return;
    }
    if (written === total) {
      written++;
      client.endpoint.finish(session, stream, network.now);
    }
  };
  const { onEvent: before } = client.host;
  client.host.onEvent = (event) => {
    before(event);
    const known = event as EndpointEvent;
    if (known.type === "session" && known.event.type === "writable") write();
  };
  write();
  client.host.pump();
  const isDone = network.run(limitMs, () => server.isEnded || client.ended !== undefined || server.ended !== undefined);
  client.host.onEvent = before;
  return isDone && server.isEnded && server.received === total && server.isInOrder ? network.now - began : undefined;
}
