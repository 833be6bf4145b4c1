/**
 * Relays and the nodes that use them, on a simulated network, for tests.
 *
 * @module
 */

import { DEFAULT_SESSION_CONFIG } from "../../../core/connection/session_defaults.ts";
import type { SessionConfig } from "../../../core/connection/session_types.ts";
import type { Identity } from "../../../core/crypto/identity.ts";
import { identityFromSeed } from "../../../core/crypto/identity.ts";
import { nobleProvider } from "../../../core/crypto/noble_provider.ts";
import { DEFAULT_ENDPOINT_LIMITS } from "../../../core/node/endpoint_defaults.ts";
import { NodeMachine } from "../../../core/node/node.ts";
import { DEFAULT_NODE_LIMITS } from "../../../core/node/node_defaults.ts";
import type { ConnectCommandOptions, ConnectTarget, NodeConfig, NodeEvent } from "../../../core/node/node_types.ts";
import { relayExtensions } from "../../../core/node/relay_extensions.ts";
import type { AdmissionConfig } from "../../../core/relay/admission.ts";
import type { RegistryConfig } from "../../../core/relay/registry_types.ts";
import { Relay } from "../../../core/relay/relay.ts";
import { DEFAULT_RELAY_CONFIG } from "../../../core/relay/relay_defaults.ts";
import type { RelayConfig, RelayServerEvent } from "../../../core/relay/relay_types.ts";
import { dangerousSimEnvironments } from "../../../sim/environment.ts";
import type { PipeModel, SimHost } from "../../../sim/network.ts";
import { SimNetwork } from "../../../sim/network.ts";

const environmentOf = await dangerousSimEnvironments();

/** Wall-clock time at the beginning of the simulation. */
export const UNIX_MS = 1_767_225_600_000;

/** Any event of a node or a relay. */
export type AnyEvent = NodeEvent | RelayServerEvent;

/** An event of one type. */
export type Of<Type extends AnyEvent["type"]> = Extract<AnyEvent, { type: Type }>;

/** A node in the world. */
export interface Resident {
  readonly name: string;
  readonly identity: Identity;
  readonly host: SimHost;
  node: NodeMachine;
  readonly events: AnyEvent[];
  /** The number of the relay that it was told of when it came. */
  relay: number;
}

/** A relay in the world. */
export interface RelayHost {
  readonly name: string;
  readonly identity: Identity;
  readonly host: SimHost;
  relay: Relay;
  readonly events: AnyEvent[];
}

/** What differs from the defaults. */
export interface ResidentOptions {
  readonly name?: string;
  readonly token?: Uint8Array;
  /** A token that an operator signed. */
  readonly admission?: Uint8Array;
  readonly about?: string;
  readonly seed?: number;
  readonly session?: Partial<SessionConfig>;
  /** Relays to stay registered with, by host; `relay` by default. */
  readonly relays?: readonly string[];
}

/** What differs from the defaults of a relay. */
export interface RelayWorldOptions extends Partial<Omit<RelayConfig, "registry">> {
  readonly registry?: Partial<RegistryConfig>;
  readonly admission?: AdmissionConfig;
}

/** A network with relays and nodes. */
export class RelayWorld {
  readonly network: SimNetwork;
  #count = 0;

  constructor(options: { readonly seed?: number; readonly model?: Partial<PipeModel> } = {}) {
    this.network = new SimNetwork({ seed: options.seed ?? 1, ...(options.model ? { model: options.model } : {}) });
  }

  get now(): number {
    return this.network.now;
  }

  addRelay(name = "relay", config: RelayWorldOptions = {}): RelayHost {
    const identity = this.#identity();
    const relay = this.newRelay(identity, config);
    const host = this.network.addHost(name, relay);
    const events: AnyEvent[] = [];
    host.onEvent = (event) => events.push(event as AnyEvent);
    return { name, identity, host, relay, events };
  }

