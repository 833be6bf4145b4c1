/**
 * Datagrams that expire, go several times and come back from their group: what leaves when, what comes out, and what a
 * peer that knows nothing of it gets. PROTOCOL §5.5.
 *
 * @module
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { DatagramCarrier, DatagramSendOptions, OutgoingDatagram } from "../../../core/connection/datagram_line.ts";
import { LossRate } from "../../../core/connection/loss_rate.ts";
import { datagramRepair, RepairedDatagrams } from "../../../core/connection/repaired_datagrams.ts";
import type { SessionConfig } from "../../../core/connection/session_types.ts";
import { bytesToHex, hexToBytes } from "../../../core/crypto/hex.ts";
import { NEVER } from "../../../core/machine.ts";
import { decodeHandshakePayload, encodeHandshakePayload } from "../../../core/node/handshake_payload.ts";
import { varintBytes } from "../../../core/wire/varint.ts";
import { Writer } from "../../../core/wire/writer.ts";
import vectors from "../../vectors/datagrams.json" with { type: "json" };
import { seededNumbers } from "../test_environment.ts";
import { type End, SessionPair } from "./session_pair.ts";

const ROOM = 1000;
/** A path of datagrams that lost nothing yet, and one that never does. */
const UDP: DatagramCarrier = { packagesSent: 0, datagrams: { packagesLost: 0, spuriousLosses: 0 } };
const TCP: DatagramCarrier = { packagesSent: 0, datagrams: undefined };

function lineOf(groupMax = 32, datagramsMax = 256): RepairedDatagrams {
  return new RepairedDatagrams({ datagramsMax, groupMax, isRedundant: false });
}

/** All that leaves now. */
function drain(line: RepairedDatagrams, now: number, path: DatagramCarrier = UDP): OutgoingDatagram[] {
  const out: OutgoingDatagram[] = [];
  for (let bytes = line.nextBytes(now); bytes >= 0; bytes = line.nextBytes(now)) {
    const next = line.take(path, now);
    assert.equal(next.bytes.length, bytes, "as long as it was said to be");
    out.push(next);
  }
  return out;
}

function texts(frames: readonly OutgoingDatagram[]): string[] {
  return frames.map(({ type, bytes }) => `${type.toString(16)} ${bytesToHex(bytes)}`);
}

/** Moves time on as a session does. */
function tick(line: RepairedDatagrams, now: number, path: DatagramCarrier = UDP): string[] {
  line.handleTimeout(now);
  assert.ok(line.pollTimeout() > now, "a deadline stays in the past");
  return texts(drain(line, now, path));
}

function push(line: RepairedDatagrams, byte: number, options: DatagramSendOptions, now: number): boolean {
  return line.push(Uint8Array.of(byte), options, ROOM, now);
}

test("repair: what asks for nothing, or goes to who does not know of it, goes as it always did", () => {
  for (const options of [{}, { redundancy: 1, fec: 0 }, { redundancy: Number.NaN, fec: Number.NaN, maxAgeMs: null }]) {
    const line = lineOf();
    push(line, 7, options, 0);
    assert.deepEqual(texts(drain(line, 0)), ["31 07"]);
    assert.equal(line.pollTimeout(), NEVER);
  }
  const line = lineOf(0);
  push(line, 7, { redundancy: 3, fec: 2 }, 0);
  assert.deepEqual(texts(drain(line, 0)), ["31 07"]);
  assert.equal(line.pollTimeout(), NEVER);
});

