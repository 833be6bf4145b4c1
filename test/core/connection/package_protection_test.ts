/**
 * Protection of packages as PROTOCOL §4 has it, computed once more by hand; when keys change, and what must not move
 * them.
 *
 * @module
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  connectionIdOf,
  emptyProtectedHeader,
  type ProtectedHeader,
  pathOf,
  ReceiveProtection,
  readProtectedHeader,
  SendProtection,
} from "../../../core/connection/package_protection.ts";
import { nobleProvider } from "../../../core/crypto/noble_provider.ts";
import type { CipherName } from "../../../core/crypto/provider.ts";
import type { Package } from "../../../core/wire/package.ts";
import { decodePackage } from "../../../core/wire/package.ts";
import { testEnvironment } from "../test_environment.ts";

const { checksum } = testEnvironment(1);
const KEY = Uint8Array.from({ length: 32 }, (_, index) => index);
const CONNECTION = 0x89abcdef;
const NEVER_WORN = { rekeyBytes: 1e12, rekeyPackages: 1e12, rekeyMs: 1e12 };
const CIPHER: CipherName = "chacha20-poly1305";
const HELLO = Uint8Array.of(104, 101, 108, 108, 111);

function sender(limits: Partial<typeof NEVER_WORN> = {}): SendProtection {
  const options = { crypto: nobleProvider, cipher: CIPHER, key: KEY, connectionId: CONNECTION };
  return new SendProtection({ ...options, limits: { ...NEVER_WORN, ...limits } }, 0);
}

function receiver(): ReceiveProtection {
  return new ReceiveProtection({ crypto: nobleProvider, cipher: CIPHER, key: KEY });
}

function packageOf(bytes: Uint8Array): Package {
  const outcome = decodePackage(bytes, 0, checksum);
  assert.equal(outcome.type, "package");
  return outcome as Package;
}

function headerOf(input: Package): ProtectedHeader {
  const header = emptyProtectedHeader();
  assert.equal(readProtectedHeader(input, header), true);
  return header;
}

/** Opens a package, header included. */
function open(receive: ReceiveProtection, bytes: Uint8Array): Uint8Array | undefined {
  const input = packageOf(bytes);
  return receive.open(input, headerOf(input));
}

test("package protection: the nonce is the path and the number, the header is authenticated. PROTOCOL §4.3", () => {
  const key = nobleProvider.aeadKey(CIPHER, KEY);
  for (const [path, number, nonce] of [
    [0, 0, [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]],
    [1, 0, [1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]],
    [0, 1, [0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]],
    [0x01020304, 0x1122334455667, [4, 3, 2, 1, 0x67, 0x56, 0x45, 0x34, 0x23, 0x12, 1, 0]],
    [0xffffffff, Number.MAX_SAFE_INTEGER, [255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 31, 0]],
  ] as const) {
    const bytes = sender().seal(path, number, HELLO, 0);
    const input = packageOf(bytes);
    const header = headerOf(input);
    assert.deepEqual(
      { ...header, sealedStart: 0 },
      { phase: 0, connectionId: CONNECTION, path, packageNumber: number, sealedStart: 0 },
    );
    assert.equal(connectionIdOf(input), CONNECTION);
    assert.equal(pathOf(input), path);
    const sealed = new Uint8Array(HELLO.length + 16);
    key.seal(Uint8Array.from(nonce), bytes.subarray(0, header.sealedStart), HELLO, sealed, 0);
    assert.deepEqual(bytes.subarray(header.sealedStart), sealed, `path ${path}, number ${number}`);
    assert.deepEqual(open(receiver(), bytes), HELLO);
  }
});

test("package protection: the overhead that is reckoned with is the overhead", () => {
  for (const [path, number, length] of [
    [0, 0, 10],
    [3, 200, 1400],
    [0xffffffff, Number.MAX_SAFE_INTEGER, 60_000],
  ] as const) {
    const send = sender();
    const { length: bytes } = send.seal(path, number, new Uint8Array(length), 0);
    assert.equal(send.overheadBytes(path, number, bytes), bytes - length);
  }
});

test("package protection: any flipped bit, in the header as well, makes a package worthless and moves nothing", () => {
  const send = sender();
  const receive = receiver();
  const bytes = send.seal(2, 77, HELLO, 0);
  for (let bit = 8; bit < bytes.length * 8; bit++) {
    const forged = bytes.slice();
    forged[bit >> 3] = (forged[bit >> 3] as number) ^ (1 << (bit & 7));
    const outcome = decodePackage(forged, 0, checksum);
    const header = emptyProtectedHeader();
    if (outcome.type !== "package" || !readProtectedHeader(outcome, header)) continue;
    assert.equal(receive.open(outcome, header), undefined, `bit ${bit}`);
  }
  assert.deepEqual(open(receive, bytes), HELLO);
});

