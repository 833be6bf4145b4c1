/**
 * Flows: what may go to an address that proved nothing, and that nothing stays of those that nothing rides on.
 *
 * @module
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { EventQueue } from "../../../core/connection/event_queue.ts";
import type { EndpointOutput } from "../../../core/node/endpoint_types.ts";
import { type Flow, FlowTable } from "../../../core/node/flow_table.ts";
import type { PipeState } from "../../../core/node/pipe_table.ts";

const FACTS = { remote: "udp://192.0.2.1:5000", remoteHost: "192.0.2.1" };

class Flows {
  readonly outputs: EventQueue<EndpointOutput> = new EventQueue();
  readonly table: FlowTable = new FlowTable(this.outputs);

  take(): EndpointOutput[] {
    const all: EndpointOutput[] = [];
    for (let output = this.outputs.shift(); output !== undefined; output = this.outputs.shift()) all.push(output);
    return all;
  }
}

/** A pipe, of which a flow needs to know no more than that it is there. */
function pipeOf(id: number): PipeState {
  return { id } as PipeState;
}

test("flow table: to an address that proved nothing goes three times what came, to the byte. RFC 9000 §8.1", () => {
  const flows = new Flows();
  const flow = flows.table.open(1, FACTS);
  flows.table.send(flow, new Uint8Array(1));
  assert.deepEqual(flows.take(), [], "nothing came");
  flow.bytesReceived = 100;
  const bytes = new Uint8Array(301);
  flows.table.send(flow, bytes);
  assert.deepEqual(flows.take(), [], "a byte too much is too much, and takes nothing of the budget");
  flows.table.send(flow, bytes.subarray(0, 300));
  assert.deepEqual(flows.take(), [{ type: "sendDatagram", flow: 1, bytes: bytes.subarray(0, 300) }]);
  assert.equal(flows.table.admit(flow, 1), false);
  assert.equal(flows.table.heldBack, 3);
  flow.bytesReceived += 1;
  assert.equal(flows.table.admit(flow, 3), true);
  assert.equal(flow.bytesSent, 303);
});

test("flow table: a proven address has no limit; what it got before counts when it must prove itself anew", () => {
  const flows = new Flows();
  const flow = flows.table.open(1, FACTS);
  flow.isProven = true;
  assert.equal(flows.table.admit(flow, 1_000_000), true);
  flow.isProven = false;
  flow.bytesReceived = 300_000;
  assert.equal(flows.table.admit(flow, 1), false);
  assert.equal(flows.table.heldBack, 1);
});

test("flow table: one that is known stays as it is, with what it sent and got", () => {
  const flows = new Flows();
  const flow = flows.table.open(1, FACTS);
  flow.bytesReceived = 10;
  assert.equal(flows.table.open(1, { remote: "udp://203.0.113.9:1", remoteHost: "203.0.113.9" }), flow);
  assert.equal(flow.remote, FACTS.remote);
  assert.equal(flow.bytesReceived, 10);
  assert.equal(flows.table.size, 1);
  assert.equal(flows.table.get(2), undefined);
});

test("flow table: what nothing rides on is let go of, once, and what something rides on is not", () => {
  const flows = new Flows();
  const flow = flows.table.open(1, FACTS);
  const pipe = pipeOf(7);
  flow.pipes.add(pipe);
  flows.table.release(flow);
  assert.equal(flows.table.size, 1);
  flow.pipes.delete(pipe);
  flows.table.release(flow);
  flows.table.release(flow);
  assert.deepEqual(flows.take(), [{ type: "forgetFlow", flow: 1 }]);
  assert.equal(flows.table.get(1), undefined);
});

test("flow table: a flow whose socket is gone gives back what rode on it, and tells nobody to forget it", () => {
  const flows = new Flows();
  const flow = flows.table.open(1, FACTS);
  const pipes = [pipeOf(1), pipeOf(2)];
  for (const pipe of pipes) flow.pipes.add(pipe);
  const gone = flows.table.remove(1);
  flow.pipes.clear();
  assert.deepEqual(gone, pipes, "a copy: they leave the flow one by one");
  assert.deepEqual(flows.table.remove(1), []);
  flows.table.release(flow);
  assert.deepEqual(flows.take(), []);
});

test("flow table: whatever comes and goes, no unproven address gets more than three times what came from it", () => {
  const step = fc.record({
    flow: fc.nat(3),
    type: fc.constantFrom("receive", "receive", "send", "send", "send", "release", "remove"),
    bytes: fc.constantFrom(0, 1, 40, 49, 548, 1452),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
      const flows = new Flows();
      const model = new Map<number, { flow: Flow; received: number; sent: number }>();
      for (const { flow: id, type, bytes } of steps) {
        const known = model.get(id) ?? { flow: flows.table.open(id, FACTS), received: 0, sent: 0 };
        model.set(id, known);
        if (type === "receive") {
          known.flow.bytesReceived += bytes;
          known.received += bytes;
        } else if (type === "send") flows.table.send(known.flow, new Uint8Array(bytes));
        else {
          if (type === "release") flows.table.release(known.flow);
          else flows.table.remove(id);
          model.delete(id);
        }
        for (const output of flows.take()) {
          if (output.type === "sendDatagram") {
            assert.equal(output.flow, id);
            known.sent += output.bytes.length;
            assert.ok(known.sent <= 3 * known.received, `${known.sent} after ${known.received}`);
          } else assert.deepEqual(output, { type: "forgetFlow", flow: id });
        }
        assert.equal(flows.table.size, model.size);
      }
    }),
    { seed: 0x8100, numRuns: 200 },
  );
});
