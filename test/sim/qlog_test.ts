/**
 * A session over a bad network, written as qlog: within the schema, and it tells what happened.
 *
 * @module
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import { qlogTrace, type TraceEvent, traceSessions } from "../../adapters/trace/mod.ts";
import { dangerousSimEnvironments } from "../../sim/environment.ts";
import { type QlogRecord, readQlog } from "../core/connection/qlog_schema.ts";
import { connectPair, datagramPair, INTEROP_LINK, transfer } from "./datagram_pair.ts";

const environmentOf = await dangerousSimEnvironments();
const BYTES = 400_000;

for (const version of ["0.3", "quic-13"] as const) {
  test(`qlog ${version}: a session with losses and damage is within the schema and agrees with stats()`, () => {
    const files: { client: string; server: string } = { client: "", server: "" };
    let ended = 0;
    const into = (name: "client" | "server") =>
      qlogTrace(
        () => ({
          write: (text) => {
            files[name] += text;
          },
          end: () => ended++,
        }),
        { version },
      );
    const link = { ...INTEROP_LINK, loss: { kind: "uniform", rate: 0.02, burstMax: 3 }, corruptRate: 0.01 } as const;
    const trace = { client: into("client"), server: into("server") };
    const pair = datagramPair(7, environmentOf, { link, trace });
    assert.ok(connectPair(pair));
    assert.ok(transfer(pair, BYTES, 60_000) !== undefined);
    const { client, server, network } = pair;
    network.run(1_000, () => false);
    const stats = client.endpoint.session(client.session as number)?.stats();
    const [path] = stats?.paths ?? [];
    assert.ok(stats !== undefined && path !== undefined);
    const open = readQlog(files.client, version).events;
    client.endpoint.closeSession(client.session as number, { code: "closed", applicationCode: 3 }, network.now);
    client.host.pump();
    network.run(5_000, () => server.ended !== undefined);

    const all: QlogRecord[] = [];
    for (const file of Object.values(files)) {
      const { events, findings } = readQlog(file, version);
      assert.deepEqual(findings.slice(0, 5), []);
      assert.ok(events[0]?.name.endsWith(":connection_started"));
      assert.ok(events.at(-1)?.name.endsWith(":connection_closed"));
      all.push(...events);
    }
    assert.deepEqual(kinds(all), [
      ...["congestion_state_updated", "connection_closed", "connection_started", "metrics_updated", "mtu_updated"],
      ...["packet_dropped", "packet_lost", "packet_received", "packet_sent", "timer_updated", "tuple_assigned"],
    ]);
    assert.equal(ended, 2);

    // What the figures say at the same time.
    const sent = named(open, "packet_sent");
    assert.equal(sent.length, path.packagesSent);
    assert.equal(sumOfBytes(sent), path.bytesSent);
    assert.deepEqual(
      sent.map(numberOf),
      sent.map((_, index) => index),
    );
    assert.equal(sumOfBytes(named(open, "packet_received")), path.bytesReceived);
    const lost = named(open, "packet_lost").map(numberOf);
    assert.equal(lost.length, path.packagesLost);
    assert.ok(lost.length > 3, `${lost.length} lost`);
    assert.equal(new Set(lost).size, lost.length);
    const last: Record<string, unknown> = Object.assign({}, ...named(open, "metrics_updated").map(({ data }) => data));
    assert.equal(last.congestion_window, Math.round(path.windowBytes ?? 0));
    assert.equal(last.bytes_in_flight, path.bytesInFlight);
    assert.ok(Math.abs(Number(last.smoothed_rtt) - (path.rttMs ?? 0)) < 0.001);
    assert.equal(named(open, "mtu_updated").at(-1)?.data.new, path.packageBytesMax);

    // What one side lost the other never got, but for what was given up too early; damaged ones were dropped.
    const { events: theirs } = readQlog(files.server, version);
    const got = new Set(named(theirs, "packet_received").map(numberOf));
    const arrived = lost.filter((number) => got.has(number)).length;
    assert.equal(arrived, path.spuriousLosses);
    const dropped = [...open, ...theirs].filter((event) => event.name.endsWith(":packet_dropped"));
    assert.ok(dropped.every(({ data }) => data.trigger === "decryption_failure"));
  });
}

test("trace: each loss that costs window is a recovery of its own, told before the smaller window", () => {
  const events: TraceEvent[] = [];
  const client = traceSessions(() => (event) => void events.push(event));
  // A queue that overflows: the window grows until then, falls, and grows above where it fell to before.
  const pair = datagramPair(1, environmentOf, { link: INTEROP_LINK, trace: { client } });
  assert.ok(connectPair(pair));
  assert.ok(transfer(pair, 2_700_000, 60_000) !== undefined);
  let state: unknown;
  let window = 0;
  const thresholds: number[] = [];
  for (const event of events) {
    if (event.type === "congestionState") state = event.to;
    if (event.type !== "metricsUpdated") continue;
    const { windowBytes = window, slowStartThreshold } = event.metrics;
    if (slowStartThreshold !== undefined && windowBytes < window) {
      assert.equal(state, "recovery", `at ${event.at} ms`);
      thresholds.push(slowStartThreshold);
    }
    window = windowBytes;
  }
  assert.ok(
    thresholds.some((threshold, index) => threshold > (thresholds[index - 1] ?? threshold)),
    `${thresholds}`,
  );
});

function named(events: readonly QlogRecord[], name: string): QlogRecord[] {
  return events.filter((event) => shortName(event) === name);
}

/** The younger draft has two of the names with a prefix of their own. */
function shortName({ name }: QlogRecord): string {
  const short = name.slice(name.indexOf(":") + 1).replace(/^recovery_|^loss_/, "");
  return name === "generic:info" ? "tuple_assigned" : short;
}

function kinds(events: readonly QlogRecord[]): string[] {
  return [...new Set(events.map(shortName))].sort();
}

function numberOf({ data }: QlogRecord): number {
  return (data.header as { packet_number: number }).packet_number;
}

function sumOfBytes(events: readonly QlogRecord[]): number {
  return events.reduce((sum, { data }) => sum + (data.raw as { length: number }).length, 0);
}
