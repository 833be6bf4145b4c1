/**
 * The few parts of Deno that the adapter uses, declared here so that every type checker knows them.
 * https://docs.deno.com/api/deno/
 *
 * @module
 */

/** A TCP connection. */
export interface DenoConnection {
  readonly remoteAddr: { readonly transport: string; readonly hostname: string; readonly port: number };
  read(into: Uint8Array): Promise<number | null>;
  write(bytes: Uint8Array): Promise<number>;
  closeWrite(): Promise<void>;
  close(): void;
  setNoDelay(isOn?: boolean): void;
}

/** A TCP listener. */
export interface DenoListener extends AsyncIterable<DenoConnection> {
  readonly addr: { readonly hostname: string; readonly port: number };
  close(): void;
}

/** A UDP socket. */
export interface DenoDatagramConnection {
  readonly addr: { readonly hostname: string; readonly port: number };
  receive(into: Uint8Array): Promise<[Uint8Array, { readonly hostname: string; readonly port: number }]>;
  send(bytes: Uint8Array, to: { transport: "udp"; hostname: string; port: number }): Promise<number>;
  close(): void;
}

/** Deno, as far as it is used. */
export interface DenoNamespace {
  connect(options: { hostname: string; port: number; signal?: AbortSignal }): Promise<DenoConnection>;
  listen(options: { hostname: string; port: number }): DenoListener;
  /** Only with `--unstable-net`. */
  listenDatagram?(options: {
    transport: "udp";
    hostname: string;
    port: number;
    reuseAddress: boolean;
  }): DenoDatagramConnection;
  networkInterfaces(): { readonly address: string }[];
  refTimer(id: number): void;
  unrefTimer(id: number): void;
}

/** The namespace of the running Deno. */
export const deno: DenoNamespace = (globalThis as unknown as { Deno: DenoNamespace }).Deno;
