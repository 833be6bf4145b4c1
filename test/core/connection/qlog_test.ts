/**
 * Every event and every frame, written as qlog in both versions, is within the schema.
 *
 * @module
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import { QlogEncoder } from "../../../core/connection/qlog.ts";
import type { TraceEvent, TraceFrame } from "../../../core/connection/trace.ts";
import { ERRORS, type ErrorCode } from "../../../core/error.ts";
import { type QlogRecord, readQlog } from "./qlog_schema.ts";

const VERSIONS = ["0.3", "quic-13"] as const;
const LARGEST = Number.MAX_SAFE_INTEGER;

type Having<Item, Type> = Item extends { readonly type: infer Own } ? (Type extends Own ? Item : never) : never;
type OfType<Item extends { readonly type: string }> = {
  readonly [Type in Item["type"]]: readonly Having<Item, Type>[];
};

/** A kind that is not here does not compile. */
const FRAMES: OfType<TraceFrame> = {
  padding: [{ type: "padding", bytes: 1_400 }],
  ping: [{ type: "ping" }],
  pathChallenge: [{ type: "pathChallenge" }],
  pathResponse: [{ type: "pathResponse" }],
  ack: [
    {
      type: "ack",
      path: 2,
      delayMs: 12.345678,
      ranges: [
        [7, LARGEST],
        [3, 3],
      ],
    },
  ],
  stream: [
    { type: "stream", stream: 4, offset: 0, bytes: 0, isFin: true },
    { type: "stream", stream: LARGEST, offset: LARGEST, bytes: 1_200, isFin: false },
  ],
  datagram: [{ type: "datagram", bytes: 9 }],
  resetStream: [
    { type: "resetStream", stream: 4, code: 0, finalSize: 10 },
    { type: "resetStream", stream: 4, code: LARGEST, finalSize: 10 },
  ],
  stopSending: [{ type: "stopSending", stream: 4, code: LARGEST }],
  maxData: [{ type: "maxData", max: 1 }],
  dataBlocked: [{ type: "dataBlocked", max: 1 }],
  maxStreamData: [{ type: "maxStreamData", stream: 3, max: 1 }],
  streamDataBlocked: [{ type: "streamDataBlocked", stream: 3, max: 1 }],
  maxStreams: [{ type: "maxStreams", isUnidirectional: false, max: 1 }],
  streamsBlocked: [{ type: "streamsBlocked", isUnidirectional: true, max: 1 }],
  pathAbandon: [{ type: "pathAbandon", path: 2 }],
  close: [
    { type: "close", wireCode: 2, applicationCode: undefined },
    { type: "close", wireCode: 1, applicationCode: 7 },
    { type: "close", wireCode: 1, applicationCode: LARGEST },
  ],
  unknown: [{ type: "unknown", number: LARGEST }],
};

const at = 1_000.0004;
const frames = Object.values(FRAMES).flat();
const ids = { localConnectionId: 1, remoteConnectionId: 0xfedcba98 } as const;
const started = { at, type: "sessionStarted", cipher: "chacha20-poly1305", ...ids } as const;

const EVENTS: OfType<TraceEvent> = {
  sessionStarted: [
    { ...started, role: "initiator", kind: "datagrams", remote: "udp://192.0.2.1:4" },
    { ...started, role: "responder", kind: "datagrams", remote: "udp://[2001:db8::1]:65535" },
    { ...started, role: "initiator", kind: "messages", remote: "wss://example.org/a/b" },
    { ...started, role: "initiator", kind: "relay", remote: "relay:abcdefgh" },
  ],
  sessionClosed: [
    ...(Object.keys(ERRORS) as ErrorCode[]).map(
      (code) => ({ at, type: "sessionClosed", code, applicationCode: undefined, isRemote: false }) as const,
    ),
    { at, type: "sessionClosed", code: "closed", applicationCode: 0, isRemote: true },
    { at, type: "sessionClosed", code: "closed", applicationCode: LARGEST, isRemote: true },
  ],
  packageSent: [
    {
      at,
      type: "packageSent",
      path: 2,
      package: { number: 0, bytes: 1_200, phase: 3, frames },
      isMtuProbe: true,
      isProbe: true,
    },
  ],
  packageReceived: [{ at, type: "packageReceived", path: 0, package: { number: 9, bytes: 40, phase: 0, frames } }],
  packageDropped: (["invalid", "duplicate", "pathRefused", "notAuthentic"] as const).map(
    (reason) => ({ at, type: "packageDropped", bytes: 99, reason }) as const,
  ),
  packageLost: [
    { at, type: "packageLost", path: 0, number: 3, bytes: 9, isMtuProbe: true, cause: "time" },
    { at, type: "packageLost", path: 0, number: 4, bytes: 9, isMtuProbe: false, cause: "reordering" },
  ],
  metricsUpdated: [
    { at, type: "metricsUpdated", path: 0, metrics: { slowStartThreshold: Number.POSITIVE_INFINITY } },
    {
      at,
      type: "metricsUpdated",
      path: 0,
      metrics: {
        ...{ leastRttMs: 0, smoothedRttMs: 0.1, latestRttMs: 1 / 3, rttVarianceMs: 2, probeTimeouts: 0 },
        ...{ windowBytes: 12_345.6, bytesInFlight: 0, packagesInFlight: 0, slowStartThreshold: 2 },
        pacingBytesPerMs: 0.001,
      },
    },
  ],
  congestionState: [
    { at, type: "congestionState", path: 0, from: undefined, to: "slowStart" },
    { at, type: "congestionState", path: 0, from: "slowStart", to: "recovery" },
    { at, type: "congestionState", path: 0, from: "recovery", to: "congestionAvoidance" },
  ],
  pathAssigned: [
    { at, type: "pathAssigned", path: 0, kind: "datagrams", remote: "udp://192.0.2.1:4" },
    { at, type: "pathAssigned", path: 3, kind: "relay", remote: "relay:abcdefgh" },
  ],
  pathValidated: [{ at, type: "pathValidated", path: 2 }],
  pathAbandoned: [{ at, type: "pathAbandoned", path: 2 }],
  mtuUpdated: [
    { at, type: "mtuUpdated", path: 0, from: undefined, to: 1_200 },
    { at, type: "mtuUpdated", path: 0, from: 1_200, to: 65_000 },
  ],
  keyUpdated: [
    { at, type: "keyUpdated", direction: "send", generation: 1 },
    { at, type: "keyUpdated", direction: "receive", generation: 2 },
  ],
  timer: [
    { at, type: "timer", path: 0, timer: "loss", change: "set", inMs: 1 / 3 },
    { at, type: "timer", path: 0, timer: "probe", change: "expired", inMs: undefined },
    { at, type: "timer", path: 2, timer: "probe", change: "cancelled", inMs: undefined },
  ],
};

