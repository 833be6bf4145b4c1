/** What stands before the Noise message of a first message, and what a message to somebody else costs. @module */

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { DEFAULT_SESSION_CONFIG } from "../../../core/connection/session_defaults.ts";
import { identityFromSeed } from "../../../core/crypto/identity.ts";
import { nobleProvider } from "../../../core/crypto/noble_provider.ts";
import type { CryptoProvider } from "../../../core/crypto/provider.ts";
import { encodeClearMessage, PATTERN_NUMBERS, type PatternName } from "../../../core/node/clear_messages.ts";
import { Endpoint } from "../../../core/node/endpoint.ts";
import { DEFAULT_ENDPOINT_LIMITS } from "../../../core/node/endpoint_defaults.ts";
import { joinFirstMessage, splitFirstMessage } from "../../../core/node/first_message.ts";
import { encodeClearPackage } from "../../../core/wire/package.ts";
import { testEnvironment } from "../test_environment.ts";

const SEED = 20_261_121;
const CHECKED = ["IK", "NK", "IKpsk1"] as const;
const NOTHING = new Uint8Array(0);

test(`first message: what was joined comes apart, for this node alone (seed ${SEED})`, () => {
  const bytes = fc.uint8Array({ maxLength: 300 });
  const key = fc.uint8Array({ minLength: 32, maxLength: 32 });
  fc.assert(
    fc.property(bytes, key, key, fc.constantFrom(...CHECKED), fc.nat(), (noise, own, other, pattern, at) => {
      const ticket = pattern === "IKpsk1" ? new Uint8Array(22).fill(7) : NOTHING;
      const joined = joinFirstMessage(pattern, { ticket, noise }, own, nobleProvider);
      assert.deepEqual(splitFirstMessage(pattern, joined, own, nobleProvider), { ticket, noise });
      if (own.some((byte, place) => byte !== other[place])) {
        assert.equal(splitFirstMessage(pattern, joined, other, nobleProvider), undefined);
      }
      const changed = joined.slice();
      const index = at % changed.length;
      changed[index] = (changed[index] as number) ^ 1;
      assert.equal(splitFirstMessage(pattern, changed, own, nobleProvider), undefined);
      assert.equal(splitFirstMessage(pattern, noise, own, nobleProvider), undefined);
    }),
    { seed: SEED, numRuns: 200 },
  );
  for (const pattern of CHECKED) {
    for (let length = 0; length < 40; length++) {
      assert.equal(splitFirstMessage(pattern, new Uint8Array(length), new Uint8Array(32), nobleProvider), undefined);
    }
  }
  const noise = Uint8Array.of(1, 2, 3);
  assert.deepEqual(joinFirstMessage("XX", { ticket: NOTHING, noise }, NOTHING, nobleProvider), noise);
});

test("first message: one that is to nobody here costs no computation with keys", () => {
  let computed = 0;
  const crypto: CryptoProvider = {
    ...nobleProvider,
    name: nobleProvider.name,
    ciphers: nobleProvider.ciphers,
    x25519: (secret, point) => {
      computed++;
      return nobleProvider.x25519(secret, point);
    },
    x25519PublicKey: (secret) => {
      computed++;
      return nobleProvider.x25519PublicKey(secret);
    },
  };
  const env = { ...testEnvironment(1), crypto };
  const identity = identityFromSeed(new Uint8Array(32).fill(2), nobleProvider);
  const endpoint = new Endpoint({ identity, session: DEFAULT_SESSION_CONFIG, limits: DEFAULT_ENDPOINT_LIMITS }, env, 0);
  const send = (pattern: PatternName, noise: Uint8Array): number => {
    const pipe = endpoint.allocatePipe();
    const opened = { pipe, kind: "bytes", remote: "x", remoteHost: "192.0.2.1", isDialled: false } as const;
    endpoint.handleInput({ type: "pipeOpened", ...opened }, 0);
    const connection = { sourceConnectionId: 9, targetConnectionId: 0 };
    const message = { type: "handshake", pattern: PATTERN_NUMBERS[pattern], step: 1, ...connection, noise } as const;
    computed = 0;
    const bytes = encodeClearPackage(encodeClearMessage(message), env.checksum);
    endpoint.handleInput({ type: "pipeData", pipe, bytes }, 0);
    while (endpoint.pollTransmit(0) !== undefined);
    endpoint.handleInput({ type: "pipeClosed", pipe }, 0);
    return computed;
  };
  for (const pattern of CHECKED) assert.equal(send(pattern, new Uint8Array(200).fill(5)), 0, pattern);
  const noise = new Uint8Array(96).fill(9);
  assert.ok(send("IK", joinFirstMessage("IK", { ticket: NOTHING, noise }, identity.publicKey, nobleProvider)) > 0);
});