  newRelay(identity: Identity, config: RelayWorldOptions = {}): Relay {
    const { registry, admission, ...rest } = config;
    return new Relay(
      {
        // All hosts of the simulation have one address.
        config: {
          ...DEFAULT_RELAY_CONFIG,
          ...rest,
          registry: {
            ...DEFAULT_RELAY_CONFIG.registry,
            registrationsPerMinute: 0,
            namesPerAddressMax: 1000,
            ...registry,
          },
        },
        node: this.#config(identity, {}),
        ...(admission === undefined ? {} : { admission }),
        unixMs: UNIX_MS + this.now,
      },
      environmentOf(this.network.random.next()),
      this.now,
    );
  }

  /** Kills a relay and starts another one with the same identity in its place. */
  restartRelay(relay: RelayHost, config: RelayWorldOptions = {}, snapshot?: Uint8Array): void {
    relay.relay = this.newRelay(relay.identity, config);
    if (snapshot !== undefined && !relay.relay.restore(snapshot, this.now)) throw new Error("The snapshot is damaged");
    relay.host.restart(relay.relay);
  }

  add(name: string, options: ResidentOptions = {}): Resident {
    const identity = options.seed === undefined ? this.#identity() : identityOf(options.seed);
    const node = this.newNode(identity, options);
    const host = this.network.addHost(name, node);
    const events: AnyEvent[] = [];
    host.onEvent = (event) => events.push(event as AnyEvent);
    const resident: Resident = { name, identity, host, node, events, relay: 0 };
    for (const relay of options.relays ?? ["relay"]) resident.relay = this.addRelayTo(resident, relay);
    return resident;
  }

  newNode(identity: Identity, options: ResidentOptions = {}): NodeMachine {
    return new NodeMachine(
      this.#config(identity, options),
      environmentOf(this.network.random.next()),
      this.now,
      relayExtensions,
    );
  }

  addRelayTo(resident: Resident, relay: string): number {
    const number = resident.node.addRelay({ addresses: [`tcp://${relay}:1`] }, this.now);
    resident.host.pump();
    return number;
  }

  /** Runs the network for a while, or until something is the case; whether it is. */
  run(ms = 1000, isDone?: () => boolean): boolean {
    for (const host of this.network.hosts.values()) host.pump();
    return this.network.run(ms, isDone);
  }

  /** Runs until nodes are registered. */
  settle(...residents: readonly Resident[]): void {
    const isDone = (): boolean =>
      residents.every((who) => of(who, "relay").findLast(() => true)?.state === "registered");
    if (!this.run(60_000, isDone)) throw new Error("Not everybody could register");
  }

  /** Connects and runs until that is settled. */
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

  /** Joins two nodes over their relay; returns the session of each. */
  join(from: Resident, to: Resident): { readonly left: number; readonly right: number } {
    const connected = this.connect(from, { id: to.identity.id });
    if (connected.type !== "connected") throw new Error(`Not connected: ${connected.code} ${connected.detail}`);
    this.run(300);
    const peer = of(to, "peerConnected").findLast((event) => event.remoteId === from.identity.id);
    if (peer === undefined) throw new Error("The other side heard nothing");
    return { left: connected.session, right: peer.session };
  }

  #config(identity: Identity, options: ResidentOptions): NodeConfig {
    return {
      endpoint: {
        identity,
        session: { ...DEFAULT_SESSION_CONFIG, ...options.session },
        limits: DEFAULT_ENDPOINT_LIMITS,
      },
      limits: DEFAULT_NODE_LIMITS,
      name: options.name,
      token: options.token,
      ...(options.admission === undefined ? {} : { admission: options.admission }),
      about: options.about ?? "",
    };
  }

  #identity(): Identity {
    return identityOf(++this.#count);
  }
}

/** The identity of a number. */
export function identityOf(seed: number): Identity {
  return identityFromSeed(new Uint8Array(32).fill(seed), nobleProvider);
}

/** Events of one type, in order. */
export function of<Type extends AnyEvent["type"]>(who: { readonly events: AnyEvent[] }, type: Type): Of<Type>[] {
  return who.events.filter((event) => event.type === type) as Of<Type>[];
}

/** The last word on its relay that a node said. */
export function lastRelay(who: Resident): Of<"relay"> {
  const event = of(who, "relay").at(-1);
  if (event === undefined) throw new Error("Nothing is known of a relay");
  return event;
}
