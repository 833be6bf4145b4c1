/**
 * Forward error correction: what one parity can bring back comes back, once, whatever a path or a hostile peer does.
 *
 * @module
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { FecDatagram } from "../../../core/connection/datagram_fec.ts";
import {
  FEC_OVERHEAD_BYTES_MAX,
  FEC_PAYLOAD_BYTES_MAX,
  FecDecoder,
  FecEncoder,
} from "../../../core/connection/datagram_fec.ts";
import { FEC_GROUP_MAX } from "../../../core/connection/frame_types.ts";
import { bytesToHex } from "../../../core/crypto/hex.ts";
import type { Bytes } from "../../../core/machine.ts";
import { NEVER } from "../../../core/machine.ts";
import { encodeVarint } from "../../../core/wire/varint.ts";
import { seededNumbers } from "../test_environment.ts";

/** What is sent for payloads: sources and parities, in order, an open group ended. */
function encodeAll(groupSize: number, payloads: readonly Uint8Array[]): Bytes[] {
  const encoder = new FecEncoder({ groupSize });
  const out: Bytes[] = [];
  for (const payload of payloads) {
    out.push(encoder.encode(payload, 0));
    const parity = encoder.pollParity(0);
    if (parity !== undefined) out.push(parity);
  }
  encoder.flush();
  const last = encoder.pollParity(0);
  return last === undefined ? out : [...out, last];
}

function sequencesOf(delivered: readonly FecDatagram[]): number[] {
  return delivered.map(({ sequence }) => sequence);
}

function receiveAll(decoder: FecDecoder, datagrams: readonly Uint8Array[], now = 0): FecDatagram[] {
  return datagrams.flatMap((bytes) => [...decoder.receive(bytes, now)]);
}

function source(sequence: number, ...payload: number[]): Uint8Array {
  return Uint8Array.of(...encodeVarint(2 * sequence), ...payload);
}

function parity(first: number, count: number, lengths: number, ...xor: number[]): Uint8Array {
  return Uint8Array.of(...encodeVarint(2 * first + 1), count, lengths & 0xff, lengths >> 8, ...xor);
}

const PAYLOADS = [Uint8Array.of(1, 2, 3), new Uint8Array(0), Uint8Array.of(0xff, 0, 7, 9), Uint8Array.of(5)];

test("fec: the bytes on the wire", () => {
  assert.deepEqual(encodeAll(4, PAYLOADS).map(bytesToHex), [
    "00010203", // 2 × 0
    "02",
    "04ff000709",
    "0605",
    "01" + "04" + "0600" + "fb020409", // 2 × 0 + 1, 4 datagrams, 3 ^ 0 ^ 4 ^ 1, the XOR
  ]);
});

test("fec: numbers above one byte, and lengths above one", () => {
  const encoder = new FecEncoder({ groupSize: 1 });
  for (let count = 0; count < 64; count++) encoder.encode(new Uint8Array(0), 0);
  encoder.pollParity(0);
  assert.equal(bytesToHex(encoder.encode(new Uint8Array(300), 0).subarray(0, 3)), "800100");
  assert.equal(bytesToHex((encoder.pollParity(0) as Bytes).subarray(0, 6)), "8101012c0100");
});

test("fec: each one lost of a group comes back, whichever it is, the parity first or last", () => {
  const sent = encodeAll(4, PAYLOADS);
  const last = sent[4] as Bytes;
  for (let lost = 0; lost < 4; lost++) {
    const arrived = sent.slice(0, 4).filter((_bytes, index) => index !== lost);
    for (const order of [
      [...arrived, last],
      [last, ...arrived],
      [arrived[0] as Bytes, last, ...arrived.slice(1)],
    ]) {
      const decoder = new FecDecoder();
      const delivered = receiveAll(decoder, order);
      const repaired = delivered.filter(({ isRepaired }) => isRepaired);
      assert.deepEqual(sequencesOf(repaired), [lost]);
      assert.deepEqual(repaired[0]?.payload, PAYLOADS[lost]);
      assert.deepEqual(sequencesOf(delivered).sort(), [0, 1, 2, 3]);
      assert.equal(decoder.repaired, 1);
      assert.equal(decoder.malformed, 0);
    }
  }
});

