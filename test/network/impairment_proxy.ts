/**
 * A UDP proxy that treats datagrams as badly as the simulator's links do, on real sockets: one `DatagramLink` each way,
 * blackouts, a largest size that shrinks, and a NAT that forgets its ports.
 *
 * The invariant to hold: what happens to the n-th datagram of a direction follows from the seed; when it happens does
 * not, because the clock is real.
 *
 * @module
 */

import { createSocket, type Socket } from "node:dgram";
import { DatagramLink, type DatagramLinkOptions, type DatagramLinkStats } from "../../sim/datagram_link.ts";
import { SimRandom } from "../../sim/random.ts";
import { Schedule } from "../../sim/schedule.ts";

/** Which way a datagram goes: to the server, or back to the client. */
export type Direction = "up" | "down";

/** What the proxy does. */
export interface ImpairmentOptions {
  readonly seed: number;
  /** The port of the server on 127.0.0.1. */
  readonly targetPort: number;
  readonly up?: Partial<DatagramLinkOptions>;
  readonly down?: Partial<DatagramLinkOptions>;
  /** The server sees another port of each client so often; what it sends to the old one is lost. */
  readonly rebindEveryMs?: number;
}

/** What became of the datagrams of a direction. */
export interface ImpairmentStats {
  readonly up: Readonly<DatagramLinkStats>;
  readonly down: Readonly<DatagramLinkStats>;
  readonly rebinds: number;
  readonly clients: number;
}

/** A client, and the socket by which the server sees it. */
interface Mapping {
  readonly port: number;
  socket: Socket;
}

const HOST = "127.0.0.1";
const CLIENTS_MAX = 64;
const BUFFER_BYTES = 4 * 1024 * 1024;
/** As fine as a timer of Node gets. */
const TICK_MS = 1;
const SEED_DOWN = 0x0dd;

/** The proxy. One line each way is shared by all of its clients. */
export class ImpairmentProxy implements AsyncDisposable {
  readonly #front: Socket;
  readonly #targetPort: number;
  readonly #links: { readonly up: DatagramLink; readonly down: DatagramLink };
  readonly #schedule = new Schedule();
  readonly #mappings = new Map<number, Mapping>();
  readonly #timers = new Set<NodeJS.Timeout>();
  readonly #origin = performance.now();
  #tick: NodeJS.Timeout | undefined;
  #rebinding: NodeJS.Timeout | undefined;
  #rebinds = 0;
  #clients = 0;
  #isClosed = false;

  private constructor(front: Socket, options: ImpairmentOptions) {
    const { seed, targetPort, up, down, rebindEveryMs } = options;
    this.#front = front;
    this.#targetPort = targetPort;
    this.#links = {
      up: new DatagramLink(up ?? {}, new SimRandom(seed)),
      down: new DatagramLink(down ?? {}, new SimRandom(seed ^ SEED_DOWN)),
    };
    front.on("message", (bytes, { port }) => this.#onClient(bytes, port));
    if (rebindEveryMs !== undefined) this.#rebinding = setInterval(() => void this.rebind(), rebindEveryMs);
  }

  /** Listens on a free port of 127.0.0.1. */
  static async start(options: ImpairmentOptions): Promise<ImpairmentProxy> {
    return new ImpairmentProxy(await boundSocket(), options);
  }

  /** Where clients connect to. */
  get address(): string {
    return `udp://${HOST}:${this.#front.address().port}`;
  }

  get stats(): ImpairmentStats {
    const { up, down } = this.#links;
    return { up: { ...up.stats }, down: { ...down.stats }, rebinds: this.#rebinds, clients: this.#clients };
  }

  /** Changes what a direction is like from now on. */
  setOptions(direction: Direction, options: Partial<DatagramLinkOptions>): void {
    this.#links[direction].setOptions(options);
  }

  /** Nothing gets through, or everything again; what is on its way still arrives. */
  setDown(isDown: boolean): void {
    this.#links.up.isDown = isDown;
    this.#links.down.isDown = isDown;
  }

  /** Does something in so many milliseconds, unless the proxy was closed before. */
  after(ms: number, act: () => void): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      act();
    }, ms);
    this.#timers.add(timer);
  }

  /** The server sees another port of every client from now on. */
  async rebind(): Promise<void> {
    this.#rebinds++;
    for (const mapping of this.#mappings.values()) {
      const socket = await boundSocket();
      if (this.#isClosed) {
        socket.close();
        return;
      }
      const old = mapping.socket;
      mapping.socket = socket;
      this.#read(mapping, socket);
      old.close();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    clearTimeout(this.#tick);
    clearInterval(this.#rebinding);
    for (const timer of this.#timers) clearTimeout(timer);
    const sockets = [this.#front, ...[...this.#mappings.values()].map(({ socket }) => socket)];
    await Promise.all(sockets.map((socket) => new Promise<void>((resolve) => socket.close(resolve))));
  }

  #onClient(bytes: Uint8Array, port: number): void {
    if (this.#isClosed) return;
    const mapping = this.#mappings.get(port);
    if (mapping === undefined) {
      if (this.#mappings.size < CLIENTS_MAX) void this.#addClient(bytes, port);
      return;
    }
    this.#pass("up", bytes, mapping);
  }

  async #addClient(bytes: Uint8Array, port: number): Promise<void> {
    const socket = await boundSocket();
    const known = this.#mappings.get(port);
    if (this.#isClosed || known !== undefined) {
      socket.close();
      if (known !== undefined) this.#onClient(bytes, port);
      return;
    }
    const mapping: Mapping = { port, socket };
    this.#mappings.set(port, mapping);
    this.#clients++;
    this.#read(mapping, socket);
    this.#pass("up", bytes, mapping);
  }

  #read(mapping: Mapping, socket: Socket): void {
    socket.on("message", (bytes) => {
      if (!this.#isClosed && mapping.socket === socket) this.#pass("down", bytes, mapping);
    });
  }

  #pass(direction: Direction, bytes: Uint8Array, mapping: Mapping): void {
    const now = this.#now;
    for (const delivery of this.#links[direction].send(bytes, now)) {
      if (delivery.at <= now) this.#send(direction, delivery.bytes, mapping);
      else this.#schedule.plan(delivery.at, () => this.#send(direction, delivery.bytes, mapping));
    }
    this.#arm();
  }

  #send(direction: Direction, bytes: Uint8Array, { port, socket }: Mapping): void {
    if (direction === "up") socket.send(bytes, this.#targetPort, HOST);
    else this.#front.send(bytes, port, HOST);
  }

  #arm(): void {
    if (this.#tick === undefined && this.#schedule.size > 0) this.#tick = setTimeout(this.#onTick, TICK_MS);
  }

  readonly #onTick = (): void => {
    this.#tick = undefined;
    if (this.#isClosed) return;
    const now = this.#now;
    while (this.#schedule.step(now));
    this.#arm();
  };

  get #now(): number {
    return performance.now() - this.#origin;
  }
}

function boundSocket(): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = createSocket("udp4");
    socket.once("error", reject);
    socket.bind(0, HOST, () => {
      socket.off("error", reject);
      // A port where nobody listens any more: the datagram is lost, as on any network.
      socket.on("error", () => {});
      try {
        socket.setRecvBufferSize(BUFFER_BYTES);
        socket.setSendBufferSize(BUFFER_BYTES);
      } catch {
        // The system keeps its own size.
      }
      resolve(socket);
    });
  });
}
