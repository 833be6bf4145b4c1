/**
 * What a path says it got, and how that is read: acknowledgements for any order, loss and repetition of packages, when
 * they leave, and that forged ones are refused.
 *
 * @module
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type AckFrame, emptyAckFrame, parseAck } from "../../../core/connection/frame_parser.ts";
import { ACK_RANGES_MAX, FRAME_ACK, RECEIVED_RANGES_MAX } from "../../../core/connection/frame_types.ts";
import type { Path } from "../../../core/connection/path.ts";
import { makePath } from "../../../core/connection/path_factory.ts";
import { PathNumbers } from "../../../core/connection/path_numbers.ts";
import { DEFAULT_SESSION_CONFIG } from "../../../core/connection/session_defaults.ts";
import type { PathKind } from "../../../core/connection/session_types.ts";
import { ProtocolError } from "../../../core/error.ts";
import { NEVER } from "../../../core/machine.ts";
import { Reader } from "../../../core/wire/reader.ts";
import { Writer } from "../../../core/wire/writer.ts";

const NOW = 1000;

function pathOf(kind: PathKind = "datagrams"): Path {
  const facts = { kind, remote: "test" };
  return makePath({ id: 3, facts, state: "active", config: DEFAULT_SESSION_CONFIG, trace: undefined }, NOW);
}

/** The acknowledgement that a path owes, as the other side reads it. */
function ackOf(path: Path, now = NOW, room = 1200): AckFrame {
  const writer = new Writer(new Uint8Array(room));
  path.writeAck(writer, now);
  const reader = new Reader(writer.written);
  assert.equal(reader.u8(), FRAME_ACK);
  const ack = emptyAckFrame();
  parseAck(reader, ack);
  assert.ok(reader.isAtEnd, "nothing is behind it");
  return ack;
}

/** `[start, end)` of each range, the highest first. */
function rangesOf(ack: AckFrame): [number, number][] {
  return Array.from({ length: ack.count }, (_, index) => [ack.starts[index] as number, ack.ends[index] as number]);
}

/** Numbers arrive, one package each, that ask for an acknowledgement. */
function receive(path: Path, numbers: readonly number[], now = NOW): void {
  for (const number of numbers) path.onReceived(number, 100, true, false, now);
}

test("path acks: ranges are told from the highest down, with what is missing between them. RFC 9000 §19.3", () => {
  const path = pathOf();
  receive(path, [0, 1, 2, 5, 9, 8]);
  const ack = ackOf(path, NOW + 12.5);
  assert.equal(ack.path, 3);
  assert.equal(ack.delayMs, 12.5);
  assert.deepEqual(rangesOf(ack), [
    [8, 10],
    [5, 6],
    [0, 3],
  ]);
});

test("path acks: the delay counts from the arrival of the highest number, not of the last", () => {
  const path = pathOf();
  receive(path, [7], NOW);
  receive(path, [6], NOW + 40);
  assert.equal(ackOf(path, NOW + 50).delayMs, 50);
});

test("path acks: what came is a duplicate, what did not is none, also after ranges were forgotten", () => {
  const path = pathOf();
  const even = Array.from({ length: RECEIVED_RANGES_MAX + 10 }, (_, index) => 2 * index);
  receive(path, even);
  for (const number of even) assert.equal(path.isDuplicate(number), true, `${number}`);
  const ranges = rangesOf(ackOf(path));
  assert.equal(ranges.length, RECEIVED_RANGES_MAX);
  const floor = (ranges.at(-1) as [number, number])[0];
  assert.equal(floor, 20, "the oldest were forgotten");
  // What is below may have come: better once too little than twice. What is above did not.
  assert.equal(path.isDuplicate(floor - 1), false, "it is between the last forgotten one and the first kept one");
  assert.equal(path.isDuplicate(floor - 3), true);
  assert.equal(path.isDuplicate(floor + 1), false);
});

test("path acks: in a small room the highest ranges are told, and the rest another time", () => {
  const path = pathOf();
  receive(
    path,
    Array.from({ length: 50 }, (_, index) => 3 * index),
  );
  const ranges = rangesOf(ackOf(path, NOW, 40 + 16 * 4));
  assert.deepEqual(
    ranges,
    [147, 144, 141, 138].map((start) => [start, start + 1]),
  );
  assert.equal(rangesOf(ackOf(path, NOW, 40)).length, 1, "one fits always");
});

