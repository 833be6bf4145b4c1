/**
 * ChaCha20-Poly1305 in WebAssembly against RFC 8439, against @noble, and against forgers.
 *
 * @module
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import { chacha20 } from "@noble/ciphers/chacha.js";
import fc from "fast-check";
import { type ChachaEngine, chachaEngine } from "../../../adapters/crypto/chacha_engine.ts";
import { wasmAeadKey } from "../../../adapters/crypto/wasm_aead.ts";
import { nobleProvider } from "../../../core/crypto/noble_provider.ts";
import type { AeadKey } from "../../../core/crypto/provider.ts";

const SEED = 8439;
const TAG_BYTES = 16;
const NO_BYTES = new Uint8Array(0);

/** A key that must do without any other implementation. */
function wasmAlone(key: Uint8Array): AeadKey {
  const elsewhere = (): AeadKey => assert.fail("Asked another implementation");
  return wasmAeadKey(key, { textBytesMax: Number.POSITIVE_INFINITY, elsewhere });
}

function nobleKey(key: Uint8Array): AeadKey {
  return nobleProvider.aeadKey("chacha20-poly1305", key);
}

function engine(): ChachaEngine {
  return chachaEngine() ?? assert.fail("No WebAssembly with vectors here");
}

/** Bytes that look random and are the same in every run. */
function bytesOf(length: number, seed: number): Uint8Array {
  let state = (seed * 2654435761 + 12345) >>> 0;
  return Uint8Array.from({ length }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state >>> 24;
  });
}

