/**
 * UDP by `Bun.udpSocket`, which takes many datagrams in one call.
 *
 * @module
 */

import type { DatagramAddress, DatagramHandler, DatagramSocket, Remote } from "../datagram_socket.ts";
import { RemoteCache } from "../datagram_socket.ts";
import { systemFailure } from "../failure.ts";
import type { BunUdpSocket } from "./globals.ts";
import { bun } from "./globals.ts";

/** Datagrams of one call. */
const BATCH_MAX = 64;
/** Datagrams that may wait in the process before more are dropped. */
const WAITING_MAX = 4096;

class BunUdp implements DatagramSocket {
  readonly #handler: DatagramHandler;
  readonly #remotes = new RemoteCache();
  #socket: BunUdpSocket | undefined;
  /** `bytes, port, host` for each datagram, as Bun takes them. */
  #waiting: (Uint8Array | number | string)[] = [];
  #isBatchOpen = false;
  #isBlocked = false;
  #isFull = false;
  #isClosed = false;
  address: DatagramAddress = { host: "", port: 0 };
  family: 4 | 6 = 4;

  constructor(handler: DatagramHandler) {
    this.#handler = handler;
  }

  onBound(socket: BunUdpSocket): void {
    this.#socket = socket;
    this.address = { host: socket.address.address, port: socket.port };
    this.family = socket.address.address.includes(":") ? 6 : 4;
  }

  onData(bytes: Uint8Array, port: number, host: string): void {
    if (this.#isClosed) return;
    if (!this.#isBatchOpen) {
      this.#isBatchOpen = true;
      setImmediate(this.#endBatch);
    }
    this.#handler.onDatagram(bytes, this.#remotes.of(host, port));
  }

  onDrain(): void {
    this.#isBlocked = false;
    this.flush();
    if (!this.#isFull || this.#isBlocked) return;
    this.#isFull = false;
    this.#handler.onWritable();
  }

  remoteOf(host: string, port: number): Remote {
    return this.#remotes.of(host, port);
  }

  send(bytes: Uint8Array, remote: Remote): boolean {
    if (this.#isClosed) return true;
    if (this.#waiting.length >= 3 * WAITING_MAX) {
      this.#isFull = true;
      return false;
    }
    this.#waiting.push(bytes, remote.port, remote.host);
    if (this.#waiting.length >= 3 * BATCH_MAX && !this.#isBlocked) this.flush();
    return true;
  }

  flush(): void {
    const socket = this.#socket;
    if (socket === undefined || this.#isClosed || this.#isBlocked) return;
    while (this.#waiting.length > 0) {
      const batch = this.#waiting.length <= 3 * BATCH_MAX ? this.#waiting : this.#waiting.slice(0, 3 * BATCH_MAX);
      let sent = 0;
      try {
        sent = socket.sendMany(batch);
      } catch {
        sent = 1; // One address, or one that is too large: the datagram is lost, the others go on.
      }
      if (this.#waiting === batch && 3 * sent === batch.length) this.#waiting = [];
      else this.#waiting.splice(0, 3 * sent);
      if (3 * sent < batch.length && sent === 0) {
        this.#isBlocked = true; // `drain` follows.
        return;
      }
    }
  }

  close(): void {
    if (this.#isClosed) return;
    this.flush();
    this.#isClosed = true;
    this.#socket?.close();
    queueMicrotask(() => this.#handler.onClosed());
  }

  readonly #endBatch = (): void => {
    this.#isBatchOpen = false;
    if (!this.#isClosed) this.#handler.onBatchEnd();
  };
}

/** Binds a socket. Rejects with `address_in_use`, `address_unavailable` or `permission`. */
export async function bindBunUdp(address: DatagramAddress, handler: DatagramHandler): Promise<DatagramSocket> {
  const udp = new BunUdp(handler);
  try {
    udp.onBound(
      await bun.udpSocket({
        hostname: address.host,
        port: address.port,
        binaryType: "uint8array",
        socket: {
          data: (_socket, bytes, port, host) => udp.onData(bytes, port, host),
          drain: () => udp.onDrain(),
          error: () => {}, // Of one remote address. RFC 1122 §4.1.3.3.
        },
      }),
    );
  } catch (error) {
    throw systemFailure(error, "address_unavailable");
  }
  return udp;
}
