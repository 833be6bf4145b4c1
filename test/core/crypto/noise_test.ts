/**
 * The Noise interpreter against the published vectors (both directions, every pattern) and against tampering.
 *
 * @module
 */

import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { nobleProvider } from "../../../core/crypto/noble_provider.ts";
import { NoiseHandshake } from "../../../core/crypto/noise.ts";
import { handshakePattern, patternNames } from "../../../core/crypto/noise_patterns.ts";
import { CipherState } from "../../../core/crypto/symmetric_state.ts";

interface Vector {
  protocol_name: string;
  init_prologue: string;
  init_static?: string;
  init_ephemeral: string;
  init_remote_static?: string;
  init_psks?: string[];
  resp_prologue: string;
  resp_static?: string;
  resp_ephemeral?: string;
  resp_remote_static?: string;
  resp_psks?: string[];
  handshake_hash?: string;
  messages: { payload: string; ciphertext: string }[];
}

const SHARED = new URL("../../../../shared/vectors/noise-25519-chachapoly-sha256.json", import.meta.url);
const OWN = new URL("../../vectors/noise.json", import.meta.url);
const crypto = nobleProvider;

function bytes(hex: string): Uint8Array {
  return Uint8Array.from(hex.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
}

function hex(data: Uint8Array): string {
  return Array.from(data, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function pair(secret: string | undefined) {
  if (secret === undefined) return undefined;
  const secretKey = new Uint8Array(bytes(secret));
  return { secretKey, publicKey: crypto.x25519PublicKey(secretKey) };
}

function side(vector: Vector, role: "initiator" | "responder"): NoiseHandshake {
  const prefix = role === "initiator" ? "init" : "resp";
  const staticKeys = pair(vector[`${prefix}_static`]);
  const remote = vector[`${prefix}_remote_static`];
  const psks = vector[`${prefix}_psks`]?.map(bytes);
  return new NoiseHandshake({
    pattern: vector.protocol_name.split("_")[1] as string,
    role,
    prologue: bytes(vector[`${prefix}_prologue`]),
    ephemeral: pair(vector[`${prefix}_ephemeral`] ?? "01".repeat(32)) as never,
    crypto,
    ...(staticKeys === undefined ? {} : { staticKeys }),
    ...(remote === undefined ? {} : { remoteStaticPublicKey: bytes(remote) }),
    ...(psks === undefined ? {} : { psks }),
  });
}

function check(vector: Vector): void {
  const initiator = side(vector, "initiator");
  const responder = side(vector, "responder");
  let transport: { initiator: CipherState[]; responder: CipherState[] } | undefined;
  const isOneWay = (handshakePattern(vector.protocol_name.split("_")[1] as string)?.messages.length ?? 0) === 1;
  vector.messages.forEach(({ payload, ciphertext }, index) => {
    const fromInitiator = isOneWay || index % 2 === 0;
    const [writer, reader] = fromInitiator ? [initiator, responder] : [responder, initiator];
    if (!writer.isComplete) {
      const message = writer.writeMessage(bytes(payload));
      assert.equal(hex(message), ciphertext, `${vector.protocol_name} message ${index}`);
      assert.equal(hex(reader.readMessage(message) ?? new Uint8Array()), payload);
      return;
    }
    if (transport === undefined) {
      if (vector.handshake_hash !== undefined) assert.equal(hex(initiator.handshakeHash), vector.handshake_hash);
      assert.equal(hex(initiator.handshakeHash), hex(responder.handshakeHash));
      const [one, two] = [initiator.split(), responder.split()];
      transport = {
        initiator: [new CipherState(crypto, one.send), new CipherState(crypto, one.receive)],
        responder: [new CipherState(crypto, two.send), new CipherState(crypto, two.receive)],
      };
    }
    const send = (fromInitiator ? transport.initiator : transport.responder)[0] as CipherState;
    const receive = (fromInitiator ? transport.responder : transport.initiator)[1] as CipherState;
    const sealed = send.encryptWithAd(new Uint8Array(0), bytes(payload));
    assert.equal(hex(sealed), ciphertext, `${vector.protocol_name} transport ${index}`);
    assert.equal(hex(receive.decryptWithAd(new Uint8Array(0), sealed) ?? new Uint8Array()), payload);
  });
}

test("noise: the published vectors of all patterns, byte for byte", (t) => {
  if (!existsSync(SHARED)) {
    t.skip("noise-25519-chachapoly-sha256.json is absent: only our own vectors run");
    return;
  }
  const { vectors } = JSON.parse(readFileSync(SHARED, "utf8")) as { vectors: Vector[] };
  assert.ok(vectors.length >= 59);
  for (const vector of vectors) check(vector);
});

test("noise: our own vectors, byte for byte", () => {
  const { vectors } = JSON.parse(readFileSync(OWN, "utf8")) as { vectors: Vector[] };
  assert.deepEqual(
    vectors.map((vector) => vector.protocol_name.split("_")[1]),
    ["XX", "IK", "NK", "IKpsk1"],
  );
  for (const vector of vectors) check(vector);
});

test("noise: a flipped bit or a cut in any message of our patterns ends the handshake", () => {
  const { vectors } = JSON.parse(readFileSync(OWN, "utf8")) as { vectors: Vector[] };
  for (const vector of vectors) {
    const count = handshakePattern(vector.protocol_name.split("_")[1] as string)?.messages.length as number;
    for (let target = 0; target < count; target++) {
      for (const damage of ["first", "middle", "last", "cut"]) {
        const initiator = side(vector, "initiator");
        const responder = side(vector, "responder");
        let isRefused = false;
        for (let index = 0; index < count && !isRefused; index++) {
          const [writer, reader] = index % 2 === 0 ? [initiator, responder] : [responder, initiator];
          let message = writer.writeMessage(bytes(vector.messages[index]?.payload as string));
          if (index === target) {
            if (damage === "cut") message = message.slice(0, -1);
            else {
              const at = { first: 0, middle: message.length >> 1, last: message.length - 1 }[damage] as number;
              message[at] = (message[at] as number) ^ 1;
            }
          }
          isRefused = reader.readMessage(message) === undefined;
        }
        // XX's first message is clear: its change is noticed with the second.
        assert.ok(isRefused, `${vector.protocol_name} message ${target} ${damage}`);
      }
    }
  }
});

test("noise: a low-order key is refused, a wrong psk does not pass", () => {
  const { vectors } = JSON.parse(readFileSync(OWN, "utf8")) as { vectors: Vector[] };
  const ik = vectors[1] as Vector;
  const responder = side(ik, "responder");
  assert.equal(responder.readMessage(new Uint8Array(112)), undefined);
  const psk = vectors[3] as Vector;
  const initiator = side(psk, "initiator");
  const other = side({ ...psk, resp_psks: ["ff".repeat(32)] }, "responder");
  assert.equal(other.readMessage(initiator.writeMessage(new Uint8Array(4))), undefined);
});

test("noise: every row of the table parses, an unknown name does not", () => {
  for (const name of patternNames()) assert.ok(handshakePattern(name));
  assert.equal(handshakePattern("ZZ"), undefined);
  assert.equal(handshakePattern("NNpsk9"), undefined);
});
