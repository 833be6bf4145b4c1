/**
 * What a decision of the policy means for names: whose they are, which may be chosen, and how many. PROTOCOL §10.4.
 *
 * @module
 */

import type { NodeId } from "../crypto/identity.ts";
import type { AdmissionDecision } from "./admission_policy.ts";
import { isExactPattern } from "./name_pattern.ts";
import { LISTED_PREFIX } from "./name_table.ts";
import type { OperatorToken } from "./registry_types.ts";

/** What somebody who is more than anonymous may have. */
export interface NameRights {
  /** Whose the names are, for counts, and for who comes back. */
  readonly owner: string;
  /** The key whose tokens may follow one another: a name moves from one of them to the next. */
  readonly issuer: string | undefined;
  /** The names that may be chosen; without it they are random. */
  readonly names: string | undefined;
  /** Whether whoever shows the token has its name, whatever the identity. */
  readonly isBearer: boolean;
  /** Whether the token is one that the configuration lists. */
  readonly isListed: boolean;
  /** Names at once. */
  readonly namesMax: number;
  /** Nodes in all, and until when they are counted. */
  readonly uses: number | undefined;
  readonly usesUntilUnixMs: number;
}

/** The rights of somebody who was let in; `undefined` for who is anonymous. */
export function nameRightsOf(
  decision: Extract<AdmissionDecision, { type: "granted" }>,
  facts: {
    readonly id: NodeId;
    readonly listed: OperatorToken | undefined;
    readonly namesPerTokenMax: number;
  },
): NameRights | undefined {
  const { claims, key, names } = decision;
  const { id, listed, namesPerTokenMax } = facts;
  const common = { issuer: undefined, names, isBearer: false, isListed: false, namesMax: namesPerTokenMax };
  const unlimited = { uses: undefined, usesUntilUnixMs: 0 };
  if (decision.by === "anonymous") return undefined;
  if (claims !== undefined && key !== undefined) {
    return {
      owner: `token:${key}/${claims.id}`,
      issuer: `token:${key}`,
      names,
      isBearer: claims.uses === 1 || (names !== undefined && isExactPattern(names)),
      isListed: false,
      namesMax: claims.uses ?? namesPerTokenMax,
      uses: claims.uses,
      usesUntilUnixMs: claims.expiresAtUnixMs,
    };
  }
  if (decision.by === "token" && listed !== undefined) {
    const owner = `${LISTED_PREFIX}${listed.digest.toLowerCase()}`;
    return { ...common, ...unlimited, owner, names: listed.name?.toLowerCase() ?? "*", isListed: true };
  }
  return { ...common, ...unlimited, owner: `id:${id}` };
}

/** Whether a name that belongs to `owner` may become that of these rights, where its holder wants so. */
export function mayTakeOver(rights: NameRights, owner: string | undefined): boolean {
  if (owner === undefined || owner === rights.owner) return true;
  // Tokens that the configuration lists have their names by its word, which is the operator's.
  if (rights.isListed) return true;
  return rights.issuer !== undefined && owner.startsWith(`${rights.issuer}/`);
}
