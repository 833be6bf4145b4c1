/**
 * The option `trace` of a node, on real sockets: who is asked, what is told, and that it holds nothing it must not.
 *
 * @module
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import type { NodeOptions } from "../../adapters/api/types.ts";
import { qlogTrace, type TracedSession, type TraceEvent, traceSessions } from "../../adapters/trace/mod.ts";
import { readQlog } from "../core/connection/qlog_schema.ts";
import { createNode } from "./runtime_under_test.ts";

const WORD = "correct horse battery staple";

/** Texts of sessions, each when it has ended. */
function collector(version: "0.3" | "quic-13"): {
  readonly trace: Pick<NodeOptions, "trace">;
  readonly asked: TracedSession[];
  readonly files: string[];
} {
  const asked: TracedSession[] = [];
  const files: string[] = [];
  const trace = qlogTrace(
    (session) => {
      asked.push(session);
      let text = "";
      return {
        write: (record) => {
          text += record;
        },
        end: () => void files.push(text),
      };
    },
    { version },
  );
  return { trace: { trace }, asked, files };
}

for (const address of ["udp://127.0.0.1:0", "tcp://127.0.0.1:0"]) {
  test(`trace: both ends of a session over ${address.slice(0, 3)} write it down, whole, and nothing of what was said`, async () => {
    const theirs = collector("quic-13");
    const ours = collector("0.3");
    const server = await createNode({ listen: [address], ...theirs.trace });
    server.respond("echo", (value) => value);
    await server.ready;
    const client = await createNode(ours.trace);
    const peer = await client.connect(server.ticket());
    assert.equal(await peer.request("echo", WORD), WORD);
    await client.close();
    await server.close();

    assert.deepEqual(
      ours.asked.map(({ role, remoteId }) => [role, remoteId]),
      [["initiator", server.id]],
    );
    assert.deepEqual(
      theirs.asked.map(({ role, remoteId }) => [role, remoteId]),
      [["responder", client.id]],
    );
    const [mine] = ours.files;
    const [other] = theirs.files;
    assert.ok(mine !== undefined && other !== undefined, "Both were told the end");
    for (const [text, version] of [
      [mine, "0.3"],
      [other, "quic-13"],
    ] as const) {
      const { events, findings } = readQlog(text, version);
      assert.deepEqual(findings, []);
      assert.ok(events.some(({ name }) => name.endsWith(":packet_sent")));
      assert.ok(events.some(({ name }) => name.endsWith(":packet_received")));
      assert.ok(events.at(-1)?.name.endsWith(":connection_closed"));
      for (const part of WORD.split(" ")) assert.ok(!text.includes(part), part);
    }
  });
}

test("trace: a callback sees the events; whoever is not asked for, or throws, costs no session", async () => {
  const events: TraceEvent[] = [];
  const server = await createNode({ listen: ["udp://127.0.0.1:0"], trace: traceSessions(() => undefined) });
  server.respond("echo", (value) => value);
  await server.ready;
  const client = await createNode({ trace: traceSessions(() => (event) => void events.push(event)) });
  const broken = await createNode({
    trace: traceSessions(() => {
      throw new Error("There is no disk");
    }),
  });
  for (const node of [client, broken]) {
    const peer = await node.connect(server.ticket());
    assert.equal(await peer.request("echo", 1), 1);
  }
  await Promise.all([client.close(), broken.close()]);
  await server.close();
  assert.equal(events[0]?.type, "sessionStarted");
  assert.equal(events.at(-1)?.type, "sessionClosed");
  assert.ok(events.some((event) => event.type === "metricsUpdated" && (event.metrics.windowBytes ?? 0) > 0));
});
