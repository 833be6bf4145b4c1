/**
 * Handshakes of an endpoint, byte by byte: every split, every flipped byte, replays, keys that give secrets away, and
 * what strangers may cost.
 *
 * @module
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { ClearMessage } from "../../../core/node/clear_messages.ts";
import { decodeClearMessage, encodeClearMessage } from "../../../core/node/clear_messages.ts";
import { decodePackage, encodeClearPackage } from "../../../core/wire/package.ts";
import { Writer } from "../../../core/wire/writer.ts";
import { testEnvironment } from "../test_environment.ts";
import type { PairOptions } from "./endpoint_pair.ts";
import { EndpointPair, eventsOf, isEmpty, readAll, sessionEventsOf } from "./endpoint_pair.ts";

const { checksum } = testEnvironment(1);
const PATTERNS = ["IK", "XX", "NK"] as const;
type Pattern = (typeof PATTERNS)[number];

function optionsOf(pattern: Pattern): { by?: "address"; isAnonymous?: boolean } {
  return pattern === "XX" ? { by: "address" } : pattern === "NK" ? { isAnonymous: true } : {};
}

function clearPackage(message: ClearMessage): Uint8Array {
  return encodeClearPackage(encodeClearMessage(message), checksum);
}

function decodeClear(bytes: Uint8Array): ClearMessage | undefined {
  const outcome = decodePackage(bytes, 0, checksum);
  return outcome.type === "package" ? decodeClearMessage(outcome.message) : undefined;
}

/** The bytes that a handshake puts on the wire, up to the proof. */
function recordOf(pattern: Pattern, options: PairOptions = {}): { to: string; bytes: Uint8Array }[] {
  const pair = new EndpointPair(options);
  const record: { to: string; bytes: Uint8Array }[] = [];
  pair.onChunk = (chunk) => {
    record.push({ to: chunk.to.side.name, bytes: chunk.bytes });
    return [chunk.bytes];
  };
  pair.connect(pair.a, pair.b, optionsOf(pattern));
  return record;
}

/** Writes on a session and reads on the other side. */
function assertTalks(pair: EndpointPair, session: number, remote: number): void {
  const { a, b } = pair;
  const stream = a.endpoint.openStream(session, {}, pair.now) as number;
  a.endpoint.write(session, stream, Uint8Array.of(1, 2, 3), pair.now);
  a.endpoint.finish(session, stream, pair.now);
  pair.settle();
  assert.deepEqual(readAll(b, remote, stream), { bytes: [1, 2, 3], isEnd: true });
  b.endpoint.write(remote, stream, Uint8Array.of(4), pair.now);
  pair.settle();
  assert.deepEqual(readAll(a, session, stream), { bytes: [4], isEnd: false });
}

