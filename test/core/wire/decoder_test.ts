/**
 * Tests of the incremental decoder: PROTOCOL §1.4.
 *
 * @module
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { loadChecksum } from "../../../adapters/checksum.ts";
import { PackageDecoder } from "../../../core/wire/decoder.ts";
import {
  encodeClearPackage,
  PACKAGE_BYTES_MAX,
  type PackageFault,
  PROTECTED_CHECK_BYTES,
  PROTECTED_MESSAGE_BYTES_MAX,
  PROTECTED_VERSION,
  packageHeaderBytes,
  writePackageHeader,
} from "../../../core/wire/package.ts";
import { concat, fromHex, toHex, vectors } from "./hex.ts";

const SEED = 20_250_105;
const checksum = await loadChecksum();

function clear(length: number, byte = 7): Uint8Array {
  return encodeClearPackage(new Uint8Array(length).fill(byte), checksum);
}

function sealed(length: number, byte = 9): Uint8Array {
  const headerBytes = packageHeaderBytes(length);
  const bytes = new Uint8Array(headerBytes + length + PROTECTED_CHECK_BYTES).fill(byte);
  writePackageHeader(bytes, 0, PROTECTED_VERSION, length);
  return bytes;
}

interface Decoded {
  readonly packages: readonly Uint8Array[];
  readonly faults: readonly PackageFault[];
}

/** Feeds each chunk from a buffer that is overwritten afterwards, as a runtime may do with lent bytes. */
function decodeAll(decoder: PackageDecoder, chunks: Iterable<Uint8Array>): Decoded {
  const packages: Uint8Array[] = [];
  const faults: PackageFault[] = [];
  for (const chunk of chunks) {
    const lent = new Uint8Array(chunk);
    decoder.push(lent);
    for (;;) {
      const outcome = decoder.next();
      if (outcome.type === "needsMore") break;
      if (outcome.type === "package") packages.push(outcome.whole.slice());
      else faults.push(outcome);
    }
    lent.fill(0xdd);
  }
  return { packages, faults };
}

function* split(bytes: Uint8Array, sizes: readonly number[]): Generator<Uint8Array> {
  let at = 0;
  for (let index = 0; at < bytes.length; index += 1) {
    const size = sizes[index % sizes.length] ?? 1;
    yield bytes.subarray(at, at + size);
    at += size;
  }
}

function assertSame(actual: readonly Uint8Array[], expected: readonly Uint8Array[]): void {
  assert.equal(actual.length, expected.length);
  for (const [index, bytes] of expected.entries()) {
    assert.ok(toHex(actual[index] ?? new Uint8Array(0)) === toHex(bytes), `package ${index}`);
  }
}

test("a package split at each byte is decoded, and so is what follows it", () => {
  const expected = [clear(130), sealed(300), clear(0), fromHex(vectors.paddedPackages[1]?.packageHex ?? ""), clear(5)];
  const stream = concat(...expected);
  for (let cut = 0; cut <= stream.length; cut += 1) {
    const decoder = new PackageDecoder(checksum);
    const { packages, faults } = decodeAll(decoder, [stream.subarray(0, cut), stream.subarray(cut)]);
    assertSame(packages, expected);
    assert.equal(faults.length, 0);
    assert.equal(decoder.heldBytes, 0);
  }
});

test("packages are decoded from single bytes, empty chunks between them", () => {
  const expected = [clear(200), sealed(0), clear(1)];
  const chunks = [...split(concat(...expected), [1])].flatMap((chunk) => [new Uint8Array(0), chunk]);
  assertSame(decodeAll(new PackageDecoder(checksum), chunks).packages, expected);
});

test("packages of any size are decoded from any split", () => {
  const size = fc.oneof(
    { weight: 4, arbitrary: fc.nat({ max: 300 }) },
    { weight: 2, arbitrary: fc.nat({ max: 20_000 }) },
    { weight: 1, arbitrary: fc.constant(PROTECTED_MESSAGE_BYTES_MAX) },
  );
  const shape = fc.record({ size, isClear: fc.boolean(), byte: fc.nat({ max: 255 }) });
  const chunk = fc.oneof(fc.integer({ min: 1, max: 30 }), fc.integer({ min: 1, max: 70_000 }));
  fc.assert(
    fc.property(
      fc.array(shape, { minLength: 1, maxLength: 12 }),
      fc.array(chunk, { minLength: 1, maxLength: 8 }),
      (shapes, sizes) => {
        const expected = shapes.map((one) => (one.isClear ? clear(one.size, one.byte) : sealed(one.size, one.byte)));
        const decoder = new PackageDecoder(checksum);
        const { packages, faults } = decodeAll(decoder, split(concat(...expected), sizes));
        assertSame(packages, expected);
        assert.equal(faults.length, 0);
        assert.equal(decoder.heldBytes, 0);
        assert.ok(decoder.capacityBytes <= PACKAGE_BYTES_MAX);
      },
    ),
    { seed: SEED, numRuns: 60 },
  );
});