test("repair: copies leave 15 ms apart with what is fresh, or 5 ms later by themselves", () => {
  const line = lineOf();
  push(line, 1, { redundancy: 3 }, 0);
  assert.deepEqual(texts(drain(line, 0)), ["32 0001"]);
  assert.equal(line.pollTimeout(), 20);
  assert.deepEqual(tick(line, 16), [], "it waits for company");
  push(line, 2, {}, 16);
  assert.deepEqual(texts(drain(line, 16)), ["31 02"], "what is not numbered is none");
  push(line, 3, { redundancy: 2 }, 17);
  assert.deepEqual(texts(drain(line, 17)), ["32 0203", "33 0001"]);
  assert.deepEqual(tick(line, 36), []);
  assert.deepEqual(tick(line, 37), ["33 0203", "33 0001"]);
  assert.equal(line.pollTimeout(), NEVER);
  const { counts } = line;
  assert.deepEqual([counts.datagramsSent, counts.datagramRepairsSent], [3, 3]);
});

test("repair: on a path that loses nothing there are numbers, and neither copies nor parities", () => {
  const line = lineOf();
  for (const byte of [1, 2, 3]) push(line, byte, { redundancy: 4, fec: 2 }, 0);
  assert.deepEqual(texts(drain(line, 0, TCP)), ["32 0001", "32 0202", "32 0403"]);
  assert.equal(line.pollTimeout(), NEVER);
});

test("repair: the parity of a group does not go with its last datagram; an open group ends in time", () => {
  const line = lineOf();
  push(line, 1, { fec: 2 }, 0);
  assert.deepEqual(tick(line, 0), ["32 0001"]);
  push(line, 2, { fec: 2 }, 17);
  assert.deepEqual(tick(line, 17), ["32 0202"]);
  push(line, 4, { fec: 2 }, 33);
  assert.deepEqual(tick(line, 33), ["32 0404", "32 010200" + "0003"], "with the first one of the next group");
  assert.equal(line.pollTimeout(), 68);
  assert.deepEqual(tick(line, 68), [], "the group is over: its parity waits for company");
  assert.equal(line.pollTimeout(), 88);
  assert.deepEqual(tick(line, 88), ["32 0501010004"]);
  assert.deepEqual([line.counts.datagramsSent, line.counts.datagramRepairsSent], [3, 2]);
});

test("repair: groups are no larger than the other end takes", () => {
  const line = lineOf(2);
  for (const byte of [1, 2, 3]) push(line, byte, { fec: 32 }, 0);
  drain(line, 0);
  assert.deepEqual(tick(line, 20), ["32 0102000003"]);
});

test("repair: nothing leaves when it is too old, also no copy and no parity", () => {
  const line = lineOf();
  push(line, 1, { maxAgeMs: 10 }, 0);
  push(line, 2, { maxAgeMs: 10, fec: 2, redundancy: 2 }, 0);
  push(line, 3, { maxAgeMs: 0 }, 0);
  assert.equal(line.nextBytes(10), 1, "0 is no age");
  assert.deepEqual(texts(drain(line, 10)), ["31 03"]);
  assert.equal(line.counts.datagramsExpired, 2);
  push(line, 4, { maxAgeMs: 18, redundancy: 3, fec: 1 }, 20);
  assert.deepEqual(texts(drain(line, 20)), ["32 0004"]);
  assert.deepEqual(tick(line, 40), [], "a copy would have been due at 35, and would have left at 40");
  assert.deepEqual([line.counts.datagramsExpired, line.counts.datagramsSent], [2, 2], "it was sent once");
});

test("repair: what has no room waits without waking anybody, and is bounded", () => {
  const line = lineOf(32, 8);
  for (let byte = 0; byte < 20; byte++) push(line, byte, { redundancy: 3, fec: 3 }, 0);
  assert.deepEqual(line.counts.datagramsDropped, 12, "the oldest");
  assert.equal(line.pollTimeout(), NEVER, "what is fresh may leave at once");
  for (let taken = 0; taken < 4; taken++) {
    assert.ok(line.nextBytes(0) > 0);
    line.take(UDP, 0);
  }
  assert.equal(line.pollTimeout(), 20);
  line.handleTimeout(20);
  assert.equal(line.pollTimeout(), 35, "the open group alone");
  line.handleTimeout(35);
  assert.equal(line.pollTimeout(), NEVER);
  assert.ok(drain(line, 35).length >= 4);
  line.drop(35);
  line.clear();
  assert.deepEqual([line.nextBytes(1e9), line.pollTimeout()], [-1, NEVER]);
});

