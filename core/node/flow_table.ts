/**
 * Flows: the pairs of a local socket and a remote address by which datagrams come and go. Several sessions may share
 * one: packages say by themselves to which session and path they belong.
 *
 * The invariants to hold: a flow lives only as long as something uses it, so a spoofed address costs nothing that
 * stays; an address that proved nothing gets at most three times what came from it. RFC 9000 §8.1, THREATS t-C1.
 *
 * @module
 */

import type { EventQueue } from "../connection/event_queue.ts";
import type { Bytes } from "../machine.ts";
import type { EndpointOutput, FlowId } from "./endpoint_types.ts";
import type { PipeState } from "./pipe_table.ts";

/** RFC 9000 §8.1. */
const AMPLIFICATION_MAX = 3;

/** A pair of a local socket and a remote address. */
export interface Flow {
  readonly id: FlowId;
  readonly remote: string;
  readonly remoteHost: string | undefined;
  /** What rides on it. */
  readonly pipes: Set<PipeState>;
  /** Whether the address proved that it gets what is sent to it, or was chosen by ourselves. */
  isProven: boolean;
  bytesReceived: number;
  bytesSent: number;
}

/** The flows of an endpoint. */
export class FlowTable {
  readonly #outputs: EventQueue<EndpointOutput>;
  readonly #flows = new Map<FlowId, Flow>();
  /** Datagrams that were held back from an address that proved nothing. */
  heldBack = 0;

  constructor(outputs: EventQueue<EndpointOutput>) {
    this.#outputs = outputs;
  }

  get size(): number {
    return this.#flows.size;
  }

  get(id: FlowId): Flow | undefined {
    return this.#flows.get(id);
  }

  /** Takes a flow in; one that is known stays as it is. */
  open(id: FlowId, facts: { readonly remote: string; readonly remoteHost: string | undefined }): Flow {
    let flow = this.#flows.get(id);
    if (flow === undefined) {
      flow = {
        id,
        remote: facts.remote,
        remoteHost: facts.remoteHost,
        pipes: new Set(),
        isProven: false,
        bytesReceived: 0,
        bytesSent: 0,
      };
      this.#flows.set(id, flow);
    }
    return flow;
  }

  /** Whether a datagram may go to the address of a flow; it counts as sent then. */
  admit(flow: Flow, bytes: number): boolean {
    if (!flow.isProven && flow.bytesSent + bytes > AMPLIFICATION_MAX * flow.bytesReceived) {
      this.heldBack++;
      return false;
    }
    flow.bytesSent += bytes;
    return true;
  }

  /** Sends a datagram, unless the address must prove itself first. */
  send(flow: Flow, bytes: Bytes): void {
    if (this.admit(flow, bytes.length)) this.#outputs.push({ type: "sendDatagram", flow: flow.id, bytes });
  }

  /** Lets go of a flow that nothing rides on. */
  release(flow: Flow): void {
    if (flow.pipes.size > 0 || !this.#flows.delete(flow.id)) return;
    this.#outputs.push({ type: "forgetFlow", flow: flow.id });
  }

  /** Forgets a flow whose socket is gone, and returns what rode on it. */
  remove(id: FlowId): PipeState[] {
    const flow = this.#flows.get(id);
    this.#flows.delete(id);
    return flow === undefined ? [] : [...flow.pipes];
  }
}
