/**
 * Tests of names under a policy: whose they are, which may be chosen, what brings them back. PROTOCOL §10.4 and §10.10.
 *
 * @module
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { nobleProvider } from "../../../core/crypto/noble_provider.ts";
import { paserkPublicId } from "../../../core/crypto/paseto.ts";
import { LOOPBACK_GROUP } from "../../../core/relay/address_group.ts";
import { Admission } from "../../../core/relay/admission.ts";
import type { AdmissionRule } from "../../../core/relay/admission_policy.ts";
import { policyOfKey } from "../../../core/relay/admission_policy_file.ts";
import type { AdmissionClaims } from "../../../core/relay/admission_token.ts";
import { issueAdmissionToken } from "../../../core/relay/admission_token.ts";
import { matchesPattern } from "../../../core/relay/name_pattern.ts";
import { Registry } from "../../../core/relay/registry.ts";
import type { RegistrationOutcome, RegistryConfig } from "../../../core/relay/registry_types.ts";
import { DEFAULT_REGISTRY_CONFIG } from "../../../core/relay/relay_defaults.ts";
import { encodeUtf8 } from "../../../core/wire/utf8.ts";
import { testEnvironment } from "../test_environment.ts";

const FC_SEED = 31_337_042;
const UNIX_MS = 1_767_225_600_000;
const HOUR = 3_600_000;
const NONE = new Uint8Array(0);
const OPS = new Uint8Array(32).fill(3);
const SHOP = new Uint8Array(32).fill(4);
const OPS_KEY = policyOfKey(nobleProvider.ed25519PublicKey(OPS));
const SHOP_KEY = policyOfKey(nobleProvider.ed25519PublicKey(SHOP));
const { leaseMs, restMs } = DEFAULT_REGISTRY_CONFIG;
const GUESTS: AdmissionRule = { type: "anonymous", names: "guest-*" };

interface World {
  readonly registry: Registry;
  readonly admission: Admission;
}

function worldOf(rules: readonly AdmissionRule[], config: Partial<RegistryConfig> = {}, seed = 1): World {
  const keys = new Map([...OPS_KEY.keys, ...SHOP_KEY.keys]);
  const admission = new Admission({ rules, keys, audiences: [] }, { id: "relay", crypto: nobleProvider });
  const registry = new Registry(
    { ...DEFAULT_REGISTRY_CONFIG, registrationsPerMinute: 0, ...config },
    new Uint8Array(32).fill(9),
    testEnvironment(seed),
    {
      unixMsOf: (now) => UNIX_MS + now,
      admit: (request, now) => admission.decide(request, UNIX_MS + now),
    },
  );
  return { registry, admission };
}

const STANDARD: readonly AdmissionRule[] = [
  { type: "token", keys: new Set([...OPS_KEY.keys.keys(), ...SHOP_KEY.keys.keys()]) },
  GUESTS,
];

function issue(extra: Partial<AdmissionClaims> = {}, seed = OPS): Uint8Array {
  const claims = { id: "t-1", issuedAtUnixMs: UNIX_MS, expiresAtUnixMs: UNIX_MS + 48 * HOUR, ...extra };
  return encodeUtf8(issueAdmissionToken(claims, seed, nobleProvider));
}

interface Ask {
  readonly id?: string;
  readonly name?: string;
  readonly token?: Uint8Array;
  readonly admission?: Uint8Array;
  readonly group?: string;
}

function ask(world: World, options: Ask, now = 0): RegistrationOutcome {
  const { id = "id-a", name = "", token = NONE, admission = NONE, group = LOOPBACK_GROUP } = options;
  return world.registry.register({ id, name, token, admission, group }, now);
}

function granted(world: World, options: Ask, now = 0): Extract<RegistrationOutcome, { type: "granted" }> {
  const outcome = ask(world, options, now);
  assert.equal(outcome.type, "granted", outcome.type === "refused" ? outcome.code : "");
  return outcome as Extract<RegistrationOutcome, { type: "granted" }>;
}

function refused(world: World, options: Ask, now = 0): string {
  const outcome = ask(world, options, now);
  return outcome.type === "refused" ? outcome.code : `granted ${outcome.name}`;
}

test("names: anonymous clients choose within the policy's pattern and get a random one of it otherwise", () => {
  const world = worldOf(STANDARD);
  assert.equal(granted(world, { name: "guest-bob" }).name, "guest-bob");
  assert.match(granted(world, { id: "id-b", name: "bob" }).name, /^guest-[a-z2-7]{13}$/);
  assert.match(granted(world, { id: "id-c" }).name, /^guest-[a-z2-7]{13}$/);
  const random = worldOf([{ type: "anonymous" }]);
  assert.match(granted(random, { name: "guest-bob" }).name, /^[a-z2-7]{13}$/);
});

test("names: a token chooses within its pattern, one without a pattern gets random ones", () => {
  const world = worldOf(STANDARD);
  const player = issue({ name: "player-*", uses: 10 });
  const one = granted(world, { name: "player-one", admission: player });
  assert.deepEqual([one.name, one.clientClass, one.leaseMs], ["player-one", "token", leaseMs.token]);
  assert.equal(one.owner, `token:${paserkPublicId(nobleProvider.ed25519PublicKey(OPS))}/t-1`);
  assert.equal(refused(world, { id: "id-b", name: "player-one", admission: player }), "name_taken");
  assert.match(granted(world, { id: "id-b", name: "boss", admission: player }).name, /^player-[a-z2-7]{13}$/);
  assert.match(granted(world, { id: "id-c", name: "boss", admission: issue({ id: "t-2" }) }).name, /^[a-z2-7]{13}$/);
});

test("names: a token for one name takes it from whoever has it, but not from another operator's", () => {
  const world = worldOf([
    { type: "token", keys: new Set([...OPS_KEY.keys.keys(), ...SHOP_KEY.keys.keys()]) },
    { type: "anonymous", names: "*" },
  ]);
  granted(world, { id: "id-a", name: "alice" });
  const taken = granted(world, { id: "id-b", admission: issue({ name: "alice" }) });
  assert.deepEqual([taken.name, taken.evicted], ["alice", "id-a"]);
  assert.equal(refused(world, { id: "id-c", admission: issue({ name: "alice" }, SHOP) }), "name_taken");
  // The operator's next token for the same name, for a new key of the same person.
  const next = granted(world, { id: "id-d", admission: issue({ id: "t-2", name: "alice" }) });
  assert.deepEqual([next.name, next.evicted], ["alice", "id-b"]);
  assert.equal(
    granted(world, { id: "id-e", admission: issue({ id: "t-3", name: "admin" }) }).name,
    "admin",
    "reserved",
  );
});

test("names: reserved names and look-alikes go to nobody who chooses", () => {
  const world = worldOf([
    { type: "token", keys: new Set(OPS_KEY.keys.keys()) },
    { type: "anonymous", names: "*" },
  ]);
  granted(world, { name: "bob" });
  const any = issue({ name: "*" });
  for (const name of ["admin", "adm1n", "adrnin", "b0b", "root", "r00t"]) {
    assert.equal(refused(world, { id: "id-b", name }), "name_taken", name);
    assert.equal(refused(world, { id: "id-b", name, admission: any }), "name_taken", name);
  }
  assert.equal(granted(world, { id: "id-b", name: "bobby", admission: any }).name, "bobby");
});

test("names: the token of a name brings it back to a new key under the same admission, in every state", () => {
  for (const waitMs of [0, 1, leaseMs.token + 1, leaseMs.token + restMs - 1]) {
    const world = worldOf(STANDARD);
    const admission = issue({ uses: 2, expiresAtUnixMs: UNIX_MS + 100 * HOUR });
    const first = granted(world, { admission });
    if (waitMs > 0) world.registry.leave(first.name, 0);
    const again = granted(world, { id: "id-new", admission, token: first.token }, waitMs);
    assert.equal(again.name, first.name);
    assert.equal(granted(world, { id: "id-x", admission }, waitMs).name === first.name, false);
    assert.equal(refused(world, { id: "id-y", admission }, waitMs), "quota", "two uses, and coming back is none");
  }
});

test("names: a single-use token is its name: the same token has the same name, with any key", () => {
  const world = worldOf(STANDARD);
  const admission = issue({ uses: 1 });
  const first = granted(world, { admission });
  world.registry.leave(first.name, 1);
  const again = granted(world, { id: "id-new", admission }, HOUR);
  assert.equal(again.name, first.name);
  world.registry.leave(first.name, HOUR);
  const rested = granted(world, { id: "id-other", admission }, HOUR + leaseMs.token + 1);
  assert.equal(rested.name, first.name, "while it rests, too");
});

test("names: nobody gets a token's name without the token, and a released one rests", () => {
  const world = worldOf([
    { type: "token", keys: new Set(OPS_KEY.keys.keys()) },
    { type: "anonymous", names: "*" },
  ]);
  const admission = issue({ name: "*", uses: 2 });
  const first = granted(world, { name: "alice", admission });
  world.registry.leave("alice", 0);
  assert.equal(refused(world, { name: "alice" }, 1), "name_taken", "the same key alone");
  assert.equal(refused(world, { name: "alice", token: first.token }, 1), "name_taken", "its name's token alone");
  world.registry.release("alice", 1);
  assert.equal(refused(world, { id: "id-b", name: "alice", admission }, 2), "name_taken");
  assert.equal(granted(world, { name: "alice", admission }, 3).name, "alice", "its last holder");
});

test("names: uses are counted over restarts, and a token past its time counts no more", () => {
  const world = worldOf(STANDARD);
  const admission = issue({ uses: 2 });
  const first = granted(world, { admission });
  granted(world, { id: "id-b", admission });
  assert.equal(refused(world, { id: "id-c", admission }), "quota");
  const saved = world.registry.snapshot(10, UNIX_MS + 10);
  const later = worldOf(STANDARD, {}, 2);
  assert.ok(later.registry.restore(saved, 20, UNIX_MS + 20));
  assert.equal(refused(later, { id: "id-c", admission }, 21), "quota");
  assert.equal(granted(later, { id: "id-a", admission }, 22).name, first.name);
  assert.equal(refused(later, { id: "id-c", admission }, 49 * HOUR), "token_expired");
});

test("names: a revoked token and those issued before an instant let nobody in", () => {
  const world = worldOf(STANDARD);
  const admission = issue({ uses: 5 });
  granted(world, { admission });
  world.admission.revocations.revoke("t-1", { unixMs: UNIX_MS });
  assert.equal(refused(world, { admission }, 1), "token_revoked");
  assert.equal(granted(world, { admission: issue({ id: "t-2" }) }, 1).clientClass, "token");
  world.admission.revocations.revokeIssuedBefore(UNIX_MS + 1);
  assert.equal(refused(world, { admission: issue({ id: "t-2" }) }, 1), "token_revoked");
  assert.deepEqual(world.admission.voids, { revoked: 1, issued_before: 1 });
});

test("names: wrong tokens of an address close it out before a signature is checked", () => {
  const world = worldOf(STANDARD, { tokenFailuresPerMinute: 3 });
  const group = "192.0.2.1";
  for (let index = 0; index < 4; index++) {
    assert.equal(refused(world, { group, admission: encodeUtf8(`v4.public.${index}`) }), "token_refused");
  }
  const counted = world.admission.voids.foreign;
  assert.equal(refused(world, { group, admission: issue() }), "token_refused", "even a right one");
  assert.equal(world.admission.voids.foreign, counted);
  assert.match(granted(world, { group }, 1).name, /^guest-/, "anonymous clients of the address still come");
  assert.equal(granted(world, { group, id: "id-b", admission: issue() }, 60_001).clientClass, "token");
});

test("names: those let in by id have their names by it", () => {
  const world = worldOf([{ type: "allow", ids: new Set(["id-a"]), names: "*" }, { type: "deny" }]);
  const first = granted(world, { name: "alice" });
  assert.equal(first.clientClass, "token");
  world.registry.leave("alice", 0);
  assert.equal(granted(world, {}, HOUR).name, "alice");
  assert.equal(refused(world, { id: "id-b", token: first.token }, HOUR), "refused");
});

test("names: whatever is shown in whatever order, no name has two holders and no token more than it says", () => {
  const tokens = [
    issue({ id: "a", uses: 1 }),
    issue({ id: "b", name: "team-*", uses: 3 }),
    issue({ id: "c", name: "alice" }),
    issue({ id: "d", name: "*", uses: 2 }, SHOP),
    NONE,
  ];
  const usesMax = new Map([
    [0, 1],
    [1, 3],
    [3, 2],
  ]);
  const step = fc.record({
    id: fc.integer({ min: 0, max: 5 }),
    token: fc.integer({ min: 0, max: tokens.length - 1 }),
    name: fc.constantFrom("", "alice", "team-a", "team-b", "guest-x", "bob", "b0b"),
    isShowing: fc.boolean(),
    action: fc.constantFrom("join", "join", "join", "leave", "release", "wait"),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const world = worldOf(STANDARD, { restMs: HOUR });
      const holders = new Map<string, string>();
      const secrets = new Map<string, Uint8Array>();
      const namesOf = new Map<number, Set<string>>();
      let now = 0;
      for (const { id: number, token: index, name, isShowing, action } of steps) {
        now += action === "wait" ? HOUR / 4 : 1;
        const id = `id-${number}`;
        const held = [...holders].find(([, holder]) => holder === id)?.[0];
        if (action === "leave" || action === "release") {
          if (held === undefined) continue;
          world.registry[action](held, now);
          holders.delete(held);
          continue;
        }
        if (action === "wait") continue;
        if (held !== undefined) {
          world.registry.leave(held, now);
          holders.delete(held);
        }
        const outcome = ask(
          world,
          { id, name, admission: tokens[index] ?? NONE, ...(isShowing ? { token: secrets.get(id) ?? NONE } : {}) },
          now,
        );
        if (outcome.type === "refused") continue;
        assert.ok(outcome.evicted === undefined || holders.get(outcome.name) === outcome.evicted);
        assert.ok(holders.get(outcome.name) === undefined || outcome.evicted !== undefined, "two holders");
        holders.set(outcome.name, id);
        secrets.set(id, outcome.token);
        namesOf.set(index, (namesOf.get(index) ?? new Set()).add(outcome.name));
        if (index === 2) assert.equal(outcome.name, "alice");
        if (index === 1) assert.ok(matchesPattern("team-*", outcome.name));
        if (index === 4) assert.ok(matchesPattern("guest-*", outcome.name));
        const most = usesMax.get(index);
        if (most !== undefined) assert.ok((namesOf.get(index)?.size ?? 0) <= most, `token ${index}`);
      }
      const { held } = world.registry.stats();
      assert.equal(held, holders.size);
    }),
    { seed: FC_SEED, numRuns: 120 },
  );
});