test("path acks: over datagrams every second package is answered at once, a single one after 25 ms", () => {
  const path = pathOf();
  receive(path, [0]);
  assert.equal(path.ackDueAt, NOW + 25);
  receive(path, [1], NOW + 10);
  assert.equal(path.ackDueAt, NOW + 10);
  ackOf(path);
  assert.equal(path.ackDueAt, NEVER);
  assert.equal(path.owesAck, false);
});

test("path acks: once a window has grown every eighth is answered", () => {
  const path = pathOf();
  receive(path, [...Array(99).keys()]);
  ackOf(path);
  receive(path, [99, 100, 101, 102, 103, 104, 105]);
  assert.equal(path.ackDueAt, NOW + 25);
  receive(path, [106]);
  assert.equal(path.ackDueAt, NOW);
});

test("path acks: a gap, a late package and what asks for it are answered at once. RFC 9000 §13.2.1", () => {
  for (const [before, number] of [
    [[0], 2],
    [[0, 2], 1],
    [[], 1],
  ] as const) {
    const path = pathOf();
    receive(path, before);
    if (before.length > 0) ackOf(path);
    receive(path, [number]);
    assert.equal(path.ackDueAt, NOW, `${number} after ${before}`);
  }
  const asked = pathOf();
  asked.onReceived(0, 100, true, true, NOW);
  assert.equal(asked.ackDueAt, NOW);
  const silent = pathOf();
  silent.onReceived(5, 100, false, false, NOW);
  assert.equal(silent.ackDueAt, NEVER, "what asks for nothing gets nothing: else two sides would talk for ever");
  assert.equal(silent.owesAck, false);
});

test("path acks: over a reliable path one for a quarter of a MiB, for 64 packages, or after 25 ms, whatever the order", () => {
  const bytes = pathOf("bytes");
  bytes.onReceived(0, 256 * 1024 - 1, true, false, NOW);
  assert.equal(bytes.ackDueAt, NOW + 25);
  bytes.onReceived(5, 1, true, false, NOW + 1);
  assert.equal(bytes.ackDueAt, NOW + 1);
  const packages = pathOf("relay");
  receive(packages, [...Array(63).keys()]);
  assert.equal(packages.ackDueAt, NOW + 25);
  receive(packages, [63]);
  assert.equal(packages.ackDueAt, NOW);
});

test("path acks: whatever arrives in whatever order, only what came is told, and nothing is taken twice", () => {
  const NUMBER = fc.oneof({ weight: 5, arbitrary: fc.nat(40) }, { weight: 2, arbitrary: fc.nat(400) });
  fc.assert(
    fc.property(fc.array(NUMBER, { maxLength: 250 }), fc.integer({ min: 40, max: 1200 }), (numbers, room) => {
      const path = pathOf();
      const seen = new Set<number>();
      for (const number of numbers) {
        if (path.isDuplicate(number)) {
          const ranges = rangesOf(ackOf(path));
          const floor = ranges.length < RECEIVED_RANGES_MAX ? 0 : (ranges.at(-1) as [number, number])[0];
          assert.ok(seen.has(number) || number < floor, `${number} was refused and never came`);
          continue;
        }
        assert.equal(seen.has(number), false, `${number} was taken twice`);
        seen.add(number);
        receive(path, [number]);
        assert.equal(path.isNewest, number === Math.max(...seen));
      }
      if (seen.size === 0) return;
      const ranges = rangesOf(ackOf(path, NOW, room));
      assert.ok(ranges.length <= RECEIVED_RANGES_MAX);
      assert.equal((ranges[0] as [number, number])[1] - 1, Math.max(...seen), "the highest is always told");
      let below = Number.POSITIVE_INFINITY;
      for (const [start, end] of ranges) {
        assert.ok(end < below, "ranges neither touch nor turn back");
        below = start;
        for (let number = start; number < end; number++) assert.ok(seen.has(number), `${number} never came`);
      }
      // Within what was told no package is left out.
      for (const number of seen) {
        if (number >= below)
          assert.ok(
            ranges.some(([start, end]) => number >= start && number < end),
            `${number}`,
          );
      }
    }),
    { seed: 0xacc, numRuns: 200 },
  );
});

