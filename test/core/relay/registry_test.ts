/**
 * Tests of the names of a relay: PROTOCOL §10.4.
 *
 * @module
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { nobleProvider } from "../../../core/crypto/noble_provider.ts";
import { addressGroup, LOOPBACK_GROUP } from "../../../core/relay/address_group.ts";
import { Registry } from "../../../core/relay/registry.ts";
import type { RegistrationOutcome, RegistryConfig } from "../../../core/relay/registry_types.ts";
import { DEFAULT_REGISTRY_CONFIG } from "../../../core/relay/relay_defaults.ts";
import { canonicalName, makeToken, tokenDigest, tokenKeyOf, verifyToken } from "../../../core/relay/relay_name.ts";
import { encodeUtf8 } from "../../../core/wire/utf8.ts";
import vectors from "../../vectors/relay.json" with { type: "json" };
import { testEnvironment } from "../test_environment.ts";
import { fromHex, toHex } from "../wire/hex.ts";

const SEED = 20_250_111;
const NONE = new Uint8Array(0);
const KEY = new Uint8Array(32).fill(9);
const HOUR = 3_600_000;
const { leaseMs, restMs } = DEFAULT_REGISTRY_CONFIG;

function makeRegistry(config: Partial<RegistryConfig> = {}, seed = 1): Registry {
  return new Registry({ ...DEFAULT_REGISTRY_CONFIG, ...config }, KEY, testEnvironment(seed));
}

interface Ask {
  readonly id?: string;
  readonly name?: string;
  readonly token?: Uint8Array;
  readonly group?: string;
}

function ask(registry: Registry, options: Ask, now: number): RegistrationOutcome {
  const { id = "id-a", name = "", token = NONE, group = LOOPBACK_GROUP } = options;
  return registry.register({ id, name, token, group }, now);
}

function granted(registry: Registry, options: Ask, now: number): Extract<RegistrationOutcome, { type: "granted" }> {
  const outcome = ask(registry, options, now);
  assert.equal(outcome.type, "granted", `refused: ${outcome.type === "refused" ? outcome.code : ""}`);
  return outcome as Extract<RegistrationOutcome, { type: "granted" }>;
}

function refused(registry: Registry, options: Ask, now: number): string {
  const outcome = ask(registry, options, now);
  assert.equal(outcome.type, "refused");
  return outcome.type === "refused" ? outcome.code : "";
}

test("canonicalName takes one form of each name and nothing but ASCII", () => {
  for (const { asked, name } of vectors.names) assert.equal(canonicalName(asked), name);
  for (const asked of vectors.badNames) assert.equal(canonicalName(asked), undefined, asked);
});

test("makeToken and verifyToken reproduce the vectors", () => {
  for (const { seedHex, name, randomHex, tokenHex } of vectors.tokens) {
    const key = tokenKeyOf(fromHex(seedHex), nobleProvider);
    assert.equal(toHex(makeToken(key, name, fromHex(randomHex), nobleProvider)), tokenHex);
    assert.ok(verifyToken(key, name, fromHex(tokenHex), nobleProvider));
    assert.ok(!verifyToken(key, `${name}x`, fromHex(tokenHex), nobleProvider));
    assert.ok(!verifyToken(key, name, fromHex(tokenHex).subarray(1), nobleProvider));
    for (let index = 0; index < 32; index += 1) {
      const damaged = fromHex(tokenHex);
      damaged[index] = (damaged[index] as number) ^ 1;
      assert.ok(!verifyToken(key, name, damaged, nobleProvider));
    }
  }
});

test("addressGroup counts IPv4 addresses one by one and IPv6 by /64", () => {
  assert.equal(addressGroup("192.0.2.7"), "192.0.2.7");
  assert.equal(addressGroup("::ffff:192.0.2.7"), "192.0.2.7");
  assert.equal(addressGroup("::ffff:c000:207"), "192.0.2.7");
  assert.equal(addressGroup("2001:db8:1:2:3:4:5:6"), addressGroup("2001:db8:1:2::1"));
  assert.notEqual(addressGroup("2001:db8:1:2::1"), addressGroup("2001:db8:1:3::1"));
  for (const host of ["127.0.0.1", "127.9.9.9", "::1", "0:0:0:0:0:0:0:1", "::ffff:127.0.0.1", "localhost", "::1%lo"]) {
    assert.equal(addressGroup(host), LOOPBACK_GROUP, host);
  }
  for (const host of [undefined, "", ":::", "1::2::3", "2001:db8", "g::1"]) assert.equal(addressGroup(host), "?", host);
});

test("Registry: whoever asks for no name gets a random one of 64 bits", () => {
  const registry = makeRegistry();
  const names = new Set<string>();
  for (let index = 0; index < 100; index += 1) names.add(granted(registry, { id: `id-${index}` }, 0).name);
  assert.equal(names.size, 100);
  for (const name of names) assert.match(name, /^[a-z2-7]{13}$/);
});

test("Registry: a name goes to nobody else while it is held, leased and resting", () => {
  const registry = makeRegistry();
  granted(registry, { name: "alice" }, 0);
  assert.equal(refused(registry, { id: "id-b", name: "Alice" }, 1), "name_taken");
  registry.leave("alice", 10);
  assert.deepEqual(registry.stats().leased, 1);
  assert.equal(refused(registry, { id: "id-b", name: "alice" }, 11), "name_taken");
  const restsAt = 10 + leaseMs.anonymous;
  registry.handleTimeout(restsAt);
  assert.equal(registry.stats().resting, 1);
  assert.equal(refused(registry, { id: "id-b", name: "alice" }, restsAt + 1), "name_taken");
  assert.equal(refused(registry, { id: "id-b", name: "alice" }, restsAt + restMs - 1), "name_taken");
  granted(registry, { id: "id-b", name: "alice" }, restsAt + restMs);
});

test("Registry: the token brings the name back to another identity, in every state", () => {
  for (const waitMs of [0, 1, leaseMs.anonymous + 1, leaseMs.anonymous + restMs - 1]) {
    const registry = makeRegistry();
    const { token } = granted(registry, { name: "alice" }, 0);
    if (waitMs > 0) registry.leave("alice", 0);
    const again = granted(registry, { id: "id-new", name: "alice", token }, waitMs);
    assert.equal(again.name, "alice");
    assert.equal(toHex(again.token), toHex(token));
    assert.equal(again.evicted, waitMs === 0 ? "id-a" : undefined);
    assert.deepEqual(registry.stats(), { held: 1, leased: 0, resting: 0, granted: 2, refused: {} });
  }
});

test("Registry: a token alone is enough, and it does not bring back another name", () => {
  const registry = makeRegistry();
  const { name, token } = granted(registry, {}, 0);
  registry.leave(name, 0);
  assert.equal(granted(registry, { id: "id-b", token }, 1).name, name);
  granted(registry, { id: "id-c", name: "carol" }, 2);
  assert.equal(refused(registry, { id: "id-b", name: "carol", token }, 3), "name_taken");
  assert.equal(granted(registry, { id: "id-b", name: "bob", token }, 4).name, "bob");
});

test("Registry: the same identity gets its name back without a token, with a new one, and the old one is void", () => {
  const registry = makeRegistry();
  const first = granted(registry, { name: "alice" }, 0);
  registry.leave("alice", 0);
  const second = granted(registry, { name: "alice" }, 1);
  assert.notEqual(toHex(second.token), toHex(first.token));
  registry.leave("alice", 2);
  assert.equal(granted(registry, {}, 3).name, "alice");
  assert.equal(refused(registry, { id: "id-b", name: "alice", token: first.token }, 4), "token_refused");
});

test("Registry: a relay that forgot everything believes its own tokens where the name is free", () => {
  const { token } = granted(makeRegistry(), { name: "alice" }, 0);
  const restarted = makeRegistry({}, 2);
  const again = granted(restarted, { id: "id-new", name: "alice", token }, 0);
  assert.equal(toHex(again.token), toHex(token));
  assert.equal(refused(restarted, { id: "id-b", name: "alice" }, 1), "name_taken");

  const taken = makeRegistry({}, 3);
  granted(taken, { id: "id-b", name: "alice" }, 0);
  assert.equal(refused(taken, { name: "alice", token }, 1), "token_refused");

  const stranger = new Registry(DEFAULT_REGISTRY_CONFIG, new Uint8Array(32).fill(8), testEnvironment(4));
  assert.equal(refused(stranger, { name: "alice", token }, 0), "token_refused");

  // Without that trust the token is worth nothing, but the name is free all the same.
  const strict = makeRegistry({ isTrustingOnRestart: false }, 5);
  assert.notEqual(toHex(granted(strict, { name: "alice", token }, 0).token), toHex(token));
});

test("Registry: a released name rests at once", () => {
  const registry = makeRegistry();
  const { token } = granted(registry, { name: "alice" }, 0);
  registry.release("alice", 0);
  assert.equal(registry.stats().resting, 1);
  assert.equal(refused(registry, { id: "id-b", name: "alice" }, 1), "name_taken");
  granted(registry, { id: "id-c", name: "alice", token }, 2);
  const unrested = makeRegistry({ restMs: 0 });
  granted(unrested, { name: "alice" }, 0);
  unrested.release("alice", 0);
  assert.equal(unrested.size, 0);
  granted(unrested, { id: "id-b", name: "alice" }, 0);
});

test("Registry: reserved names and names that are none are refused with their own code", () => {
  const registry = makeRegistry({ reservedNames: ["relay", "Boss"] });
  for (const name of ["relay", "RELAY", "boss"]) assert.equal(refused(registry, { name }, 0), "name_taken");
  for (const name of vectors.badNames.filter((text) => text !== "")) {
    assert.equal(refused(registry, { name }, 0), "name_invalid", name);
  }
});

test("Registry: anonymous clients get a random name where they may not choose", () => {
  const registry = makeRegistry({ allowChosenNames: false });
  const { name, token } = granted(registry, { name: "alice" }, 0);
  assert.match(name, /^[a-z2-7]{13}$/);
  registry.leave(name, 0);
  assert.equal(granted(registry, { id: "id-b", name, token }, 1).name, name);
});

const operatorToken = encodeUtf8("a token of the operator, of 32 b");
const operatorDigest = tokenDigest(operatorToken, nobleProvider);

test("Registry: where tokens are needed, nothing else is taken", () => {
  const registry = makeRegistry({ admission: "token", tokens: [{ digest: operatorDigest.toUpperCase() }] });
  const { token } = granted(makeRegistry(), { name: "alice" }, 0);
  assert.equal(refused(registry, {}, 0), "token_refused");
  assert.equal(refused(registry, { name: "alice" }, 0), "token_refused");
  assert.equal(refused(registry, { name: "alice", token }, 0), "token_refused");
  const outcome = granted(registry, { name: "alice", token: operatorToken }, 0);
  assert.equal(outcome.clientClass, "token");
  assert.equal(toHex(outcome.token), toHex(operatorToken));
  // The identity alone does not bring it back either.
  registry.leave("alice", 1);
  assert.equal(refused(registry, { name: "alice" }, 2), "token_refused");
});

test("Registry: an operator's token has at most three names, and a name of its own only for itself", () => {
  const registry = makeRegistry({ tokens: [{ digest: operatorDigest }] });
  for (const name of ["one", "two", "three"]) {
    assert.equal(granted(registry, { id: name, name, token: operatorToken }, 0).clientClass, "token");
  }
  assert.equal(refused(registry, { id: "four", name: "four", token: operatorToken }, 0), "quota");
  registry.release("two", 1);
  granted(registry, { id: "four", name: "four", token: operatorToken }, 2);
  assert.equal(refused(registry, { id: "two", name: "two", token: operatorToken }, 3), "quota");

  const named = makeRegistry({ tokens: [{ digest: operatorDigest, name: "Boss" }] });
  assert.equal(refused(named, { name: "boss" }, 0), "name_taken");
  assert.equal(granted(named, { id: "id-b", name: "other", token: operatorToken }, 0).name, "boss");
  const taken = granted(named, { id: "id-c", token: operatorToken }, 1);
  assert.deepEqual([taken.name, taken.evicted], ["boss", "id-b"]);
});

test("Registry: wrong tokens close an address out for a minute, others and this machine not", () => {
  const registry = makeRegistry();
  const wrong = new Uint8Array(32).fill(1);
  for (let index = 0; index < 11; index += 1) {
    assert.equal(refused(registry, { name: "alice", token: wrong, group: "192.0.2.1" }, index), "token_refused");
  }
  const { token } = granted(registry, { id: "id-b", name: "bob", group: "192.0.2.2" }, 20);
  registry.leave("bob", 21);
  const blocked = ask(registry, { id: "id-c", name: "bob", token, group: "192.0.2.1" }, 22);
  assert.ok(blocked.type === "refused" && blocked.code === "token_refused" && blocked.retryAfterMs > 59_000);
  granted(registry, { id: "id-c", name: "bob", token, group: "192.0.2.1" }, 22 + 60_000);
  for (let index = 0; index < 30; index += 1) refused(registry, { name: "alice", token: wrong }, 100_000 + index);
  granted(registry, { id: "id-d", name: "bob", token }, 100_100);
});

test("Registry: an address has at most ten names and registers at most so often in a minute", () => {
  const group = "192.0.2.1";
  const registry = makeRegistry({ registrationsPerMinute: 15 });
  const tokens: Uint8Array[] = [];
  for (let index = 0; index < 10; index += 1) {
    tokens.push(granted(registry, { id: `id-${index}`, name: `name-${index}`, group }, 0).token);
  }
  assert.equal(refused(registry, { id: "id-x", group }, 0), "quota");
  granted(registry, { id: "id-x", group: "192.0.2.2" }, 0);
  // A name of its own is counted already.
  registry.leave("name-3", 1);
  granted(registry, { id: "id-new", name: "name-3", token: tokens[3] as Uint8Array, group }, 2);
  for (let index = 0; index < 3; index += 1) refused(registry, { id: "id-x", group }, 3);
  registry.release("name-5", 4);
  const outcome = ask(registry, { id: "id-y", group }, 5);
  assert.ok(outcome.type === "refused" && outcome.code === "quota" && outcome.retryAfterMs > 0);
  granted(registry, { id: "id-y", group }, 60_000);
});

test("Registry: an address that takes names and lets them go keeps ten from others, not more", () => {
  const registry = makeRegistry({ registrationsPerMinute: 0 });
  for (let index = 0; index < 100; index += 1) {
    granted(registry, { id: `id-${index}`, name: `name-${index}`, group: "192.0.2.1" }, index);
    registry.release(`name-${index}`, index);
  }
  assert.equal(registry.size, 10);
  granted(registry, { id: "id-b", name: "name-89", group: "192.0.2.2" }, 100);
  assert.equal(refused(registry, { id: "id-b", name: "name-90", group: "192.0.2.2" }, 100), "name_taken");
});

test("Registry: a full table forgets the name that rested longest, never one that is held or leased", () => {
  const registry = makeRegistry({ namesMax: 5 });
  for (const name of ["n-0", "n-1", "n-2", "n-3", "n-4"]) granted(registry, { id: name, name }, 0);
  assert.equal(refused(registry, { id: "x" }, 1), "relay_full");
  registry.leave("n-0", 2);
  assert.equal(refused(registry, { id: "x" }, 3), "relay_full");
  registry.release("n-1", 4);
  registry.release("n-2", 5);
  granted(registry, { id: "x", name: "xxx" }, 6);
  assert.equal(registry.size, 5);
  assert.equal(refused(registry, { id: "y", name: "n-2" }, 7), "name_taken");
});

test("Registry: a snapshot brings names and tokens back with the time that passed, and holds no token", () => {
  const config = { tokens: [{ digest: operatorDigest }], isTrustingOnRestart: false };
  const registry = makeRegistry(config);
  const held = granted(registry, { id: "id-held", name: "held" }, 0);
  const gone = granted(registry, { id: "id-gone", name: "gone" }, 0);
  granted(registry, { id: "id-rest", name: "rest" }, 0);
  granted(registry, { id: "id-op", name: "op-name", token: operatorToken }, 0);
  registry.leave("gone", 0);
  registry.release("rest", 0);
  const bytes = registry.snapshot(1000, 5_000_000);
  for (const { token } of [held, gone, { token: operatorToken }]) {
    assert.ok(!toHex(bytes).includes(toHex(token)));
    assert.ok(!toHex(bytes).includes(toHex(token.subarray(0, 16))));
  }

  const passedMs = leaseMs.anonymous - 1000;
  const restored = makeRegistry(config, 2);
  assert.ok(restored.restore(bytes, 100, 5_000_000 + passedMs));
  assert.deepEqual(
    { ...restored.stats(), granted: 0, refused: {} },
    { held: 0, leased: 2, resting: 2, granted: 0, refused: {} },
  );
  assert.equal(restored.pollTimeout(), 100 + 1000);
  assert.equal(refused(restored, { id: "id-b", name: "gone" }, 100), "name_taken");
  assert.equal(granted(restored, { id: "id-b", name: "gone", token: gone.token }, 100).name, "gone");
  assert.equal(granted(restored, { id: "id-c", name: "held", token: held.token }, 100).name, "held");
  assert.equal(granted(restored, { id: "id-d", name: "op-name", token: operatorToken }, 100).clientClass, "token");

  const late = makeRegistry(config, 3);
  assert.ok(late.restore(bytes, 0, 5_000_000 + leaseMs.anonymous + restMs + HOUR));
  assert.equal(late.size, 1); // The operator's, whose lease is longer.
});

test("Registry: damaged, cut and foreign snapshots change nothing and do not throw", () => {
  const registry = makeRegistry();
  granted(registry, { name: "alice" }, 0);
  granted(registry, { id: "id-b" }, 0);
  const bytes = registry.snapshot(0, 0);
  const other = makeRegistry({}, 2);
  for (let index = 0; index < bytes.length; index += 1) {
    const damaged = bytes.slice();
    damaged[index] = (damaged[index] as number) ^ 0x10;
    assert.ok(!other.restore(damaged, 0, 0));
    assert.ok(!other.restore(bytes.slice(0, index), 0, 0));
  }
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (garbage) => {
      assert.ok(!other.restore(garbage, 0, 0));
    }),
    { seed: SEED, numRuns: 100 },
  );
  assert.equal(other.size, 0);
});

test("Registry: whatever happens, its counts agree, its limits hold and nobody gets a name of another", () => {
  const names = ["aaa", "bbb", "ccc", "ddd", ""];
  const groups = ["192.0.2.1", "192.0.2.2", LOOPBACK_GROUP];
  const step = fc.record({
    what: fc.constantFrom("register", "register", "register", "leave", "release", "wait"),
    id: fc.nat({ max: 5 }),
    name: fc.constantFrom(...names),
    group: fc.constantFrom(...groups),
    isShowing: fc.boolean(),
    waitMs: fc.constantFrom(1, 60_000, leaseMs.anonymous, restMs),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const registry = makeRegistry({ namesMax: 8, namesPerAddressMax: 3, registrationsPerMinute: 0 });
      /** Who may have a name: its last holder's id, and its last token. */
      const owners = new Map<string, { id: string; token: Uint8Array; keptUntil: number }>();
      let now = 0;
      for (const { what, id, name, group, isShowing, waitMs } of steps) {
        if (what === "wait") {
          now += waitMs;
          registry.handleTimeout(now);
          assert.ok(registry.pollTimeout() > now);
        } else if (what === "register") {
          const owner = owners.get(name);
          const token = isShowing && owner !== undefined ? owner.token : NONE;
          const outcome = registry.register({ id: `id-${id}`, name, token, group }, now);
          if (outcome.type === "granted") {
            const before = owners.get(outcome.name);
            const isOwner =
              before === undefined ||
              before.id === `id-${id}` ||
              (token.length > 0 && toHex(token) === toHex(before.token));
            // A resting name may be forgotten early, by a full table or an address over its share; others never.
            if (!isOwner) assert.ok(before.keptUntil <= now);
            owners.set(outcome.name, { id: `id-${id}`, token: outcome.token, keptUntil: Number.POSITIVE_INFINITY });
          }
        } else {
          const owner = owners.get(name);
          const isHeld = owner?.keptUntil === Number.POSITIVE_INFINITY;
          if (owner !== undefined && isHeld) owner.keptUntil = now + (what === "leave" ? leaseMs.anonymous : 0);
          else if (owner !== undefined && what === "release") owner.keptUntil = now;
          if (what === "leave") registry.leave(name, now);
          else registry.release(name, now);
        }
        const { held, leased, resting } = registry.stats();
        assert.equal(held + leased + resting, registry.size);
        assert.ok(registry.size <= 8);
      }
    }),
    { seed: SEED, numRuns: 200 },
  );
});
