/**
 * Admission at a relay: the policy in force, the keys it believes, and what was taken back. Implements PROTOCOL §10.10.
 *
 * The invariant to hold: a decision needs the time and this object, no table of tokens; a policy is replaced whole.
 *
 * @module
 */

import type { NodeId } from "../crypto/identity.ts";
import type { CryptoProvider } from "../crypto/provider.ts";
import type { AdmissionDecision, AdmissionRule } from "./admission_policy.ts";
import { decideAdmission } from "./admission_policy.ts";
import type { AdmissionKey, AdmissionStanding, VoidReason } from "./admission_token.ts";
import { verifyAdmissionToken } from "./admission_token.ts";
import { RevocationList } from "./revocation_list.ts";

/** A policy with what it needs to check tokens. */
export interface AdmissionConfig {
  readonly rules: readonly AdmissionRule[];
  /** The keys of all rules, by their id. */
  readonly keys: ReadonlyMap<string, AdmissionKey>;
  /** Audiences that tokens may name, besides the relay's own id. */
  readonly audiences: readonly string[];
}

/** Why tokens were void, and how many. */
export type VoidCounts = Readonly<Partial<Record<VoidReason | "foreign", number>>>;

/** The admission of a relay. */
export class Admission {
  readonly revocations: RevocationList;
  readonly #id: NodeId;
  readonly #crypto: CryptoProvider;
  #config: AdmissionConfig;
  readonly #voids = new Map<VoidReason | "foreign", number>();

  constructor(
    config: AdmissionConfig,
    options: { readonly id: NodeId; readonly crypto: CryptoProvider; readonly revocations?: RevocationList },
  ) {
    this.#config = config;
    this.#id = options.id;
    this.#crypto = options.crypto;
    this.revocations = options.revocations ?? new RevocationList();
  }

  /** Tokens that were of no use, by reason. */
  get voids(): VoidCounts {
    return Object.fromEntries(this.#voids);
  }

  /** Puts another policy into force for whoever comes from now on. */
  replace(config: AdmissionConfig): void {
    this.#config = config;
  }

  decide(
    request: {
      readonly id: NodeId;
      readonly group: string;
      readonly admission: Uint8Array;
      /** Whether its token is one that the configuration lists. */
      readonly isListed: boolean;
    },
    unixMs: number,
  ): AdmissionDecision {
    const { id, group, admission, isListed } = request;
    const shown = this.#standingOf(id, admission, unixMs);
    if (shown.type === "foreign") this.#count("foreign");
    else if (shown.type === "void") this.#count(shown.reason);
    const standing = isListed && shown.type === "none" ? ({ type: "listed" } as const) : shown;
    return decideAdmission(this.#config.rules, { id, group, standing });
  }

  #standingOf(holder: NodeId, admission: Uint8Array, unixMs: number): AdmissionStanding {
    const { keys, audiences } = this.#config;
    // Without a key no token means anything: it is passed over, as earlier versions do.
    if (keys.size === 0) return { type: "none" };
    const options = { keys, audiences: [this.#id, ...audiences], unixMs, holder };
    const standing = verifyAdmissionToken(admission, options, this.#crypto);
    if (standing.type !== "valid") return standing;
    const reason = this.revocations.reasonFor(standing.claims);
    return reason === undefined ? standing : { type: "void", key: standing.key, reason, id: standing.claims.id };
  }

  #count(reason: VoidReason | "foreign"): void {
    this.#voids.set(reason, (this.#voids.get(reason) ?? 0) + 1);
  }
}
