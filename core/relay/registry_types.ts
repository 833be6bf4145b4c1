/**
 * Who may have which name at a relay: the policy, the questions and the answers. PROTOCOL §10.4.
 *
 * @module
 */

import type { NodeId } from "../crypto/identity.ts";
import type { ErrorCode } from "../error.ts";
import type { Bytes, Instant } from "../machine.ts";
import type { AdmissionDecision } from "./admission_policy.ts";
import type { RevocationList } from "./revocation_list.ts";

/** Whom a client is treated as: one that showed nothing, or one with a token of the operator. */
export type ClientClass = "anonymous" | "token";

/** A token that the operator handed out. */
export interface OperatorToken {
  /** SHA-256 of the token in lower-case hex: the token itself is not in the configuration. */
  readonly digest: string;
  /** The one name that it stands for; without one it may have several at once, see `namesPerTokenMax`. */
  readonly name?: string;
}

/** The policy of a registry. Defaults: `DEFAULT_REGISTRY_CONFIG` in `core/relay/relay_defaults.ts`. */
export interface RegistryConfig {
  /** `open`: whoever comes is `anonymous`. `token`: only with a token of the operator, or one given for it. */
  readonly admission: "open" | "token";
  readonly tokens: readonly OperatorToken[];
  /** Whether anonymous clients may choose their name; otherwise they get a random one whatever they ask for. */
  readonly allowChosenNames: boolean;
  /** Names that nobody gets. */
  readonly reservedNames: readonly string[];
  /** How long a name is kept for a client that is gone, by class. */
  readonly leaseMs: Readonly<Record<ClientClass, number>>;
  /** How long a name rests after its lease before somebody else can have it. */
  readonly restMs: number;
  /**
   * Whether a token of this relay brings its name back although the registry does not know the name any more, after a
   * restart without stored state for one.
   */
  readonly isTrustingOnRestart: boolean;
  /** Names that are kept, in all. */
  readonly namesMax: number;
  /** Names of one token of the operator at once. */
  readonly namesPerTokenMax: number;
  /** Names of one address at once; as many again may rest. Programs on this machine are exempt. */
  readonly namesPerAddressMax: number;
  /** Registrations of one address in a minute; 0 for no limit. */
  readonly registrationsPerMinute: number;
  /** Wrong tokens of one address in a minute before it is refused for a minute; 0 for no limit. */
  readonly tokenFailuresPerMinute: number;
}

/** A client that wants to be known. */
export interface RegistrationRequest {
  /** Who it is, as its session proved. */
  readonly id: NodeId;
  /** As it came; empty for none. */
  readonly name: string;
  /** As it came; empty for none. */
  readonly token: Uint8Array;
  /** A token that an operator signed, as it came; left out or empty for none. */
  readonly admission?: Uint8Array;
  /** What counts as its address: see `addressGroup`. */
  readonly group: string;
}

/** What a registry needs around it. */
export interface RegistryHost {
  /** Whether somebody is let in; `isListed` when the token is one of the config's. */
  readonly admit: (
    request: {
      readonly id: NodeId;
      readonly group: string;
      readonly admission: Uint8Array;
      readonly isListed: boolean;
    },
    now: Instant,
  ) => AdmissionDecision;
  readonly unixMsOf: (now: Instant) => number;
  /** What was taken back: it is stored with the names. */
  readonly revocations?: RevocationList;
}

/** What came of a request. */
export type RegistrationOutcome =
  | {
      readonly type: "granted";
      readonly name: string;
      /** What brings the name back. */
      readonly token: Bytes;
      readonly clientClass: ClientClass;
      readonly leaseMs: number;
      /** Who had the name until now, if that is another node which still holds it. */
      readonly evicted: NodeId | undefined;
      /** Whom the name belongs to, beyond its holder; `undefined` for an anonymous client. */
      readonly owner: string | undefined;
      /** What let the client in. */
      readonly admission: Extract<AdmissionDecision, { type: "granted" }>;
    }
  | { readonly type: "refused"; readonly code: ErrorCode; readonly retryAfterMs: number };

/** Figures of a registry. */
export interface RegistryStats {
  /** Names of clients that are here. */
  readonly held: number;
  /** Names kept for clients that are gone. */
  readonly leased: number;
  /** Names that nobody can have yet but their last holder. */
  readonly resting: number;
  readonly granted: number;
  /** Refused requests by code. */
  readonly refused: Readonly<Partial<Record<ErrorCode, number>>>;
}
