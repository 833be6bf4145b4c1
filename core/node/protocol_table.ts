/**
 * The protocols that a node serves, and the choice of a version. Implements PROTOCOL §7.3.
 *
 * The invariant to hold: what is Viaduct's own (`claim`) and what the owner of the node serves are told apart, so that
 * an application is never handed a stream that it did not declare.
 *
 * @module
 */

import { ProtocolError } from "../error.ts";
import type { ServeOptions } from "./node_types.ts";
import { checkProtocol } from "./protocol_name.ts";
import { decodeStreamHeader } from "./stream_header.ts";

/** Versions of one protocol that may be served: any number that a program could mean. */
const SERVED_VERSIONS_MAX = 1024;

/** A protocol that is served. */
export interface ServedProtocol {
  readonly name: string;
  readonly versions: ReadonlySet<number>;
  readonly streamsPerPeerMax: number;
  /** Whether a stream may be acted on that came before any proof. PROTOCOL §3.14. */
  readonly isEarlyAccepted: boolean;
}

/** What a stream's offer comes to. */
export interface ProtocolChoice {
  readonly served: ServedProtocol;
  readonly version: number;
}

/** The protocols of a node. */
export class ProtocolTable {
  readonly #served = new Map<string, ServedProtocol>();
  readonly #claimed = new Map<string, ServedProtocol>();

  /**
   * Serves a protocol to all peers; serving a name again replaces what it was served with.
   *
   * @throws {TypeError | RangeError} If the name, a version or the limit is not valid.
   */
  serve(name: string, versions: readonly number[], options: ServeOptions): void {
    this.#served.set(name, served(name, versions, options));
  }

  /** Stops serving a protocol; streams that are open go on. */
  unserve(name: string): void {
    this.#served.delete(name);
  }

  /** Whether some protocol takes early data. */
  get isEarlyAccepted(): boolean {
    for (const { isEarlyAccepted } of this.#served.values()) if (isEarlyAccepted) return true;
    return false;
  }

  /** Whether a stream that begins so is of a protocol that takes early data; its header must be complete. */
  admitsEarly(beginning: Uint8Array): boolean {
    try {
      const header = decodeStreamHeader(beginning)?.value;
      return header !== undefined && this.choose(header.name, header.versions)?.served.isEarlyAccepted === true;
    } catch (error) {
      if (error instanceof ProtocolError) return false;
      throw error;
    }
  }

  /**
   * As `serve`, for what is part of the node itself. A name may be both claimed and served: the claim is asked first.
   *
   * @throws {TypeError | RangeError} If the name, a version or the limit is not valid.
   */
  claim(name: string, versions: readonly number[], options: ServeOptions): void {
    this.#claimed.set(name, served(name, versions, options));
  }

  /** The first of the opener's versions that is served, so that its preference decides. */
  choose(name: string, versions: readonly number[]): ProtocolChoice | undefined {
    return chooseIn(this.#served, name, versions);
  }

  /** As `choose`, among what is part of the node itself. */
  chooseClaimed(name: string, versions: readonly number[]): ProtocolChoice | undefined {
    return chooseIn(this.#claimed, name, versions);
  }
}

function served(name: string, versions: readonly number[], options: ServeOptions): ServedProtocol {
  checkProtocol(name, versions, SERVED_VERSIONS_MAX);
  const { streamsPerPeerMax } = options;
  if (!(streamsPerPeerMax >= 0)) {
    throw new RangeError(`Cannot serve protocol as "streamsPerPeerMax" must be at least 0: it is ${streamsPerPeerMax}`);
  }
  return { name, versions: new Set(versions), streamsPerPeerMax, isEarlyAccepted: options.isEarlyAccepted ?? false };
}

function chooseIn(
  table: ReadonlyMap<string, ServedProtocol>,
  name: string,
  versions: readonly number[],
): ProtocolChoice | undefined {
  const protocol = table.get(name);
  if (protocol === undefined) return undefined;
  for (const version of versions) {
    if (protocol.versions.has(version)) return { served: protocol, version };
  }
  return undefined;
}
