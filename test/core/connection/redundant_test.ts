/**
 * A session whose policy is `redundant`: everything goes by a second path as well, each byte is there once, and what
 * became of the first copy meanwhile does no harm.
 *
 * @module
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { datagramRepair } from "../../../core/connection/repaired_datagrams.ts";
import { seededNumbers } from "../test_environment.ts";
import { readAll, SessionPair } from "./session_pair.ts";

/** Two paths of bytes, of which the second has yet to be used. */
function redundantPair(seed = 1): SessionPair {
  const pair = new SessionPair({ seed, config: { pathPolicy: "redundant" } });
  pair.attach(pair.left);
  pair.settle();
  return pair;
}

function bytesOf(length: number, seed = 1): Uint8Array {
  const next = seededNumbers(seed);
  return Uint8Array.from({ length }, () => next() >>> 9);
}

test("redundant: a stream goes by both paths; one of them is enough, and the bytes are there once", () => {
  for (const dead of [0, 1]) {
    const pair = redundantPair();
    const id = pair.left.session.openStream() as number;
    pair.left.session.write(id, bytesOf(3000));
    pair.collect(pair.left);
    const carried = pair.pipes.map(({ underWay }) => underWay.reduce((sum, { bytes }) => sum + bytes.length, 0));
    assert.ok(
      carried.every((bytes) => bytes > 3000),
      `${carried}`,
    );
    (pair.pipes[dead] as { underWay: unknown[] }).underWay.length = 0;
    for (const pipe of pair.pipes) pair.deliver(pipe);
    assert.deepEqual(readAll(pair.right, id).bytes, bytesOf(3000));
  }
  const both = redundantPair();
  const id = both.left.session.openStream() as number;
  both.left.session.write(id, bytesOf(3000));
  both.left.session.finish(id);
  both.settle();
  const read = readAll(both.right, id);
  assert.deepEqual(read.bytes, bytesOf(3000));
  assert.equal(read.end, "end");
});

test("redundant: of several packages each is copied, not the last one alone", () => {
  const pair = redundantPair();
  const id = pair.left.session.openStream() as number;
  pair.left.session.write(id, bytesOf(100_000));
  pair.collect(pair.left);
  (pair.pipes[0] as { underWay: unknown[] }).underWay.length = 0;
  pair.deliver(pair.pipes[1] as never);
  assert.deepEqual(readAll(pair.right, id).bytes, bytesOf(100_000));
});

test("redundant: a datagram goes by both paths where the other side can tell copies, and comes out once", () => {
  for (const isNumbered of [true, false]) {
    const datagrams = isNumbered ? { datagramRepair } : {};
    for (const dead of [undefined, 0, 1]) {
      const pair = new SessionPair({ config: { pathPolicy: "redundant", ...datagrams } });
      pair.attach(pair.left);
      pair.settle();
      for (let index = 0; index < 5; index++) pair.left.session.sendDatagram(bytesOf(100, index + 1), {}, pair.now);
      pair.collect(pair.left);
      if (dead !== undefined) (pair.pipes[dead] as { underWay: unknown[] }).underWay.length = 0;
      pair.settle();
      const came = pair.right.events.filter(({ type }) => type === "datagram").length;
      if (isNumbered) assert.equal(came, 5, `dead: ${dead}`);
      else assert.ok(came === 5 || (dead !== undefined && came === 0), `dead: ${dead}, ${came}`);
    }
  }
});

test("redundant: what was acknowledged while the second path was blocked is not copied any more", () => {
  const pair = redundantPair();
  const { left, right } = pair;
  const second = pair.pipes[1] as (typeof pair.pipes)[number];
  left.session.setPathWritable(second.path.left as number, false);
  const id = left.session.openStream() as number;
  left.session.write(id, bytesOf(3000));
  left.session.finish(id);
  pair.advance(100);
  assert.equal(readAll(right, id).end, "end", "all of it arrived by the first path");
  assert.equal(second.underWay.length, 0);
  left.session.setPathWritable(second.path.left as number, true);
  const before = left.session.stats().paths[1]?.bytesSent as number;
  pair.advance(100);
  assert.ok((left.session.stats().paths[1]?.bytesSent as number) < before + 1000, "nothing was left to copy");
});

test("redundant: a stream that was reset while the second path was blocked is not copied any more", () => {
  const pair = redundantPair();
  const { left, right } = pair;
  const second = pair.pipes[1] as (typeof pair.pipes)[number];
  left.session.setPathWritable(second.path.left as number, false);
  const id = left.session.openStream() as number;
  left.session.write(id, bytesOf(3000));
  pair.collect(left);
  left.session.reset(id, 7);
  left.session.setPathWritable(second.path.left as number, true);
  pair.settle();
  assert.equal(left.session.isClosed || right.session.isClosed, false);
  assert.equal(readAll(right, id).end, "reset");
});

test("redundant: whichever path is blocked, loses or brings back what it carries, each byte arrives once, in order", () => {
  const step = fc.record({
    write: fc.nat(5000),
    blocked: fc.constantFrom(-1, -1, 0, 1),
    // What is under way on a pipe is handed over or waits, for each pipe.
    deliver: fc.tuple(fc.boolean(), fc.boolean()),
    waitMs: fc.constantFrom(0, 1, 30, 400),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 25 }), (steps) => {
      const pair = redundantPair();
      const { left, right } = pair;
      const id = left.session.openStream() as number;
      const written: number[] = [];
      const read: number[] = [];
      for (const { write, blocked, deliver, waitMs } of steps) {
        const bytes = bytesOf(write, written.length + 1);
        written.push(...bytes.subarray(0, left.session.write(id, bytes)));
        pair.pipes.forEach(({ path }, index) => {
          left.session.setPathWritable(path.left as number, index !== blocked);
        });
        pair.collect(left);
        pair.collect(right);
        pair.pipes.forEach((pipe, index) => {
          if (deliver[index] === true) pair.deliver(pipe);
        });
        read.push(...readAll(right, id).bytes);
        pair.now += waitMs;
        left.session.handleTimeout(pair.now);
        right.session.handleTimeout(pair.now);
      }
      for (const { path } of pair.pipes) left.session.setPathWritable(path.left as number, true);
      left.session.finish(id);
      pair.advance(2000);
      const rest = readAll(right, id);
      read.push(...rest.bytes);
      assert.equal(rest.end, "end");
      assert.deepEqual(read, written);
      assert.equal(left.session.isClosed || right.session.isClosed, false);
    }),
    { seed: 0x2ed, numRuns: 60 },
  );
});
