/**
 * Tests of policies, their file, and the patterns and address blocks in them: PROTOCOL §10.10.
 *
 * @module
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { nobleProvider } from "../../../core/crypto/noble_provider.ts";
import { encodePaserkPublic, paserkPublicId } from "../../../core/crypto/paseto.ts";
import { addressGroup } from "../../../core/relay/address_group.ts";
import type { AddressPrefix } from "../../../core/relay/address_prefix.ts";
import { isInPrefix, parseAddressPrefix } from "../../../core/relay/address_prefix.ts";
import type { AdmissionDecision, AdmissionFacts, AdmissionRule } from "../../../core/relay/admission_policy.ts";
import { decideAdmission } from "../../../core/relay/admission_policy.ts";
import { parseAdmissionPolicy } from "../../../core/relay/admission_policy_file.ts";
import {
  fillPattern,
  isNamePattern,
  matchesPattern,
  parseTargetPattern,
  shapeOf,
} from "../../../core/relay/name_pattern.ts";
import { identityOf } from "./relay_world.ts";

const SEED = 6_660_001;
const [ALICE, BOB, MALLORY] = [identityOf(1).id, identityOf(2).id, identityOf(3).id];
const OPS = "k4.pid.ops";
const SHOP = "k4.pid.shop";

const NONE: AdmissionFacts["standing"] = { type: "none" };
const LISTED: AdmissionFacts["standing"] = { type: "listed" };
const FOREIGN: AdmissionFacts["standing"] = { type: "foreign" };
const EXPIRED: Extract<AdmissionFacts["standing"], { type: "void" }> = {
  type: "void",
  key: OPS,
  reason: "expired",
  id: "x",
};

function valid(key: string, namespace?: string): AdmissionFacts["standing"] {
  const claims = { id: "x", issuedAtUnixMs: 0, expiresAtUnixMs: 1, ...(namespace === undefined ? {} : { namespace }) };
  return { type: "valid", key, claims };
}

function prefix(text: string): AddressPrefix | "loopback" {
  const parsed = parseAddressPrefix(text);
  assert.ok(parsed !== undefined, text);
  return parsed;
}

const deny: AdmissionRule = { type: "deny" };
const denyBlock: AdmissionRule = { type: "deny", addresses: [prefix("203.0.113.0/24"), prefix("2001:db8::/32")] };
const denyMallory: AdmissionRule = { type: "deny", ids: new Set([MALLORY]) };
const allowAlice: AdmissionRule = { type: "allow", ids: new Set([ALICE]) };
const ops: AdmissionRule = { type: "token", keys: new Set([OPS]) };
const shopInEu: AdmissionRule = { type: "token", keys: new Set([SHOP]), namespaces: new Set(["eu"]) };
const anonymous: AdmissionRule = { type: "anonymous", names: "guest-*", nodeType: "client" };

/** Rules, who comes, and the rule that decides with its word. */
const TABLE: readonly (readonly [
  rules: readonly AdmissionRule[],
  facts: Partial<AdmissionFacts>,
  expected: readonly [number | undefined, string],
])[] = [
  [[], {}, [undefined, "refused"]],
  [[anonymous], {}, [0, "anonymous"]],
  [[deny, anonymous], {}, [0, "refused"]],
  [[denyMallory, anonymous], {}, [1, "anonymous"]],
  [[denyMallory, anonymous], { id: MALLORY }, [0, "refused"]],
  [[anonymous, denyMallory], { id: MALLORY }, [0, "anonymous"]],
  [[denyBlock, anonymous], { group: addressGroup("203.0.113.9") }, [0, "refused"]],
  [[denyBlock, anonymous], { group: addressGroup("203.0.114.9") }, [1, "anonymous"]],
  [[denyBlock, anonymous], { group: addressGroup("2001:db8:1:2::3") }, [0, "refused"]],
  [[denyBlock, anonymous], { group: addressGroup("2001:db9::3") }, [1, "anonymous"]],
  [[denyBlock, anonymous], { group: "?" }, [1, "anonymous"]],
  [[allowAlice, deny], { id: ALICE }, [0, "token"]],
  [[allowAlice, deny], { id: BOB }, [1, "refused"]],
  [[denyBlock, allowAlice], { id: ALICE, group: "203.0.113.9" }, [0, "refused"]],
  [[allowAlice, denyBlock], { id: ALICE, group: "203.0.113.9" }, [0, "token"]],
  [[ops], {}, [undefined, "token_refused"]],
  [[ops], { standing: valid(OPS) }, [0, "token"]],
  [[ops], { standing: valid(SHOP) }, [undefined, "token_refused"]],
  [[ops], { standing: LISTED }, [0, "token"]],
  [[ops], { standing: EXPIRED }, [0, "token_expired"]],
  [[ops, anonymous], { standing: EXPIRED }, [0, "token_expired"]],
  [[ops, anonymous], { standing: { ...EXPIRED, reason: "revoked" } }, [0, "token_revoked"]],
  [[ops, anonymous], { standing: { ...EXPIRED, reason: "issued_before" } }, [0, "token_revoked"]],
  [[ops, anonymous], { standing: { ...EXPIRED, reason: "holder" } }, [0, "token_refused"]],
  [[ops, anonymous], { standing: FOREIGN }, [undefined, "token_refused"]],
  [[anonymous], { standing: FOREIGN }, [undefined, "token_refused"]],
  [[anonymous], { standing: valid(OPS) }, [undefined, "token_refused"]],
  [[ops, anonymous, deny], { standing: FOREIGN }, [2, "token_refused"]],
  [[anonymous, ops], { standing: valid(OPS) }, [1, "token"]],
  [[shopInEu, ops], { standing: valid(SHOP, "eu") }, [0, "token"]],
  [[shopInEu, ops], { standing: valid(SHOP, "us") }, [undefined, "token_refused"]],
  [[shopInEu, ops], { standing: valid(SHOP) }, [undefined, "token_refused"]],
  [[shopInEu, ops], { standing: valid(OPS) }, [1, "token"]],
  [[allowAlice, ops], { id: ALICE, standing: EXPIRED }, [0, "token"]],
  [[denyMallory, ops], { id: MALLORY, standing: valid(OPS) }, [0, "refused"]],
];

