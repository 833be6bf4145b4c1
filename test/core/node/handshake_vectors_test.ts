/**
 * The vectors of handshakes: `test/vectors/handshake.json`, byte for byte, and what must be refused. PROTOCOL §3.11.
 *
 * @module
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { DEFAULT_SESSION_CONFIG } from "../../../core/connection/session_defaults.ts";
import type { PathKind } from "../../../core/connection/session_types.ts";
import { DhKeys } from "../../../core/crypto/dh_keys.ts";
import { deriveKey } from "../../../core/crypto/hkdf.ts";
import type { Identity } from "../../../core/crypto/identity.ts";
import { dhPublicKeyOfId, identityFromSeed } from "../../../core/crypto/identity.ts";
import { nobleProvider } from "../../../core/crypto/noble_provider.ts";
import type { ClearMessage, PatternName } from "../../../core/node/clear_messages.ts";
import { decodeClearMessage, encodeClearMessage } from "../../../core/node/clear_messages.ts";
import { splitFirstMessage } from "../../../core/node/first_message.ts";
import type { HandshakeContext } from "../../../core/node/handshake.ts";
import { Handshake, resetTokenOf } from "../../../core/node/handshake.ts";
import { decodeHandshakePayload, encodeHandshakePayload } from "../../../core/node/handshake_payload.ts";
import vectors from "../../vectors/handshake.json" with { type: "json" };
import { testEnvironment } from "../test_environment.ts";
import { fromHex, toHex } from "../wire/hex.ts";

interface Party {
  readonly identity: Identity;
  readonly context: HandshakeContext;
}

/** A party whose next key pair is the one given. */
function partyOf(seed: string, ephemeral: string, instance: string): Party {
  const env = testEnvironment(1);
  const identity = identityFromSeed(fromHex(seed), nobleProvider);
  const resetKey = deriveKey(nobleProvider, identity.seed, "stateless reset");
  const context = {
    identity,
    session: {
      ...DEFAULT_SESSION_CONFIG,
      ...vectors.parameters,
      streamWindowStartBytes: vectors.parameters.streamWindowBytes,
      sessionWindowStartBytes: vectors.parameters.sessionWindowBytes,
    },
    instance: fromHex(instance),
    dhKeys: new DhKeys(),
    resetKey,
    tickets: undefined,
    env: { ...env, random: (out: Uint8Array) => out.set(fromHex(ephemeral)) },
  };
  return { identity, context };
}

test("vectors: ids, their X25519 form and their reset keys", () => {
  for (const vector of vectors.identities) {
    const { identity, context } = partyOf(vector.seed, vector.seed, "0000000000000000");
    assert.equal(toHex(identity.publicKey), vector.publicKey);
    assert.equal(identity.id, vector.id);
    assert.equal(toHex(identity.dh.publicKey), vector.dhPublicKey);
    assert.equal(toHex(dhPublicKeyOfId(identity.publicKey) as Uint8Array), vector.dhPublicKey);
    assert.equal(toHex(context.resetKey), vector.resetKey);
    for (const { connectionId, token } of vector.resetTokens) {
      assert.equal(toHex(resetTokenOf(context, connectionId)), token);
    }
  }
});

test("vectors: clear messages", () => {
  for (const { name, hex, ...fields } of vectors.clearMessages) {
    const message = decodeClearMessage(fromHex(hex)) as ClearMessage;
    const shown = Object.fromEntries(
      Object.entries(message).map(([key, value]) => [key, value instanceof Uint8Array ? toHex(value) : value]),
    );
    assert.deepEqual(shown, fields.message, name);
    assert.equal(toHex(encodeClearMessage(message)), hex, name);
  }
  for (const { name, hex } of vectors.badClearMessages) assert.equal(decodeClearMessage(fromHex(hex)), undefined, name);
});

