/**
 * Tests of packages and their checksum: PROTOCOL §1.
 *
 * @module
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { loadChecksum } from "../../../adapters/checksum.ts";
import {
  CLEAR_MESSAGE_BYTES_MAX,
  CLEAR_VERSION,
  decodePackage,
  encodeClearPackage,
  HEADER_BYTES_MAX,
  PACKAGE_BYTES_MAX,
  type Package,
  PROTECTED_CHECK_BYTES,
  PROTECTED_MESSAGE_BYTES_MAX,
  PROTECTED_VERSION,
  packageHeaderBytes,
  writePackageHeader,
} from "../../../core/wire/package.ts";
import { concat, fromHex, repeatHex, toHex, vectors } from "./hex.ts";

const SEED = 20_250_104;
const checksum = await loadChecksum();

function decoded(bytes: Uint8Array, offset = 0): Package {
  const outcome = decodePackage(bytes, offset, checksum);
  if (outcome.type !== "package") assert.fail(JSON.stringify(outcome));
  return outcome;
}

test("the checksum reproduces the vectors of XXH3-64", () => {
  for (const { inputHex, repeat, checkHex } of vectors.checksums) {
    const check = checksum(repeatHex(inputHex, repeat));
    const bytes = new Uint8Array(4);
    new DataView(bytes.buffer).setUint32(0, check, true);
    assert.equal(toHex(bytes), checkHex, `${inputHex} x ${repeat}`);
  }
});

test("the checksum reads a view and not the buffer behind it", () => {
  const buffer = Uint8Array.from({ length: 20 }, (_, index) => index - 5);
  assert.equal(checksum(buffer.subarray(5, 15)), 0xa7a43f88);
});

test("clear packages reproduce the vectors both ways", () => {
  for (const { messageHex, repeat, headerHex, checkHex, packageHex } of vectors.clearPackages) {
    const message = repeatHex(messageHex, repeat);
    const bytes = encodeClearPackage(message, checksum);
    const expected = concat(fromHex(headerHex), message, fromHex(checkHex));
    assert.ok(toHex(bytes) === toHex(expected), headerHex);
    if (packageHex !== undefined) assert.equal(toHex(bytes), packageHex);
    const result = decoded(expected);
    assert.equal(result.version, CLEAR_VERSION);
    assert.equal(result.end, expected.length);
    assert.equal(toHex(result.header), headerHex);
    assert.equal(toHex(result.check), checkHex);
    assert.ok(toHex(result.message) === toHex(message));
    assert.ok(toHex(result.whole) === toHex(expected));
  }
});

test("protected packages reproduce the vectors both ways and are not checked here", () => {
  for (const { messageHex, repeat, headerHex, checkHex, packageHex } of vectors.protectedPackages) {
    const message = repeatHex(messageHex, repeat);
    const headerBytes = packageHeaderBytes(message.length);
    const bytes = new Uint8Array(headerBytes + message.length + PROTECTED_CHECK_BYTES);
    assert.equal(writePackageHeader(bytes, 0, PROTECTED_VERSION, message.length), headerBytes);
    bytes.set(message, headerBytes);
    bytes.set(fromHex(checkHex), headerBytes + message.length);
    assert.ok(toHex(bytes) === toHex(concat(fromHex(headerHex), message, fromHex(checkHex))));
    if (packageHex !== undefined) assert.equal(toHex(bytes), packageHex);
    const result = decoded(bytes);
    assert.equal(result.version, PROTECTED_VERSION);
    assert.equal(toHex(result.header), headerHex);
    assert.equal(toHex(result.check), checkHex);
    assert.ok(toHex(result.message) === toHex(message));
    assert.ok(toHex(result.sealed) === toHex(message) + checkHex);
  }
});

test("packages with padded varints in their header are accepted", () => {
  for (const { messageHex, packageHex, version } of vectors.paddedPackages) {
    const result = decoded(fromHex(packageHex));
    assert.equal(result.version, version);
    assert.equal(toHex(result.message), messageHex);
    assert.equal(toHex(result.whole), packageHex);
  }
});

test("decodePackage gives the typed outcome of every vector that must fail", () => {
  for (const { hex, why, ...expected } of vectors.badPackages) {
    const { outcome, ...facts } = expected;
    assert.deepEqual({ ...decodePackage(fromHex(hex), 0, checksum) }, { type: outcome, ...facts }, why);
    assert.equal(decodePackage(concat(Uint8Array.of(4), fromHex(hex)), 1, checksum).type, outcome, why);
  }
});

test("decodePackage finds one package after another in a buffer", () => {
  const messages = ["", "00", "68656c6c6f"];
  const bytes = concat(Uint8Array.of(0xff), ...messages.map((hex) => encodeClearPackage(fromHex(hex), checksum)));
  let offset = 1;
  for (const hex of messages) {
    const result = decoded(bytes, offset);
    assert.equal(result.start, offset);
    assert.equal(toHex(result.message), hex);
    offset = result.end;
  }
  assert.equal(offset, bytes.length);
  assert.equal(decodePackage(bytes, offset, checksum).type, "needsMore");
});

test("decodePackage needs more at every proper prefix", () => {
  const bytes = encodeClearPackage(new Uint8Array(200).fill(3), checksum);
  for (let end = 0; end < bytes.length; end += 1) {
    assert.equal(decodePackage(bytes.subarray(0, end), 0, checksum).type, "needsMore");
  }
});

test("clear packages round-trip, and any changed bit of them is noticed", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), fc.nat(), fc.nat({ max: 7 }), (message, position, bit) => {
      const bytes = encodeClearPackage(message, checksum);
      assert.equal(toHex(decoded(bytes).message), toHex(message));
      const at = position % bytes.length;
      bytes[at] = (bytes[at] ?? 0) ^ (1 << bit);
      const outcome = decodePackage(bytes, 0, checksum);
      // 04 with its lowest bit changed is 05: a protected package, whose check only the session can verify.
      if (outcome.type === "package") assert.equal(outcome.version, PROTECTED_VERSION);
    }),
    { seed: SEED, numRuns: 500 },
  );
});

test("decodePackage never throws on arbitrary bytes", () => {
  const start = fc.constantFrom([], [4], [5], [0x84, 0], [4, 0xff, 0xff, 3], [5, 0x80, 0x80, 4]);
  fc.assert(
    fc.property(start, fc.uint8Array({ maxLength: 64 }), (head, tail) => {
      const bytes = concat(Uint8Array.from(head), tail);
      const outcome = decodePackage(bytes, 0, checksum);
      if (outcome.type !== "package") return;
      assert.ok(outcome.end <= bytes.length);
      assert.equal(outcome.header.length + outcome.message.length + outcome.check.length, outcome.whole.length);
    }),
    { seed: SEED, numRuns: 2000 },
  );
});

test("a header fits in front of a message that was written first", () => {
  for (const length of [0, 127, 128, 16383, 16384, PROTECTED_MESSAGE_BYTES_MAX]) {
    const bytes = new Uint8Array(HEADER_BYTES_MAX + length + PROTECTED_CHECK_BYTES);
    const start = HEADER_BYTES_MAX - packageHeaderBytes(length);
    assert.ok(start >= 0);
    assert.equal(writePackageHeader(bytes, start, PROTECTED_VERSION, length), HEADER_BYTES_MAX);
    const result = decoded(bytes, start);
    assert.equal(result.messageStart, HEADER_BYTES_MAX);
    assert.equal(result.end, bytes.length);
  }
});

test("writing a package refuses what is too large or has no room", () => {
  assert.equal(encodeClearPackage(new Uint8Array(CLEAR_MESSAGE_BYTES_MAX), checksum).length, PACKAGE_BYTES_MAX);
  assert.throws(() => encodeClearPackage(new Uint8Array(CLEAR_MESSAGE_BYTES_MAX + 1), checksum), RangeError);
  const out = new Uint8Array(8);
  assert.throws(() => writePackageHeader(out, 0, PROTECTED_VERSION, PROTECTED_MESSAGE_BYTES_MAX + 1), RangeError);
  assert.throws(() => writePackageHeader(out, 0, PROTECTED_VERSION, -1), RangeError);
  assert.throws(() => writePackageHeader(out, 5, PROTECTED_VERSION, PROTECTED_MESSAGE_BYTES_MAX), RangeError);
});

test("views of a package are plain and share the lent bytes", () => {
  class Lent extends Uint8Array {}
  const lent = new Lent(encodeClearPackage(Uint8Array.of(1, 2, 3), checksum));
  const { message } = decoded(lent);
  assert.equal(Object.getPrototypeOf(message), Uint8Array.prototype);
  lent[2] = 99;
  assert.deepEqual(message, Uint8Array.of(99, 2, 3));
});
