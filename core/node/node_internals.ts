/**
 * The node as its extensions see it: what relay client and circuits may do besides using the endpoint.
 *
 * @module
 */

import type { ReadResult, StreamId } from "../connection/session_types.ts";
import type { Environment, Instant } from "../machine.ts";
import type { Connects } from "./connects.ts";
import type { Endpoint } from "./endpoint.ts";
import type { SessionId } from "./endpoint_types.ts";
import type {
  CircuitId,
  CircuitOutcome,
  NodeConfig,
  NodeEvent,
  NodeInternals,
  OpenStreamOptions,
  ServeOptions,
} from "./node_types.ts";
import type { Peer } from "./peer.ts";
import type { ProtocolTable } from "./protocol_table.ts";

/** What the internals are made from. */
export interface InternalsOptions {
  readonly config: NodeConfig;
  readonly env: Environment;
  readonly endpoint: Endpoint;
  readonly protocols: ProtocolTable;
  readonly peers: ReadonlyMap<SessionId, Peer>;
  readonly connects: Connects;
  readonly emit: (event: NodeEvent) => void;
}

/** The seam of a node; see `NodeInternals`. */
export class Internals implements NodeInternals {
  readonly config: NodeConfig;
  readonly env: Environment;
  readonly endpoint: Endpoint;
  readonly #options: InternalsOptions;

  constructor(options: InternalsOptions) {
    this.config = options.config;
    this.env = options.env;
    this.endpoint = options.endpoint;
    this.#options = options;
  }

  claim(protocol: string, versions: readonly number[], options: ServeOptions): void {
    this.#options.protocols.claim(protocol, versions, options);
  }

  openStream(session: SessionId, options: OpenStreamOptions, now: Instant): StreamId | undefined {
    return this.#options.peers.get(session)?.openStream(options, true, now);
  }

  write(session: SessionId, stream: StreamId, bytes: Uint8Array, now: Instant): number {
    return this.endpoint.write(session, stream, bytes, now);
  }

  writeRoom(session: SessionId, stream: StreamId): number {
    return this.endpoint.writeRoom(session, stream);
  }

  awaitRoom(session: SessionId, stream: StreamId): void {
    this.endpoint.awaitRoom(session, stream);
  }

  read(session: SessionId, stream: StreamId): ReadResult {
    return this.#options.peers.get(session)?.read(stream);
  }

  finish(session: SessionId, stream: StreamId, now: Instant): void {
    this.endpoint.finish(session, stream, now);
  }

  reset(session: SessionId, stream: StreamId, applicationCode: number, now: Instant): void {
    this.endpoint.reset(session, stream, applicationCode, now);
  }

  stop(session: SessionId, stream: StreamId, applicationCode: number, now: Instant): void {
    this.#options.peers.get(session)?.stop(stream, applicationCode, now);
  }

  emit(event: NodeEvent): void {
    this.#options.emit(event);
  }

  circuitDone(circuit: CircuitId, outcome: CircuitOutcome, now: Instant): void {
    this.#options.connects.onCircuitDone(circuit, outcome, now);
  }
}