test("repair: the largest one leaves room for its parity; what does not fit a path is dropped, and the rest goes on", () => {
  const line = lineOf();
  assert.equal(line.push(new Uint8Array(5), { fec: 2 }, 10, 0), false);
  assert.equal(line.push(new Uint8Array(5), { fec: 2 }, 11, 0), true);
  assert.equal(line.push(Uint8Array.of(9), {}, 0, 0), true, "others need none");
  line.drop(0);
  assert.deepEqual(texts(drain(line, 0)), ["31 09"]);
  assert.equal(line.counts.datagramsDropped, 1);
  line.push(Uint8Array.of(1), {}, 0, 0);
  line.drop(0);
  line.drop(0);
  assert.equal(line.counts.datagramsDropped, 2);
});

test("repair: adaptive redundancy follows the loss of the path that is used", () => {
  const stats = { packagesSent: 0, datagrams: { packagesLost: 0, spuriousLosses: 0 } };
  const sendings = (path: DatagramCarrier): number => {
    const line = lineOf();
    push(line, 1, { redundancy: "adaptive" }, 0);
    let sent = 0;
    for (let now = 0; now < 200; now += 20) sent += tick(line, now, path).length;
    return sent;
  };
  assert.equal(sendings(stats), 1);
  Object.assign(stats, { packagesSent: 1000, datagrams: { packagesLost: 10, spuriousLosses: 0 } });
  assert.equal(sendings(stats), 2);
  stats.datagrams.packagesLost = 100;
  assert.equal(sendings(stats), 3);
  stats.datagrams.spuriousLosses = 100;
  assert.equal(sendings(stats), 1, "what arrived after all was not lost");
  stats.datagrams.packagesLost = 100_000;
  assert.equal(sendings(TCP), 1);
  // The same line sees the path change.
  const line = lineOf();
  const path = { packagesSent: 100, datagrams: { packagesLost: 0, spuriousLosses: 0 } };
  for (const [lost, expected] of [
    [0, 1],
    [10, 3],
  ] as const) {
    path.packagesSent += 100;
    path.datagrams.packagesLost += lost;
    push(line, 1, { redundancy: "adaptive" }, path.packagesSent);
    let sent = 0;
    for (let now = 0; now < 100; now += 20) sent += tick(line, path.packagesSent + now, path).length;
    assert.equal(sent, expected, `after ${lost} lost`);
  }
});

test("loss rate: a share, with one loss at the start no catastrophe, and forgotten in time", () => {
  const rate = new LossRate();
  const at = (packagesSent: number, packagesLost: number, spuriousLosses = 0): number =>
    rate.update({ packagesSent, datagrams: { packagesLost, spuriousLosses } });
  assert.equal(at(0, 0), 0);
  assert.equal(at(3, 1), 1 / 64);
  for (let sent = 4; sent <= 1003; sent++) at(sent, 1 + Math.floor(sent / 20));
  const rates = [at(1003, 51), at(20_000, 51)];
  assert.ok(Math.abs((rates[0] as number) - 0.05) < 0.02, `${rates}`);
  assert.ok((rates[1] as number) < 0.001, `${rates}`);
  assert.equal(at(20_000, 51, 60), 0, "more arrived than was lost");
  assert.equal(at(20_001, 1e9), 1);
  assert.equal(at(0, 0), 0, "counters that fall back");
  assert.equal(new LossRate().update(TCP), 0);
});