test("fec: two lost of a group do not come back, unless one comes late", () => {
  const [a, b, c, d, p] = encodeAll(4, PAYLOADS) as [Bytes, Bytes, Bytes, Bytes, Bytes];
  const decoder = new FecDecoder();
  assert.deepEqual(sequencesOf(receiveAll(decoder, [a, d, p])), [0, 3]);
  assert.deepEqual(sequencesOf(decoder.receive(c, 1)), [2, 1], "the late one and the one that it repairs");
  assert.deepEqual(decoder.receive(b, 2), [], "that came after its repair");
  assert.equal(decoder.duplicates, 1);
});

test("fec: a group that is not full gets its parity in time, or when told", () => {
  const encoder = new FecEncoder({ groupSize: 8, groupDelayMs: 20 });
  assert.equal(encoder.pollTimeout(), NEVER);
  assert.equal(encoder.pollParity(1e9), undefined);
  encoder.encode(Uint8Array.of(1), 100);
  encoder.encode(Uint8Array.of(2), 110);
  assert.equal(encoder.pollTimeout(), 120);
  assert.equal(encoder.pollParity(119), undefined);
  assert.equal(bytesToHex(encoder.pollParity(120) as Bytes), "0102000003");
  assert.equal(encoder.pollTimeout(), NEVER);
  encoder.encode(Uint8Array.of(9), 130);
  encoder.flush();
  encoder.flush();
  assert.equal(bytesToHex(encoder.pollParity(130) as Bytes), "0501010009", "of one datagram it is a copy");
  assert.equal(encoder.pollParity(1e9), undefined);
});

test("fec: the next group starts clean, also after a longer one", () => {
  const sent = encodeAll(2, [
    new Uint8Array(100).fill(7),
    new Uint8Array(50).fill(8),
    Uint8Array.of(1),
    Uint8Array.of(2),
  ]);
  assert.equal(bytesToHex(sent[5] as Bytes), "0502000003");
});

test("fec: a group whose payloads grow keeps what was before", () => {
  const payloads = [3, 200, 1000].map((bytes) => new Uint8Array(bytes).fill(bytes));
  const sent = encodeAll(3, payloads);
  const delivered = receiveAll(new FecDecoder(), sent.slice(1));
  assert.deepEqual(delivered.at(-1)?.payload, payloads[0]);
});

test("fec: without groups there are numbers and no parity; the size may change at any time", () => {
  const encoder = new FecEncoder({ groupSize: 0 });
  assert.equal(bytesToHex(encoder.encode(Uint8Array.of(1), 0)), "0001");
  assert.equal(encoder.pollParity(1e9), undefined);
  encoder.groupSize = 3;
  encoder.encode(Uint8Array.of(2), 0);
  encoder.encode(Uint8Array.of(3), 0);
  encoder.groupSize = 0;
  encoder.encode(Uint8Array.of(4), 0);
  assert.equal(bytesToHex(encoder.pollParity(0) as Bytes), "0302000001", "the open group, without the last");
  encoder.groupSize = 2;
  encoder.encode(Uint8Array.of(5), 0);
  assert.equal(bytesToHex(encoder.encode(Uint8Array.of(6), 0)), "0a06");
  assert.equal(bytesToHex(encoder.pollParity(0) as Bytes), "0902000003");
  for (const size of [-1, 1.5, FEC_GROUP_MAX + 1, Number.NaN]) {
    assert.throws(() => new FecEncoder({ groupSize: size }), RangeError);
  }
});

