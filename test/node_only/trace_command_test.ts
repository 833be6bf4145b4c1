/**
 * `--trace` of the command, as a user runs it: the file holds the session that was asked for, as qlog.
 *
 * @module
 */

import assert from "node:assert/strict";
import { readFileSync, statSync } from "node:fs";
import { test } from "node:test";
import { readQlog } from "../core/connection/qlog_schema.ts";
import { Folder, Program } from "./program.ts";

function viaduct(folder: Folder, args: readonly string[]): Program {
  return new Program("cli/main.ts", args, { VIADUCT_HOME: folder.join("home") });
}

/** The events of a file that is in order. */
function eventsOf(path: string) {
  const { events, findings } = readQlog(readFileSync(path, "utf8"), "0.3");
  assert.deepEqual(findings.slice(0, 5), []);
  assert.equal(events[0]?.name, "connectivity:connection_started");
  assert.equal(events.at(-1)?.name, "connectivity:connection_closed");
  const count = (name: string): number => events.filter((event) => event.name === name).length;
  return { events, count, remote: events[0]?.data.dst_ip };
}

test("command: ping by a relay's name traces the session with the node, not the one with the relay", async () => {
  using folder = new Folder();
  await using relay = viaduct(folder, ["relay", "--listen", "tcp://127.0.0.1:0", "--key", folder.join("r")]);
  const ticket = (await relay.until(/Ticket (via1\w+)/))[1] as string;
  await using other = viaduct(folder, ["chat", "--name", "other", "--relay", ticket, "--key", folder.join("a")]);
  await other.until(/Ticket/);
  const file = folder.join("ping.sqlog");
  const args = ["ping", "other", "--relay", ticket, "--count", "1", "--key", folder.join("b"), "--trace", file];
  await using ping = viaduct(folder, args);
  assert.equal(await ping.exit(), 0, ping.output);
  assert.match(ping.output, /The trace is in /);
  assert.equal(statSync(file).mode & 0o777, 0o600);
  const { events, count, remote } = eventsOf(file);
  assert.match(String(remote), /^relay:/);
  assert.equal(count("connectivity:connection_started"), 1);
  assert.ok(count("transport:packet_sent") > 0 && count("transport:packet_received") > 0);
  assert.ok(events.some(({ name, data }) => name === "recovery:metrics_updated" && Number(data.smoothed_rtt) > 0));

  await using nowhere = viaduct(folder, ["ping", ticket, "--trace", folder.join("none/x.sqlog")]);
  assert.equal(await nowhere.exit(), 1, nowhere.output);
  assert.match(nowhere.output, /none\/x\.sqlog.*file_missing/s);
});

test("command: perf over UDP traces packages, round trips and windows", async () => {
  using folder = new Folder();
  const file = folder.join("perf.sqlog");
  await using perf = viaduct(folder, ["perf", "--seconds", "0.1", "--anonymous", "--json", "--trace", file]);
  assert.equal(await perf.exit(), 0, perf.output);
  const { events, count, remote } = eventsOf(file);
  assert.equal(remote, "127.0.0.1");
  assert.ok(count("transport:packet_sent") > 100);
  assert.ok(events.some(({ data }) => Number(data.congestion_window) > 0));
  assert.ok(events.some(({ name, data }) => name === "connectivity:mtu_updated" && data.new === 1_452));
});