function write(version: (typeof VERSIONS)[number], events: readonly TraceEvent[]): string {
  const startedAt = { unixMs: 1_700_000_000_000, rfc3339: "2023-11-14T22:13:20.000Z" };
  const encoder = new QlogEncoder({ role: "initiator", version, startedAt, title: "every kind" });
  return encoder.header() + events.map((event) => encoder.encode(event)).join("");
}

for (const version of VERSIONS) {
  test(`qlog ${version}: every event with every frame is within the schema`, () => {
    const all = Object.values(EVENTS).flat();
    const { events, findings } = readQlog(write(version, all), version);
    assert.deepEqual(findings, []);
    assert.equal(events.length, all.length);
    const sent = events.find(({ name }) => name.endsWith(":packet_sent"))?.data as { frames: unknown[] };
    assert.equal(sent.frames.length, frames.length);
  });
}

test("qlog: the checker finds what is wrong", () => {
  const right = write("0.3", EVENTS.mtuUpdated);
  assert.deepEqual(readQlog(right, "0.3").findings, []);
  for (const [from, to] of [
    ['"new":1200', '"new":"1200"'],
    ['"new":1200', '"now":1200'],
    ["mtu_updated", "mtu_update"],
    ['"new":65000', '"new":65536'],
    ['"type":"client"', '"type":"somebody"'],
    ["\u001e", ""],
    ['"time":0', '"time":null'],
    ["}\n", "}\n\n"],
  ] as const) {
    assert.notDeepEqual(readQlog(right.replace(from, to), "0.3").findings, [], `${from} became ${to}`);
  }
});

test("qlog: figures are those of the event, times count from the first one", () => {
  const events: TraceEvent[] = [
    { at: 500, type: "pathAssigned", path: 2, kind: "datagrams", remote: "udp://[2001:db8::1]:9" },
    {
      at: 512.25,
      type: "metricsUpdated",
      path: 2,
      metrics: { smoothedRttMs: 30.12345, windowBytes: 12_000.4, pacingBytesPerMs: 125 },
    },
    { at: 520, type: "packageLost", path: 2, number: 7, bytes: 9, isMtuProbe: false, cause: "time" },
  ];
  const [assigned, metrics, lost] = readQlog(write("quic-13", events), "quic-13").events;
  assert.deepEqual(assigned, {
    time: 0,
    name: "quic:tuple_assigned",
    data: { tuple_id: "2", tuple_remote: { ip_v6: "2001:db8::1", port_v6: 9 } },
    tuple: "2",
  });
  assert.equal(metrics?.time, 12.25);
  assert.deepEqual(metrics?.data, { smoothed_rtt: 30.123, congestion_window: 12_000, pacing_rate: 1_000_000 });
  assert.deepEqual(lost, {
    time: 20,
    name: "quic:packet_lost",
    data: { header: { packet_type: "1RTT", packet_number: 7 }, trigger: "time_threshold" },
    tuple: "2",
  } satisfies QlogRecord);
  const old = readQlog(write("0.3", events), "0.3").events;
  // qvis draws one picture for each group: packages of two paths may have the same number.
  assert.deepEqual(
    old.map(({ group_id: group }) => group),
    ["path 2", "path 2", "path 2"],
  );
});