test("fec: the longest payload is repaired, a longer one is refused, and the overhead is as told", () => {
  const long = new Uint8Array(FEC_PAYLOAD_BYTES_MAX).fill(0xa5);
  const sent = encodeAll(2, [long, Uint8Array.of(1)]);
  assert.ok((sent[2] as Bytes).length <= FEC_PAYLOAD_BYTES_MAX + FEC_OVERHEAD_BYTES_MAX);
  const delivered = receiveAll(new FecDecoder(), [sent[1] as Bytes, sent[2] as Bytes]);
  assert.deepEqual(delivered[1]?.payload, long);
  const encoder = new FecEncoder({ groupSize: 2 });
  assert.throws(() => encoder.encode(new Uint8Array(FEC_PAYLOAD_BYTES_MAX + 1), 0), RangeError);
  assert.equal(bytesToHex(encoder.encode(new Uint8Array(0), 0)), "00", "a refused one takes no number");
});

test("fec: copies fall away", () => {
  const decoder = new FecDecoder();
  const sent = encodeAll(0, PAYLOADS);
  assert.equal(receiveAll(decoder, [...sent, ...sent, ...sent]).length, 4);
  assert.equal(decoder.duplicates, 8);
  assert.equal(decoder.received, 4);
});

test("fec: the receiver owns what it gets, and lends what it gives", () => {
  const [a, b, p] = encodeAll(2, [Uint8Array.of(1, 2), Uint8Array.of(3, 4)]) as [Bytes, Bytes, Bytes];
  const decoder = new FecDecoder();
  const bytes = a.slice();
  const [first] = decoder.receive(bytes, 0);
  bytes.fill(0xee);
  (first as FecDatagram).payload.fill(0xdd);
  assert.deepEqual(decoder.receive(p, 0)[0]?.payload, Uint8Array.of(3, 4));
  assert.deepEqual(decoder.receive(b, 0), []);
});

test("fec: what is too old is let go, and a group that lacks it is not repaired", () => {
  const [a, , p] = encodeAll(2, [Uint8Array.of(1, 2), Uint8Array.of(3, 4)]) as [Bytes, Bytes, Bytes];
  const decoder = new FecDecoder({ ageMsMax: 100 });
  decoder.receive(a, 50);
  assert.equal(decoder.heldBytes, 2);
  assert.equal(decoder.pollTimeout(), 150);
  decoder.handleTimeout(149);
  assert.equal(decoder.heldBytes, 2);
  decoder.handleTimeout(150);
  assert.equal(decoder.heldBytes, 0);
  assert.equal(decoder.pollTimeout(), NEVER);
  assert.deepEqual(decoder.receive(p, 151), []);
  assert.deepEqual(decoder.receive(a, 152), [], "it is still known as seen");
  assert.equal(decoder.heldBytes, 0);
});

test("fec: a parity that waits is let go by age as well", () => {
  const [a, b, , p] = encodeAll(3, [Uint8Array.of(1), Uint8Array.of(2), Uint8Array.of(3)]) as [
    Bytes,
    Bytes,
    Bytes,
    Bytes,
  ];
  const decoder = new FecDecoder({ ageMsMax: 100 });
  decoder.receive(p, 0);
  decoder.receive(a, 99);
  assert.deepEqual(sequencesOf(decoder.receive(b, 101)), [1]);
});

test("fec: headers that say nonsense are dropped and counted", () => {
  const nonsense: readonly Uint8Array[] = [
    new Uint8Array(0),
    Uint8Array.of(0x80),
    new Uint8Array(11).fill(0xff),
    Uint8Array.of(1),
    Uint8Array.of(1, 1, 0),
    parity(0, 0, 0),
    parity(0, FEC_GROUP_MAX + 1, 0),
    parity(0, 255, 0, 1, 2, 3),
    parity(2 ** 52 - 1, 2, 0),
    parity(0, 1, 5, 1, 2), // A length beyond what is there.
    parity(0, 1, 1, 1, 2), // Padding that is not zero.
  ];
  const decoder = new FecDecoder();
  for (const bytes of nonsense) assert.deepEqual(decoder.receive(bytes, 0), [], bytesToHex(bytes));
  assert.equal(decoder.malformed, nonsense.length);
  assert.equal(decoder.heldBytes, 0);
});