test("repair: any sending, loss, order and repetition: each comes out once at most, whole, in time, and is counted", () => {
  const step = fc.record({
    waitMs: fc.nat({ max: 25 }),
    size: fc.nat({ max: 40 }),
    redundancy: fc.constantFrom(1, 2, 3, "adaptive" as const),
    fec: fc.constantFrom(0, 1, 2, 3, 8),
    maxAgeMs: fc.constantFrom(null, 10, 40, 100),
    isBlocked: fc.boolean(),
    isLossy: fc.boolean(),
  });
  const story = fc.record({
    steps: fc.array(step, { minLength: 1, maxLength: 60 }),
    lossPercent: fc.nat({ max: 50 }),
    seed: fc.integer({ min: 1, max: 2 ** 31 - 1 }),
  });
  fc.assert(
    fc.property(story, ({ steps, lossPercent, seed }) => {
      const next = seededNumbers(seed);
      const sender = lineOf(32, 16);
      const receiver = lineOf(32, 16);
      const born = new Map<string, number>();
      const came = new Set<string>();
      const ages = new Map<string, number>();
      const late: { frame: OutgoingDatagram; at: number }[] = [];
      let now = 0;
      let firsts = 0;
      const receive = (frame: OutgoingDatagram): void => {
        for (const bytes of receiver.receive(frame.type, frame.bytes.slice(), now)) {
          const text = bytesToHex(bytes);
          assert.ok(born.has(text), "never sent");
          assert.ok(!came.has(text), "twice");
          came.add(text);
        }
      };
      const send = (path: DatagramCarrier): void => {
        for (const frame of drain(sender, now, path)) {
          if (frame.type === 0x31) firsts++;
          if (next() % 100 < lossPercent) continue;
          // Numbers keep apart what came twice on the way; a plain datagram has none.
          const copies = frame.type === 0x31 || next() % 8 > 0 ? 1 : 2;
          for (let copy = 0; copy < copies; copy++) late.push({ frame, at: now + (next() % 30) });
        }
      };
      const pass = (ms: number): void => {
        for (const until = now + ms; now < until; now++) {
          for (const { frame, at } of late) if (at === now) receive(frame);
          if (now >= sender.pollTimeout()) sender.handleTimeout(now);
          if (now >= receiver.pollTimeout()) receiver.handleTimeout(now);
          assert.ok(sender.pollTimeout() > now && receiver.pollTimeout() > now, "a deadline stays in the past");
        }
      };
      steps.forEach(({ waitMs, size, redundancy, fec, maxAgeMs, isBlocked, isLossy }, index) => {
        pass(waitMs);
        const bytes = new Uint8Array(size + 2).fill(index);
        bytes[1] = size;
        born.set(bytesToHex(bytes), now);
        ages.set(bytesToHex(bytes), maxAgeMs ?? NEVER);
        sender.push(bytes, { redundancy, fec, maxAgeMs }, ROOM, now);
        if (!isBlocked) send(isLossy ? UDP : TCP);
      });
      for (let round = 0; round < 40; round++) {
        pass(25);
        send(UDP);
      }
      pass(1100);
      const { datagramsSent, datagramsDropped, datagramsExpired } = sender.counts;
      assert.equal(datagramsSent + datagramsDropped + datagramsExpired, born.size, "each is accounted for once");
      assert.ok(firsts <= datagramsSent);
      const { counts } = receiver;
      assert.equal(counts.datagramsReceived, came.size);
      assert.ok(counts.datagramsRecoveredByRedundancy + counts.datagramsRecoveredByFec <= came.size);
      if (lossPercent === 0) assert.equal(came.size, datagramsSent, "nothing was lost");
      assert.equal(receiver.pollTimeout(), NEVER, "nothing is held for ever");
      assert.equal(sender.pollTimeout(), NEVER);
    }),
    { seed: 505, numRuns: 200 },
  );
});