test("decideAdmission: the first rule that matches decides (table)", () => {
  for (const [index, [rules, facts, [rule, word]]] of TABLE.entries()) {
    const decision = decideAdmission(rules, { id: BOB, group: "192.0.2.1", standing: NONE, ...facts });
    const said = decision.type === "granted" ? decision.clientClass : decision.code;
    assert.deepEqual([decision.rule, said], [rule, word], `row ${index}`);
  }
});

test("decideAdmission: what a token claims comes before what its rule gives", () => {
  const rule: AdmissionRule = {
    type: "token",
    keys: new Set([OPS]),
    names: "*",
    nodeType: "client",
    namespace: "default",
    limits: { bytesPerSecond: 1000, circuitsMax: 2 },
  };
  const claims = { id: "x", issuedAtUnixMs: 0, expiresAtUnixMs: 1 };
  const decide = (extra: object): Extract<AdmissionDecision, { type: "granted" }> => {
    const standing = { type: "valid", key: OPS, claims: { ...claims, ...extra } } as const;
    const decision = decideAdmission([rule], { id: BOB, group: "?", standing });
    assert.equal(decision.type, "granted");
    return decision as Extract<AdmissionDecision, { type: "granted" }>;
  };
  const plain = decide({});
  assert.deepEqual([plain.names, plain.nodeType, plain.namespace], ["*", "client", "default"]);
  assert.deepEqual(plain.limits, { bytesPerSecond: 1000, circuitsMax: 2 });
  const own = decide({ name: "bob", type: "node", namespace: "eu", bytesPerSecond: 5000 });
  assert.deepEqual([own.names, own.nodeType, own.namespace], ["bob", "node", "eu"]);
  assert.deepEqual(own.limits, { bytesPerSecond: 5000, burstBytes: 10_000, circuitsMax: 2 });
});

