/**
 * Tests of tokens that an operator signs, on a relay with its clients: PROTOCOL §10.10.
 *
 * @module
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import { nobleProvider } from "../../../core/crypto/noble_provider.ts";
import type { AdmissionConfig } from "../../../core/relay/admission.ts";
import type { AdmissionRule } from "../../../core/relay/admission_policy.ts";
import { policyOfKey } from "../../../core/relay/admission_policy_file.ts";
import type { AdmissionClaims } from "../../../core/relay/admission_token.ts";
import { issueAdmissionToken } from "../../../core/relay/admission_token.ts";
import { RevocationList } from "../../../core/relay/revocation_list.ts";
import { encodeUtf8 } from "../../../core/wire/utf8.ts";
import type { Resident } from "./relay_world.ts";
import { identityOf, lastRelay, of, RelayWorld, UNIX_MS } from "./relay_world.ts";

const HOUR = 3_600_000;
const SEED = new Uint8Array(32).fill(3);
const POLICY: AdmissionConfig = policyOfKey(nobleProvider.ed25519PublicKey(SEED));

function issue(extra: Partial<AdmissionClaims> = {}): Uint8Array {
  const claims = { id: "t-1", issuedAtUnixMs: UNIX_MS, expiresAtUnixMs: UNIX_MS + 48 * HOUR, ...extra };
  return encodeUtf8(issueAdmissionToken(claims, SEED, nobleProvider));
}

function withRules(...rules: readonly AdmissionRule[]): AdmissionConfig {
  return { ...POLICY, rules: [...POLICY.rules, ...rules] };
}

function stateOf(who: Resident): string {
  const { state, error } = lastRelay(who);
  return error === undefined ? state : `${state} ${error}`;
}

/** What comes of a circuit from one node to another, or to a name. */
function reach(world: RelayWorld, from: Resident, to: Resident | string): string {
  const target = typeof to === "string" ? { name: to } : { id: to.identity.id };
  const result = world.connect(from, target, { timeoutMs: 3_000 });
  if (result.type === "connected") from.node.closePeer(result.session, { code: "closed", reason: "" }, world.now);
  world.run(1_000);
  return result.type === "connected" ? "connected" : result.code;
}

test("a relay with a policy refuses who shows no token, a wrong one or an expired one, each with its code", () => {
  const world = new RelayWorld();
  const relay = world.addRelay("relay", { admission: POLICY });
  const right = world.add("right", { name: "alice", admission: issue({ name: "alice" }) });
  const none = world.add("none");
  const forged = issueAdmissionToken(
    { id: "t-1", issuedAtUnixMs: UNIX_MS, expiresAtUnixMs: UNIX_MS + HOUR },
    new Uint8Array(32).fill(4),
    nobleProvider,
  );
  const foreign = world.add("foreign", { admission: encodeUtf8(forged) });
  const garbage = world.add("garbage", { admission: new Uint8Array(2048).fill(0xff) });
  const expired = world.add("expired", {
    admission: issue({ issuedAtUnixMs: UNIX_MS - HOUR, expiresAtUnixMs: UNIX_MS }),
  });
  const stolen = world.add("stolen", { admission: issue({ holder: identityOf(200).id }) });
  world.settle(right);
  world.run(5_000);
  assert.equal(lastRelay(right).name, "alice");
  for (const who of [none, foreign, garbage, stolen]) assert.equal(stateOf(who), "refused token_refused", who.name);
  assert.equal(stateOf(expired), "refused token_expired");
  assert.equal(relay.relay.stats().clients, 1);
  const { voidTokens } = relay.relay.stats();
  assert.ok((voidTokens.foreign ?? 0) > 0 && (voidTokens.expired ?? 0) > 0 && (voidTokens.holder ?? 0) > 0);
  const facts = of(relay, "clientJoined").at(-1)?.client;
  assert.deepEqual([facts?.clientClass, facts?.tokenId, facts?.name], ["token", "t-1", "alice"]);
});

test("the operator is told who is refused, but no more than ten times in a second", () => {
  const world = new RelayWorld();
  const relay = world.addRelay("relay", { admission: POLICY });
  const nobody = world.add("nobody");
  world.run(3_000);
  const first = of(relay, "clientRefused")[0];
  assert.deepEqual(first, {
    ...{ type: "clientRefused", id: nobody.identity.id, remote: first?.remote, code: "token_refused", untold: 0 },
  });
  assert.equal(/:\d+$/.test(first?.remote ?? ""), false);
  for (let round = 0; round < 24; round++) world.add(`n${round}`);
  world.run(200);
  const told = of(relay, "clientRefused").length;
  assert.ok(told <= 20, `${told} refusals`);
  const isTold = (): boolean => of(relay, "clientRefused").some(({ untold }) => untold > 0);
  assert.ok(world.run(60_000, isTold));
});

