/**
 * Datagrams between the hosts of a simulated network: one socket a host, a link each way between two of them, more
 * links by names such as `server.b`, and addresses that change when a NAT forgets.
 *
 * The invariant to hold: nothing here knows the protocol; what a link does to a datagram follows from the seed alone.
 *
 * @module
 */

import type { FlowId, FlowOutput, PipeId } from "../core/node/endpoint_types.ts";
import type { DatagramLinkOptions } from "./datagram_link.ts";
import { DatagramLink } from "./datagram_link.ts";
import type { SimHost, SimNetwork } from "./network.ts";

const FIRST_PORT = 1;

/** The socket of a host. */
interface SimSocket {
  readonly host: SimHost;
  /** The port that others see. */
  port: number;
  readonly byRemote: Map<string, FlowId>;
  readonly remotes: Map<FlowId, string>;
}

/** Sockets and links. */
export class DatagramNetwork {
  readonly #network: SimNetwork;
  readonly #sockets = new Map<string, SimSocket>();
  readonly #links = new Map<string, DatagramLink>();
  /** What links are like where nothing else was said. */
  options: Partial<DatagramLinkOptions> = {};
  #nextPort = 1000;

  constructor(network: SimNetwork) {
    this.#network = network;
  }

  /** The link from one host to another, or from `client.b` to `server.b`; made when it is first asked for. */
  link(from: string, to: string): DatagramLink {
    const key = `${from}>${to}`;
    let link = this.#links.get(key);
    if (link === undefined) {
      link = new DatagramLink(this.options, this.#network.random);
      this.#links.set(key, link);
    }
    return link;
  }

  /** Cuts every link there is, or lets all work again. */
  setAllDown(isDown: boolean): void {
    for (const link of this.#links.values()) link.isDown = isDown;
  }

  /** Others see another port of this host from now on, and what they send to the old one is lost. */
  rebind(host: SimHost): void {
    this.#socketOf(host).port = this.#nextPort++;
    this.#network.note(`rebind ${host.name} ${this.#network.now.toFixed(3)}`);
  }

  /** A datagram socket needs no handshake: the pipe is there once the name was looked up. */
  dial(host: SimHost, pipe: PipeId, name: string, address: string): void {
    this.#network.plan(this.#network.now, () => {
      const target = this.#network.hosts.get(hostOf(name));
      if (target === undefined) {
        host.input({ type: "pipeFailed", pipe, code: "dial_failed", detail: "No such host" });
        return;
      }
      const socket = this.#socketOf(host);
      const remote = `${name}:${this.#socketOf(target).port}`;
      const flow = this.#flowOf(socket, remote) ?? this.#addFlow(socket, remote);
      const facts = { remote: address, remoteHost: target.address, isDialled: true } as const;
      host.input({ type: "pipeOpened", pipe, kind: "datagrams", flow, ...facts });
    });
  }

  onOutput(host: SimHost, output: FlowOutput): void {
    const socket = this.#socketOf(host);
    const remote = socket.remotes.get(output.flow);
    if (remote === undefined) return;
    if (output.type === "forgetFlow") {
      socket.remotes.delete(output.flow);
      socket.byRemote.delete(remote);
      return;
    }
    const [name = "", port = ""] = remote.split(":");
    const network = this.#network;
    network.note(`datagram ${host.name} ${output.bytes.length} ${network.now.toFixed(3)}`);
    const local = host.name + name.slice(hostOf(name).length);
    const from = `${local}:${socket.port}`;
    if (network.isPartitioned(host.name, hostOf(name))) return;
    for (const { at, bytes } of this.link(local, name).send(output.bytes, network.now)) {
      network.plan(at, () => this.#deliver(from, name, Number(port), bytes));
    }
  }

  /** A host starts again: its socket knows nobody. */
  forget(host: SimHost): void {
    this.#sockets.delete(host.name);
  }

  #deliver(from: string, name: string, port: number, bytes: Uint8Array): void {
    const host = this.#network.hosts.get(hostOf(name));
    const sender = hostOf(from.split(":")[0] as string);
    if (host?.isRunning !== true || this.#network.isPartitioned(sender, host.name)) return;
    const socket = this.#socketOf(host);
    if (socket.port !== port) return;
    let flow = this.#flowOf(socket, from);
    if (flow === undefined) {
      flow = this.#addFlow(socket, from);
      const remoteHost = this.#network.hosts.get(sender)?.address;
      host.input({ type: "flowOpened", flow, remote: `udp://${from}`, remoteHost });
    }
    host.input({ type: "flowData", flow, bytes });
  }

  #socketOf(host: SimHost): SimSocket {
    let socket = this.#sockets.get(host.name);
    if (socket === undefined) {
      socket = { host, port: FIRST_PORT, byRemote: new Map(), remotes: new Map() };
      this.#sockets.set(host.name, socket);
    }
    return socket;
  }

  #flowOf(socket: SimSocket, remote: string): FlowId | undefined {
    return socket.byRemote.get(remote);
  }

  #addFlow(socket: SimSocket, remote: string): FlowId {
    const flow = socket.host.machine.allocatePipe();
    socket.byRemote.set(remote, flow);
    socket.remotes.set(flow, remote);
    return flow;
  }
}

/** The host of a name; what is behind its dot only names the link. */
function hostOf(name: string): string {
  return name.split(".", 1)[0] as string;
}