test("fec: a parity that does not fit its group repairs nothing", () => {
  for (const lie of [
    parity(0, 2, 3 ^ 2, 9, 9), // Shorter than what it claims to cover.
    parity(0, 2, 0xffff, 1, 2, 3), // The missing one would be longer than all.
    parity(0, 2, 3 ^ 1, 1 ^ 7, 2, 4), // What follows the missing one is not what was sent.
  ]) {
    const decoder = new FecDecoder();
    assert.deepEqual(sequencesOf(receiveAll(decoder, [source(0, 1, 2, 3), lie])), [0], bytesToHex(lie));
    assert.equal(decoder.malformed, 1);
    assert.deepEqual(sequencesOf(decoder.receive(source(1, 7), 0)), [1], "the real one is still welcome");
  }
});

test("fec: numbers up to the largest work, and a leap forgets what was before", () => {
  const decoder = new FecDecoder();
  const largest = 2 ** 52 - 1;
  assert.deepEqual(sequencesOf(decoder.receive(source(5, 1), 0)), [5]);
  assert.deepEqual(sequencesOf(decoder.receive(source(largest, 1), 0)), [largest]);
  assert.deepEqual(sequencesOf(decoder.receive(source(largest, 1), 0)), []);
  assert.deepEqual(sequencesOf(decoder.receive(source(6, 1), 0)), [], "too old");
  assert.deepEqual(sequencesOf(decoder.receive(parity(largest - 1, 2, 1 ^ 1, 1 ^ 4), 0)), [largest - 1]);
});

test("fec: a window of 256 numbers is told apart", () => {
  const decoder = new FecDecoder();
  decoder.receive(source(1000, 1), 0);
  assert.deepEqual(sequencesOf(decoder.receive(source(745, 1), 0)), [745]);
  assert.deepEqual(sequencesOf(decoder.receive(source(745, 1), 0)), []);
  assert.deepEqual(sequencesOf(decoder.receive(source(744, 1), 0)), [], "one too old");
});

test("fec: memory is bounded by the limits, whatever a peer sends", () => {
  const next = seededNumbers(3);
  const decoder = new FecDecoder({ bytesMax: 10_000 });
  const big = new Uint8Array(1200);
  for (let count = 0; count < 5000; count++) {
    const number = next() % 4 === 0 ? next() : count;
    const isParity = next() % 2 === 0;
    const head = encodeVarint(2 * number + (isParity ? 1 : 0));
    decoder.receive(
      isParity ? Uint8Array.of(...head, 2 + (next() % 31), 0, 0, ...big) : Uint8Array.of(...head, ...big),
      0,
    );
    assert.ok(decoder.heldBytes <= 10_000);
  }
  decoder.handleTimeout(1000);
  assert.equal(decoder.heldBytes, 0);
  assert.equal(decoder.pollTimeout(), NEVER);
  // A payload larger than all that may be held is delivered all the same.
  const small = new FecDecoder({ bytesMax: 10 });
  assert.equal(small.receive(source(0, ...new Uint8Array(11)), 0).length, 1);
  assert.equal(small.heldBytes, 0);
});

test("fec: what leaves the window leaves memory, and empty payloads take no more of it", () => {
  const decoder = new FecDecoder();
  for (let sequence = 0; sequence < 300; sequence++) decoder.receive(source(sequence, 1), 0);
  assert.equal(decoder.heldBytes, 256);
  const empty = new FecDecoder({ ageMsMax: 10_000 });
  for (let sequence = 0; sequence < 1000; sequence++) empty.receive(source(sequence), sequence);
  assert.ok(empty.pollTimeout() > 10_700, "the oldest of them are forgotten");
});

test("fec: parities that never complete do not drive each other's memory", () => {
  const decoder = new FecDecoder();
  for (let count = 0; count < 1000; count++) decoder.receive(parity(10 * count, 5, 0, 1, 2, 3), 0);
  assert.ok(decoder.heldBytes <= 3 * 32, `${decoder.heldBytes}`);
});

