/**
 * UDP by `node:dgram`.
 *
 * @module
 */

import { createSocket, type Socket } from "node:dgram";
import type { DatagramAddress, DatagramHandler, DatagramSocket, Remote } from "../datagram_socket.ts";
import { RemoteCache } from "../datagram_socket.ts";
import { systemFailure } from "../failure.ts";

/** Asked for; the system gives what it allows. A burst of a fast peer must not be lost before it is read. */
const BUFFER_BYTES = 4 * 1024 * 1024;
/** Bytes that may wait in the process before more are dropped. */
const WAITING_BYTES_MAX = 4 * 1024 * 1024;
/** The queue is looked at once in so many datagrams. */
const LOOK_EVERY = 32;
const RETRY_MS = 1;

/** Every address is an IP literal: nothing is ever looked up. */
function lookup(
  host: string,
  _options: unknown,
  callback: (error: null, address: string, family: number) => void,
): void {
  callback(null, host, host.includes(":") ? 6 : 4);
}

class NodeUdpSocket implements DatagramSocket {
  readonly #socket: Socket;
  readonly #handler: DatagramHandler;
  readonly #remotes = new RemoteCache();
  readonly address: DatagramAddress;
  readonly family: 4 | 6;
  #isBatchOpen = false;
  #untilLook = LOOK_EVERY;
  #isFull = false;
  #isClosed = false;

  constructor(socket: Socket, handler: DatagramHandler) {
    this.#socket = socket;
    this.#handler = handler;
    const { address, port } = socket.address();
    this.address = { host: address, port };
    this.family = address.includes(":") ? 6 : 4;
    socket.on("message", (bytes, from) => {
      if (this.#isClosed) return;
      if (!this.#isBatchOpen) {
        this.#isBatchOpen = true;
        setImmediate(this.#endBatch);
      }
      handler.onDatagram(bytes, this.#remotes.of(from.address, from.port));
    });
    // Of one remote address, or of a datagram that was too large: the others go on. RFC 1122 §4.1.3.3.
    socket.on("error", () => {});
    socket.on("close", () => handler.onClosed());
  }

  remoteOf(host: string, port: number): Remote {
    return this.#remotes.of(host, port);
  }

  send(bytes: Uint8Array, remote: Remote): boolean {
    if (this.#isClosed) return true;
    if (this.#isFull) return false;
    this.#socket.send(bytes, remote.port, remote.host);
    if (--this.#untilLook > 0) return true;
    this.#untilLook = LOOK_EVERY;
    if (this.#waitingBytes <= WAITING_BYTES_MAX) return true;
    this.#isFull = true;
    setTimeout(this.#look, RETRY_MS);
    return false;
  }

  flush(): void {}

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#socket.close();
  }

  /** Deno's `node:dgram` does not tell. */
  get #waitingBytes(): number {
    return (this.#socket as { getSendQueueSize?: () => number }).getSendQueueSize?.() ?? 0;
  }

  readonly #endBatch = (): void => {
    this.#isBatchOpen = false;
    if (!this.#isClosed) this.#handler.onBatchEnd();
  };

  readonly #look = (): void => {
    if (this.#isClosed) return;
    if (this.#waitingBytes > WAITING_BYTES_MAX / 2) {
      setTimeout(this.#look, RETRY_MS);
      return;
    }
    this.#isFull = false;
    this.#handler.onWritable();
  };
}

/** Binds a socket. Rejects with `address_in_use`, `address_unavailable` or `permission`. */
export function bindNodeUdp(address: DatagramAddress, handler: DatagramHandler): Promise<DatagramSocket> {
  return new Promise((resolve, reject) => {
    const isSix = address.host.includes(":");
    const socket = createSocket({
      type: isSix ? "udp6" : "udp4",
      ...(isSix ? { ipv6Only: true } : {}),
      lookup: lookup as never,
    });
    const onError = (error: Error): void => {
      socket.close();
      reject(systemFailure(error, "address_unavailable"));
    };
    socket.once("error", onError);
    socket.bind({ address: address.host, port: address.port }, () => {
      socket.off("error", onError);
      try {
        socket.setRecvBufferSize(BUFFER_BYTES);
        socket.setSendBufferSize(BUFFER_BYTES);
      } catch {
        // The system keeps its own size.
      }
      resolve(new NodeUdpSocket(socket, handler));
    });
  });
}
