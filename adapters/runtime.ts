/**
 * The one small interface between Viaduct and a JavaScript runtime: pipes, listeners, timers, randomness, storage.
 * Each of Node, Deno, Bun and the browser implements it from its own API and nothing else.
 *
 * The invariant to hold: a runtime knows no word of the protocol. Everything is callback-style and synchronous on the
 * data path; no Promise per chunk.
 *
 * @module
 */

import type { CryptoProvider } from "../core/crypto/provider.ts";
import type { Environment, Instant } from "../core/machine.ts";
import type { EarlyTickets, EarlyTicketsOptions } from "../core/node/early_tickets.ts";
import type { DatagramAddress, DatagramHandler, DatagramSocket } from "./datagram_socket.ts";

/** A transport that an address may name. */
export type Scheme = "tcp" | "udp" | "ws" | "wss";

/** A parsed address such as `tcp://127.0.0.1:4000` or `ws://[::1]:8080/relay`. */
export interface Address {
  readonly scheme: Scheme;
  /** A host name or an IP literal, without brackets. */
  readonly host: string;
  readonly port: number;
  /** Starts with `/`; only for `ws` and `wss`; `/` by default. */
  readonly path: string;
}

/** What a pipe tells its owner. All calls happen on the event loop, never from inside `write`. */
export interface PipeHandler {
  /** Bytes arrived; they are lent for the call. On a message pipe each call is one whole message. */
  onData(bytes: Uint8Array): void;
  /** The pipe takes more after a `write` that returned `false`. */
  onWritable(): void;
  /** The pipe is gone; the last call of its life. `error` is absent after an orderly end. */
  onClosed(error?: Error): void;
}

/** An open way to carry bytes (TCP) or messages (WebSocket), reliable and in order. */
export interface Pipe {
  readonly kind: "bytes" | "messages";
  /** The other end, as `tcp://host:port`, for people and per-address limits. In a browser the URL that was dialled. */
  readonly remote: string;
  /** The other end's IP address where the runtime knows it, else `undefined`. */
  readonly remoteHost: string | undefined;
  /**
   * Queues chunks in order (on a message pipe: one message each). The pipe owns the bytes from here on.
   * Returns `false` when its buffer is above the high-water mark: wait for `onWritable` (bytes are queued all the
   * same).
   */
  write(chunks: readonly Uint8Array[]): boolean;
  /** Bytes queued and not yet given to the operating system. */
  readonly bufferedBytes: number;
  /**
   * Stops and restarts reading: back-pressure to the other side. A runtime that cannot (a browser's WebSocket)
   * ignores it.
   */
  pauseReading(): void;
  resumeReading(): void;
  /** Flushes what is queued, then ends; `onClosed` follows in bounded time (5 s, then it is destroyed). */
  close(): void;
  /** Ends at once, dropping what is queued. */
  destroy(): void;
}

/** Options of `Runtime.dial`. */
export interface DialOptions {
  readonly signal?: AbortSignal;
  /** Given up after this; 10,000 by default. */
  readonly timeoutMs?: number;
}

/** Options of `Runtime.listen`. */
export interface ListenOptions {
  /**
   * WebSocket only: `Origin` values that may connect besides none and the same origin; `"*"` allows all. THREATS
   * t-E3.
   */
  readonly allowedOrigins?: readonly string[];
  /** WebSocket only: `Host` names allowed besides IP literals and `localhost`. */
  readonly allowedHosts?: readonly string[];
  /** WebSocket only: answers a plain HTTP request on the same port, such as the page; `undefined` is 404. */
  readonly onHttpRequest?: (request: HttpRequest) => HttpResponse | Promise<HttpResponse | undefined> | undefined;
  /** Open pipes over all remotes; more are refused at once. 10,000 by default. */
  readonly pipesMax?: number;
}

/** A plain HTTP request, as far as a small status or static page needs it. */
export interface HttpRequest {
  readonly method: string;
  /** Path with query, as sent; starts with `/`. */
  readonly path: string;
  readonly headers: ReadonlyMap<string, string>;
}

/** The answer to a plain HTTP request. */
export interface HttpResponse {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Uint8Array | string;
}

/** A listener that accepts pipes. */
export interface Listener {
  /** The address really bound (a port 0 was replaced). */
  readonly address: Address;
  /** Stops accepting; open pipes stay. Resolves when the port is free. */
  close(): Promise<void>;
}

/** An armed timer. */
export interface Timer {
  cancel(): void;
}

/** Where an identity lives between runs. */
export interface KeyStore {
  /**
   * Loads the 32-byte seed kept under `name` (a file path, or a key in IndexedDB), or makes, stores and returns a new
   * one from `random`. Throws `ViaductError` with code `key_file` when it cannot be read, is malformed, or (Unix) when
   * group or others may read it.
   */
  loadOrCreate(name: string, random: (out: Uint8Array) => void): Promise<Uint8Array>;
}

/** A JavaScript runtime as Viaduct sees it. */
export interface Runtime {
  readonly name: "node" | "deno" | "bun" | "browser" | "sim";
  readonly crypto: CryptoProvider;
  /** Schemes this runtime can dial and listen on. */
  readonly canDial: readonly Scheme[];
  readonly canListen: readonly Scheme[];
  readonly keys: KeyStore | undefined;
  /** Fills with secure random bytes, any length. Throws when the host has no source. */
  random(out: Uint8Array): void;
  /**
   * The IP addresses of this machine by which others may reach it: neither loopback nor link-local. Left out, or empty,
   * where the runtime does not tell.
   */
  hostAddresses?(): readonly string[];
  /** Monotonic milliseconds. */
  now(): Instant;
  /** Wall-clock milliseconds since 1970, where a token or lease needs it. */
  unixMs(): number;
  /**
   * Calls back once after `delayMs`, clamped to [0, 2^31-1]. Does not keep the process alive by itself if
   * `isBackground`.
   */
  setTimer(callback: () => void, delayMs: number, options?: { readonly isBackground?: boolean }): Timer;
  /**
   * Binds a UDP socket. Left out where the runtime has none. Rejects with `ViaductError`: `address_in_use`,
   * `address_unavailable`, `permission`.
   */
  bindDatagrams?(address: DatagramAddress, handler: DatagramHandler): Promise<DatagramSocket>;
  /** Makes what hands out tickets for early data. Left out where nodes are never dialled. */
  makeEarlyTickets?(env: Environment, options: EarlyTicketsOptions): EarlyTickets;
  /** The IP addresses of a host name. Left out where the runtime does not tell. Rejects with `dial_failed`. */
  resolve?(host: string): Promise<readonly string[]>;
  /**
   * Opens a pipe. Rejects with `ViaductError`: `dial_failed` (with cause), `timeout`, `unsupported`, `permission`, or
   * the
   * signal's reason. `handler` is called only after the promise resolved.
   */
  dial(address: Address, handler: PipeHandler, options?: DialOptions): Promise<Pipe>;
  /**
   * Listens. `onPipe` is called for each accepted pipe and returns its handler, or `undefined` to refuse it.
   * Rejects with `ViaductError`: `address_in_use`, `address_unavailable`, `unsupported`, `permission`.
   */
  listen(address: Address, onPipe: (pipe: Pipe) => PipeHandler | undefined, options?: ListenOptions): Promise<Listener>;
}