test("fec: repairs complete one another", () => {
  // Overlapping groups, as a peer of another make may send them: 0 1 | 1 2 | 2 3.
  const decoder = new FecDecoder();
  const [a, b, c, d] = [1, 2, 4, 8];
  assert.deepEqual(receiveAll(decoder, [parity(0, 2, 0, a ^ b), parity(1, 2, 0, b ^ c), parity(2, 2, 0, c ^ d)]), []);
  assert.deepEqual(
    decoder.receive(source(0, a), 0).map(({ payload }) => payload[0]),
    [a, b, c, d],
  );
});

test("fec: any payloads, any group, any loss, order and copies: delivered once, unchanged, and repaired where possible", () => {
  const story = fc.record({
    payloads: fc.array(fc.uint8Array({ maxLength: 40 }), { minLength: 1, maxLength: 60 }),
    groupSize: fc.integer({ min: 0, max: FEC_GROUP_MAX }),
    seed: fc.integer({ min: 1, max: 2 ** 31 - 1 }),
    lossPercent: fc.nat({ max: 60 }),
  });
  fc.assert(
    fc.property(story, ({ payloads, groupSize, seed, lossPercent }) => {
      const next = seededNumbers(seed);
      const sent = encodeAll(groupSize, payloads);
      const arrived: { bytes: Uint8Array; at: number }[] = [];
      const isLost = sent.map(() => next() % 100 < lossPercent);
      sent.forEach((bytes, index) => {
        if (isLost[index]) return;
        for (let copies = 1 + (next() % 5 === 0 ? 1 : 0); copies > 0; copies--) {
          arrived.push({ bytes, at: index + (next() % 8) });
        }
      });
      arrived.sort((left, right) => left.at - right.at);
      const decoder = new FecDecoder();
      const delivered = receiveAll(
        decoder,
        arrived.map(({ bytes }) => bytes),
      );
      const sequences = sequencesOf(delivered);
      assert.equal(new Set(sequences).size, sequences.length, "each once");
      for (const { sequence, payload } of delivered) assert.deepEqual(payload, payloads[sequence]);
      assert.equal(decoder.malformed, 0);
      // Which come must be exactly those that arrived, and the only one lost of a group whose parity arrived.
      const expected = new Set<number>();
      let group: number[] = [];
      let sequence = 0;
      sent.forEach((bytes, index) => {
        if (((bytes[0] as number) & 1) === 0) {
          if (!isLost[index]) expected.add(sequence);
          group.push(sequence++);
          return;
        }
        const lost = group.filter((member) => !expected.has(member));
        if (!isLost[index] && lost.length === 1) expected.add(lost[0] as number);
        group = [];
      });
      assert.deepEqual(sequences.sort(compare), [...expected].sort(compare));
    }),
    { seed: 5109, numRuns: 300 },
  );
});

test("fec: foreign bytes never throw and never hold more than allowed", () => {
  const piece = fc.oneof(
    fc.uint8Array({ maxLength: 40 }),
    fc
      .tuple(fc.nat({ max: 300 }), fc.nat({ max: 40 }), fc.nat({ max: 50 }), fc.uint8Array({ maxLength: 20 }))
      .map(([first, count, lengths, xor]) => parity(first, count, lengths, ...xor)),
    fc
      .tuple(fc.nat({ max: 300 }), fc.uint8Array({ maxLength: 20 }))
      .map(([sequence, payload]) => source(sequence, ...payload)),
  );
  fc.assert(
    fc.property(fc.array(fc.tuple(piece, fc.nat({ max: 200 })), { maxLength: 100 }), (steps) => {
      const decoder = new FecDecoder({ bytesMax: 200, ageMsMax: 500 });
      const seen = new Set<number>();
      let now = 0;
      for (const [bytes, waitMs] of steps) {
        now += waitMs;
        for (const { sequence } of decoder.receive(bytes, now)) {
          assert.ok(!seen.has(sequence), "each once");
          seen.add(sequence);
        }
        assert.ok(decoder.heldBytes >= 0 && decoder.heldBytes <= 200);
      }
      decoder.handleTimeout(now + 500);
      assert.equal(decoder.heldBytes, 0);
    }),
    { seed: 9221, numRuns: 300 },
  );
});

function compare(left: number, right: number): number {
  return left - right;
}