for (const pattern of PATTERNS) {
  test(`handshake ${pattern}: both sides learn who is there and can talk, whatever the pipe is`, () => {
    for (const kind of ["bytes", "messages", "relay"] as const) {
      const pair = new EndpointPair({ kind });
      const initMessage = Uint8Array.of(7, 7);
      const { session, remote } = pair.connect(pair.a, pair.b, { ...optionsOf(pattern), initMessage });
      const [opened] = eventsOf(pair.b, "sessionOpened");
      assert.equal(opened?.remoteId, pattern === "NK" ? undefined : pair.a.identity.id);
      assert.deepEqual(opened?.initMessage, initMessage);
      assert.equal(pair.a.endpoint.remoteIdOf(session), pair.b.identity.id);
      assert.equal(pair.a.endpoint.isInitiatorOf(session), true);
      assert.equal(pair.b.endpoint.isInitiatorOf(remote), false);
      assert.equal(pair.a.endpoint.sessionOf(pair.b.identity.id), pattern === "NK" ? undefined : session);
      assert.deepEqual(
        pair.a.events.map((event) => event.type).filter((type) => type !== "session"),
        ["sessionOpened", "connected"],
      );
      assertTalks(pair, session, remote);
      assert.equal(sessionEventsOf(pair.a, "pong").length + sessionEventsOf(pair.b, "pong").length, 0);
    }
  });

  test(`handshake ${pattern}: every message fits a datagram of 548 bytes with the largest init message`, () => {
    const pair = new EndpointPair();
    const sizes: number[] = [];
    pair.onChunk = (chunk) => {
      sizes.push(chunk.bytes.length);
      return [chunk.bytes];
    };
    pair.connect(pair.a, pair.b, { ...optionsOf(pattern), initMessage: new Uint8Array(200).fill(1) });
    assert.ok(Math.max(...sizes) <= 548, `${sizes}`);
  });

  test(`handshake ${pattern}: bytes may be split anywhere`, () => {
    const longest = Math.max(...recordOf(pattern).map((one) => one.bytes.length));
    // The others differ in the lengths of their messages alone: a sample is enough.
    for (let cut = 1; cut < longest; cut += pattern === "IK" ? 1 : 7) {
      const pair = new EndpointPair();
      pair.onChunk = ({ bytes }) => (cut < bytes.length ? [bytes.subarray(0, cut), bytes.subarray(cut)] : [bytes]);
      const { session, remote } = pair.connect(pair.a, pair.b, optionsOf(pattern));
      if (cut % 50 === 0) assertTalks(pair, session, remote);
    }
  });

  test(`handshake ${pattern}: a flipped byte anywhere never makes a session on the side that could tell`, () => {
    const record = recordOf(pattern);
    for (const [index, { bytes }] of record.entries()) {
      for (let at = 0; at < bytes.length; at += 5) {
        const pair = new EndpointPair();
        let seen = 0;
        pair.onChunk = (chunk) => {
          if (seen++ !== index) return [chunk.bytes];
          const flipped = chunk.bytes.slice();
          flipped[at] = (flipped[at] as number) ^ 0x41;
          // The check is no secret: whoever flips a byte mends it.
          const outcome = decodePackage(flipped, 0, () => 0);
          return outcome.type === "badCheck"
            ? [encodeClearPackage(flipped.subarray(bodyAt(flipped), -4), checksum)]
            : [flipped];
        };
        const dial = pair.dial(pair.a, pair.b, optionsOf(pattern));
        pair.advance(60_000);
        const opened = eventsOf(pair.b, "sessionOpened");
        const connected = eventsOf(pair.a, "connected");
        // Never a session for one and a usable one for the other: after a minute both or none have it.
        const live = [pair.a, pair.b].map((side) => side.endpoint.stats().sessions);
        assert.equal(live[0], live[1], `message ${index} byte ${at}: ${live}`);
        assert.equal(eventsOf(pair.a, "dialFailed").length + connected.length, 1, `message ${index} byte ${at}`);
        if (opened.length > 0 && pattern !== "NK") assert.equal(opened[0]?.remoteId, pair.a.identity.id);
        assert.equal(dial, 1);
      }
    }
  });

  test(`handshake ${pattern}: a pipe that dies or falls silent at any point leaves nothing`, () => {
    const count = recordOf(pattern).length;
    for (const isTold of [true, false]) {
      for (let index = 0; index < count; index++) {
        const pair = new EndpointPair();
        let seen = 0;
        pair.onChunk = (chunk) => {
          if (seen++ < index) return [chunk.bytes];
          if (isTold) pair.cut(chunk.pipe);
          return [];
        };
        pair.dial(pair.a, pair.b, { ...optionsOf(pattern) });
        pair.advance(300_000);
        assert.ok(isEmpty(pair.a) && isEmpty(pair.b), `message ${index}`);
        assert.equal(pair.a.endpoint.pollTimeout(), Number.POSITIVE_INFINITY);
        assert.equal(pair.b.endpoint.pollTimeout(), Number.POSITIVE_INFINITY);
      }
    }
  });
}

/** Where the message of a package starts: behind version and length. */
function bodyAt(bytes: Uint8Array): number {
  let at = 1;
  while ((bytes[at] as number) >= 0x80) at++;
  return at + 1;
}

test("handshake: a replayed first message opens nothing and disturbs nothing", () => {
  for (const pattern of ["IK", "NK"] as const) {
    const pair = new EndpointPair();
    let first: Uint8Array | undefined;
    pair.onChunk = (chunk) => {
      first ??= chunk.bytes.slice();
      return [chunk.bytes];
    };
    const { session, remote } = pair.connect(pair.a, pair.b, optionsOf(pattern));
    for (let round = 0; round < 5; round++) {
      const pipe = pair.open(pair.b);
      assert.equal(pair.feed(pair.b, pipe, first as Uint8Array).length, 1);
      // Whoever replays holds no keys: anything else it says ends its pipe.
      pair.feed(pair.b, pipe, (first as Uint8Array).slice());
      assert.equal(pair.b.outputs.at(-1)?.type, "destroy");
      const silent = pair.open(pair.b);
      pair.feed(pair.b, silent, first as Uint8Array);
    }
    pair.advance(200_000);
    assert.equal(eventsOf(pair.b, "sessionOpened").length, 1);
    assert.equal(sessionEventsOf(pair.b, "closed").length, 0);
    assert.equal(pair.b.endpoint.stats().pipes, 1);
    assertTalks(pair, session, remote);
  }
});

