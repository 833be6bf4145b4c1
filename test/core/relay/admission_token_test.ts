/**
 * Tests of admission tokens, of what takes them back, and of the times in them: PROTOCOL §10.10.
 *
 * @module
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { nobleProvider } from "../../../core/crypto/noble_provider.ts";
import { decodePaserkPublic, paserkPublicId, signPaseto } from "../../../core/crypto/paseto.ts";
import type { AdmissionClaims, AdmissionKey, AdmissionStanding } from "../../../core/relay/admission_token.ts";
import {
  ADMISSION_CONTEXT,
  ADMISSION_LIFETIME_MS_MAX,
  dangerousReadAdmissionToken,
  issueAdmissionToken,
  verifyAdmissionToken,
} from "../../../core/relay/admission_token.ts";
import { decodeRevocationList, RevocationList } from "../../../core/relay/revocation_list.ts";
import { formatRfc3339, parseRfc3339 } from "../../../core/relay/rfc3339.ts";
import { encodeUtf8 } from "../../../core/wire/utf8.ts";
import vectors from "../../vectors/relay.json" with { type: "json" };
import { fromHex } from "../wire/hex.ts";
import { identityOf } from "./relay_world.ts";

const FC_SEED = 7_110_326;
const NOW = 1_767_225_600_000;
const HOUR = 3_600_000;
const SEED = new Uint8Array(32).fill(3);
const KEY = keyOf(SEED);

function keyOf(seed: Uint8Array): AdmissionKey {
  const publicKey = nobleProvider.ed25519PublicKey(seed);
  return { id: paserkPublicId(publicKey), publicKey };
}

function claimsWith(extra: Partial<AdmissionClaims> = {}): AdmissionClaims {
  return { id: "t-1", issuedAtUnixMs: NOW, expiresAtUnixMs: NOW + HOUR, ...extra };
}

function check(token: string, unixMs = NOW, keys: readonly AdmissionKey[] = [KEY]): AdmissionStanding {
  const options = { keys: new Map(keys.map((key) => [key.id, key])), audiences: ["relays-eu"], unixMs };
  return verifyAdmissionToken(encodeUtf8(token), options, nobleProvider);
}

function signRaw(payload: unknown, options: { readonly footer?: string; readonly context?: string } = {}): string {
  const parts = {
    payload: encodeUtf8(typeof payload === "string" ? payload : JSON.stringify(payload)),
    footer: encodeUtf8(options.footer ?? ""),
    implicitAssertion: encodeUtf8(options.context ?? ADMISSION_CONTEXT),
  };
  return signPaseto(parts, SEED, nobleProvider);
}

const RAW = { jti: "a", iat: formatRfc3339(NOW), exp: formatRfc3339(NOW + HOUR), viaduct: {} };

test("issueAdmissionToken: what is issued says what was claimed, to the key's holder alone", () => {
  const claims = claimsWith({
    namespace: "game.eu",
    name: "player-*",
    type: "client",
    targets: ["lobby-*", "ops/*", "*/status"],
    holder: identityOf(1).id,
    uses: 3,
    bytesPerSecond: 65_536,
    burstBytes: 131_072,
    circuitsMax: 4,
    incomingCircuitsMax: 0,
    audience: "relays-eu",
    notBeforeUnixMs: NOW,
  });
  const token = issueAdmissionToken(claims, SEED, nobleProvider);
  assert.deepEqual(check(token), { type: "valid", key: KEY.id, claims });
  assert.deepEqual(dangerousReadAdmissionToken(token), { claims, key: KEY.id });
  assert.deepEqual(check(token, NOW, []), { type: "foreign" });
  assert.deepEqual(check(token, NOW, [keyOf(new Uint8Array(32).fill(4))]), { type: "foreign" });
  assert.deepEqual(check(""), { type: "none" });
});

test("verifyAdmissionToken reproduces the vectors, and issueAdmissionToken writes what it reads", () => {
  for (const { seedHex, key, keyId, token, claims } of vectors.admissions) {
    const publicKey = decodePaserkPublic(key);
    assert.ok(publicKey !== undefined);
    const known = { id: paserkPublicId(publicKey), publicKey };
    assert.equal(known.id, keyId);
    const at = claims.issuedAtUnixMs;
    assert.deepEqual(check(token, at, [known]), { type: "valid", key: keyId, claims });
    const again = issueAdmissionToken(claims as AdmissionClaims, fromHex(seedHex), nobleProvider);
    assert.deepEqual(check(again, at, [known]), { type: "valid", key: keyId, claims });
  }
});

