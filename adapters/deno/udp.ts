/**
 * UDP by `Deno.listenDatagram`, or by `node:dgram` where Deno runs without `--unstable-net`.
 *
 * @module
 */

import { setImmediate } from "node:timers";
import type { DatagramAddress, DatagramHandler, DatagramSocket, Remote } from "../datagram_socket.ts";
import { RemoteCache } from "../datagram_socket.ts";
import { bindNodeUdp } from "../node/udp.ts";
import { denoFailure } from "./failure.ts";
import type { DenoDatagramConnection } from "./globals.ts";
import { deno } from "./globals.ts";

/** Bytes of the largest datagram that UDP has. */
const DATAGRAM_BYTES_MAX = 65_536;
/** Datagrams that may wait in the process before more are dropped. */
const WAITING_MAX = 4096;
/** Datagrams taken in one turn before others of the process have theirs. */
const BATCH_MAX = 256;

class DenoUdp implements DatagramSocket {
  readonly #connection: DenoDatagramConnection;
  readonly #handler: DatagramHandler;
  readonly #remotes = new RemoteCache();
  readonly address: DatagramAddress;
  readonly family: 4 | 6;
  #waiting: [Uint8Array, Remote][] = [];
  #isSending = false;
  #isFull = false;
  #isClosed = false;
  #isBatchOpen = false;
  #batch = 0;

  constructor(connection: DenoDatagramConnection, handler: DatagramHandler) {
    this.#connection = connection;
    this.#handler = handler;
    this.address = { host: connection.addr.hostname, port: connection.addr.port };
    this.family = connection.addr.hostname.includes(":") ? 6 : 4;
    void this.#receive();
  }

  remoteOf(host: string, port: number): Remote {
    return this.#remotes.of(host, port);
  }

  send(bytes: Uint8Array, remote: Remote): boolean {
    if (this.#isClosed) return true;
    if (this.#waiting.length >= WAITING_MAX) {
      this.#isFull = true;
      return false;
    }
    this.#waiting.push([bytes, remote]);
    return true;
  }

  flush(): void {
    if (!this.#isSending && this.#waiting.length > 0) void this.#send();
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    try {
      this.#connection.close();
    } catch {
      // It is closed already.
    }
    queueMicrotask(() => this.#handler.onClosed());
  }

  async #send(): Promise<void> {
    this.#isSending = true;
    while (this.#waiting.length > 0 && !this.#isClosed) {
      const batch = this.#waiting;
      this.#waiting = [];
      // Each call is handed to the system at once; only the last one is waited for.
      let last: Promise<number> | undefined;
      for (const [bytes, { host, port }] of batch) {
        last = this.#connection.send(bytes, { transport: "udp", hostname: host, port });
        last.catch(() => {}); // Of one remote address, or too large: the others go on.
      }
      try {
        await last;
      } catch {
        // The same.
      }
    }
    this.#isSending = false;
    if (!this.#isFull || this.#isClosed) return;
    this.#isFull = false;
    this.#handler.onWritable();
  }

  async #receive(): Promise<void> {
    const buffer = new Uint8Array(DATAGRAM_BYTES_MAX);
    while (!this.#isClosed) {
      try {
        const [bytes, from] = await this.#connection.receive(buffer);
        if (this.#isClosed) return;
        this.#openBatch();
        this.#handler.onDatagram(bytes, this.#remotes.of(from.hostname, from.port));
        if (++this.#batch % BATCH_MAX === 0) await new Promise<void>((resolve) => setImmediate(resolve));
      } catch (error) {
        if (this.#isClosed) return;
        // An answer to something we sent: the socket is fine.
        if (error instanceof Error && error.name === "ConnectionRefused") continue;
        this.#isClosed = true;
        this.#handler.onClosed(error instanceof Error ? error : new Error(String(error)));
        return;
      }
    }
  }

  #openBatch(): void {
    if (this.#isBatchOpen) return;
    this.#isBatchOpen = true;
    setImmediate(this.#endBatch); // A timer of Deno takes a millisecond at least.
  }

  readonly #endBatch = (): void => {
    this.#isBatchOpen = false;
    if (!this.#isClosed) this.#handler.onBatchEnd();
  };
}

/** Binds a socket. Rejects with `address_in_use`, `address_unavailable` or `permission`. */
export async function bindDenoUdp(address: DatagramAddress, handler: DatagramHandler): Promise<DatagramSocket> {
  if (deno.listenDatagram === undefined) return await bindNodeUdp(address, handler);
  try {
    return new DenoUdp(
      deno.listenDatagram({ transport: "udp", hostname: address.host, port: address.port, reuseAddress: false }),
      handler,
    );
  } catch (error) {
    throw denoFailure(error, "address_unavailable", {
      scheme: "udp",
      host: address.host,
      port: address.port,
      path: "/",
    });
  }
}