function fromHex(hex: string): Uint8Array {
  return Uint8Array.from(hex.replace(/\s/g, "").match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
}

function sealed(key: AeadKey, nonce: Uint8Array, associated: Uint8Array, plaintext: Uint8Array): Uint8Array {
  const out = new Uint8Array(plaintext.length + TAG_BYTES);
  assert.equal(key.seal(nonce, associated, plaintext, out, 0), out.length);
  return out;
}

/** Compares fast: `deepEqual` of 70,000 bytes takes longer than what is tested. */
function assertSame(actual: Uint8Array | undefined, expected: Uint8Array, what: string): void {
  assert.equal(actual?.length, expected.length, what);
  const at = expected.findIndex((byte, index) => byte !== actual?.[index]);
  assert.equal(at, -1, `${what}: byte ${at} differs`);
}

test("wasmAeadKey: seals and opens RFC 8439 §2.8.2", () => {
  const key = wasmAlone(Uint8Array.from({ length: 32 }, (_, index) => 0x80 + index));
  const nonce = fromHex("070000004041424344454647");
  const associated = fromHex("50515253c0c1c2c3c4c5c6c7");
  const plaintext = new TextEncoder().encode(
    "Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, sunscreen would be it.",
  );
  const expected = fromHex(
    `d31a8d34648e60db7b86afbc53ef7ec2 a4aded51296e08fea9e2b5a736ee62d6 3dbea45e8ca9671282fafb69da92728b
     1a71de0a9e060b2905d6a5b67ecd3b36 92ddbd7f2d778b8c9803aee328091b58 fab324e4fad675945585808b4831d7bc
     3ff4def08e4b7a9de576d26586cec64b 6116 1ae10b594f09e26a7e902ecbd0600691`,
  );
  assertSame(sealed(key, nonce, associated, plaintext), expected, "sealed");
  assertSame(key.open(nonce, associated, expected), plaintext, "opened");
});

test("wasmAeadKey: opens RFC 8439 appendix A.5", () => {
  const key = wasmAlone(fromHex("1c9240a5eb55d38af333888604f6b5f0473917c1402b80099dca5cbc207075c0"));
  const message = fromHex(
    `64a0861575861af460f062c79be643bd 5e805cfd345cf389f108670ac76c8cb2 4c6cfc18755d43eea09ee94e382d26b0
     bdb7b73c321b0100d4f03b7f355894cf 332f830e710b97ce98c8a84abd0b9481 14ad176e008d33bd60f982b1ff37c855
     9797a06ef4f0ef61c186324e2b350638 3606907b6a7c02b0f9f6157b53c867e4 b9166c767b804d46a59b5216cde7a4e9
     9040c5a40433225ee282a1b0a06c523e af4534d7f83fa1155b0047718cbc546a 0d072b04b3564eea1b422273f548271a
     0bb2316053fa76991955ebd63159434e cebb4e466dae5a1073a6727627097a10 49e617d91d361094fa68f0ff77987130
     305beaba2eda04df997b714d6c6f2c29 a6ad5cb4022b02709b eead9d67890cbb22392336fea1851f38`,
  );
  const opened = key.open(fromHex("000000000102030405060708"), fromHex("f33388860000000000004e91"), message);
  const text = new TextDecoder().decode(opened);
  assert.ok(text.startsWith("Internet-Drafts are draft documents valid for a maximum of six months"), text);
  assert.ok(text.endsWith("other than as /“work in progress./”"), text);
});

test("wasmAeadKey: agrees with @noble on every length to 300", () => {
  const key = bytesOf(32, 1);
  const [ours, theirs] = [wasmAlone(key), nobleKey(key)];
  for (let length = 0; length <= 300; length++) {
    const nonce = bytesOf(12, length);
    const associated = bytesOf((length * 7) % 65, length + 1);
    const plaintext = bytesOf(length, length + 2);
    const message = sealed(theirs, nonce, associated, plaintext);
    assertSame(sealed(ours, nonce, associated, plaintext), message, `sealed ${length}`);
    assertSame(ours.open(nonce, associated, message), plaintext, `opened ${length}`);
  }
});

test("wasmAeadKey: agrees with @noble on lengths to 70,000, wherever they go", () => {
  const length = fc.oneof(
    fc.integer({ min: 0, max: 2000 }),
    fc.integer({ min: 2000, max: 70_000 }),
    fc.constantFrom(65_535, 65_536, 65_537),
  );
  fc.assert(
    fc.property(
      length,
      fc.oneof(fc.integer({ min: 0, max: 64 }), fc.constantFrom(1007, 1008, 1009, 5000)),
      fc.integer(),
      fc.integer({ min: 0, max: 9 }),
      (bytes, associatedBytes, seed, offset) => {
        const key = bytesOf(32, seed);
        const nonce = bytesOf(12, seed + 1);
        const associated = bytesOf(associatedBytes, seed + 2);
        const plaintext = bytesOf(bytes, seed + 3);
        const ours = wasmAeadKey(key, { textBytesMax: 65_536, elsewhere: nobleKey });
        const message = sealed(nobleKey(key), nonce, associated, plaintext);
        const out = new Uint8Array(offset + message.length + 7).fill(0xee);
        assert.equal(ours.seal(nonce, associated, plaintext, out, offset), message.length);
        assertSame(out.subarray(offset, offset + message.length), message, "sealed");
        assert.ok(
          out.subarray(0, offset).every((byte) => byte === 0xee),
          "wrote before its place",
        );
        assert.ok(
          out.subarray(offset + message.length).every((byte) => byte === 0xee),
          "wrote behind its place",
        );
        assertSame(ours.open(nonce, associated, message), plaintext, "opened");
      },
    ),
    { seed: SEED, numRuns: 60 },
  );
});

test("wasmAeadKey: refuses a message with any byte changed, and a shorter or longer one", () => {
  for (const length of [0, 1, 15, 16, 63, 64, 192, 193, 449]) {
    const key = wasmAlone(bytesOf(32, length));
    const nonce = bytesOf(12, length);
    const associated = bytesOf(20, length);
    const message = sealed(key, nonce, associated, bytesOf(length, length));
    const forgeries = { message, associated, nonce };
    for (const [part, right] of Object.entries(forgeries)) {
      for (let at = 0; at < right.length; at++) {
        const forged = { ...forgeries, [part]: right.with(at, (right[at] as number) ^ (1 << (at % 8))) };
        assert.equal(key.open(forged.nonce, forged.associated, forged.message), undefined, `${part} ${length} ${at}`);
      }
    }
    for (let short = 0; short < message.length; short++) {
      assert.equal(key.open(nonce, associated, message.subarray(0, short)), undefined, `${length}, only ${short}`);
    }
    assert.equal(key.open(nonce, associated, Uint8Array.of(...message, 0)), undefined);
    assert.equal(key.open(nonce, associated.subarray(1), message), undefined);
    assert.equal(key.open(nonce, Uint8Array.of(...associated, 0), message), undefined);
    assertSame(key.open(nonce, associated, message), bytesOf(length, length), "the right one after all");
  }
});

test("wasmAeadKey: carries rightly when every limb is full, for all lengths to 40 blocks", () => {
  const key = bytesOf(32, 3);
  for (let seed = 0; seed < 12; seed++) {
    const nonce = bytesOf(12, seed);
    const keystream = sealed(nobleKey(key), nonce, NO_BYTES, new Uint8Array(640)).subarray(0, 640);
    const plaintext = keystream.map((byte) => byte ^ 0xff);
    for (let length = 16; length <= 640; length += 16) {
      const message = sealed(wasmAlone(key), nonce, NO_BYTES, plaintext.subarray(0, length));
      assert.equal(message[0], 0xff);
      assertSame(message, sealed(nobleKey(key), nonce, NO_BYTES, plaintext.subarray(0, length)), `${length}`);
    }
  }
});

/** p of Poly1305. RFC 8439 §2.5. */
const P = (1n << 130n) - 5n;

function littleEndian(bytes: Uint8Array): bigint {
  return bytes.reduceRight((value, byte) => (value << 8n) | BigInt(byte), 0n);
}

function inverse(value: bigint): bigint {
  let result = 1n;
  for (let base = value % P, power = P - 2n; power > 0n; power >>= 1n) {
    if ((power & 1n) === 1n) result = (result * base) % P;
    base = (base * base) % P;
  }
  return result;
}

test("wasmAeadKey: reduces a last sum next to p of Poly1305", () => {
  const key = bytesOf(32, 4);
  const lengths = 1n << 128n; // the last block, but for the length of the text
  let found = 0;
  for (let seed = 0; found < 60; seed++) {
    assert.ok(seed < 2000, "Too few messages exist");
    const nonce = bytesOf(12, seed);
    const stream = chacha20(key, nonce, new Uint8Array(128));
    const r = littleEndian(stream.subarray(0, 16)) & 0x0ffffffc0ffffffc0ffffffc0fffffffn;
    // The block m with ((m + 2^128) r + lengths) r = wanted, modulo p; one in four fits its 128 bits.
    const wanted = (P - 6n + BigInt(seed % 12)) % P;
    const byR = inverse(r);
    const block = ((((wanted * byR - lengths - (16n << 64n)) % P) + P) * byR - (1n << 128n)) % P;
    if (block < 0n || block >> 128n > 0n) continue;
    found++;
    const ciphertext = Uint8Array.from({ length: 16 }, (_, at) => Number((block >> BigInt(8 * at)) & 0xffn));
    const plaintext = ciphertext.map((byte, at) => byte ^ (stream[64 + at] as number));
    const message = sealed(wasmAlone(key), nonce, NO_BYTES, plaintext);
    const tag = (wanted + littleEndian(stream.subarray(16, 32))) & ((1n << 128n) - 1n);
    assert.equal(littleEndian(message.subarray(16)), tag, `p - 6 + ${seed % 12}`);
    assertSame(message, sealed(nobleKey(key), nonce, NO_BYTES, plaintext), "sealed");
  }
});

test("wasmAeadKey: leaves neither the key nor what is derived from it in memory", () => {
  const key = bytesOf(32, 5);
  const nonce = bytesOf(12, 5);
  const block = chacha20(key, nonce, new Uint8Array(64));
  const aead = wasmAlone(key);
  for (const length of [0, 40, 5000]) {
    const message = sealed(aead, nonce, bytesOf(9, 5), new Uint8Array(length).fill(1));
    const secrets = [key, nonce, block.subarray(0, 16), block.subarray(16, 32), block.subarray(32)];
    for (const secret of secrets) assert.equal(indexOf(engine().memory, secret.subarray(0, 12)), -1);
    assert.notEqual(aead.open(nonce, bytesOf(9, 5), message), undefined);
    for (const secret of secrets) assert.equal(indexOf(engine().memory, secret.subarray(0, 12)), -1);
    message[0] = (message[0] as number) ^ 1;
    assert.equal(aead.open(nonce, bytesOf(9, 5), message), undefined);
    if (length > 0) assert.equal(indexOf(engine().memory.subarray(engine().outputAt), Uint8Array.of(1, 1, 1, 1)), -1);
  }
});

function indexOf(memory: Uint8Array, wanted: Uint8Array): number {
  for (let at = memory.indexOf(wanted[0] as number); at >= 0; at = memory.indexOf(wanted[0] as number, at + 1)) {
    if (wanted.every((byte, index) => memory[at + index] === byte)) return at;
  }
  return -1;
}

test("wasmAeadKey: gives bytes that later calls leave alone", () => {
  const key = wasmAlone(bytesOf(32, 6));
  const nonce = bytesOf(12, 6);
  const opened = key.open(nonce, NO_BYTES, sealed(key, nonce, NO_BYTES, bytesOf(500, 6)));
  sealed(key, nonce, NO_BYTES, bytesOf(500, 7));
  assertSame(opened, bytesOf(500, 6), "opened");
  assert.equal(opened?.buffer.byteLength, 500);
});

test("wasmAeadKey: asks elsewhere for long texts alone, once, with the same key", () => {
  const key = bytesOf(32, 8);
  let asked = 0;
  const elsewhere = (raw: Uint8Array): AeadKey => {
    asked++;
    assertSame(raw, key, "key");
    return nobleKey(raw);
  };
  const aead = wasmAeadKey(key, { textBytesMax: 100, elsewhere });
  const nonce = bytesOf(12, 8);
  sealed(aead, nonce, NO_BYTES, bytesOf(100, 8));
  assert.equal(asked, 0);
  const message = sealed(aead, nonce, NO_BYTES, bytesOf(101, 8));
  assert.equal(asked, 1);
  assertSame(aead.open(nonce, NO_BYTES, message), bytesOf(101, 8), "opened");
  assert.equal(asked, 1);
  aead.destroy();
  assert.throws(() => aead.open(nonce, NO_BYTES, message), TypeError);
});

test("wasmAeadKey: refuses misuse", () => {
  assert.throws(() => wasmAlone(new Uint8Array(31)), RangeError);
  const key = wasmAlone(bytesOf(32, 9));
  const nonce = new Uint8Array(12);
  assert.throws(() => key.seal(new Uint8Array(11), NO_BYTES, NO_BYTES, new Uint8Array(16), 0), RangeError);
  assert.throws(() => key.open(new Uint8Array(13), NO_BYTES, new Uint8Array(16)), RangeError);
  assert.throws(() => key.seal(nonce, NO_BYTES, NO_BYTES, new Uint8Array(15), 0), RangeError);
  assert.throws(() => key.seal(nonce, NO_BYTES, NO_BYTES, new Uint8Array(16), 1), RangeError);
  key.destroy();
  key.destroy();
  assert.throws(() => key.seal(nonce, NO_BYTES, NO_BYTES, new Uint8Array(16), 0), TypeError);
});