test("verifyAdmissionToken keeps to the times and the audience of a token", () => {
  const reasonAt = (unixMs: number, extra: Partial<AdmissionClaims> = {}): string => {
    const standing = check(issueAdmissionToken(claimsWith(extra), SEED, nobleProvider), unixMs);
    return standing.type === "void" ? standing.reason : standing.type;
  };
  assert.equal(reasonAt(NOW + HOUR - 1), "valid");
  assert.equal(reasonAt(NOW + HOUR), "expired");
  assert.equal(reasonAt(NOW - 60_000), "valid");
  assert.equal(reasonAt(NOW - 60_001), "not_yet");
  assert.equal(reasonAt(NOW, { notBeforeUnixMs: NOW + 60_001 }), "not_yet");
  assert.equal(reasonAt(NOW, { audience: "relays-us" }), "audience");
});

test("verifyAdmissionToken: a token for one node is void in the hands of another", () => {
  const [holder, thief] = [identityOf(1).id, identityOf(2).id];
  const token = encodeUtf8(issueAdmissionToken(claimsWith({ holder }), SEED, nobleProvider));
  const keys = new Map([[KEY.id, KEY]]);
  const standingOf = (who?: string): string => {
    const options = { keys, audiences: [], unixMs: NOW, ...(who === undefined ? {} : { holder: who }) };
    const standing = verifyAdmissionToken(token, options, nobleProvider);
    return standing.type === "void" ? standing.reason : standing.type;
  };
  assert.deepEqual([standingOf(holder), standingOf(thief), standingOf()], ["valid", "holder", "valid"]);
});

test("verifyAdmissionToken voids what it does not understand, and takes what is not about permissions", () => {
  assert.equal(check(signRaw(RAW)).type, "valid");
  assert.equal(check(signRaw({ ...RAW, sub: "somebody", iss: "a shop" })).type, "valid");
  const bad: readonly unknown[] = [
    "no JSON",
    "[]",
    { ...RAW, viaduct: undefined },
    { ...RAW, viaduct: [] },
    { ...RAW, viaduct: { unheardOf: true } },
    { ...RAW, viaduct: { name: "admin*!" } },
    { ...RAW, viaduct: { name: "ab" } },
    { ...RAW, viaduct: { name: 5 } },
    { ...RAW, viaduct: { type: "group" } },
    { ...RAW, viaduct: { targets: "lobby" } },
    { ...RAW, viaduct: { targets: ["a/b/c"] } },
    { ...RAW, viaduct: { targets: new Array(33).fill("a") } },
    { ...RAW, viaduct: { protocols: ["chat"] } },
    { ...RAW, viaduct: { holder: "me" } },
    { ...RAW, viaduct: { holder: "A".repeat(56) } },
    { ...RAW, viaduct: { uses: 0 } },
    { ...RAW, viaduct: { uses: 1.5 } },
    { ...RAW, viaduct: { bytesPerSecond: -1 } },
    { ...RAW, viaduct: { namespace: "a b" } },
    { ...RAW, jti: undefined },
    { ...RAW, jti: "a/b" },
    { ...RAW, exp: undefined },
    { ...RAW, exp: "tomorrow" },
    { ...RAW, exp: 5 },
    { ...RAW, iat: undefined },
    { ...RAW, nbf: "2026-02-30T00:00:00Z" },
    { ...RAW, exp: RAW.iat },
    { ...RAW, aud: ["a"] },
    { ...RAW, exp: formatRfc3339(NOW + ADMISSION_LIFETIME_MS_MAX + 1) },
    `{"jti":"a","iat":"${RAW.iat}","exp":"${RAW.exp}","viaduct":{"__proto__":{"uses":1}}}`,
  ];
  for (const payload of bad) {
    const standing = check(signRaw(payload));
    assert.equal(standing.type === "void" ? standing.reason : standing.type, "malformed", JSON.stringify(payload));
  }
});

test("verifyAdmissionToken takes no other PASETO of the same key, and no footer that names another key", () => {
  assert.equal(check(signRaw(RAW, { context: "" })).type, "foreign");
  assert.equal(check(signRaw(RAW, { footer: JSON.stringify({ kid: "k4.pid.x" }) })).type, "foreign");
  assert.equal(check(signRaw(RAW, { footer: JSON.stringify({ kid: KEY.id }) })).type, "valid");
  assert.equal(check(signRaw(RAW, { footer: JSON.stringify({ kid: 5 }) })).type, "foreign");
  assert.equal(check("x".repeat(3000)).type, "foreign");
});

