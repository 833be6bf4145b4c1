/**
 * The few parts of Bun that the adapter uses, declared here so that every type checker knows them.
 * https://bun.sh/docs/api/tcp
 *
 * @module
 */

/** A TCP socket. */
export interface BunSocket<Data> {
  data: Data;
  readonly remoteAddress: string;
  readonly remotePort?: number;
  write(bytes: Uint8Array, offset?: number, length?: number): number;
  end(): void;
  terminate(): void;
  pause(): void;
  resume(): void;
  setNoDelay(isOn?: boolean): boolean;
}

/** What a TCP socket tells. */
export interface BunSocketHandlers<Data> {
  open?(socket: BunSocket<Data>): void;
  data(socket: BunSocket<Data>, bytes: Uint8Array): void;
  drain(socket: BunSocket<Data>): void;
  close(socket: BunSocket<Data>, error?: Error): void;
  error(socket: BunSocket<Data>, error: Error): void;
  end?(socket: BunSocket<Data>): void;
  connectError?(socket: BunSocket<Data>, error: Error): void;
}

/** A WebSocket of a server. */
export interface BunServerSocket<Data> {
  data: Data;
  readonly remoteAddress: string;
  readonly readyState: number;
  sendBinary(bytes: Uint8Array): number;
  getBufferedAmount(): number;
  close(code?: number): void;
  terminate(): void;
}

/** A server of HTTP and WebSockets. */
export interface BunServer<Data> {
  readonly port: number;
  upgrade(request: Request, options: { data: Data }): boolean;
  requestIP(request: Request): { address: string; port: number } | null;
  stop(isForced?: boolean): Promise<void>;
}

/** A UDP socket. */
export interface BunUdpSocket {
  readonly port: number;
  readonly address: { readonly address: string; readonly port: number };
  /** `bytes, port, host` for each datagram; returns how many the system took. */
  sendMany(datagrams: readonly (Uint8Array | number | string)[]): number;
  close(): void;
}

/** Bun, as far as it is used. */
export interface BunNamespace {
  udpSocket(options: {
    hostname: string;
    port: number;
    binaryType: "uint8array";
    socket: {
      data(socket: BunUdpSocket, bytes: Uint8Array, port: number, host: string): void;
      drain(socket: BunUdpSocket): void;
      error(socket: BunUdpSocket, error: Error): void;
    };
  }): Promise<BunUdpSocket>;
  connect<Data>(options: {
    hostname: string;
    port: number;
    data: Data;
    socket: BunSocketHandlers<Data>;
    allowHalfOpen?: boolean;
  }): Promise<BunSocket<Data>>;
  listen<Data>(options: {
    hostname: string;
    port: number;
    data?: Data;
    socket: BunSocketHandlers<Data>;
    allowHalfOpen?: boolean;
  }): { readonly port: number; stop(isForced?: boolean): void };
  serve<Data>(options: {
    hostname: string;
    port: number;
    idleTimeout?: number;
    fetch(request: Request, server: BunServer<Data>): Response | Promise<Response> | undefined;
    websocket: {
      maxPayloadLength: number;
      backpressureLimit: number;
      idleTimeout: number;
      perMessageDeflate: boolean;
      open(socket: BunServerSocket<Data>): void;
      message(socket: BunServerSocket<Data>, data: string | Uint8Array): void;
      drain(socket: BunServerSocket<Data>): void;
      close(socket: BunServerSocket<Data>): void;
    };
  }): BunServer<Data>;
}

/** The namespace of the running Bun. */
export const bun: BunNamespace = (globalThis as unknown as { Bun: BunNamespace }).Bun;