test("a name is one of the token's pattern, whatever was asked for", () => {
  const world = new RelayWorld();
  world.addRelay("relay", { admission: POLICY });
  const admission = issue({ name: "player-*" });
  const [inside, outside] = [
    world.add("a", { name: "player-one", admission }),
    world.add("b", { name: "boss", admission }),
  ];
  world.settle(inside, outside);
  assert.equal(lastRelay(inside).name, "player-one");
  assert.match(lastRelay(outside).name ?? "", /^player-[a-z2-7]{13}$/);
});

test("a registration ends when its token expires or is revoked, and its circuits with it", () => {
  const world = new RelayWorld();
  const relay = world.addRelay("relay", { admission: POLICY });
  const short = world.add("short", { admission: issue({ id: "short", expiresAtUnixMs: UNIX_MS + 60_000 }) });
  const taken = world.add("taken", { admission: issue({ id: "taken" }) });
  const stays = world.add("stays", { admission: issue({ id: "stays" }) });
  world.settle(short, taken, stays);
  world.join(stays, short);
  world.join(stays, taken);
  assert.equal(relay.relay.stats().circuits, 2);
  world.run(61_000 - world.now);
  assert.equal(stateOf(short), "refused token_expired");
  assert.equal(relay.relay.stats().circuits, 1);
  assert.equal(relay.relay.revoke("taken", {}, world.now), true);
  world.run(1_000);
  assert.equal(stateOf(taken), "refused token_revoked");
  assert.deepEqual([relay.relay.stats().circuits, relay.relay.stats().clients], [0, 1]);
  assert.equal(stateOf(stays), "registered");
  // It stays revoked through a restart with the relay's state.
  const snapshot = relay.relay.snapshot(world.now);
  relay.host.kill();
  world.restartRelay(relay, { admission: POLICY }, snapshot);
  world.settle(stays);
  const before = of(relay, "clientRefused").length;
  const isBack = ({ id }: { readonly id: string }): boolean => id === taken.identity.id;
  assert.ok(world.run(60_000, () => of(relay, "clientRefused").slice(before).some(isBack)));
  world.run(300);
  assert.equal(stateOf(taken), "refused token_revoked");
  // All that was issued up to now, at once.
  const list = new RevocationList();
  list.revokeIssuedBefore(UNIX_MS + 1);
  assert.equal(relay.relay.mergeRevocations(list, world.now), true);
  world.run(1_000);
  assert.equal(stateOf(stays), "refused token_revoked");
});

test("a node that is given another admission goes on with it, and one that was refused is back at once", () => {
  const world = new RelayWorld();
  const relay = world.addRelay("relay", { admission: POLICY });
  const short = { id: "short", name: "player-*", expiresAtUnixMs: UNIX_MS + 60_000 };
  const renewed = world.add("renewed", { name: "player-one", admission: issue(short) });
  const late = world.add("late", { name: "player-two", admission: issue(short) });
  const other = world.add("other", { admission: issue() });
  world.settle(renewed, late, other);
  world.join(other, renewed);
  renewed.node.setAdmission(issue({ id: "long", name: "player-*" }), world.now);
  world.run(61_000 - world.now);
  assert.deepEqual([stateOf(renewed), stateOf(late)], ["registered", "refused token_expired"]);
  assert.deepEqual([relay.relay.stats().circuits, lastRelay(renewed).name], [1, "player-one"]);
  assert.equal(of(relay, "clientLeft").length, 1);
  late.node.setAdmission(issue({ id: "late", name: "player-*" }), world.now);
  world.run(100);
  assert.deepEqual([stateOf(late), lastRelay(late).name], ["registered", "player-two"]);
  assert.deepEqual(
    relay.relay
      .topology()
      .clients.map(({ tokenId }) => tokenId)
      .sort(),
    ["late", "long", "t-1"],
  );
});

