/**
 * What a program holds after `createRelay`, and every type that it mentions, so that a program can name it.
 *
 * @module
 */

export type {
  ClientClass,
  OperatorToken,
  RegistryConfig,
  RegistryStats,
} from "../../core/relay/registry_types.ts";
export type {
  ClassLimits,
  ClientFacts,
  DrainOptions,
  RelayConfig,
  RelayServerEvent,
  RelayStats,
  Topology,
  TopologyCircuit,
  TopologyClient,
} from "../../core/relay/relay_types.ts";
export type { HttpRequest, HttpResponse, ListenOptions } from "../runtime.ts";
export type { RelayHandle, RelayOptions } from "./create_relay.ts";
export type { StateStore } from "./relay_state.ts";
