/**
 * Address tokens: good from one address, for a while, for one first message; and worth nothing otherwise.
 *
 * @module
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { bytesToHex } from "../../../core/crypto/hex.ts";
import type { AddressTokensOptions, RetryBinding } from "../../../core/node/retry_token.ts";
import { AddressTokens, TOKEN_BYTES, tokenKind } from "../../../core/node/retry_token.ts";
import { testEnvironment } from "../test_environment.ts";

const UNIX_MS = 1_790_000_000_000;
const FROM: RetryBinding = { host: "192.0.2.7", port: 4433, initiator: Uint8Array.of(1, 2, 3, 4) };
const SECRET = new Uint8Array(32).fill(9);
const DAY_MS = 86_400_000;

function tokensOf(options: AddressTokensOptions = {}, seed = 1): AddressTokens {
  return new AddressTokens({ unixMs: UNIX_MS, ...options }, testEnvironment(seed), 0);
}

test("retry token: it is small, of one size, and tells its kind", () => {
  const tokens = tokensOf();
  const retry = tokens.makeRetry(FROM, 5);
  const later = tokens.makeLater(FROM.host, 5);
  assert.equal(TOKEN_BYTES, 31);
  assert.deepEqual([retry.length, later.length], [31, 31]);
  assert.deepEqual([tokenKind(retry), tokenKind(later)], ["retry", "later"]);
  assert.deepEqual([tokenKind(Uint8Array.of(...retry, 0)), tokenKind(retry.subarray(1))], [undefined, undefined]);
  assert.equal(tokens.check(retry, FROM, 6), "retry");
  assert.equal(tokens.check(later, FROM, 6), "later");
});

// Computed apart from this code, by the layout in the module's doc.
test("retry token: a vector", () => {
  const env = { ...testEnvironment(1), random: (out: Uint8Array): void => void out.fill(0x5a) };
  const tokens = new AddressTokens({ unixMs: UNIX_MS, secret: SECRET }, env, 0);
  assert.equal(bytesToHex(tokens.makeRetry(FROM, 1)), "01016c50c4a0015a5a5a5a5a5a5a5adc68870d59a64211f91b14d6629e0934");
  assert.equal(
    bytesToHex(tokens.makeLater(FROM.host, 1)),
    "02016c50c4a0015a5a5a5a5a5a5a5aa6c101a6a6394a29023359d3ed37acca",
  );
});

test("retry token: one for retry is bound to address, port and first message, one for later to the address alone", () => {
  const tokens = tokensOf();
  const retry = tokens.makeRetry(FROM, 0);
  const later = tokens.makeLater(FROM.host, 0);
  const others: readonly (readonly [string, RetryBinding, boolean])[] = [
    ["host", { ...FROM, host: "192.0.2.8" }, false],
    ["empty host", { ...FROM, host: "" }, false],
    ["port", { ...FROM, port: 4434 }, true],
    ["initiator", { ...FROM, initiator: Uint8Array.of(1, 2, 3, 5) }, true],
    ["shorter initiator", { ...FROM, initiator: Uint8Array.of(1, 2, 3) }, true],
    ["no initiator", { ...FROM, initiator: new Uint8Array(0) }, true],
  ];
  for (const [what, from, isLaterGood] of others) {
    assert.equal(tokens.check(retry, from, 1), undefined, `retry, other ${what}`);
    assert.equal(tokens.check(later, from, 1), isLaterGood ? "later" : undefined, `later, other ${what}`);
  }
});

test("retry token: fields do not run into each other", () => {
  const tokens = tokensOf();
  const token = tokens.makeRetry({ host: "::1", port: 1, initiator: Uint8Array.of(0x31) }, 0);
  assert.equal(tokens.check(token, { host: "::", port: 0x31, initiator: Uint8Array.of(1, 0x31) }, 0), undefined);
  assert.equal(tokens.check(token, { host: "::1", port: 1, initiator: Uint8Array.of(0x31, 0) }, 0), undefined);
});

test("retry token: one address in several texts is one", () => {
  const tokens = tokensOf();
  const token = tokens.makeRetry(FROM, 0);
  for (const host of ["::ffff:192.0.2.7", "::FFFF:192.0.2.7", "0:0:0:0:0:ffff:192.0.2.7"]) {
    assert.equal(tokens.check(token, { ...FROM, host }, 1), "retry", host);
  }
  const six = tokens.makeLater("fe80::AB%eth0", 0);
  assert.equal(tokens.check(six, { ...FROM, host: "fe80::ab" }, 1), "later");
  assert.equal(tokens.check(six, { ...FROM, host: "fe80::ac" }, 1), undefined);
});

test("retry token: a kind does not pass for the other", () => {
  const tokens = tokensOf();
  for (const token of [tokens.makeRetry(FROM, 0), tokens.makeLater(FROM.host, 0)]) {
    token[0] = 3 - (token[0] as number);
    assert.equal(tokens.check(token, FROM, 1), undefined);
  }
});

test("retry token: it is good to the end of its life, and for a clock that is 5 s ahead", () => {
  const tokens = tokensOf();
  const made = 1_000_000;
  for (const [token, lifeMs, kind] of [
    [tokens.makeRetry(FROM, made), 10_000, "retry"],
    [tokens.makeLater(FROM.host, made), DAY_MS, "later"],
  ] as const) {
    for (const [ageMs, isGood] of [
      [-5001, false],
      [-5000, true],
      [0, true],
      [lifeMs - 1, true],
      [lifeMs, true],
      [lifeMs + 1, false],
      [2 * lifeMs, false],
      [1000 * DAY_MS, false],
      [Number.NaN, false],
      [Number.POSITIVE_INFINITY, false],
    ] as const) {
      assert.equal(tokens.check(token, FROM, made + ageMs), isGood ? kind : undefined, `${kind} after ${ageMs}`);
    }
  }
});

test("retry token: lives are options, and those that are none are refused", () => {
  const tokens = tokensOf({ retryLifeMs: 100, laterLifeMs: 200 });
  const retry = tokens.makeRetry(FROM, 0);
  const later = tokens.makeLater(FROM.host, 0);
  assert.deepEqual([tokens.check(retry, FROM, 100), tokens.check(retry, FROM, 101)], ["retry", undefined]);
  assert.deepEqual([tokens.check(later, FROM, 200), tokens.check(later, FROM, 201)], ["later", undefined]);
  for (const life of [0, -1, Number.NaN, Number.POSITIVE_INFINITY, 8 * DAY_MS]) {
    assert.throws(() => tokensOf({ retryLifeMs: life }), RangeError);
    assert.throws(() => tokensOf({ laterLifeMs: life }), RangeError);
  }
  assert.throws(() => tokensOf({ secret: new Uint8Array(31) }), RangeError);
});

test("retry token: the key rotates, and tokens live across the change", () => {
  // An environment that makes the salt the same shows the key alone.
  const env = { ...testEnvironment(1), random: (out: Uint8Array): void => void out.fill(1) };
  const tokens = new AddressTokens({ secret: SECRET, unixMs: 0, retryLifeMs: 10_000 }, env, 0);
  for (let now = 0; now < 200_000; now += 2500) {
    const token = tokens.makeRetry(FROM, now);
    for (const ageMs of [0, 5000, 10_000]) assert.equal(tokens.check(token, FROM, now + ageMs), "retry", `${now}`);
    assert.equal(tokens.check(token, FROM, now + 10_001), undefined, `${now}`);
  }
  const keys = new Set<string>();
  const counting = {
    ...env,
    crypto: {
      ...env.crypto,
      hmacSha256: (key: Uint8Array, data: Uint8Array) => {
        if (bytesToHex(key) !== bytesToHex(SECRET)) keys.add(bytesToHex(key));
        return env.crypto.hmacSha256(key, data);
      },
    },
  };
  const watched = new AddressTokens({ secret: SECRET, unixMs: 0, retryLifeMs: 10_000 }, counting, 0);
  for (let now = 0; now < 100_000; now += 1000) watched.makeRetry(FROM, now);
  assert.equal(keys.size, 10, "one key for each lifetime");
});

test("retry token: a root secret and a clock make a token outlive its maker, one without them does not", () => {
  const restarted = new AddressTokens({ secret: SECRET, unixMs: UNIX_MS + 60_000 }, testEnvironment(2), 7);
  const before = tokensOf({ secret: SECRET });
  const later = before.makeLater(FROM.host, 0);
  assert.equal(restarted.check(later, FROM, 8), "later");
  assert.equal(restarted.check(before.makeRetry(FROM, 0), FROM, 8), undefined, "too old");
  assert.equal(tokensOf({}, 1).check(tokensOf({}, 2).makeLater(FROM.host, 0), FROM, 0), undefined);
  const copied = SECRET.slice();
  const kept = tokensOf({ secret: copied });
  copied.fill(0);
  assert.equal(kept.check(later, FROM, 1), "later", "the secret is copied");
});

test("retry token: two are never alike", () => {
  const tokens = tokensOf();
  const seen = new Set<string>();
  for (let count = 0; count < 50; count++) seen.add(bytesToHex(tokens.makeLater(FROM.host, 0)));
  assert.equal(seen.size, 50);
});

test("retry token: after the end no token is good and none can be made, not even with a key of zeros", () => {
  const tokens = tokensOf({ secret: SECRET });
  const token = tokens.makeRetry(FROM, 0);
  const zeros = tokensOf({ secret: new Uint8Array(32) });
  tokens.destroy();
  assert.equal(tokens.check(token, FROM, 1), undefined);
  assert.equal(tokens.check(zeros.makeRetry(FROM, 0), FROM, 1), undefined);
  assert.throws(() => tokens.makeRetry(FROM, 1), { code: "closed" });
  assert.throws(() => tokens.makeLater(FROM.host, 1), { code: "closed" });
});

test("retry token: each flipped bit, each truncation and anything appended make it worthless", () => {
  const tokens = tokensOf();
  for (const token of [tokens.makeRetry(FROM, 0), tokens.makeLater(FROM.host, 0)]) {
    for (let bit = 0; bit < 8 * TOKEN_BYTES; bit++) {
      const forged = token.slice();
      forged[bit >> 3] = (forged[bit >> 3] as number) ^ (1 << (bit & 7));
      assert.equal(tokens.check(forged, FROM, 1), undefined, `bit ${bit}`);
    }
    for (let length = 0; length < TOKEN_BYTES; length++) {
      assert.equal(tokens.check(token.slice(0, length), FROM, 1), undefined, `${length} bytes`);
    }
    assert.equal(tokens.check(Uint8Array.of(...token, 0), FROM, 1), undefined);
  }
});

test("retry token: what cannot be fresh costs no HMAC", () => {
  const env = testEnvironment(3);
  let count = 0;
  const crypto = {
    ...env.crypto,
    hmacSha256: (key: Uint8Array, data: Uint8Array) => {
      count++;
      return env.crypto.hmacSha256(key, data);
    },
  };
  const tokens = new AddressTokens({ unixMs: UNIX_MS }, { ...env, crypto }, 0);
  const old = tokens.makeRetry(FROM, 0);
  count = 0;
  for (const token of [
    new Uint8Array(0),
    new Uint8Array(31),
    new Uint8Array(31).fill(1),
    new Uint8Array(65_507),
    old,
  ]) {
    assert.equal(tokens.check(token, FROM, 60_000), undefined);
  }
  assert.equal(count, 0);
});

test("retry token: foreign bytes never throw and never prove anything", () => {
  const tokens = tokensOf();
  const real = tokens.makeRetry(FROM, 0);
  const foreign = fc.oneof(
    fc.uint8Array({ maxLength: 64 }),
    fc.uint8Array({ minLength: TOKEN_BYTES, maxLength: TOKEN_BYTES }),
    // The form and the time are right, the rest is not.
    fc.uint8Array({ minLength: 24, maxLength: 24 }).map((rest) => Uint8Array.of(...real.subarray(0, 7), ...rest)),
  );
  fc.assert(
    fc.property(foreign, fc.nat({ max: 20_000 }), (token, now) => {
      const copy = token.slice();
      assert.equal(tokens.check(token, FROM, now), undefined);
      assert.deepEqual(token, copy, "the bytes are lent");
    }),
    { seed: 814, numRuns: 500 },
  );
});

test("retry token: what is made is good from where it was made for, whatever that is", () => {
  const binding = fc.record({
    host: fc.oneof(fc.ipV4(), fc.ipV6(), fc.string({ maxLength: 40 })),
    port: fc.nat({ max: 65_535 }),
    initiator: fc.uint8Array({ maxLength: 40 }),
  });
  const tokens = tokensOf();
  fc.assert(
    fc.property(binding, fc.nat({ max: 2 ** 31 }), fc.nat({ max: 10_000 }), (to, now, ageMs) => {
      assert.equal(tokens.check(tokens.makeRetry(to, now), to, now + ageMs), "retry");
      assert.equal(tokens.check(tokens.makeLater(to.host, now), to, now + ageMs), "later");
    }),
    { seed: 813, numRuns: 200 },
  );
});