test("package protection: keys change by bytes, by packages and by time, but never before the peer has these", () => {
  for (const [limits, seals, at] of [
    [{ rekeyBytes: 10 }, 2, 0],
    [{ rekeyPackages: 3 }, 3, 0],
    [{ rekeyMs: 1000 }, 1, 1000],
  ] as const) {
    const send = sender(limits);
    const receive = receiver();
    for (let number = 0; number < 20; number++) send.seal(0, number, HELLO, at);
    assert.equal(send.phase, 0, "nobody acknowledged anything");
    const [early, late] = [sender(limits), sender(limits)];
    for (const one of [early, late]) one.onAcked(0);
    for (let number = 0; number < seals - 1; number++) early.seal(0, number, HELLO, at - 1);
    early.seal(0, seals - 1, HELLO, at - 1);
    assert.equal(early.phase, 0);
    for (let number = 0; number < seals; number++) late.seal(0, number, HELLO, at - 1);
    assert.deepEqual(open(receive, late.seal(0, seals, HELLO, at)), HELLO);
    assert.equal(late.phase, 1);
    assert.equal(late.rekeys, 1);
    for (let number = 50; number < 90; number++) late.seal(0, number, HELLO, 2 * at);
    assert.equal(late.phase, 1, "the new ones must be acknowledged in their turn");
    late.onAcked(0);
    late.seal(0, 90, HELLO, 2 * at);
    assert.equal(late.phase, 1, "an old acknowledgement is none of these");
    late.onAcked(1);
    late.seal(0, 91, HELLO, 3 * at);
    assert.equal(late.phase, 2);
  }
});

test("package protection: the next phase and the one before are opened, others are not; the secret is of one way", () => {
  const send = sender({ rekeyPackages: 1 });
  const receive = receiver();
  const packages: Uint8Array[] = [];
  for (let phase = 0; phase < 6; phase++) {
    packages.push(send.seal(0, 2 * phase, HELLO, 0));
    send.onAcked(send.phase);
  }
  const [zero, one, two, three, four, five] = packages as [
    Uint8Array,
    Uint8Array,
    Uint8Array,
    Uint8Array,
    Uint8Array,
    Uint8Array,
  ];
  assert.equal(packages.map((bytes) => headerOf(packageOf(bytes)).phase).join(), "0,1,2,3,0,1");
  assert.equal(open(receive, two), undefined, "two ahead");
  assert.deepEqual(open(receive, zero), HELLO);
  assert.deepEqual(open(receive, one), HELLO);
  assert.deepEqual(open(receive, zero), HELLO, "by a slower path");
  assert.deepEqual(open(receive, two), HELLO);
  assert.equal(open(receive, zero), undefined, "its key is gone");
  assert.deepEqual(open(receive, three), HELLO);
  assert.deepEqual(open(receive, four), HELLO, "the number of the phase is used again, the key is not");
  assert.equal(open(receive, zero), undefined);
  assert.deepEqual(open(receive, five), HELLO);
  // PROTOCOL §4.4: HMAC-SHA-256(secret, "viaduct rekey" ‖ 1).
  const label = Uint8Array.of(...[..."viaduct rekey"].map((letter) => letter.charCodeAt(0)), 1);
  const key = nobleProvider.aeadKey(CIPHER, nobleProvider.hmacSha256(KEY, label));
  const header = headerOf(packageOf(one));
  const nonce = Uint8Array.of(0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0);
  assert.deepEqual(key.open(nonce, one.subarray(0, header.sealedStart), one.subarray(header.sealedStart)), HELLO);
});

test("package protection: packages of a phase that nobody sealed move nothing", () => {
  const send = sender({ rekeyPackages: 1 });
  const receive = receiver();
  const first = send.seal(0, 0, HELLO, 0);
  for (let phase = 1; phase < 4; phase++) {
    for (let count = 0; count < 3; count++) {
      const forged = first.slice();
      forged[packageOf(first).messageStart] = phase;
      assert.equal(open(receive, forged), undefined);
    }
  }
  assert.deepEqual(open(receive, first), HELLO, "the keys are what they were");
  send.onAcked(0);
  assert.deepEqual(open(receive, send.seal(0, 1, HELLO, 0)), HELLO);
});

test("package protection: whatever bytes come, a header is read whole or not at all, and nothing throws", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 60 }), fc.uint8Array({ maxLength: 8 }), (body, changes) => {
      const bytes = sender().seal(1, 300, body, 0);
      changes.forEach((change, index) => {
        const at = 2 + ((change * 7 + index) % (bytes.length - 2));
        bytes[at] = (bytes[at] as number) ^ change;
      });
      const outcome = decodePackage(bytes, 0, checksum);
      if (outcome.type !== "package") return;
      const header = emptyProtectedHeader();
      if (!readProtectedHeader(outcome, header)) return;
      assert.ok(header.path >= 0 && header.path <= 0xffffffff && header.packageNumber >= 0);
      assert.ok(Number.isSafeInteger(header.packageNumber) && header.sealedStart <= outcome.messageEnd);
      const isWhole = changes.every((change) => change === 0);
      const opened = receiver().open(outcome, header);
      if (isWhole) assert.deepEqual(opened, body);
    }),
    { seed: 0x5ea1, numRuns: 150 },
  );
});
