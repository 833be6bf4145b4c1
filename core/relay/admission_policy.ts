/**
 * Who is let in at a relay, as a list of rules of which the first that matches decides. Implements PROTOCOL §10.10.
 *
 * The invariant to hold: one pure function of the rules and of what is known of a client; nobody is let in by a list
 * that has no rule for them, and whoever showed a token is never taken for somebody who showed none.
 *
 * @module
 */

import type { NodeId } from "../crypto/identity.ts";
import type { ErrorCode } from "../error.ts";
import type { AddressPrefix } from "./address_prefix.ts";
import { isInPrefix } from "./address_prefix.ts";
import type { AdmissionClaims, AdmissionStanding, NodeType, VoidReason } from "./admission_token.ts";
import type { ClientClass } from "./registry_types.ts";
import type { ClassLimits } from "./relay_types.ts";

/** A token that claims a rate and no burst may send so many seconds of it at once. */
const BURST_SECONDS = 2;

/** What a rule gives to those whom it lets in; a token's own claims come before it. */
export interface RuleGrant {
  /** Whether names may be chosen: any that is free, or those of a pattern. Left out, names are random. */
  readonly names?: string;
  /** `client`: nobody can open circuits to them. `node` by default. */
  readonly nodeType?: NodeType;
  readonly namespace?: string;
  /** Differences from the limits of their class. */
  readonly limits?: Partial<ClassLimits>;
}

/** A rule. */
export type AdmissionRule =
  /** Those with one of these ids. They are of class `token`. */
  | ({ readonly type: "allow"; readonly ids: ReadonlySet<NodeId> } & RuleGrant)
  /**
   * Those who show a token signed by one of these keys (`k4.pid`), of one of these namespaces if any are named, or one
   * that the configuration lists by its digest.
   */
  | ({
      readonly type: "token";
      readonly keys: ReadonlySet<string>;
      readonly namespaces?: ReadonlySet<string>;
    } & RuleGrant)
  /** Those who show no token. */
  | ({ readonly type: "anonymous" } & RuleGrant)
  /** Those with one of these ids or addresses, or everybody when neither is named. */
  | {
      readonly type: "deny";
      readonly ids?: ReadonlySet<NodeId>;
      readonly addresses?: readonly (AddressPrefix | "loopback")[];
    };

/** What is known of a client that wants to be let in. */
export interface AdmissionFacts {
  readonly id: NodeId;
  /** What counts as its address: see `addressGroup`. */
  readonly group: string;
  /** What its admission token turned out to be; `listed` is one of the configuration's digests. */
  readonly standing: AdmissionStanding | { readonly type: "listed" };
}

/** What a policy decides. */
export type AdmissionDecision =
  | {
      readonly type: "granted";
      /** The rule's place in the list. */
      readonly rule: number;
      readonly by: "allow" | "token" | "anonymous";
      readonly clientClass: ClientClass;
      readonly claims: AdmissionClaims | undefined;
      /** The key that signed them. */
      readonly key: string | undefined;
      readonly names: string | undefined;
      readonly nodeType: NodeType;
      readonly namespace: string | undefined;
      readonly limits: Partial<ClassLimits>;
    }
  | { readonly type: "refused"; readonly rule: number | undefined; readonly code: ErrorCode };

/** The decision of the first rule that matches. */
export function decideAdmission(rules: readonly AdmissionRule[], facts: AdmissionFacts): AdmissionDecision {
  for (const index of rules.keys()) {
    const decision = decisionOf(rules, index, facts);
    if (decision !== undefined) return decision;
  }
  return { type: "refused", rule: undefined, code: lastWord(rules, facts) };
}

/** Why nobody let a client in: its token was of no use, or it should have one. */
function lastWord(rules: readonly AdmissionRule[], facts: AdmissionFacts): ErrorCode {
  const isTokenOfUse = facts.standing.type !== "none" || rules.some((rule) => rule.type === "token");
  return isTokenOfUse ? "token_refused" : "refused";
}

function decisionOf(
  rules: readonly AdmissionRule[],
  index: number,
  facts: AdmissionFacts,
): AdmissionDecision | undefined {
  const { id, group, standing } = facts;
  const rule = rules[index] as AdmissionRule;
  switch (rule.type) {
    case "deny": {
      const isEverybody = rule.ids === undefined && rule.addresses === undefined;
      if (isEverybody) return { type: "refused", rule: index, code: lastWord(rules, facts) };
      const isHit = rule.ids?.has(id) || rule.addresses?.some((prefix) => isInPrefix(group, prefix));
      return isHit ? { type: "refused", rule: index, code: "refused" } : undefined;
    }
    case "allow":
      return rule.ids.has(id) ? granting(rule, index, "token") : undefined;
    case "anonymous":
      return standing.type === "none" ? granting(rule, index, "anonymous") : undefined;
    case "token":
      if (standing.type === "listed") return granting(rule, index, "token");
      if (standing.type !== "valid" && standing.type !== "void") return undefined;
      if (!rule.keys.has(standing.key)) return undefined;
      if (standing.type === "void") return { type: "refused", rule: index, code: codeOfVoid(standing.reason) };
      if (rule.namespaces !== undefined && !rule.namespaces.has(standing.claims.namespace ?? "")) return undefined;
      return grantingClaims(granting(rule, index, "token"), standing.claims, standing.key);
  }
}

/** Who can show what the operator signed may know why it is of no use any more. */
function codeOfVoid(reason: VoidReason): ErrorCode {
  if (reason === "expired") return "token_expired";
  return reason === "revoked" || reason === "issued_before" ? "token_revoked" : "token_refused";
}

type Granted = Extract<AdmissionDecision, { type: "granted" }>;

function granting(rule: Exclude<AdmissionRule, { type: "deny" }>, index: number, clientClass: ClientClass): Granted {
  return {
    type: "granted",
    rule: index,
    by: rule.type,
    clientClass,
    claims: undefined,
    key: undefined,
    names: rule.names,
    nodeType: rule.nodeType ?? "node",
    namespace: rule.namespace,
    limits: rule.limits ?? {},
  };
}

/** What a token claims comes before what its rule gives. */
function grantingClaims(granted: Granted, claims: AdmissionClaims, key: string): Granted {
  const { bytesPerSecond, burstBytes, circuitsMax, incomingCircuitsMax } = claims;
  return {
    ...granted,
    claims,
    key,
    names: claims.name ?? granted.names,
    nodeType: claims.type ?? granted.nodeType,
    namespace: claims.namespace ?? granted.namespace,
    limits: {
      ...granted.limits,
      ...(bytesPerSecond === undefined ? {} : { bytesPerSecond, burstBytes: bytesPerSecond * BURST_SECONDS }),
      ...(burstBytes === undefined ? {} : { burstBytes }),
      ...(circuitsMax === undefined ? {} : { circuitsMax }),
      ...(incomingCircuitsMax === undefined ? {} : { incomingCircuitsMax }),
    },
  };
}
