/**
 * A UDP socket as Viaduct sees it, and the addresses that it remembers.
 *
 * The invariants to hold: no Promise and no closure per datagram; an error about one remote address never closes the
 * socket; what is remembered of addresses is bounded, so a flood of spoofed ones costs nothing that stays.
 * THREATS t-C1.
 *
 * @module
 */

/** The other end of datagrams. The same object for the same address as long as it is remembered. */
export interface Remote {
  /** An IP literal, without brackets. */
  readonly host: string;
  readonly port: number;
  readonly family: 4 | 6;
  /** As `udp://host:port`. */
  readonly text: string;
  /** For the owner of the socket; -1 at first. One that is not -1 is never forgotten. */
  flow: number;
}

/** What a socket tells its owner. */
export interface DatagramHandler {
  /** A datagram came; the bytes are lent for the call. */
  onDatagram(bytes: Uint8Array, remote: Remote): void;
  /** The datagrams of one turn of the event loop are over: the owner answers them together. */
  onBatchEnd(): void;
  /** The socket takes more after a `send` that returned `false`. */
  onWritable(): void;
  /** The socket is gone; the last call of its life. */
  onClosed(error?: Error): void;
}

/** Where to bind. */
export interface DatagramAddress {
  /** An IP literal: it decides whether the socket is for IPv4 or IPv6. */
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
}

/** A bound UDP socket. */
export interface DatagramSocket {
  /** The address really bound (a port 0 was replaced). */
  readonly address: DatagramAddress;
  readonly family: 4 | 6;
  /** The remote of an IP literal. */
  remoteOf(host: string, port: number): Remote;
  /**
   * Queues a datagram; the socket owns the bytes from here on. `false` when it is full: the datagram is lost then, as
   * any may be, and `onWritable` follows.
   */
  send(bytes: Uint8Array, remote: Remote): boolean;
  /** Hands what is queued to the system now. */
  flush(): void;
  /** Closes it; `onClosed` follows. */
  close(): void;
}

/** Addresses that a socket remembers besides those in use. */
const REMOTES_MAX = 4096;

/** The remote addresses of a socket. */
export class RemoteCache {
  readonly #remotes = new Map<string, Remote>();

  get size(): number {
    return this.#remotes.size;
  }

  /** The remote of an address. */
  of(host: string, port: number): Remote {
    const key = `${host} ${port}`;
    const known = this.#remotes.get(key);
    if (known !== undefined) return known;
    const isSix = host.includes(":");
    const text = `udp://${isSix ? `[${host}]` : host}:${port}`;
    const remote: Remote = { host, port, family: isSix ? 6 : 4, text, flow: -1 };
    this.#remotes.set(key, remote);
    if (this.#remotes.size > REMOTES_MAX) this.#forgetOne();
    return remote;
  }

  /** Forgets the oldest that nobody uses; those in use go behind the others, a few at a time. */
  #forgetOne(): void {
    let looked = 0;
    for (const [key, remote] of this.#remotes) {
      this.#remotes.delete(key);
      if (remote.flow === -1) return;
      this.#remotes.set(key, remote);
      if (++looked === 16) return;
    }
  }
}
