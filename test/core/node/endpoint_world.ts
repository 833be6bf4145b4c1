/**
 * Endpoints on a simulated network, for tests.
 *
 * @module
 */

import { DEFAULT_SESSION_CONFIG } from "../../../core/connection/session_defaults.ts";
import type { SessionConfig, SessionEvent } from "../../../core/connection/session_types.ts";
import type { Identity } from "../../../core/crypto/identity.ts";
import { identityFromSeed } from "../../../core/crypto/identity.ts";
import { nobleProvider } from "../../../core/crypto/noble_provider.ts";
import type { Environment } from "../../../core/machine.ts";
import { Endpoint } from "../../../core/node/endpoint.ts";
import { DEFAULT_ENDPOINT_LIMITS } from "../../../core/node/endpoint_defaults.ts";
import type { EndpointEvent, EndpointLimits } from "../../../core/node/endpoint_types.ts";
import { dangerousSimEnvironments } from "../../../sim/environment.ts";
import type { PipeModel, SimHost } from "../../../sim/network.ts";
import { SimNetwork } from "../../../sim/network.ts";

const environmentOf = await dangerousSimEnvironments();

/** An endpoint in the world. */
export interface Inhabitant {
  readonly name: string;
  readonly identity: Identity;
  readonly host: SimHost;
  endpoint: Endpoint;
  readonly events: EndpointEvent[];
}

/** Options of a world. */
export interface WorldOptions {
  readonly seed?: number;
  readonly model?: Partial<PipeModel>;
  readonly session?: Partial<SessionConfig>;
  readonly limits?: Partial<EndpointLimits>;
}

/** A network with endpoints. */
export class World {
  readonly network: SimNetwork;
  readonly #options: WorldOptions;
  #count = 0;

  constructor(options: WorldOptions = {}) {
    this.#options = options;
    this.network = new SimNetwork({ seed: options.seed ?? 1, ...(options.model ? { model: options.model } : {}) });
  }

  add(name: string, kind: "bytes" | "messages" = "bytes"): Inhabitant {
    const identity = identityFromSeed(new Uint8Array(32).fill(++this.#count), nobleProvider);
    const endpoint = this.newEndpoint(identity, this.network.random.next());
    const host = this.network.addHost(name, endpoint, kind);
    const events: EndpointEvent[] = [];
    host.onEvent = (event) => events.push(event as EndpointEvent);
    return { name, identity, host, endpoint, events };
  }

  newEndpoint(identity: Identity, seed: number): Endpoint {
    return new Endpoint(
      {
        identity,
        session: { ...DEFAULT_SESSION_CONFIG, ...this.#options.session },
        limits: { ...DEFAULT_ENDPOINT_LIMITS, ...this.#options.limits },
      },
      this.environment(seed),
      this.network.now,
    );
  }

  environment(seed: number): Environment {
    return environmentOf(seed);
  }

  /** Dials and runs until it is settled; returns the session's number or the failure. */
  connect(from: Inhabitant, to: Inhabitant, options: { id?: string; isAnonymous?: boolean; by?: "address" } = {}) {
    const target = {
      addresses: [`tcp://${to.name}:1`],
      ...(options.by === "address" ? {} : { id: options.id ?? to.identity.id }),
    };
    const dial = from.endpoint.dial(target, { isAnonymous: options.isAnonymous ?? false }, this.network.now);
    from.host.pump();
    const isSettled = () =>
      from.events.some((event) => (event.type === "connected" || event.type === "dialFailed") && event.dial === dial);
    this.network.run(60_000, isSettled);
    const event = from.events.find(
      (event) => (event.type === "connected" || event.type === "dialFailed") && event.dial === dial,
    );
    if (event?.type === "connected") return { session: event.session, code: undefined };
    if (event?.type === "dialFailed") return { session: 0, code: event.code, detail: event.detail };
    throw new Error("A dial never ends");
  }
}

/** Session events of one type that an inhabitant saw. */
export function sessionEvents<Type extends SessionEvent["type"]>(
  who: Inhabitant,
  type: Type,
): Extract<SessionEvent, { type: Type }>[] {
  return who.events
    .filter((event) => event.type === "session" && event.event.type === type)
    .map((event) => (event as { event: SessionEvent }).event as Extract<SessionEvent, { type: Type }>);
}