test("issueAdmissionToken refuses claims that no relay would take", () => {
  const bad: readonly Partial<AdmissionClaims>[] = [
    { id: "" },
    { id: "x".repeat(65) },
    { expiresAtUnixMs: NOW },
    { expiresAtUnixMs: NOW + ADMISSION_LIFETIME_MS_MAX + 1 },
    { name: "Ünï" },
    { uses: 1_000_001 },
    { targets: new Array(32).fill(`${"a".repeat(60)}/${"b".repeat(60)}`) },
  ];
  for (const extra of bad) {
    assert.throws(() => issueAdmissionToken(claimsWith(extra), SEED, nobleProvider), RangeError, JSON.stringify(extra));
  }
});

test("verifyAdmissionToken never throws, whatever the bytes", () => {
  const options = { keys: new Map([[KEY.id, KEY]]), audiences: [], unixMs: NOW };
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
      const standing = verifyAdmissionToken(bytes, options, nobleProvider);
      assert.equal(standing.type, bytes.length === 0 ? "none" : "foreign");
    }),
    { seed: FC_SEED, numRuns: 300 },
  );
  fc.assert(
    fc.property(fc.jsonValue({ maxDepth: 3 }), (value) => {
      const standing = check(signRaw({ ...RAW, viaduct: value }));
      assert.ok(standing.type === "void" || standing.type === "valid");
    }),
    { seed: FC_SEED, numRuns: 60 },
  );
});

test("RFC 3339: every millisecond is read as it was written, as the host's calendar has it", () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 253_402_300_799_999 }), (unixMs) => {
      assert.equal(parseRfc3339(formatRfc3339(unixMs)), unixMs);
      assert.equal(new Date(unixMs).toISOString().replace(".000Z", "Z"), formatRfc3339(unixMs));
    }),
    { seed: FC_SEED, numRuns: 500 },
  );
  assert.equal(parseRfc3339("2026-01-31T12:00:00+02:00"), Date.UTC(2026, 0, 31, 10));
  assert.equal(parseRfc3339("2024-02-29t00:00:00.5z"), Date.UTC(2024, 1, 29) + 500);
  for (const text of ["2026-02-29T00:00:00Z", "2026-13-01T00:00:00Z", "2026-01-01", "1969-12-31T23:59:59Z", ""]) {
    assert.equal(parseRfc3339(text), undefined, text);
  }
});

test("RevocationList: bounded, forgets nothing early, and what expired first", () => {
  const list = new RevocationList(2);
  const claims = { id: "a", issuedAtUnixMs: NOW };
  assert.ok(list.revoke("a", { untilUnixMs: NOW + 10, unixMs: NOW }));
  assert.ok(list.revoke("b", { unixMs: NOW }));
  assert.equal(list.revoke("c", { unixMs: NOW }), false, "full");
  assert.ok(list.revoke("a", { untilUnixMs: NOW + 5, unixMs: NOW }), "again");
  assert.equal(list.reasonFor(claims), "revoked");
  assert.equal(list.revoke("c", { unixMs: NOW + 9 }), false);
  assert.ok(list.revoke("c", { unixMs: NOW + 10 }), "the first has expired by then");
  assert.equal(list.reasonFor(claims), undefined);
  assert.equal(list.reasonFor({ ...claims, id: "b" }), "revoked");
  assert.equal(list.revoke("no id!", { unixMs: NOW }), false);
  list.revokeIssuedBefore(NOW + 1);
  list.revokeIssuedBefore(NOW - 1);
  assert.equal(list.reasonFor(claims), "issued_before");
  assert.equal(list.reasonFor({ ...claims, issuedAtUnixMs: NOW + 1 }), undefined);
});

test("RevocationList: its text brings it back, and any other text is refused", () => {
  const list = new RevocationList();
  list.revoke("a", { untilUnixMs: NOW + HOUR, unixMs: NOW });
  list.revokeIssuedBefore(NOW - HOUR);
  const again = decodeRevocationList(list.encode(), NOW);
  assert.ok(again !== undefined);
  assert.deepEqual([...again], [["a", NOW + HOUR]]);
  assert.equal(again.issuedBeforeUnixMs, NOW - HOUR);
  assert.deepEqual([...(decodeRevocationList(list.encode(), NOW + HOUR) ?? ["?"])], [], "expired");
  const bad = [
    "",
    "null",
    "[]",
    "{}",
    '{"version":2,"revoked":[]}',
    '{"version":1,"revoked":[1]}',
    '{"version":1,"revoked":[{"id":"a"}]}',
    '{"version":1,"revoked":[{"id":"a b","until":"2027-01-01T00:00:00Z"}]}',
    '{"version":1,"issuedBefore":1,"revoked":[]}',
  ];
  for (const text of bad) assert.equal(decodeRevocationList(text, NOW), undefined, text);
  assert.equal(decodeRevocationList(list.encode(), NOW, 0), undefined, "does not fit");
});
