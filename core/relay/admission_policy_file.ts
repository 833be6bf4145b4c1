/**
 * A policy as JSON, checked whole before any of it is in force. Its form is in docs/admission.md.
 *
 * The invariant to hold: a field that is not known, or not of its form, refuses the file and is named; a mistyped
 * restriction never opens a relay.
 *
 * @module
 */

import type { NodeId } from "../crypto/identity.ts";
import { decodeNodeId } from "../crypto/identity.ts";
import { decodePaserkPublic, paserkPublicId } from "../crypto/paseto.ts";
import type { CryptoProvider } from "../crypto/provider.ts";
import type { AddressPrefix } from "./address_prefix.ts";
import { parseAddressPrefix } from "./address_prefix.ts";
import type { AdmissionConfig } from "./admission.ts";
import type { AdmissionRule, RuleGrant } from "./admission_policy.ts";
import type { AdmissionKey, NodeType } from "./admission_token.ts";
import { isExactPattern, isNamePattern, isNamespace } from "./name_pattern.ts";
import type { ClassLimits } from "./relay_types.ts";

const RULES_MAX = 64;
const KEYS_MAX = 16;
const LIST_MAX = 10_000;
const LIMITS: readonly (keyof ClassLimits)[] = ["bytesPerSecond", "burstBytes", "circuitsMax", "incomingCircuitsMax"];
const GRANT_FIELDS = ["names", "nodeType", "namespace", "limits"];

/** What a rule gives to those whom it lets in; what an admission claims comes before it. */
export interface AdmissionPolicyGrant {
  /** A pattern of the names that may be chosen, such as `*` or `guest-*`. Random names. */
  readonly names?: string;
  /** `client`: nobody can open circuits to them. `node`. */
  readonly nodeType?: NodeType;
  /** Where they belong. None. */
  readonly namespace?: string;
  /** Differences from the limits of their class. None. */
  readonly limits?: Partial<ClassLimits>;
}

/** A rule of a policy. */
export type AdmissionPolicyRule =
  | ({ readonly type: "allow"; readonly ids: readonly NodeId[] } & AdmissionPolicyGrant)
  | ({
      readonly type: "token";
      /** Public keys, `k4.public.…`; those that the configuration lists by digest are taken as well. */
      readonly keys?: readonly string[];
      readonly namespaces?: readonly string[];
    } & AdmissionPolicyGrant)
  | ({ readonly type: "anonymous" } & AdmissionPolicyGrant)
  | { readonly type: "deny"; readonly ids?: readonly NodeId[]; readonly addresses?: readonly string[] };

/** Who is let in at a relay, as JSON: the first rule that matches decides; who matches none is refused. */
export interface AdmissionPolicy {
  /** Audiences that admissions may name, besides the relay's own id. None. */
  readonly audiences?: readonly string[];
  /** 1 to 64 rules. */
  readonly rules: readonly AdmissionPolicyRule[];
}

type Fields = ReadonlyMap<string, unknown>;

/** Reads a policy, or says in one sentence what is wrong with it. */
export function parseAdmissionPolicy(
  value: unknown,
  crypto: CryptoProvider,
): { readonly config: AdmissionConfig } | { readonly problem: string } {
  try {
    return { config: new PolicyReader(crypto).read(value) };
  } catch (error) {
    if (error instanceof PolicyProblem) return { problem: error.message };
    throw error;
  }
}

/** The policy of one operator's key: its tokens, and nobody else. */
export function policyOfKey(publicKey: Uint8Array): AdmissionConfig {
  const id = paserkPublicId(publicKey);
  return {
    rules: [{ type: "token", keys: new Set([id]) }],
    keys: new Map([[id, { id, publicKey }]]),
    audiences: [],
  };
}

class PolicyProblem extends Error {}

class PolicyReader {
  readonly #crypto: CryptoProvider;
  readonly #keys = new Map<string, AdmissionKey>();

  constructor(crypto: CryptoProvider) {
    this.#crypto = crypto;
  }