test("a corrupted stream ends with at most one fault, the same for every split, and nothing after it", () => {
  fc.assert(
    fc.property(
      fc.array(fc.nat({ max: 200 }), { minLength: 1, maxLength: 6 }),
      fc.nat(),
      fc.integer({ min: 1, max: 255 }),
      fc.array(fc.integer({ min: 1, max: 50 }), { minLength: 1, maxLength: 6 }),
      (lengths, position, change, sizes) => {
        const stream = concat(...lengths.map((length) => clear(length)));
        const at = position % stream.length;
        stream[at] = (stream[at] ?? 0) ^ change;
        const whole = decodeAll(new PackageDecoder(checksum), [stream]);
        const decoder = new PackageDecoder(checksum);
        const parts = decodeAll(decoder, split(stream, sizes));
        assertSame(parts.packages, whole.packages);
        assert.deepEqual(parts.faults, whole.faults);
        assert.ok(parts.faults.length <= 1);
        assert.equal(decoder.hasFailed, parts.faults.length === 1);
      },
    ),
    { seed: SEED, numRuns: 300 },
  );
});

test("every vector that must fail gives its outcome once, whole and byte by byte", () => {
  for (const { hex, why, outcome, ...facts } of vectors.badPackages) {
    const bytes = fromHex(hex);
    for (const sizes of [[1], [3], [100]]) {
      const decoder = new PackageDecoder(checksum);
      const { packages, faults } = decodeAll(decoder, split(bytes, sizes));
      assert.equal(packages.length, 0, why);
      assert.deepEqual(faults, outcome === "needsMore" ? [] : [{ type: outcome, ...facts }], why);
      assert.equal(decoder.heldBytes, outcome === "needsMore" ? bytes.length : 0, why);
    }
  }
});

test("after a fault valid packages are ignored and nothing is held", () => {
  const decoder = new PackageDecoder(checksum);
  const bad = clear(5);
  bad[3] = 0;
  const { packages, faults } = decodeAll(decoder, [concat(clear(3), bad, clear(4)), clear(2), clear(1)]);
  assertSame(packages, [clear(3)]);
  assert.deepEqual(faults, [{ type: "badCheck" }]);
  assert.equal(decoder.hasFailed, true);
  assert.equal(decoder.heldBytes, 0);
  assert.equal(decoder.capacityBytes, 0);
});

test("a package that lies whole in a chunk is handed out in place", () => {
  const decoder = new PackageDecoder(checksum);
  const chunk = concat(clear(10), sealed(20));
  decoder.push(chunk);
  for (let count = 0; count < 2; count += 1) {
    const outcome = decoder.next();
    if (outcome.type !== "package") assert.fail(outcome.type);
    assert.equal(outcome.bytes, chunk);
    assert.equal(outcome.message.buffer, chunk.buffer);
  }
  assert.equal(decoder.next().type, "needsMore");
  assert.equal(decoder.capacityBytes, 0);
});

test("memory follows the bytes that arrived and not the declared length", () => {
  const stream = sealed(PROTECTED_MESSAGE_BYTES_MAX);
  for (const size of [1, 100, 1000, 10_000]) {
    const decoder = new PackageDecoder(checksum);
    let arrived = 0;
    for (const chunk of split(stream.subarray(0, -1), [size])) {
      decoder.push(chunk);
      assert.equal(decoder.next().type, "needsMore");
      arrived += chunk.length;
      assert.equal(decoder.heldBytes, arrived);
      assert.ok(decoder.capacityBytes <= Math.min(PACKAGE_BYTES_MAX, Math.max(256, 4 * arrived)), `after ${arrived}`);
    }
  }
});

test("the buffer is reused while large packages keep coming and dropped when they stop", () => {
  const decoder = new PackageDecoder(checksum);
  const large = sealed(60_000);
  const buffers = new Set<ArrayBufferLike>();
  for (let count = 0; count < 20; count += 1) {
    decoder.push(large.subarray(0, 30_000));
    assert.equal(decoder.next().type, "needsMore");
    decoder.push(large.subarray(30_000));
    const outcome = decoder.next();
    if (outcome.type !== "package") assert.fail(outcome.type);
    buffers.add(outcome.bytes.buffer);
    assert.equal(decoder.next().type, "needsMore");
  }
  assert.equal(buffers.size, 1);
  assert.ok(decoder.capacityBytes >= 60_000);
  for (let count = 0; count < 8; count += 1) decodeAll(decoder, [clear(20)]);
  assert.equal(decoder.capacityBytes, 0);
});

test("trim gives back the buffer, but never a partial package", () => {
  const decoder = new PackageDecoder(checksum);
  const large = sealed(60_000);
  decodeAll(decoder, [large.subarray(0, 40_000)]);
  decoder.trim();
  assert.equal(decoder.heldBytes, 40_000);
  assertSame(decodeAll(decoder, [large.subarray(40_000)]).packages, [large]);
  decoder.trim();
  assert.equal(decoder.capacityBytes, 0);
});

test("push refuses to lose the rest of a chunk", () => {
  const decoder = new PackageDecoder(checksum);
  decoder.push(concat(clear(1), clear(2)));
  assert.equal(decoder.next().type, "package");
  assert.throws(() => decoder.push(clear(3)), /Bug/);
});

test("arbitrary bytes never make the decoder throw", () => {
  const piece = fc.oneof(fc.uint8Array({ maxLength: 40 }), fc.constantFrom(clear(3), sealed(3), Uint8Array.of(4)));
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 10 }), (pieces) => {
      const decoder = new PackageDecoder(checksum);
      const { faults } = decodeAll(decoder, pieces);
      assert.ok(faults.length <= 1);
    }),
    { seed: SEED, numRuns: 1000 },
  );
});