test("decideAdmission: a rule put behind one that decided changes nothing; a denial in front always does", () => {
  const rules = fc.array(fc.constantFrom(deny, denyBlock, denyMallory, allowAlice, ops, shopInEu, anonymous), {
    maxLength: 6,
  });
  const facts = fc.record({
    id: fc.constantFrom(ALICE, BOB, MALLORY),
    group: fc.constantFrom("203.0.113.9", "192.0.2.1", "loopback", "?"),
    standing: fc.constantFrom(NONE, LISTED, FOREIGN, EXPIRED, valid(OPS), valid(SHOP), valid(SHOP, "eu")),
  });
  fc.assert(
    fc.property(rules, rules, facts, (before, after, who) => {
      const decision = decideAdmission(before, who);
      if (decision.rule !== undefined) {
        const longer = decideAdmission([...before, ...after], who);
        assert.equal(longer.rule, decision.rule);
        assert.equal(longer.type, decision.type);
      }
      assert.equal(decideAdmission([deny, ...before], who).type, "refused");
      if (decision.type === "granted") assert.notEqual(before[decision.rule]?.type, "deny");
      const isTokenShown = who.standing.type !== "none";
      if (decision.type === "granted" && isTokenShown) assert.notEqual(decision.by, "anonymous");
    }),
    { seed: SEED, numRuns: 500 },
  );
});

test("parseAddressPrefix and isInPrefix take addresses and blocks", () => {
  for (const text of ["", "1.2.3", "1.2.3.4/33", "1.2.3.4/-1", "1.2.3.4/8/8", "host", "2001:db8::/129", "1.2.3.256"]) {
    assert.equal(parseAddressPrefix(text), undefined, text);
  }
  assert.ok(isInPrefix(addressGroup("10.9.8.7"), prefix("10.0.0.0/8")));
  assert.ok(!isInPrefix(addressGroup("11.9.8.7"), prefix("10.0.0.0/8")));
  assert.ok(isInPrefix(addressGroup("10.9.8.7"), prefix("0.0.0.0/0")));
  assert.ok(!isInPrefix(addressGroup("2001:db8::1"), prefix("0.0.0.0/0")), "another family");
  assert.ok(isInPrefix(addressGroup("2001:db8:1:2:3::4"), prefix("2001:db8:1:2:3::4")), "by its /64");
  assert.ok(isInPrefix(addressGroup("127.0.0.1"), prefix("loopback")));
  assert.ok(!isInPrefix(addressGroup("127.0.0.1"), prefix("0.0.0.0/0")), "this machine counts by its name alone");
});

test("matchesPattern agrees with the regular expression of the pattern", () => {
  const text = (most: number, letters: string): fc.Arbitrary<string> =>
    fc.string({ unit: fc.constantFrom(...letters), maxLength: most });
  fc.assert(
    fc.property(text(8, "ab-*"), text(10, "ab-"), (pattern, name) => {
      const expected = new RegExp(`^${pattern.replaceAll("*", ".*")}$`).test(name);
      assert.equal(matchesPattern(pattern, name), expected, `${pattern} ${name}`);
    }),
    { seed: SEED, numRuns: 1000 },
  );
  assert.ok(!matchesPattern(`${"a*".repeat(31)}b`, "a".repeat(32)), "ends at once, too");
});

test("patterns: what fills one is of it, and targets may name a namespace", () => {
  assert.equal(fillPattern("*", "abc"), "abc");
  assert.equal(fillPattern("p-*", "abc"), "p-abc");
  assert.equal(fillPattern("p-*-*x", "abc"), "p-abc-x");
  assert.equal(fillPattern("alice", "abc"), undefined);
  assert.equal(fillPattern(`${"p".repeat(30)}*`, "abc"), undefined, "longer than a name");
  for (const text of ["", "A", "a b", "a.b", "a".repeat(65)]) assert.ok(!isNamePattern(text), text);
  assert.deepEqual(parseTargetPattern("lobby-*"), { namespace: undefined, name: "lobby-*" });
  assert.deepEqual(parseTargetPattern("eu.game/*"), { namespace: "eu.game", name: "*" });
  assert.deepEqual(parseTargetPattern("*/a"), { namespace: undefined, name: "a" });
  for (const text of ["", "/", "a/", "/a", "a/b/c", "A/b", "-/a"]) assert.equal(parseTargetPattern(text), undefined);
});