test("path acks: malformed acknowledgements are refused, and none is larger than its bound", () => {
  const frame = (...fields: number[]): Reader => {
    const writer = new Writer();
    for (const field of fields) writer.varint(field);
    return new Reader(writer.finish());
  };
  const bad: readonly (readonly [string, readonly number[]])[] = [
    ["a first range below zero", [0, 4, 0, 0, 5]],
    ["a later range below zero", [0, 4, 0, 1, 0, 0, 4]],
    ["a gap below zero", [0, 4, 0, 1, 0, 9, 0]],
    ["a gap of all numbers", [0, 4, 0, 1, 0, Number.MAX_SAFE_INTEGER, 0]],
    ["too many ranges", [0, 4, 0, ACK_RANGES_MAX, 0]],
    ["an end that is missing", [0, 4, 0, 1, 0, 0]],
  ];
  for (const [name, fields] of bad)
    assert.throws(() => parseAck(frame(...fields), emptyAckFrame()), ProtocolError, name);
  const ack = emptyAckFrame();
  parseAck(frame(0, 4, 0, 1, 0, 0, 2), ack);
  assert.deepEqual(rangesOf(ack), [
    [4, 5],
    [0, 3],
  ]);
  const most = [0, 2 * ACK_RANGES_MAX, 0, ACK_RANGES_MAX - 1, 0];
  for (let range = 1; range < ACK_RANGES_MAX; range++) most.push(0, 0);
  parseAck(frame(...most), ack);
  assert.equal(ack.count, ACK_RANGES_MAX);
});

test("path numbers: each side has its own, counts up, and takes none of the other's twice", () => {
  const [left, right] = [new PathNumbers("initiator"), new PathNumbers("responder")];
  assert.deepEqual([left.take(), left.take(), left.take()], [2, 4, 6]);
  assert.deepEqual([right.take(), right.take()], [1, 3]);
  assert.equal(right.mayPeerOpen(0), false, "the handshake ran on it");
  for (const id of [2, 4, 100]) assert.equal(right.mayPeerOpen(id), true);
  for (const id of [1, 3, 101]) assert.equal(right.mayPeerOpen(id), false, "these are its own");
  right.onPeerOpened(4);
  assert.equal(right.mayPeerOpen(2), false, "one that was overtaken is lost: it may have been used");
  assert.equal(right.mayPeerOpen(4), false);
  assert.equal(right.mayPeerOpen(6), true);
  assert.deepEqual([left.mayPeerOpen(1), left.mayPeerOpen(0), left.mayPeerOpen(2)], [true, false, false]);
});

/** A package leaves with the acknowledgement that is owed, and gets one itself: the peer has heard of all in it. */
function tellAndHear(path: Path, room = 1200): AckFrame {
  const told = ackOf(path, NOW, room);
  const packageNumber = path.nextPackageNumber;
  const toldUpTo = path.takeTold();
  const content = { parts: [], controls: [], isMtuProbe: false, isLost: false, isRequeued: false };
  path.onSent(50, { packageNumber, sentAt: NOW, bytes: 50, phase: 0, toldUpTo, ...content }, NOW);
  const ack = { ...emptyAckFrame(), path: 3, count: 1, delayMs: 0 };
  ack.starts[0] = packageNumber;
  ack.ends[0] = packageNumber + 1;
  const sink = { onPackageAcked: () => {}, onPackageLost: () => {} };
  assert.equal(path.onAck(ack, sink as never, NOW), true);
  return told;
}

test("path acks: what the peer has heard of is not told again; a late one is. RFC 9000 §13.2.4", () => {
  const path = pathOf();
  receive(path, [0, 1, 3, 5]);
  assert.equal(tellAndHear(path).count, 3);
  receive(path, [7]);
  assert.deepEqual(rangesOf(ackOf(path)), [[7, 8]]);
  receive(path, [2]);
  assert.deepEqual(rangesOf(ackOf(path)), [
    [7, 8],
    [5, 6],
    [0, 4],
  ]);
  assert.equal(path.isDuplicate(5), true);
  // One that was told by a package that was never heard of is told again.
  tellAndHear(path);
  receive(path, [9]);
  ackOf(path);
  receive(path, [11]);
  assert.deepEqual(rangesOf(ackOf(path)), [
    [11, 12],
    [9, 10],
  ]);
});

test("path acks: what did not fit into an acknowledgement counts as not told", () => {
  const path = pathOf();
  const even = Array.from({ length: 30 }, (_, index) => 2 * index);
  receive(path, even);
  const told = tellAndHear(path, 150);
  assert.ok(told.count < even.length);
  assert.equal(ackOf(path).count, even.length);
});