test("handshake: replayed first messages of another life do not end a session", () => {
  const old = recordOf("IK", { seed: 99 })[0]?.bytes as Uint8Array;
  const pair = new EndpointPair();
  const { session, remote } = pair.connect();
  for (let round = 0; round < 20; round++) pair.feed(pair.b, pair.open(pair.b, { remoteHost: `10.0.0.${round}` }), old);
  pair.advance(100_000);
  assert.equal(pair.b.endpoint.stats().sessions, 1);
  assertTalks(pair, session, remote);
});

test("handshake: keys of low order make no secret and no session", () => {
  // The points of order 1, 2, 4 and 8, RFC 7748 §6.1 and Wycheproof x25519.
  const points = [
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
    "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
  ];
  for (const point of points) {
    const key = Uint8Array.from(point.match(/../g) as string[], (pair) => Number.parseInt(pair, 16));
    for (const [pattern, noise] of [
      [1, key],
      [2, new Uint8Array([...key, ...new Uint8Array(80)])],
      [3, new Uint8Array([...key, ...new Uint8Array(40)])],
    ] as const) {
      const pair = new EndpointPair();
      const pipe = pair.open(pair.b);
      const message = {
        type: "handshake",
        pattern,
        step: 1,
        sourceConnectionId: 9,
        targetConnectionId: 0,
        noise,
      } as const;
      const answers = pair.feed(pair.b, pipe, clearPackage(message)).map(decodeClear);
      assert.ok(
        answers.every((answer) => answer?.type !== "handshake"),
        `pattern ${pattern}`,
      );
      assert.ok(isEmpty(pair.b));
    }
  }
});

test("handshake: patterns that are unknown are refused with a code", () => {
  for (const pattern of [0, 5, 255]) {
    const pair = new EndpointPair();
    const noise = new Uint8Array(100);
    const message = {
      type: "handshake",
      pattern,
      step: 1,
      sourceConnectionId: 9,
      targetConnectionId: 0,
      noise,
    } as const;
    const answers = pair.feed(pair.b, pair.open(pair.b), clearPackage(message)).map(decodeClear);
    assert.deepEqual(answers, [{ type: "refused", targetConnectionId: 9, wireCode: 0x2e }]);
    assert.ok(isEmpty(pair.b));
  }
});

test("handshake: messages out of turn end the pipe", () => {
  for (const step of [0, 2, 3, 255]) {
    const pair = new EndpointPair();
    const noise = new Uint8Array(100);
    const message = {
      type: "handshake",
      pattern: 1,
      step,
      sourceConnectionId: 9,
      targetConnectionId: 0,
      noise,
    } as const;
    pair.feed(pair.b, pair.open(pair.b), clearPackage(message));
    assert.ok(isEmpty(pair.b), `step ${step}`);
  }
  const pair = new EndpointPair();
  const first = recordOf("XX")[0]?.bytes as Uint8Array;
  const pipe = pair.open(pair.b);
  pair.feed(pair.b, pipe, first);
  pair.feed(pair.b, pipe, first);
  assert.ok(isEmpty(pair.b), "a first message twice");
});

test("handshake: what is negotiated in clear cannot be changed on the way", () => {
  // Pattern number and transport class are in the prologue, connection ids in the keys. THREATS t-A3.
  for (const change of [
    (message: Extract<ClearMessage, { type: "handshake" }>) => ({ ...message, sourceConnectionId: 12345 }),
    (message: Extract<ClearMessage, { type: "handshake" }>) => ({ ...message, pattern: message.pattern === 2 ? 3 : 2 }),
  ]) {
    for (const step of [1, 2]) {
      const pair = new EndpointPair();
      pair.onChunk = (chunk) => {
        const message = decodeClear(chunk.bytes);
        return message?.type === "handshake" && message.step === step ? [clearPackage(change(message))] : [chunk.bytes];
      };
      pair.dial(pair.a, pair.b);
      pair.advance(100_000);
      assert.ok(isEmpty(pair.b));
      assert.ok(isEmpty(pair.a));
      assert.equal(eventsOf(pair.b, "sessionOpened").length, 0);
    }
  }
  const pair = new EndpointPair({ kind: "bytes" });
  const messages = recordOf("IK", { kind: "messages" });
  const answers = pair.feed(pair.b, pair.open(pair.b), messages[0]?.bytes as Uint8Array).map(decodeClear);
  assert.equal(answers[0]?.type, "refused");
});

