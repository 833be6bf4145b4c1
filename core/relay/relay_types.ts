/**
 * What a relay is told and what it tells: its policy and limits, events and figures. PROTOCOL §10.
 *
 * @module
 */

import type { NodeId } from "../crypto/identity.ts";
import type { ErrorCode } from "../error.ts";
import type { VoidCounts } from "./admission.ts";
import type { NodeType } from "./admission_token.ts";
import type { ClientClass, RegistryConfig, RegistryStats } from "./registry_types.ts";

/** What clients of one class may use. */
export interface ClassLimits {
  /** Bytes that a client may send through circuits in a second; 0 for no limit. */
  readonly bytesPerSecond: number;
  /** Bytes that it may send at once after a silence. */
  readonly burstBytes: number;
  /** Circuits that a client has opened, at once. */
  readonly circuitsMax: number;
  /** Circuits that others have opened to it, at once. */
  readonly incomingCircuitsMax: number;
}

/** Policy and limits of a relay. Defaults: `DEFAULT_RELAY_CONFIG` in `core/relay/relay_defaults.ts`. */
export interface RelayConfig {
  readonly registry: RegistryConfig;
  readonly classes: Readonly<Record<ClientClass, ClassLimits>>;
  /** Bytes that the relay forwards in a second for all together; 0 for no limit. */
  readonly bytesPerSecond: number;
  readonly burstBytes: number;
  /** Clients at once; more are refused with `relay_full`. */
  readonly clientsMax: number;
  /** Circuits at once, in all, and of one address. Programs on this machine are exempt from the second. */
  readonly circuitsMax: number;
  readonly circuitsPerAddressMax: number;
  /** Circuits of one client to another, at once: nobody can use up what others may open to a client. */
  readonly circuitsPerPairMax: number;
  /** Circuits that a client may open in a second; and that may fail, which tells it who is not here. THREATS t-F8. */
  readonly circuitOpensPerSecond: number;
  readonly circuitFailuresPerSecond: number;
  /** Records of the control stream of one client in a second; more are read later. */
  readonly recordsPerSecond: number;
  /** A circuit whose receiver takes nothing for this long while bytes wait is closed with `timeout`. */
  readonly stallTimeoutMs: number;
  /** A client whose connection is gone is shown as left after this, although its session waits longer. */
  readonly presenceGraceMs: number;
  /** Whether clients are told who is here. */
  readonly isPresencePublic: boolean;
  /** Nodes in the list of who is here; more are not told. */
  readonly presencesMax: number;
  /** Changes are gathered for this long. */
  readonly presenceDelayMs: number;
  /** Times in a minute that one identity may be taken over by another connection before it must wait. THREATS t-F4. */
  readonly takeoversPerMinute: number;
}

/** Why a relay could not help. */
export type CircuitRefusal =
  | "not_here"
  | "quota"
  | "limit"
  | "relay_full"
  | "going_away"
  | "refused"
  | "protocol_violation";

/** A client of a relay as a status page shows it. */
export interface ClientFacts {
  readonly id: NodeId;
  readonly name: string;
  readonly about: string;
  /** Scheme and host; never a port, which says nothing. */
  readonly remote: string;
  readonly clientClass: ClientClass;
  /** `client`: nobody can open circuits to it. */
  readonly nodeType: NodeType;
  /** Where its token or the policy says that it belongs. */
  readonly namespace: string | undefined;
  /** The id of the token that let it in, by which it can be revoked. */
  readonly tokenId: string | undefined;
  readonly joinedAtUnixMs: number;
}

/** What happens at a relay, for logs and screens. */
export type RelayServerEvent =
  | { readonly type: "clientJoined"; readonly client: ClientFacts }
  | {
      readonly type: "clientLeft";
      readonly client: ClientFacts;
      readonly code: ErrorCode;
      /** Bytes that it sent through circuits. */
      readonly bytesForwarded: number;
    }
  | {
      readonly type: "clientRefused";
      readonly id: NodeId;
      /** Scheme and host. */
      readonly remote: string;
      /** What it was told. */
      readonly code: ErrorCode;
      /** Refusals that were not told as they came too fast, since the last one that was. */
      readonly untold: number;
    }
  | { readonly type: "circuitOpened"; readonly circuit: number; readonly source: NodeId; readonly target: NodeId }
  | {
      readonly type: "circuitClosed";
      readonly circuit: number;
      readonly source: NodeId;
      readonly target: NodeId;
      readonly code: ErrorCode;
      /** Bytes from source to target, and back. */
      readonly bytesForward: number;
      readonly bytesBackward: number;
      readonly durationMs: number;
    }
  /** Names, tokens or leases changed: what `snapshot` gives is worth storing. At most once a second. */
  | { readonly type: "registryChanged" };

/** Figures of a relay. */
export interface RelayStats {
  readonly clients: number;
  readonly circuits: number;
  readonly circuitsOpened: number;
  /** Bytes copied from one circuit stream to the other, in both directions. */
  readonly bytesForwarded: number;
  /** Circuits refused and closed other than by their ends, by code. Bytes are never dropped. */
  readonly drops: Readonly<Partial<Record<ErrorCode, number>>>;
  readonly registry: RegistryStats;
  /** Tokens of operators that were of no use, by reason; `foreign` were signed by no key of this relay. */
  readonly voidTokens: VoidCounts;
  readonly isDraining: boolean;
}

/** A client in a topology. */
export interface TopologyClient extends ClientFacts {
  /** Whether its connection is gone and its session waits for another. */
  readonly isSuspended: boolean;
  readonly circuits: number;
  readonly bytesForwarded: number;
}

/** A circuit in a topology. */
export interface TopologyCircuit {
  readonly circuit: number;
  readonly source: NodeId;
  readonly target: NodeId;
  readonly bytesForward: number;
  readonly bytesBackward: number;
}

/** Who is here and who talks with whom, for a live picture; bounded. */
export interface Topology {
  readonly clients: readonly TopologyClient[];
  readonly circuits: readonly TopologyCircuit[];
  /** Whether there are more than are listed. */
  readonly isTruncated: boolean;
}

/** How a relay goes away. */
export interface DrainOptions {
  /** When clients should come back at the earliest. */
  readonly reconnectInMs: number;
  /** For how long they should try. */
  readonly tryForMs: number;
  /** How long circuits may go on before the relay closes; 0 by default. */
  readonly graceMs?: number;
}
