/**
 * What a registration allows its client beyond a name: whom it may reach, who may reach it, until when, and the rate
 * that all clients of one token share. PROTOCOL §10.10.
 *
 * The invariant to hold: a rate that a token claims is held once for all who show it, as long as one of them is there.
 *
 * @module
 */

import type { Instant } from "../machine.ts";
import { NEVER } from "../machine.ts";
import type { AdmissionDecision } from "./admission_policy.ts";
import type { NodeType } from "./admission_token.ts";
import type { TargetPattern } from "./name_pattern.ts";
import { matchesPattern, parseTargetPattern } from "./name_pattern.ts";
import type { ClassLimits } from "./relay_types.ts";
import { TokenBucket } from "./token_bucket.ts";

/** What a client was let in with. */
export interface ClientPass {
  /** `client`: nobody can open circuits to it. */
  readonly nodeType: NodeType;
  readonly namespace: string | undefined;
  /** Whom it may open circuits to; `undefined` is everybody. */
  readonly targets: readonly TargetPattern[] | undefined;
  /** The token that let it in, for its revocation. */
  readonly token: { readonly id: string; readonly issuedAtUnixMs: number } | undefined;
  /** When its registration ends by itself. */
  readonly expiresAt: Instant;
  /** Whose rate it shares; `undefined` for one of its own. */
  readonly rateOwner: string | undefined;
}

/** The pass of a client that was let in. */
export function passOf(
  granted: Extract<AdmissionDecision, { type: "granted" }>,
  owner: string | undefined,
  now: Instant,
  unixMs: number,
): ClientPass {
  const { claims, nodeType, namespace } = granted;
  return {
    nodeType,
    namespace,
    // What does not parse here was void before; if it ever is not, it reaches nobody.
    targets: claims?.targets?.flatMap((text) => parseTargetPattern(text) ?? []),
    token: claims === undefined ? undefined : { id: claims.id, issuedAtUnixMs: claims.issuedAtUnixMs },
    expiresAt: claims === undefined ? NEVER : now + (claims.expiresAtUnixMs - unixMs),
    rateOwner: claims?.bytesPerSecond === undefined ? undefined : owner,
  };
}

/** Whether a client may open a circuit to somebody of this name, whoever that is. */
export function mayAskFor(pass: ClientPass, name: string): boolean {
  return pass.targets === undefined || pass.targets.some((target) => matchesPattern(target.name, name));
}

/** Whether a client may open a circuit to another one. */
export function mayOpenTo(
  pass: ClientPass,
  target: { readonly name: string; readonly pass: Pick<ClientPass, "namespace" | "nodeType"> },
): boolean {
  if (target.pass.nodeType === "client") return false;
  if (pass.targets === undefined) return true;
  return pass.targets.some(
    ({ namespace, name }) =>
      matchesPattern(name, target.name) && (namespace === undefined || namespace === target.pass.namespace),
  );
}

/** The rates of clients: one for each, but one for all who show a token that claims one. */
export class Rates {
  readonly #shared = new Map<string, { readonly bucket: TokenBucket; users: number }>();

  /** Rates that are shared. */
  get size(): number {
    return this.#shared.size;
  }

  /** The rate of a client that came; `release` it when it has gone. */
  take(pass: ClientPass, limits: ClassLimits, now: Instant): TokenBucket {
    const { rateOwner } = pass;
    if (rateOwner === undefined) return newRate(limits, now);
    const known = this.#shared.get(rateOwner) ?? { bucket: newRate(limits, now), users: 0 };
    known.users++;
    this.#shared.set(rateOwner, known);
    return known.bucket;
  }

  release(pass: ClientPass): void {
    const known = pass.rateOwner === undefined ? undefined : this.#shared.get(pass.rateOwner);
    if (known !== undefined && --known.users === 0) this.#shared.delete(pass.rateOwner as string);
  }
}

function newRate(limits: ClassLimits, now: Instant): TokenBucket {
  return new TokenBucket({ perSecond: limits.bytesPerSecond, burst: Math.max(limits.burstBytes, 1) }, now);
}