test("handshake: who answers with another key than the dialled one is found out", () => {
  const pair = new EndpointPair();
  const c = pair.add("c", 3);
  const dial = pair.dial(pair.a, c, { addresses: ["b"] });
  pair.settle();
  assert.deepEqual(
    eventsOf(pair.a, "dialFailed").map(({ dial, code }) => ({ dial, code })),
    [{ dial, code: "identity_mismatch" }],
  );
  assert.ok(isEmpty(pair.a) && isEmpty(pair.b));
});

test("handshake: refusals and versions from nobody end a dial with their code, and nothing else", () => {
  const cases: [ClearMessage | Uint8Array, string][] = [
    [{ type: "versions", versions: [9, 10] }, "version"],
    [{ type: "refused", targetConnectionId: 0, wireCode: 0x1b }, "refused"],
    [{ type: "refused", targetConnectionId: 0, wireCode: 0x12 }, "banned"],
    [{ type: "refused", targetConnectionId: 0, wireCode: 0xffff }, "refused"],
    [Uint8Array.of(71, 69, 84), "version"],
    [Uint8Array.of(4, 1, 1, 0, 0, 0, 0), "handshake_failed"],
  ];
  for (const [answer, code] of cases) {
    const pair = new EndpointPair();
    pair.onChunk = (chunk) => {
      const message = decodeClear(chunk.bytes);
      if (message?.type !== "handshake") return [chunk.bytes];
      const { id } = chunk.pipe.ends[0];
      const named =
        "type" in answer && answer.type === "refused"
          ? { ...answer, targetConnectionId: message.sourceConnectionId }
          : answer;
      const bytes = named instanceof Uint8Array ? named : clearPackage(named);
      pair.a.endpoint.handleInput({ type: "pipeData", pipe: id, bytes }, pair.now);
      return [];
    };
    pair.dial(pair.a, pair.b);
    pair.settle();
    assert.deepEqual(
      eventsOf(pair.a, "dialFailed").map((event) => event.code),
      [code],
    );
    assert.ok(isEmpty(pair.a));
  }
});

test("handshake: a refusal that names another handshake is ignored", () => {
  const pair = new EndpointPair();
  pair.onChunk = (chunk) => {
    const bytes = clearPackage({ type: "refused", targetConnectionId: 1, wireCode: 0x1b });
    const { id } = chunk.pipe.ends[0];
    if (chunk.from === pair.a) pair.a.endpoint.handleInput({ type: "pipeData", pipe: id, bytes }, pair.now);
    return [chunk.bytes];
  };
  pair.connect();
});

test("unknown versions: answered once with those that are spoken, then the pipe is closed", () => {
  const huge = new Writer();
  huge.varint(2 ** 50);
  const versions = [
    Uint8Array.of(0),
    Uint8Array.of(3, 2, 1, 1, 0, 0, 0, 0),
    huge.finish(),
    new TextEncoder().encode("GET / HTTP/1.1\r\n\r\n"),
  ];
  for (const bytes of versions) {
    const pair = new EndpointPair();
    const pipe = pair.open(pair.b);
    const answers = pair.feed(pair.b, pipe, bytes).map(decodeClear);
    assert.deepEqual(answers, [{ type: "versions", versions: [4, 5] }]);
    assert.equal(pair.b.outputs.at(-1)?.type, "close");
    assert.equal(pair.feed(pair.b, pipe, bytes).length, 0);
    assert.ok(isEmpty(pair.b));
  }
  // 2^60 is no version at all: it is not even a number that may be written.
  const pair = new EndpointPair();
  pair.feed(pair.b, pair.open(pair.b), Uint8Array.of(0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x10));
  assert.equal(pair.b.outputs.at(-1)?.type, "destroy");
});

test("garbage at any stage throws nothing and costs the pipe alone", () => {
  const records = PATTERNS.map((pattern) => recordOf(pattern));
  fc.assert(
    fc.property(
      fc.nat(2),
      fc.nat(4),
      fc.uint8Array({ minLength: 1, maxLength: 300 }),
      fc.boolean(),
      (which, stage, garbage, isFramed) => {
        // Other random numbers than those of the record: what it holds is a replay here.
        const pair = new EndpointPair({ seed: 7 });
        const record = records[which] as { to: string; bytes: Uint8Array }[];
        const pipe = pair.open(pair.b);
        for (const { to, bytes } of record.slice(0, stage)) if (to === "b") pair.feed(pair.b, pipe, bytes);
        pair.feed(pair.b, pipe, isFramed ? encodeClearPackage(garbage, checksum) : garbage);
        pair.advance(200_000);
        assert.ok(isEmpty(pair.b));
        assert.equal(eventsOf(pair.b, "sessionOpened").length, 0);
      },
    ),
    { seed: 20261120, numRuns: 150 },
  );
});