  read(value: unknown): AdmissionConfig {
    const fields = fieldsOf(value, "the policy", ["$schema", "audiences", "rules"]);
    const audiences = this.#texts(fields, "audiences", "the policy", (text) => /^[\x21-\x7e]{1,128}$/.test(text));
    const list = fields.get("rules");
    if (!Array.isArray(list) || list.length === 0 || list.length > RULES_MAX) {
      throw new PolicyProblem(`rules must be a list of 1 to ${RULES_MAX} rules`);
    }
    const rules = list.map((rule: unknown, index) => this.#rule(rule, `rules[${index}]`));
    return { rules, keys: this.#keys, audiences: audiences ?? [] };
  }

  #rule(value: unknown, where: string): AdmissionRule {
    const type = typeof value === "object" && value !== null ? (value as { readonly type?: unknown }).type : undefined;
    switch (type) {
      case "allow": {
        const fields = fieldsOf(value, where, ["type", "ids", ...GRANT_FIELDS]);
        const ids = this.#ids(fields, where);
        if (ids === undefined) throw new PolicyProblem(`${where}.ids is missing`);
        return { type, ids, ...this.#grant(fields, where) };
      }
      case "token": {
        const fields = fieldsOf(value, where, ["type", "keys", "namespaces", ...GRANT_FIELDS]);
        const namespaces = this.#texts(fields, "namespaces", where, isNamespace);
        return {
          type,
          keys: new Set((this.#texts(fields, "keys", where, () => true) ?? []).map((text) => this.#key(text, where))),
          ...(namespaces === undefined ? {} : { namespaces: new Set(namespaces) }),
          ...this.#grant(fields, where),
        };
      }
      case "anonymous":
        return { type, ...this.#grant(fieldsOf(value, where, ["type", ...GRANT_FIELDS]), where) };
      case "deny": {
        const fields = fieldsOf(value, where, ["type", "ids", "addresses"]);
        const ids = this.#ids(fields, where);
        const addresses = this.#texts(fields, "addresses", where, (text) => parseAddressPrefix(text) !== undefined);
        return {
          type,
          ...(ids === undefined ? {} : { ids }),
          ...(addresses === undefined
            ? {}
            : { addresses: addresses.map((text) => parseAddressPrefix(text) as AddressPrefix | "loopback") }),
        };
      }
      default:
        throw new PolicyProblem(`${where}.type must be allow, token, anonymous or deny`);
    }
  }

  #grant(fields: Fields, where: string): RuleGrant {
    const names = fields.get("names");
    const nodeType = fields.get("nodeType");
    const namespace = fields.get("namespace");
    if (names !== undefined && !(typeof names === "string" && isNamePattern(names) && !isExactPattern(names))) {
      throw new PolicyProblem(`${where}.names must be a pattern such as "*" or "guest-*"`);
    }
    if (nodeType !== undefined && nodeType !== "node" && nodeType !== "client") {
      throw new PolicyProblem(`${where}.nodeType must be node or client`);
    }
    if (namespace !== undefined && !(typeof namespace === "string" && isNamespace(namespace))) {
      throw new PolicyProblem(`${where}.namespace must be of the form of a host name`);
    }
    return {
      ...(names === undefined ? {} : { names: names as string }),
      ...(nodeType === undefined ? {} : { nodeType }),
      ...(namespace === undefined ? {} : { namespace: namespace as string }),
      ...(fields.has("limits") ? { limits: limitsOf(fields.get("limits"), `${where}.limits`) } : {}),
    };
  }

  #ids(fields: Fields, where: string): ReadonlySet<string> | undefined {
    const isId = (text: string): boolean => decodeNodeId(text, this.#crypto) !== undefined;
    const ids = this.#texts(fields, "ids", where, isId);
    return ids === undefined ? undefined : new Set(ids.map((id) => id.toLowerCase()));
  }

  #texts(fields: Fields, name: string, where: string, isItem: (text: string) => boolean): string[] | undefined {
    const value = fields.get(name);
    if (value === undefined) return undefined;
    if (!Array.isArray(value) || value.length > LIST_MAX) {
      throw new PolicyProblem(`${where}.${name} must be a list of at most ${LIST_MAX} texts`);
    }
    for (const [index, item] of (value as unknown[]).entries()) {
      if (typeof item !== "string" || !isItem(item)) throw new PolicyProblem(`${where}.${name}[${index}] is malformed`);
    }
    return value as string[];
  }

  #key(text: string, where: string): string {
    const publicKey = decodePaserkPublic(text);
    if (publicKey === undefined) throw new PolicyProblem(`${where}.keys must hold public keys such as k4.public.…`);
    const id = paserkPublicId(publicKey);
    this.#keys.set(id, { id, publicKey });
    if (this.#keys.size > KEYS_MAX) throw new PolicyProblem(`there are more than ${KEYS_MAX} keys`);
    return id;
  }
}

function limitsOf(value: unknown, where: string): Partial<ClassLimits> {
  const fields = fieldsOf(value, where, LIMITS);
  for (const [name, limit] of fields) {
    if (!Number.isSafeInteger(limit) || (limit as number) < 0) {
      throw new PolicyProblem(`${where}.${name} must be a whole number`);
    }
  }
  return Object.fromEntries(fields) as Partial<ClassLimits>;
}

function fieldsOf(value: unknown, where: string, known: readonly string[]): Fields {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new PolicyProblem(`${where} must be an object`);
  }
  const fields = new Map<string, unknown>(Object.entries(value));
  for (const name of fields.keys()) if (!known.includes(name)) throw new PolicyProblem(`${where}.${name} is not known`);
  return fields;
}
