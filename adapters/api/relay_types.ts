/**
 * What a program holds after `createRelay`, and every type that it mentions, so that a program can name it.
 *
 * @module
 */

export type { VoidCounts } from "../../core/relay/admission.ts";
export type {
  AdmissionPolicy,
  AdmissionPolicyGrant,
  AdmissionPolicyRule,
} from "../../core/relay/admission_policy_file.ts";
export type { NodeType, VoidReason } from "../../core/relay/admission_token.ts";
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
