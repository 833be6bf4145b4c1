/**
 * That a path is proved before it is used, and proved again where it leads elsewhere. RFC 9000 §8.2 and §9.
 *
 * @module
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import type { Path } from "../../../core/connection/path.ts";
import { DatagramPath } from "./datagram_path.ts";
import { type End, SessionPair } from "./session_pair.ts";

const DATA = Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8);

function pathOf(end: End, id: number): Path {
  const path = end.session.path(id);
  assert.ok(path !== undefined);
  return path;
}

test("path validation: only the bytes that were asked for are an answer, and they are one once", () => {
  const { path } = new DatagramPath();
  assert.equal(path.settleChallenge(DATA), false, "nothing was asked");
  path.startChallenge(DATA);
  for (let at = 0; at < DATA.length; at++) {
    const wrong = DATA.slice();
    wrong[at] = (wrong[at] as number) ^ 0x80;
    assert.equal(path.settleChallenge(wrong), false, `byte ${at}`);
  }
  assert.equal(path.settleChallenge(DATA.subarray(0, 7)), false);
  assert.equal(path.challenge, DATA);
  assert.equal(path.settleChallenge(DATA.slice()), true);
  assert.equal(path.settleChallenge(DATA.slice()), false);
});

test("path validation: a challenge that was lost is asked again while it is open, and no other", () => {
  const { path } = new DatagramPath();
  path.startChallenge(DATA);
  const [asked] = path.controls.splice(0);
  assert.ok(asked?.type === "pathChallenge");
  path.requeueControl(asked);
  assert.deepEqual(path.controls.splice(0), [asked]);
  path.requeueControl({ type: "pathResponse", data: DATA });
  path.requeueControl({ type: "ping", token: 0 });
  assert.deepEqual(path.controls, [], "a lost answer is asked for again by who asked");
  path.startChallenge(DATA.slice());
  path.controls.length = 0;
  path.requeueControl(asked);
  assert.deepEqual(path.controls, [], "an older challenge is settled by the newer one alone");
  path.settleChallenge(DATA);
  path.requeueControl({ type: "pathChallenge", data: DATA });
  assert.deepEqual(path.controls, []);
});

test("path validation: a fresh path carries nothing but its proof until that is answered", () => {
  const pair = new SessionPair();
  const { left, right } = pair;
  const pipe = pair.attach(left);
  const id = pipe.path.left as number;
  pair.cut(pair.pipes[0] as (typeof pair.pipes)[number]);
  const stream = left.session.openStream() as number;
  left.session.write(stream, new Uint8Array(5000));
  pair.collect(left);
  assert.equal(pathOf(left, id).state, "opening");
  assert.ok(pathOf(left, id).bytesSent < 200, `${pathOf(left, id).bytesSent}`);
  pair.deliver(pipe);
  assert.equal(pathOf(right, id).state, "active", "who is asked sees a package that only the peer can make");
  pair.collect(right);
  pair.deliver(pipe);
  assert.equal(pathOf(left, id).state, "active");
  assert.equal(left.events.filter(({ type }) => type === "pathUp").length, 1);
});

for (const isLost of [false, true]) {
  test(`path validation: a path of datagrams that moved is proved anew${isLost ? ", although the first try is lost" : ""}`, () => {
    const pair = new SessionPair({ kind: "datagrams" });
    const { left, right } = pair;
    pair.settle();
    left.session.movePath(0, { kind: "datagrams", remote: "elsewhere" }, pair.now);
    const path = pathOf(left, 0);
    const asked = path.challenge;
    assert.ok(
      asked?.some((byte) => byte !== 0),
      "nobody can guess it",
    );
    pair.collect(left);
    if (isLost) (pair.pipes[0] as { underWay: unknown[] }).underWay.length = 0;
    assert.equal(path.challenge, asked);
    pair.advance(isLost ? 5000 : 0);
    assert.equal(path.challenge, undefined);
    assert.equal(path.facts.remote, "elsewhere");
    assert.equal(left.session.isClosed || right.session.isClosed, false);
  });
}

test("path validation: an answer goes back on the path by which the challenge came", () => {
  const pair = new SessionPair();
  const pipe = pair.attach(pair.left);
  pair.collect(pair.left);
  pair.deliver(pipe);
  const before = pathOf(pair.right, 0).packagesSent;
  pair.collect(pair.right);
  assert.equal(pathOf(pair.right, 0).packagesSent, before);
  assert.ok(pathOf(pair.right, pipe.path.left as number).packagesSent > 0);
});

test("path validation: over datagrams what asks for an answer has more than 40 bytes, else who forgot us would not say so", () => {
  const pair = new SessionPair({ kind: "datagrams" });
  const { left } = pair;
  const lengthsOf = (act: () => void): number[] => {
    pair.settle();
    act();
    pair.collect(left);
    return (pair.pipes[0] as { underWay: { bytes: Uint8Array }[] }).underWay.map(({ bytes }) => bytes.length);
  };
  for (const act of [
    () => left.session.ping(pair.now),
    () => left.session.sendDatagram(Uint8Array.of(1), {}, pair.now),
    () => left.session.finish(left.session.openStream() as number),
    () => left.session.movePath(0, { kind: "datagrams", remote: "elsewhere" }, pair.now),
  ]) {
    const lengths = lengthsOf(act);
    assert.ok(lengths.length > 0 && lengths.every((length) => length > 40), `${lengths}: RFC 9000 §10.3.3`);
  }
  const reliable = new SessionPair();
  reliable.left.session.ping(reliable.now);
  reliable.collect(reliable.left);
  const [ping] = (reliable.pipes[0] as { underWay: { bytes: Uint8Array }[] }).underWay;
  assert.ok((ping?.bytes.length as number) < 41, "over a pipe every answer comes");
});