test("an admission that is refused ends the registration that another one gave", () => {
  const world = new RelayWorld();
  const relay = world.addRelay("relay", { admission: POLICY });
  const [a, b] = [world.add("a", { admission: issue() }), world.add("b", { admission: issue({ id: "t-2" }) })];
  world.settle(a, b);
  world.join(a, b);
  a.node.setAdmission(issue({ holder: b.identity.id }), world.now);
  world.run(300);
  assert.equal(stateOf(a), "refused token_refused");
  assert.deepEqual([relay.relay.stats().clients, relay.relay.stats().circuits], [1, 0]);
  a.node.setAdmission(issue(), world.now);
  world.run(300);
  assert.equal(stateOf(a), "registered");
});

test("the time that a relay is told again is the one by which it checks", () => {
  const world = new RelayWorld();
  const relay = world.addRelay("relay", { admission: POLICY });
  relay.relay.setUnixMs(UNIX_MS + 49 * HOUR, world.now);
  const a = world.add("a", { admission: issue() });
  world.run(1_000);
  assert.equal(stateOf(a), "refused token_expired");
});

test("a token says whom circuits may be opened to; a node of type client cannot be dialled", () => {
  const world = new RelayWorld();
  world.addRelay("relay", { admission: withRules({ type: "anonymous", names: "*", nodeType: "client" }) });
  const admission = issue({ name: "player-*", targets: ["lobby-*", "eu/game-*"] });
  const player = world.add("player", { name: "player-one", admission });
  const lobby = world.add("lobby", { admission: issue({ id: "l", name: "lobby-one" }) });
  const here = world.add("here", { admission: issue({ id: "g", name: "game-eu", namespace: "eu" }) });
  const there = world.add("there", { admission: issue({ id: "h", name: "game-us", namespace: "us" }) });
  const guest = world.add("guest", { name: "visitor" });
  world.settle(player, lobby, here, there, guest);
  assert.equal(reach(world, player, lobby), "connected");
  assert.equal(reach(world, player, "game-eu"), "connected");
  assert.equal(reach(world, player, there), "not_here");
  assert.equal(reach(world, player, guest), "not_here");
  assert.equal(reach(world, lobby, there), "connected");
  assert.equal(reach(world, lobby, guest), "not_here");
  assert.equal(reach(world, guest, lobby), "connected");
  // Told before the name is looked up, so that the answer says nothing of who is here.
  assert.equal(reach(world, player, "visitor"), reach(world, player, "nobody-of-this-name"));
});

test("clients of one token share the rate that it claims", () => {
  const world = new RelayWorld();
  const relay = world.addRelay("relay", { admission: POLICY });
  const admission = issue({ bytesPerSecond: 300_000, circuitsMax: 3 });
  const [a, b] = [world.add("a", { admission }), world.add("b", { admission })];
  const c = world.add("c", { admission: issue({ id: "t-2" }) });
  world.settle(a, b, c);
  for (const from of [a, b]) {
    const { left } = world.join(from, c);
    const options = { protocol: { name: "bulk", versions: [1] } };
    const stream = from.node.openStream(left, options, world.now);
    assert.ok(stream !== undefined);
    from.node.write(left, stream, new Uint8Array(500_000), world.now);
    from.host.pump();
  }
  const before = relay.relay.stats().bytesForwarded;
  world.run(500);
  const forwarded = relay.relay.stats().bytesForwarded - before;
  // Alone each may send two seconds of it, 600,000 bytes, at once: together they would send all of their million.
  assert.ok(forwarded < 800_000, `${forwarded} bytes`);
});

test("another policy holds for whoever comes from then on; who is here stays", () => {
  const world = new RelayWorld();
  const relay = world.addRelay();
  const before = world.add("before", { name: "early" });
  world.settle(before);
  relay.relay.setAdmission(POLICY);
  const after = world.add("after");
  world.run(3_000);
  assert.deepEqual([stateOf(before), stateOf(after)], ["registered", "refused token_refused"]);
});

test("a relay without keys passes over tokens, and one that only a target names is shown none", () => {
  const world = new RelayWorld();
  world.addRelay("relay");
  const strict = world.addRelay("strict", { admission: withRules({ type: "anonymous" }) });
  const a = world.add("a", { admission: new Uint8Array(100).fill(0x61) });
  const b = world.add("b", { relays: ["strict"] });
  world.settle(a, b);
  const relays = [{ id: strict.identity.id, addresses: ["tcp://strict:1"] }];
  // What is no token would be refused there: nobody showed it.
  assert.equal(world.connect(a, { id: b.identity.id, relays }).type, "connected");
});