test("shapeOf: names that look alike have one shape, others do not", () => {
  const alike = [
    ["b0b", "bob"],
    ["admin", "adrn1n"],
    ["paypal", "paypa1"],
    ["a--b", "a-b"],
    ["wow", "vvow"],
    ["lil", "1i1"],
  ] as const;
  for (const [left, right] of alike) assert.equal(shapeOf(left), shapeOf(right), `${left} ${right}`);
  for (const [left, right] of [
    ["bob", "rob"],
    ["team-1-1", "team-11"],
    ["n-2", "n-3"],
  ] as const) {
    assert.notEqual(shapeOf(left), shapeOf(right));
  }
});

test("parseAdmissionPolicy reads a whole policy", () => {
  const publicKey = nobleProvider.ed25519PublicKey(new Uint8Array(32).fill(5));
  const parsed = parseAdmissionPolicy(
    {
      audiences: ["relays-eu"],
      rules: [
        { type: "deny", ids: [MALLORY], addresses: ["203.0.113.0/24"] },
        { type: "allow", ids: [ALICE], names: "*" },
        { type: "token", keys: [encodePaserkPublic(publicKey)], namespaces: ["eu"] },
        { type: "anonymous", names: "guest-*", nodeType: "client", limits: { bytesPerSecond: 65_536, circuitsMax: 2 } },
      ],
    },
    nobleProvider,
  );
  assert.ok("config" in parsed, "problem" in parsed ? parsed.problem : "");
  const { rules, keys, audiences } = parsed.config;
  assert.deepEqual(audiences, ["relays-eu"]);
  assert.deepEqual([...keys.keys()], [paserkPublicId(publicKey)]);
  assert.deepEqual(rules, [
    { type: "deny", ids: new Set([MALLORY]), addresses: [prefix("203.0.113.0/24")] },
    { type: "allow", ids: new Set([ALICE]), names: "*" },
    { type: "token", keys: new Set([paserkPublicId(publicKey)]), namespaces: new Set(["eu"]) },
    { type: "anonymous", names: "guest-*", nodeType: "client", limits: { bytesPerSecond: 65_536, circuitsMax: 2 } },
  ]);
});

test("parseAdmissionPolicy names what is wrong, and never opens a relay by mistake", () => {
  const bad: readonly (readonly [unknown, RegExp])[] = [
    [null, /the policy must be an object/],
    [[], /the policy must be an object/],
    [{}, /rules must be a list/],
    [{ rules: [] }, /rules must be a list/],
    [{ rules: [{ type: "deny" }], rule: [] }, /the policy\.rule is not known/],
    [{ rules: ["deny"] }, /rules\[0\]\.type/],
    [{ rules: [{ type: "all" }] }, /rules\[0\]\.type/],
    [{ rules: [{ type: "deny", adresses: [] }] }, /rules\[0\]\.adresses is not known/],
    [{ rules: [{ type: "deny", addresses: ["1.2.3.4/99"] }] }, /rules\[0\]\.addresses\[0\] is malformed/],
    [{ rules: [{ type: "deny", ids: ["x"] }] }, /rules\[0\]\.ids\[0\] is malformed/],
    [{ rules: [{ type: "allow" }] }, /rules\[0\]\.ids is missing/],
    [{ rules: [{ type: "token", keys: ["k4.secret.x"] }] }, /rules\[0\]\.keys must hold public keys/],
    [{ rules: [{ type: "token", keys: "k" }] }, /rules\[0\]\.keys must be a list/],
    [{ rules: [{ type: "anonymous", names: "guest" }] }, /rules\[0\]\.names must be a pattern/],
    [{ rules: [{ type: "anonymous", nodeType: "server" }] }, /nodeType must be node or client/],
    [{ rules: [{ type: "anonymous", limits: { bytes: 1 } }] }, /limits\.bytes is not known/],
    [{ rules: [{ type: "anonymous", limits: { circuitsMax: -1 } }] }, /limits\.circuitsMax must be a whole number/],
    [{ audiences: ["a b"], rules: [{ type: "deny" }] }, /audiences\[0\] is malformed/],
  ];
  for (const [value, expected] of bad) {
    const parsed = parseAdmissionPolicy(value, nobleProvider);
    assert.ok("problem" in parsed, JSON.stringify(value));
    assert.match(parsed.problem, expected);
  }
});
