/**
 * The JSON Schema of a policy says what the relay takes: both are asked about the same policies, good and bad ones.
 *
 * @module
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { nobleProvider } from "../../../core/crypto/noble_provider.ts";
import { encodePaserkPublic } from "../../../core/crypto/paseto.ts";
import { parseAdmissionPolicy } from "../../../core/relay/admission_policy_file.ts";
import schema from "../../../docs/policy.schema.json" with { type: "json" };
import { identityOf } from "./relay_world.ts";

const FC_SEED = 20_260_101;
const ID = identityOf(1).id;
const KEY = encodePaserkPublic(nobleProvider.ed25519PublicKey(new Uint8Array(32).fill(3)));

type Schema = Readonly<Record<string, unknown>>;

/** The keywords of JSON Schema that the file uses; any other one is a mistake in the file. */
const KEYWORDS: ReadonlySet<string> = new Set([
  ...["$schema", "$defs", "$ref", "title", "description", "type", "const", "enum", "pattern", "oneOf", "required"],
  ...["properties", "additionalProperties", "items", "minItems", "maxItems", "minimum", "maximum"],
]);

function isValid(value: unknown, of: Schema): boolean {
  for (const keyword of Object.keys(of)) assert.ok(KEYWORDS.has(keyword), keyword);
  const { $ref, type, pattern, oneOf, required, properties, items } = of;
  if (typeof $ref === "string") return isValid(value, definitionOf($ref));
  if (Array.isArray(oneOf) && (oneOf as Schema[]).filter((one) => isValid(value, one)).length !== 1) return false;
  if ("const" in of && value !== of.const) return false;
  if (Array.isArray(of.enum) && !of.enum.includes(value)) return false;
  if (type === "string" && typeof value !== "string") return false;
  if (type === "integer" && !Number.isInteger(value)) return false;
  if (typeof value === "number" && (value < Number(of.minimum ?? value) || value > Number(of.maximum ?? value))) {
    return false;
  }
  if (typeof pattern === "string" && typeof value === "string" && !new RegExp(pattern, "u").test(value)) return false;
  if (type === "array") {
    if (!Array.isArray(value)) return false;
    if (value.length < Number(of.minItems ?? 0) || value.length > Number(of.maxItems ?? Infinity)) return false;
    if (!value.every((item) => isValid(item, items as Schema))) return false;
  }
  if (type !== "object") return true;
  if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
  if (Array.isArray(required) && !required.every((name) => Object.hasOwn(value, String(name)))) return false;
  const known = properties as Readonly<Record<string, Schema>>;
  return Object.entries(value).every(([name, field]) =>
    Object.hasOwn(known, name) ? isValid(field, known[name] as Schema) : of.additionalProperties !== false,
  );
}

function definitionOf(reference: string): Schema {
  const name = reference.replace("#/$defs/", "");
  const found = (schema.$defs as Readonly<Record<string, Schema>>)[name];
  assert.ok(found !== undefined, reference);
  return found;
}

function isTaken(policy: unknown): boolean {
  return "config" in parseAdmissionPolicy(policy, nobleProvider);
}

/** One of the good values, mostly. */
function mostly(good: readonly unknown[], bad: readonly unknown[]): fc.Arbitrary<unknown> {
  return fc.oneof(
    { weight: 9, arbitrary: fc.constantFrom(...good) },
    { weight: 1, arbitrary: fc.constantFrom(...bad) },
  );
}

const FIELDS: Readonly<Record<string, fc.Arbitrary<unknown>>> = {
  ids: mostly([[ID], []], [["me"], ID]),
  keys: mostly([[KEY], []], [["k4.secret.AAAA"], [5]]),
  namespaces: mostly([["eu"]], [["a b"]]),
  names: mostly(["*", "guest-*"], ["bob", "Guest-*", 5]),
  nodeType: mostly(["node", "client"], ["group"]),
  namespace: mostly(["eu.west", "a"], [".eu", 5]),
  addresses: mostly([["203.0.113.0/24", "2001:db8::/32", "loopback"], []], [["everywhere"], [1]]),
  limits: mostly(
    [{}, { bytesPerSecond: 0, circuitsMax: 4 }],
    [{ circuitsMax: "4" }, { burstBytes: 1.5 }, { speed: 1 }, []],
  ),
  nmaes: fc.constant("*"),
};

// Few fields, so that many rules are good.
const rule = fc
  .record({
    type: mostly(["allow", "token", "anonymous", "deny"], ["admit", undefined]),
    fields: fc.record(FIELDS),
    kept: fc.array(fc.constantFrom(...Object.keys(FIELDS)), { maxLength: 2 }),
  })
  .map(({ type, fields, kept }) => ({
    type,
    ...Object.fromEntries(Object.entries(fields).filter(([name]) => kept.includes(name))),
  }));
const policy = fc.record(
  {
    rules: fc.oneof(
      { weight: 9, arbitrary: fc.array(rule, { maxLength: 2 }) },
      { weight: 1, arbitrary: fc.constant("all") },
    ),
    audiences: mostly([["eu"], []], [["a b"], [5], "eu"]),
  },
  { requiredKeys: ["rules"] },
);

test("the schema of a policy takes what the relay takes, and nothing else", () => {
  let taken = 0;
  fc.assert(
    fc.property(fc.oneof({ weight: 9, arbitrary: policy }, fc.jsonValue({ maxDepth: 3 })), (value) => {
      const json: unknown = JSON.parse(JSON.stringify(value));
      assert.equal(isValid(json, schema), isTaken(json));
      if (isTaken(json)) taken++;
    }),
    { seed: FC_SEED, numRuns: 1500 },
  );
  assert.ok(taken > 100, `${taken} were taken`);
});

test("the schema of a policy takes the largest and refuses the next", () => {
  const anonymous = { type: "anonymous" };
  for (const [value, expected] of [
    [{ rules: new Array(64).fill(anonymous) }, true],
    [{ rules: new Array(65).fill(anonymous) }, false],
    [{ rules: [] }, false],
    [{ rules: [{ type: "allow", ids: new Array(10_001).fill(ID) }] }, false],
    [{ $schema: "policy.schema.json", rules: [{ ...anonymous, limits: { burstBytes: 2 ** 53 - 1 } }] }, true],
    [{ rules: [{ ...anonymous, limits: { burstBytes: 2 ** 53 } }] }, false],
  ] as const) {
    assert.equal(isValid(value, schema), expected);
    assert.equal(isTaken(value), expected);
  }
});