test("repair: the bytes on the wire are those of the vectors, both ways", () => {
  for (const { name, first, payloads, frames, copies, parity } of vectors.groups) {
    const decoder = lineOf();
    const lost = Math.floor(payloads.length / 2);
    const delivered = [...frames.filter((_frame, index) => index !== lost), parity].flatMap((hex) => {
      const { type, content } = contentOf(hexToBytes(hex));
      return decoder.receive(type, content, 0).map(bytesToHex);
    });
    assert.deepEqual(delivered.toSorted(), payloads.toSorted(), name);
    assert.equal(delivered.at(-1), payloads[lost], `${name}: the one that was lost comes last`);
    assert.equal(decoder.counts.datagramsRecoveredByFec, 1);
    const late = contentOf(hexToBytes(copies[lost] as string));
    assert.deepEqual(decoder.receive(late.type, late.content, 0), [], `${name}: its copy comes too late`);
    if (first > 10_000) continue; // It takes too long to get there.
    const encoder = lineOf();
    for (let count = 0; count < first; count++) {
      push(encoder, 0, { redundancy: 2 }, -1e6 + count);
      drain(encoder, -1e6 + count, TCP);
    }
    const options = { fec: payloads.length, redundancy: 2 };
    for (const payload of payloads) encoder.push(hexToBytes(payload), options, ROOM, 0);
    assert.deepEqual(drain(encoder, 0).map(frameOf), frames, name);
    encoder.handleTimeout(20);
    // The group was full before the last copy was queued.
    const sent = drain(encoder, 20).map(frameOf);
    assert.deepEqual(sent.toSorted(), [...copies, parity].toSorted(), name);
  }
  for (const { name, hex } of vectors.badContents) {
    for (const type of [0x32, 0x33]) assert.deepEqual(lineOf().receive(type, hexToBytes(hex), 0), [], name);
  }
});

test("repair: the field of the handshake, and no field where nothing is offered", () => {
  const parameters = {
    streamWindowBytes: 0,
    sessionWindowBytes: 0,
    streamsBidirectionalMax: 0,
    streamsUnidirectionalMax: 0,
    datagramBytesMax: 0,
    idleTimeoutMs: 0,
    resumeWindowMs: 0,
    pathsMax: 0,
  };
  const payload = (datagramGroupMax: number): string =>
    bytesToHex(
      encodeHandshakePayload({
        nodeKey: undefined,
        ciphers: 1,
        parameters: { ...parameters, datagramGroupMax },
        resetToken: undefined,
        instance: undefined,
        initMessage: undefined,
      }),
    );
  assert.equal(payload(32), payload(0) + vectors.groupField);
  for (const [offered, taken] of [
    [0, 0],
    [1, 1],
    [32, 32],
    [33, 32],
    [2 ** 40, 32],
  ] as const) {
    assert.equal(decodeHandshakePayload(hexToBytes(payload(offered)))?.parameters.datagramGroupMax, taken);
  }
});

/** Two sessions over datagrams. */
function repairedPair(config: Partial<SessionConfig> = {}, rightConfig: Partial<SessionConfig> = {}): SessionPair {
  return new SessionPair({ kind: "datagrams", config: { datagramRepair, ...config }, rightConfig });
}

function datagramsOf(side: End): number[] {
  return side.events.flatMap((event) => (event.type === "datagram" ? [event.bytes[0] as number] : []));
}

/** Sends one byte a frame; the packages of some frames are lost. */
function play(
  pair: SessionPair,
  frames: number,
  options: DatagramSendOptions,
  isLost: (frame: number) => boolean,
): void {
  for (let frame = 0; frame < frames; frame++) {
    pair.left.session.sendDatagram(Uint8Array.of(frame), options, pair.now);
    pair.collect(pair.left);
    const [pipe] = pair.pipes;
    if (isLost(frame)) pipe?.underWay.splice(0);
    pair.settle();
    pair.advance(17);
  }
  pair.advance(200);
}

