/**
 * Nodes on a simulated network, for tests; and bare endpoints, which are authenticated peers that say what they like.
 *
 * @module
 */

import { DEFAULT_SESSION_CONFIG } from "../../../core/connection/session_defaults.ts";
import type { SessionConfig } from "../../../core/connection/session_types.ts";
import type { Identity } from "../../../core/crypto/identity.ts";
import { identityFromSeed } from "../../../core/crypto/identity.ts";
import { nobleProvider } from "../../../core/crypto/noble_provider.ts";
import { Endpoint } from "../../../core/node/endpoint.ts";
import { DEFAULT_ENDPOINT_LIMITS } from "../../../core/node/endpoint_defaults.ts";
import type { EndpointEvent } from "../../../core/node/endpoint_types.ts";
import { NodeMachine } from "../../../core/node/node.ts";
import { DEFAULT_NODE_LIMITS } from "../../../core/node/node_defaults.ts";
import type {
  ConnectCommandOptions,
  ConnectTarget,
  ExtensionBuilder,
  NodeEvent,
  NodeLimits,
} from "../../../core/node/node_types.ts";
import { encodeStreamHeader } from "../../../core/node/stream_header.ts";
import { dangerousSimEnvironments } from "../../../sim/environment.ts";
import type { PipeModel, SimHost } from "../../../sim/network.ts";
import { SimNetwork } from "../../../sim/network.ts";

const environmentOf = await dangerousSimEnvironments();

/** Limits of a node in the world, where they are not the defaults. */
export interface ResidentOptions {
  readonly limits?: Partial<NodeLimits>;
  readonly session?: Partial<SessionConfig>;
  readonly build?: ExtensionBuilder;
}

/** A node in the world. */
export interface Resident {
  readonly name: string;
  readonly identity: Identity;
  readonly host: SimHost;
  readonly node: NodeMachine;
  readonly events: NodeEvent[];
}

/** A bare endpoint in the world. */
export interface Stranger {
  readonly name: string;
  readonly identity: Identity;
  readonly host: SimHost;
  readonly endpoint: Endpoint;
  readonly events: EndpointEvent[];
}

/** An event of one type. */
export type Of<Type extends NodeEvent["type"]> = Extract<NodeEvent, { type: Type }>;

/** A network with nodes. */
export class NodeWorld {
  readonly network: SimNetwork;
  #count = 0;

  constructor(options: { readonly seed?: number; readonly model?: Partial<PipeModel> } = {}) {
    this.network = new SimNetwork({ seed: options.seed ?? 1, ...(options.model ? { model: options.model } : {}) });
  }

  get now(): number {
    return this.network.now;
  }

  add(name: string, options: ResidentOptions = {}): Resident {
    const identity = this.#identity();
    const config = {
      endpoint: {
        identity,
        session: { ...DEFAULT_SESSION_CONFIG, ...options.session },
        limits: DEFAULT_ENDPOINT_LIMITS,
      },
      limits: { ...DEFAULT_NODE_LIMITS, ...options.limits },
      name: undefined,
      token: undefined,
      about: "",
    };
    const node = new NodeMachine(config, environmentOf(this.network.random.next()), this.now, options.build);
    const host = this.network.addHost(name, node);
    const events: NodeEvent[] = [];
    host.onEvent = (event) => events.push(event as NodeEvent);
    return { name, identity, host, node, events };
  }

  addStranger(name: string): Stranger {
    const identity = this.#identity();
    const config = { identity, session: DEFAULT_SESSION_CONFIG, limits: DEFAULT_ENDPOINT_LIMITS };
    const endpoint = new Endpoint(config, environmentOf(this.network.random.next()), this.now);
    const host = this.network.addHost(name, endpoint);
    const events: EndpointEvent[] = [];
    host.onEvent = (event) => events.push(event as EndpointEvent);
    return { name, identity, host, endpoint, events };
  }

  /** Runs the network until it is quiet enough: for a while, or until something is the case. */
  run(ms = 1000, isDone?: () => boolean): boolean {
    for (const host of this.network.hosts.values()) host.pump();
    return this.network.run(ms, isDone);
  }

  /** Connects and runs until it is settled. */
  connect(
    from: Resident,
    target: Partial<ConnectTarget>,
    options: ConnectCommandOptions = {},
  ): Of<"connected" | "connectFailed"> {
    const dial = from.node.connect({ addresses: [], relays: [], ...target }, options, this.now);
    const find = (): Of<"connected" | "connectFailed"> | undefined =>
      from.events.find(
        (event): event is Of<"connected" | "connectFailed"> =>
          (event.type === "connected" || event.type === "connectFailed") && event.dial === dial,
      );
    this.run(120_000, () => find() !== undefined);
    const event = find();
    if (event === undefined) throw new Error("An attempt to connect never ends");
    return event;
  }

  /** Joins two nodes; returns the session of each. */
  join(from: Resident, to: Resident): { left: number; right: number } {
    const connected = this.connect(from, { id: to.identity.id, addresses: [`tcp://${to.name}:1`] });
    if (connected.type !== "connected") throw new Error(`Not connected: ${connected.code} ${connected.detail}`);
    this.run(200);
    const peer = of(to, "peerConnected").findLast((event) => event.remoteId === from.identity.id);
    if (peer === undefined) throw new Error("The other side heard nothing");
    return { left: connected.session, right: peer.session };
  }

  /** Joins a stranger to a node; returns the session of each. */
  intrude(from: Stranger, to: Resident): { own: number; theirs: number } {
    from.endpoint.dial({ id: to.identity.id, addresses: [`tcp://${to.name}:1`] }, {}, this.now);
    this.run(500);
    const connected = from.events.find((event) => event.type === "connected");
    const peer = of(to, "peerConnected").find((event) => event.remoteId === from.identity.id);
    if (connected?.type !== "connected" || peer === undefined) throw new Error("A stranger was not let in");
    return { own: connected.session, theirs: peer.session };
  }

  #identity(): Identity {
    return identityFromSeed(new Uint8Array(32).fill(++this.#count), nobleProvider);
  }
}

/** Events of one type, in order. */
export function of<Type extends NodeEvent["type"]>(who: Resident, type: Type): Of<Type>[] {
  return who.events.filter((event) => event.type === type) as Of<Type>[];
}

/** Everything that can be read from a stream now, and how it ended. */
export function readAll(
  who: Resident,
  session: number,
  stream: number,
): { bytes: number[]; end: "open" | "end" | "reset" } {
  const bytes: number[] = [];
  for (;;) {
    const result = who.node.read(session, stream);
    if (result === undefined) return { bytes, end: "open" };
    if (result.type !== "data") return { bytes, end: result.type };
    for (const byte of result.bytes) bytes.push(byte);
  }
}

/** Opens a stream of a stranger's and writes whatever is given. */
export function openRaw(
  world: NodeWorld,
  who: Stranger,
  session: number,
  options: { isUnidirectional?: boolean; bytes: Uint8Array },
): number {
  const stream = who.endpoint.openStream(session, { isUnidirectional: options.isUnidirectional ?? false }, world.now);
  if (stream === undefined) throw new Error("No stream can be opened");
  who.endpoint.write(session, stream, options.bytes, world.now);
  return stream;
}

/** The header of a message stream. */
export const MESSAGE_HEADER: Uint8Array = encodeStreamHeader({ name: "viaduct.message", versions: [1] });
