/**
 * The inputs of a lock-step game over a line that loses packages: 60 a second each way, and what came too late or not at
 * all, by the way in which they were sent. In virtual time.
 *
 * @module
 */

import type { DatagramSendOptions } from "../../core/connection/datagram_line.ts";
import { datagramRepair } from "../../core/connection/repaired_datagrams.ts";
import type { EndpointEvent } from "../../core/node/endpoint_types.ts";
import type { DatagramEnd, DatagramPair } from "./datagram_pair.ts";
import { connectPair, datagramPair } from "./datagram_pair.ts";
import type { EnvironmentOf } from "./scenarios.ts";

/** How inputs are sent: as datagrams with options, or as records on a stream. */
export type LockstepWay = DatagramSendOptions | "stream";

/** What is played. */
export interface LockstepGame {
  readonly way: LockstepWay;
  /** The share of packages that the line loses, each way. */
  readonly loss: number;
  readonly seed: number;
  readonly frames: number;
  /** A frame's number and the keys that are held, or more: 32. */
  readonly inputBytes?: number;
  /** The line is dead for so long in the middle of the game. */
  readonly outageMs?: number;
}

/** What came of it, both ways together. */
export interface LockstepOutcome {
  readonly sent: number;
  /** Not there 100 ms after it was sent, or never. */
  readonly late: number;
  /** Never there. */
  readonly lost: number;
  /** There, and too late to be of use. */
  readonly stale: number;
  /** Bytes of packages for each input. */
  readonly bytesPerInput: number;
  readonly recoveredByRedundancy: number;
  readonly recoveredByFec: number;
}

const FRAME_MS = 1000 / 60;
const DEADLINE_MS = 100;
const LINK = { rateBitsPerSecond: 10_000_000, delayMs: 30, jitterMs: 4, queuePackages: 50 } as const;

/** Plays one game. */
export function playLockstep(environmentOf: EnvironmentOf, game: LockstepGame): LockstepOutcome {
  const { way, loss, seed, frames, outageMs = 0, inputBytes = 32 } = game;
  const pair = datagramPair(seed, environmentOf, { link: LINK, session: { datagramRepair } });
  if (!connectPair(pair)) throw new Error(`seed ${seed}: no session`);
  const { network } = pair;
  // Packages have found their size before the game begins.
  network.run(2_000);
  const setLoss = (rate: number, burstMax: number): void => {
    for (const [from, to] of [
      ["client", "server"],
      ["server", "client"],
    ] as const) {
      network.datagrams.link(from, to).setOptions({ loss: { kind: "uniform", rate, burstMax } });
    }
  };
  setLoss(loss, 3);
  const ends = [pair.client, pair.server];
  const streams = ends.map((end) => (way === "stream" ? openStream(pair, end) : undefined));
  const sentAt: number[] = [];
  const cameAt = ends.map((end) => watchInputs(pair, end, inputBytes));
  const bytesBefore = bytesSent(ends);
  const began = network.now;
  for (let frame = 0; frame < frames; frame++) {
    network.run(Math.max(0, began + frame * FRAME_MS - network.now));
    if (outageMs > 0 && frame === frames >> 1) {
      setLoss(1, Number.POSITIVE_INFINITY);
    }
    if (outageMs > 0 && frame === (frames >> 1) + Math.ceil(outageMs / FRAME_MS)) {
      setLoss(loss, 3);
    }
    sentAt.push(network.now);
    ends.forEach((end, index) => {
      const input = new Uint8Array(inputBytes);
      new DataView(input.buffer).setUint32(0, frame);
      const session = end.session as number;
      if (way === "stream") end.endpoint.write(session, streams[index] as number, input, network.now);
      else end.endpoint.sendDatagram(session, input, network.now, way);
      end.host.pump();
    });
  }
  const bytes = bytesSent(ends) - bytesBefore;
  network.run(5_000);
  let late = 0;
  let lost = 0;
  for (const came of cameAt) {
    for (let frame = 0; frame < frames; frame++) {
      const at = came.get(frame);
      if (at === undefined) lost++;
      if (at === undefined || at - (sentAt[frame] as number) > DEADLINE_MS) late++;
    }
  }
  const stats = ends.map((end) => end.endpoint.session(end.session as number)?.stats());
  const sum = (figure: "datagramsRecoveredByRedundancy" | "datagramsRecoveredByFec"): number =>
    stats.reduce((total, of) => total + (of?.[figure] ?? 0), 0);
  return {
    sent: 2 * frames,
    late,
    lost,
    stale: late - lost,
    bytesPerInput: bytes / (2 * frames),
    recoveredByRedundancy: sum("datagramsRecoveredByRedundancy"),
    recoveredByFec: sum("datagramsRecoveredByFec"),
  };
}

function openStream({ network }: DatagramPair, end: DatagramEnd): number {
  const stream = end.endpoint.openStream(end.session as number, { isUnidirectional: true }, network.now);
  if (stream === undefined) throw new Error("no stream");
  return stream;
}

/** When each frame's input came to an end, first. */
function watchInputs({ network }: DatagramPair, end: DatagramEnd, inputBytes: number): Map<number, number> {
  const came = new Map<number, number>();
  let read = 0;
  end.host.onEvent = (event) => {
    const known = event as EndpointEvent;
    if (known.type !== "session") return;
    const inner = known.event;
    if (inner.type === "closed") throw new Error(`The session ended: ${inner.code}`);
    if (inner.type === "datagram") {
      const frame = new DataView(inner.bytes.buffer, inner.bytes.byteOffset).getUint32(0);
      if (!came.has(frame)) came.set(frame, network.now);
    } else if (inner.type === "readable") {
      for (;;) {
        const result = end.endpoint.read(known.session, inner.stream);
        if (result?.type !== "data") break;
        for (let left = result.bytes.length; left > 0; left--) {
          if (++read % inputBytes === 0) came.set(read / inputBytes - 1, network.now);
        }
      }
    }
  };
  return came;
}

function bytesSent(ends: readonly DatagramEnd[]): number {
  return ends.reduce((sum, end) => sum + (end.endpoint.session(end.session as number)?.stats().bytesSent ?? 0), 0);
}
