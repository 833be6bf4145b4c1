/**
 * The Noise vectors once more, with ChaCha20-Poly1305 in WebAssembly: handshakes and what follows them, byte for byte.
 *
 * @module
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import { wasmAeadKey } from "../../../adapters/crypto/wasm_aead.ts";
import { nobleProvider } from "../../../core/crypto/noble_provider.ts";
import { NoiseHandshake } from "../../../core/crypto/noise.ts";
import type { AeadKey, CryptoProvider } from "../../../core/crypto/provider.ts";
import { CipherState } from "../../../core/crypto/symmetric_state.ts";
import { fromHex, toHex } from "../../core/wire/hex.ts";
import document from "../../vectors/noise.json" with { type: "json" };

type Vector = Partial<Record<string, string>> & {
  readonly protocol_name: string;
  readonly init_psks?: readonly string[];
  readonly resp_psks?: readonly string[];
  readonly messages: readonly { readonly payload: string; readonly ciphertext: string }[];
};

const elsewhere = (): AeadKey => assert.fail("Asked another implementation");
const crypto: CryptoProvider = {
  ...nobleProvider,
  name: "wasm",
  aeadKey: (_cipher, key) => wasmAeadKey(key, { textBytesMax: Number.POSITIVE_INFINITY, elsewhere }),
};

function side(vector: Vector, role: "initiator" | "responder"): NoiseHandshake {
  const prefix = role === "initiator" ? "init" : "resp";
  const pair = (secret: string | undefined) => {
    if (secret === undefined) return undefined;
    const secretKey = fromHex(secret).slice();
    return { secretKey, publicKey: crypto.x25519PublicKey(secretKey) };
  };
  const staticKeys = pair(vector[`${prefix}_static`]);
  const remote = vector[`${prefix}_remote_static`];
  const psks = vector[`${prefix}_psks`]?.map(fromHex);
  return new NoiseHandshake({
    pattern: vector.protocol_name.split("_")[1] as string,
    role,
    prologue: fromHex(vector[`${prefix}_prologue`] ?? ""),
    ephemeral: pair(vector[`${prefix}_ephemeral`] ?? "01".repeat(32)) as never,
    crypto,
    ...(staticKeys === undefined ? {} : { staticKeys }),
    ...(remote === undefined ? {} : { remoteStaticPublicKey: fromHex(remote) }),
    ...(psks === undefined ? {} : { psks }),
  });
}

for (const vector of document.vectors as unknown as readonly Vector[]) {
  test(`wasmAeadKey: ${vector.protocol_name}`, () => {
    const parties = [side(vector, "initiator"), side(vector, "responder")] as const;
    const states: { send: CipherState; receive: CipherState }[] = [];
    vector.messages.forEach(({ payload, ciphertext }, index) => {
      const [writer, reader] = index % 2 === 0 ? parties : ([parties[1], parties[0]] as const);
      if (!writer.isComplete) {
        const message = writer.writeMessage(fromHex(payload));
        assert.equal(toHex(message), ciphertext, `message ${index}`);
        assert.equal(toHex(reader.readMessage(message) ?? new Uint8Array()), payload);
        return;
      }
      if (states.length === 0) {
        for (const party of parties) {
          const { send, receive } = party.split();
          states.push({ send: new CipherState(crypto, send), receive: new CipherState(crypto, receive) });
        }
      }
      const sealed = states[index % 2]?.send.encryptWithAd(new Uint8Array(0), fromHex(payload)) ?? new Uint8Array();
      assert.equal(toHex(sealed), ciphertext, `after the handshake, ${index}`);
      const opened = states[(index + 1) % 2]?.receive.decryptWithAd(new Uint8Array(0), sealed);
      assert.equal(toHex(opened ?? new Uint8Array()), payload);
    });
    assert.ok(states.length > 0, "No message after the handshake");
  });
}