test("session: a copy, or the parity, brings back what a lost package held, and the figures say so", () => {
  const everyThird = (frame: number): boolean => frame % 3 === 1;
  const none = repairedPair();
  play(none, 12, {}, everyThird);
  assert.equal(datagramsOf(none.right).length, 8);
  assert.equal(none.right.session.stats().datagramsReceived, 8);

  const copies = repairedPair();
  play(copies, 12, { redundancy: 2 }, everyThird);
  assert.deepEqual(datagramsOf(copies.right).toSorted(numerically), [...Array(12).keys()]);
  assert.equal(copies.right.session.stats().datagramsRecoveredByRedundancy, 4);
  const sent = copies.left.session.stats();
  assert.deepEqual([sent.datagramsSent, sent.datagramRepairsSent], [12, 12]);

  const parities = repairedPair();
  play(parities, 12, { fec: 2 }, everyThird);
  const { datagramsReceived, datagramsRecoveredByFec } = parities.right.session.stats();
  assert.equal(datagramsReceived, datagramsOf(parities.right).length);
  // Each second of the lost packages holds the parity of the group before as well, which nobody needs.
  assert.ok(datagramsRecoveredByFec >= 3, `${datagramsRecoveredByFec}`);
});

test("session: an end that knows nothing of it gets plain datagrams, and does not take others", () => {
  const pair = new SessionPair({ kind: "datagrams", config: {}, rightConfig: { datagramRepair } });
  pair.right.session.sendDatagram(Uint8Array.of(1), { redundancy: 3, fec: 2 }, pair.now);
  pair.left.session.sendDatagram(Uint8Array.of(2), { redundancy: 3, fec: 2 }, pair.now);
  pair.advance(100);
  assert.deepEqual([datagramsOf(pair.left), datagramsOf(pair.right)], [[1], [2]]);
  assert.equal(pair.right.session.stats().datagramRepairsSent, 0);
  const blind: typeof datagramRepair = (limits) => new RepairedDatagrams({ ...limits, groupMax: 32 });
  const rude = new SessionPair({ kind: "datagrams", rightConfig: { datagramRepair: blind } });
  rude.right.session.sendDatagram(Uint8Array.of(1), { redundancy: 2 }, rude.now);
  rude.settle();
  const end = rude.left.events.at(-1);
  assert.ok(end?.type === "closed" && end.code === "frame_encoding" && !end.isRemote);
});

test("session: without options nothing changes on the wire, whether both know of repairs or not", () => {
  const run = (config: Partial<SessionConfig>): number[] => {
    const pair = new SessionPair({ kind: "datagrams", config });
    play(pair, 20, {}, (frame) => frame % 5 === 0);
    const { bytesSent, bytesReceived, datagramsSent } = pair.left.session.stats();
    return [bytesSent, bytesReceived, datagramsSent, pair.packages, ...datagramsOf(pair.right)];
  };
  assert.deepEqual(run({ datagramRepair }), run({}));
});

test("session: what expired while no path was there is not sent when one is back", () => {
  const pair = repairedPair();
  pair.settle();
  pair.cut(pair.pipes[0] as SessionPair["pipes"][number]);
  for (const options of [{}, { redundancy: 3, fec: 2 }]) {
    pair.left.session.sendDatagram(Uint8Array.of(1), { maxAgeMs: 100, ...options }, pair.now);
    pair.left.session.sendDatagram(Uint8Array.of(2), { maxAgeMs: 500, ...options }, pair.now);
  }
  pair.advance(200);
  pair.attach(pair.left, "datagrams");
  pair.advance(100);
  assert.deepEqual(datagramsOf(pair.right).toSorted(numerically), [2, 2]);
  assert.equal(pair.left.session.stats().datagramsExpired, 2);
});

function numerically(left: number, right: number): number {
  return left - right;
}

/** A frame as it stands in a package. */
function frameOf({ type, bytes }: OutgoingDatagram): string {
  const writer = new Writer();
  writer.u8(type);
  writer.varint(bytes.length);
  writer.bytes(bytes);
  return bytesToHex(writer.finish());
}

function contentOf(frame: Uint8Array): { type: number; content: Uint8Array<ArrayBuffer> } {
  const length = frame.length < 130 ? 1 : varintBytes(frame.length - 3);
  return { type: frame[0] as number, content: frame.slice(1 + length) };
}
