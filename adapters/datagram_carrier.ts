/**
 * The UDP sockets of one driver: which flow is which remote address, and which socket a new flow goes by.
 *
 * The invariant to hold: one socket serves all sessions of an address family; sockets that were bound only to dial go
 * when their last flow goes, so a program that is done can end.
 *
 * @module
 */

import { ViaductError } from "../core/error.ts";
import type { FlowId, FlowOutput } from "../core/node/endpoint_types.ts";
import type { DatagramHandler, DatagramSocket, Remote } from "./datagram_socket.ts";
import type { Address, Listener, Runtime } from "./runtime.ts";

/** What the sockets tell the driver. */
export interface DatagramCarrierOwner {
  allocateFlow(): FlowId;
  onFlowOpened(flow: FlowId, remote: Remote): void;
  onFlowData(flow: FlowId, bytes: Uint8Array): void;
  onFlow(type: "flowBlocked" | "flowWritable" | "flowClosed", flow: FlowId): void;
  /** What came is to be acted on now. */
  onBatchEnd(): void;
}

interface Carrier {
  readonly socket: DatagramSocket;
  readonly flows: Map<FlowId, Remote>;
  readonly blocked: Set<FlowId>;
  /** Whether strangers are listened to. */
  isListening: boolean;
  needsFlush: boolean;
}

/** All UDP sockets of a driver. */
export class DatagramCarriers {
  readonly #runtime: Runtime;
  readonly #owner: DatagramCarrierOwner;
  readonly #carriers = new Set<Carrier>();
  readonly #byFlow = new Map<FlowId, Carrier>();
  /** The socket for dialling of each family, as soon as it is asked for. */
  readonly #dialling = new Map<4 | 6, Promise<Carrier>>();
  readonly #unflushed: Carrier[] = [];
  #isDisposed = false;

  constructor(runtime: Runtime, owner: DatagramCarrierOwner) {
    this.#runtime = runtime;
    this.#owner = owner;
  }

  /** Flows of all sockets. */
  get size(): number {
    return this.#byFlow.size;
  }

  /** Binds a socket that strangers may speak to. */
  async listen(address: Address): Promise<Listener> {
    const [host] = await this.#resolve(address.host);
    const carrier = await this.#bind({ host: host as string, port: address.port }, true);
    const bound: Address = { ...address, host: carrier.socket.address.host, port: carrier.socket.address.port };
    return {
      address: bound,
      close: () => {
        carrier.isListening = false;
        this.#closeUnused(carrier);
        return Promise.resolve();
      },
    };
  }

  /** The flow to an address, known or new. Rejects with `dial_failed`, `address_unavailable` or `permission`. */
  async dial(address: Address): Promise<{ readonly flow: FlowId; readonly remote: Remote }> {
    const hosts = await this.#resolve(address.host);
    let failure: unknown = new ViaductError("dial_failed", { detail: `${address.host} has no address` });
    for (const host of hosts) {
      try {
        const carrier = await this.#carrierFor(host);
        const remote = carrier.socket.remoteOf(host, address.port);
        if (remote.flow === -1) this.#addFlow(carrier, remote);
        return { flow: remote.flow, remote };
      } catch (error) {
        failure = error; // A host without IPv6 has other addresses to try.
      }
    }
    throw failure;
  }

  /** Carries out what a machine wants. */
  carryOut(output: FlowOutput): void {
    const carrier = this.#byFlow.get(output.flow);
    const remote = carrier?.flows.get(output.flow);
    if (carrier === undefined || remote === undefined) return;
    if (output.type === "forgetFlow") {
      this.#forget(carrier, output.flow, remote);
      this.#closeUnused(carrier);
      return;
    }
    if (!carrier.needsFlush) {
      carrier.needsFlush = true;
      this.#unflushed.push(carrier);
    }
    if (carrier.socket.send(output.bytes, remote) || carrier.blocked.has(output.flow)) return;
    carrier.blocked.add(output.flow);
    this.#owner.onFlow("flowBlocked", output.flow);
  }

  /** Hands everything to the system. */
  flush(): void {
    for (const carrier of this.#unflushed) {
      carrier.needsFlush = false;
      carrier.socket.flush();
    }
    this.#unflushed.length = 0;
  }