test("vectors: payloads", () => {
  for (const { name, hex, canonical } of vectors.payloads) {
    const payload = decodeHandshakePayload(fromHex(hex));
    assert.ok(payload !== undefined, name);
    assert.equal(toHex(encodeHandshakePayload(payload)), canonical ?? hex, name);
  }
  for (const { name, hex } of vectors.badPayloads) assert.equal(decodeHandshakePayload(fromHex(hex)), undefined, name);
});

for (const vector of vectors.handshakes) {
  test(`vectors: handshake ${vector.pattern} over ${vector.kind}`, () => {
    const { early } = vector;
    const ticket = fromHex(early?.ticket ?? "");
    const [left, right] = vectors.identities as [(typeof vectors.identities)[0], (typeof vectors.identities)[0]];
    const initiator = partyOf(left.seed, vector.initiatorEphemeral, vector.initiatorInstance);
    const responder = partyOf(right.seed, vector.responderEphemeral, vector.responderInstance);
    const pattern = vector.pattern as PatternName;
    const kind = vector.kind as PathKind;
    const first = new Handshake(initiator.context, {
      role: "initiator",
      pattern,
      kind,
      localConnectionId: vector.initiatorConnectionId,
      remoteKey: pattern === "XX" ? undefined : responder.identity.publicKey,
      initMessage: fromHex(vector.initMessage),
      early: early && {
        ticket: { ticket, secret: fromHex(early.secret), receivedAt: 5_000, expiresAt: 100_000 },
        bytes: fromHex(early.bytes),
        isFinal: early.isFinal,
      },
    });
    const second = new Handshake(responder.context, {
      role: "responder",
      pattern,
      kind,
      localConnectionId: vector.responderConnectionId,
      remoteKey: undefined,
      initMessage: undefined,
      opened: early && { ticket, issuedAt: 0, secretFor: () => fromHex(early.secret) },
    });
    second.takesEarly = early?.isTaken ?? false;
    first.remoteConnectionId = vector.responderConnectionId;
    second.remoteConnectionId = vector.initiatorConnectionId;
    const messages: string[] = [];
    for (let step = 1; !first.isComplete || !second.isComplete; step++) {
      const [writer, reader] = step % 2 === 1 ? [first, second] : [second, first];
      const message = writer.write(step, 5_000 + (early?.ageMs ?? 0)) as Uint8Array;
      messages.push(toHex(message));
      const { identity } = responder;
      const opened = step === 1 ? splitFirstMessage(pattern, message, identity.publicKey, nobleProvider) : undefined;
      assert.ok(reader.read(step, opened?.noise ?? message));
      if (step === 1) assert.deepEqual(opened?.ticket, ticket);
    }
    assert.deepEqual(messages, vector.noiseMessages);
    const [one, two] = [first.result(), second.result()];
    assert.equal(first.isEarlyTaken, early?.isTaken ?? false);
    const expected = early && { ageMs: early.ageMs, bytes: fromHex(early.bytes), isFinal: early.isFinal };
    assert.deepEqual(second.remoteEarly, expected);
    assert.equal(one.secrets.cipher, vector.cipher);
    assert.equal(two.secrets.cipher, vector.cipher);
    assert.equal(toHex(one.secrets.sendKey), vector.initiatorKey);
    assert.equal(toHex(one.secrets.receiveKey), vector.responderKey);
    assert.equal(toHex(two.secrets.sendKey), vector.responderKey);
    assert.equal(toHex(two.secrets.receiveKey), vector.initiatorKey);
    assert.equal(one.remoteId, right.id);
    assert.equal(two.remoteId, pattern === "NK" ? undefined : left.id);
    assert.equal(toHex(two.initMessage as Uint8Array), vector.initMessage);
  });
}

test("payloads and clear messages: any bytes give a value or nothing, and what was decoded encodes again", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      const message = decodeClearMessage(bytes);
      if (message !== undefined) assert.deepEqual(decodeClearMessage(encodeClearMessage(message)), message);
      const payload = decodeHandshakePayload(bytes);
      if (payload !== undefined) assert.deepEqual(decodeHandshakePayload(encodeHandshakePayload(payload)), payload);
    }),
    { seed: 20261121, numRuns: 500 },
  );
});
