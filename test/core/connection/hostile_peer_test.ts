/**
 * A peer with the right keys and bad intentions: frames of every kind, well-formed or not, in any order.
 *
 * @module
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { SendProtection } from "../../../core/connection/package_protection.ts";
import type { ErrorCode } from "../../../core/error.ts";
import { decodePackage } from "../../../core/wire/package.ts";
import { Writer } from "../../../core/wire/writer.ts";
import { SessionPair } from "./session_pair.ts";

/** Feeds plaintexts, sealed with the left side's key, to the right side. Returns how its session ended, if it did. */
function attack(pair: SessionPair, plaintexts: readonly Uint8Array[]): ErrorCode | undefined {
  const limits = { rekeyBytes: 1e9, rekeyPackages: 1e9, rekeyMs: 1e9 };
  const key = new Uint8Array(32).fill(1);
  const seal = new SendProtection(
    { crypto: pair.env.crypto, cipher: "chacha20-poly1305", key, connectionId: 22, limits },
    0,
  );
  plaintexts.forEach((plaintext, number) => {
    const outcome = decodePackage(seal.seal(0, number, plaintext, 0), 0, pair.env.checksum);
    assert.equal(outcome.type, "package");
    pair.right.session.handlePackage(
      { package: outcome as never, facts: { kind: "bytes", remote: "attacker" } },
      pair.now,
    );
    pair.collect(pair.right);
  });
  const closed = pair.right.events.find((event) => event.type === "closed");
  return closed?.type === "closed" ? closed.code : undefined;
}

function frame(...fields: (number | Uint8Array)[]): Uint8Array {
  const writer = new Writer();
  for (const field of fields) {
    if (typeof field === "number") writer.varint(field);
    else writer.bytes(field);
  }
  return writer.finish();
}

const HUGE = Number.MAX_SAFE_INTEGER;
const CASES: readonly (readonly [string, Uint8Array, ErrorCode])[] = [
  ["an unknown frame", frame(0x7f), "frame_encoding"],
  ["a truncated frame", frame(0x04, 0), "frame_encoding"],
  ["an acknowledgement of what was never sent", frame(0x02, 0, 5, 0, 0, 5), "protocol_violation"],
  ["an acknowledgement below zero", frame(0x02, 0, 2, 0, 0, 9), "frame_encoding"],
  ["an acknowledgement with too many ranges", frame(0x02, 0, 9, 0, 1e6, 0), "frame_encoding"],
  ["bytes beyond the stream's window", frame(0x0e, 0, 5_000_000, 1, Uint8Array.of(1)), "flow_control"],
  ["an offset of 2^53", frame(0x0e, 0, HUGE, 1, Uint8Array.of(1)), "flow_control"],
  ["a stream beyond the limit", frame(0x0a, 4 * 5000, 1, Uint8Array.of(1)), "stream_limit"],
  ["a stream of the other side's numbers", frame(0x0a, 1, 1, Uint8Array.of(1)), "stream_state"],
  ["a frame for sending on a stream that only receives", frame(0x11, 2, 100), "stream_state"],
  ["a limit of streams out of range", frame(0x12, 2 ** 40), "stream_limit"],
  ["a reset beyond the window", frame(0x04, 0, 0, HUGE), "flow_control"],
  ["a datagram larger than allowed", frame(0x31, 40_000, new Uint8Array(40_000)), "protocol_violation"],
  ["a reason that is not text", frame(0x1c, 0, 0, 2, Uint8Array.of(0xff, 0xff)), "frame_encoding"],
];

for (const [name, plaintext, code] of CASES) {
  test(`hostile peer: ${name} ends the session with ${code}`, () => {
    assert.equal(attack(new SessionPair(), [plaintext]), code);
  });
}

test("hostile peer: a final size that changes, and one below what came, are noticed", () => {
  const first = frame(0x0b, 0, 4, new Uint8Array(4));
  assert.equal(attack(new SessionPair(), [first, frame(0x0e, 0, 4, 1, Uint8Array.of(1))]), "final_size");
  assert.equal(attack(new SessionPair(), [first, frame(0x04, 0, 0, 3)]), "final_size");
  const open = frame(0x0a, 0, 4, new Uint8Array(4));
  assert.equal(attack(new SessionPair(), [open, frame(0x04, 0, 0, 3)]), "final_size");
  assert.equal(attack(new SessionPair(), [open, frame(0x0b, 0, 3, new Uint8Array(3))]), "final_size");
  assert.equal(attack(new SessionPair(), [open, frame(0x0b, 0, 4, new Uint8Array(4))]), undefined);
  assert.equal(attack(new SessionPair(), [open, frame(0x04, 0, 0, 4)]), undefined);
});

test("hostile peer: the windows of a stream and of all streams hold to the byte", () => {
  const config = { streamWindowBytes: 10_000, sessionWindowBytes: 15_000 };
  const byte = (stream: number, offset: number): Uint8Array => frame(0x0e, stream, offset, 1, Uint8Array.of(1));
  const pair = (): SessionPair => new SessionPair({ config });
  assert.equal(attack(pair(), [byte(0, 9_999)]), undefined);
  assert.equal(attack(pair(), [byte(0, 10_000)]), "flow_control");
  assert.equal(attack(pair(), [byte(0, 9_999), byte(4, 4_999)]), undefined);
  assert.equal(attack(pair(), [byte(0, 9_999), byte(4, 5_000)]), "flow_control");
  assert.equal(attack(pair(), [frame(0x04, 0, 0, 10_000)]), undefined);
  assert.equal(attack(pair(), [frame(0x04, 0, 0, 10_001)]), "flow_control");
});

test("hostile peer: gaps, floods of frames that move nothing and of challenges are bounded", () => {
  const gaps = Array.from({ length: 1200 }, (_, index) => frame(0x0e, 0, 10 + index * 10, 1, Uint8Array.of(1)));
  assert.equal(attack(new SessionPair(), gaps), "flow_control");
  assert.equal(attack(new SessionPair(), [new Uint8Array(1500).fill(0x01)]), "protocol_violation");
  const challenges = Array.from({ length: 1200 }, () => frame(0x1a, new Uint8Array(8)));
  assert.equal(attack(new SessionPair(), challenges), "protocol_violation");
});

test("hostile peer: any bytes in any number of packages never throw and leave a session that can be closed", () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 80 }), { maxLength: 12 }), (plaintexts) => {
      const pair = new SessionPair();
      attack(pair, plaintexts);
      pair.right.session.handleTimeout(pair.now + 1e6);
      pair.right.session.drop("closed", pair.now + 1e6);
      pair.drain(pair.right);
      assert.equal(pair.right.session.pollTimeout(), Number.POSITIVE_INFINITY);
      assert.equal(pair.right.session.pollTransmit(pair.now), undefined);
    }),
    { seed: 5, numRuns: 400 },
  );
});