  /** Closes every socket. */
  dispose(): void {
    if (this.#isDisposed) return;
    this.flush();
    this.#isDisposed = true;
    for (const carrier of this.#carriers) carrier.socket.close();
    this.#carriers.clear();
    this.#byFlow.clear();
  }

  async #resolve(host: string): Promise<readonly string[]> {
    if (this.#runtime.resolve === undefined) return [host];
    return await this.#runtime.resolve(host);
  }

  /** A socket that reaches a host: one that listens on every address or beside it, else one of its own. */
  async #carrierFor(host: string): Promise<Carrier> {
    const family = host.includes(":") ? 6 : 4;
    for (const carrier of this.#carriers) {
      if (carrier.socket.family !== family || !carrier.isListening) continue;
      const { host: local } = carrier.socket.address;
      if (local === "0.0.0.0" || local === "::" || isLoopback(local) === isLoopback(host)) return carrier;
    }
    let made = this.#dialling.get(family);
    if (made === undefined) {
      made = this.#bind({ host: family === 6 ? "::" : "0.0.0.0", port: 0 }, false);
      this.#dialling.set(family, made);
      made.catch(() => this.#dialling.delete(family));
    }
    return await made;
  }

  async #bind(address: { host: string; port: number }, isListening: boolean): Promise<Carrier> {
    if (this.#runtime.bindDatagrams === undefined) {
      throw new ViaductError("unsupported", { detail: `${this.#runtime.name} has no UDP` });
    }
    const handler = new SocketHandler(this.#owner);
    const socket = await this.#runtime.bindDatagrams(address, handler);
    const carrier: Carrier = { socket, flows: new Map(), blocked: new Set(), isListening, needsFlush: false };
    handler.onStranger = (remote) => {
      if (!carrier.isListening || this.#isDisposed) return false;
      this.#addFlow(carrier, remote);
      this.#owner.onFlowOpened(remote.flow, remote);
      return true;
    };
    handler.onWritable = () => {
      for (const flow of carrier.blocked) this.#owner.onFlow("flowWritable", flow);
      carrier.blocked.clear();
      this.#owner.onBatchEnd();
    };
    handler.onClosed = () => this.#onClosed(carrier);
    if (this.#isDisposed) {
      socket.close();
      throw new ViaductError("closed");
    }
    this.#carriers.add(carrier);
    return carrier;
  }

  #addFlow(carrier: Carrier, remote: Remote): void {
    remote.flow = this.#owner.allocateFlow();
    carrier.flows.set(remote.flow, remote);
    this.#byFlow.set(remote.flow, carrier);
  }

  #forget(carrier: Carrier, flow: FlowId, remote: Remote): void {
    remote.flow = -1;
    carrier.flows.delete(flow);
    carrier.blocked.delete(flow);
    this.#byFlow.delete(flow);
  }

  #closeUnused(carrier: Carrier): void {
    if (carrier.isListening || carrier.flows.size > 0 || !this.#carriers.delete(carrier)) return;
    const { family } = carrier.socket;
    void this.#dialling.get(family)?.then((made) => {
      if (made === carrier) this.#dialling.delete(family);
    });
    this.flush();
    carrier.socket.close();
  }

  #onClosed(carrier: Carrier): void {
    this.#carriers.delete(carrier);
    if (this.#isDisposed) return;
    for (const [flow, remote] of [...carrier.flows]) {
      this.#forget(carrier, flow, remote);
      this.#owner.onFlow("flowClosed", flow);
    }
    this.#owner.onBatchEnd();
  }
}

/** One object per socket, so that nothing is made per datagram. */
class SocketHandler implements DatagramHandler {
  readonly #owner: DatagramCarrierOwner;
  onStranger: (remote: Remote) => boolean = () => false;
  onWritable: () => void = () => {};
  onClosed: () => void = () => {};

  constructor(owner: DatagramCarrierOwner) {
    this.#owner = owner;
  }

  onDatagram(bytes: Uint8Array, remote: Remote): void {
    if (remote.flow === -1 && !this.onStranger(remote)) return;
    this.#owner.onFlowData(remote.flow, bytes);
  }

  onBatchEnd(): void {
    this.#owner.onBatchEnd();
  }
}

function isLoopback(host: string): boolean {
  return host === "::1" || host.startsWith("127.");
}
