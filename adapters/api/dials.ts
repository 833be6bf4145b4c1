/**
 * Attempts to connect that somebody waits for.
 *
 * The invariant to hold: each attempt is settled once, and one that was given up is cancelled in the machine.
 *
 * @module
 */

import { ViaductError } from "../../core/error.ts";
import type { DialId, SessionId } from "../../core/node/endpoint_types.ts";
import type { ConnectTarget, EarlyOpened, EarlyOpening, NodeEvent } from "../../core/node/node_types.ts";
import { protocolOffer } from "../../core/node/protocol_name.ts";
import { SELF_ADDRESS } from "../self_pipe.ts";
import { isBytes, joinBytes } from "./bytes.ts";
import { checkSendOrder } from "./checks.ts";
import type { NodeHandle } from "./node.ts";
import type { PeerHandle } from "./peer.ts";
import type { ConnectOptions, OpenStreamOptions, Stream } from "./types.ts";
import { encodeFrame } from "./value_frames.ts";
import { type Deferred, deferred, waitFor } from "./waiting.ts";

const EMPTY: Uint8Array = new Uint8Array(0);
/** What `openStream` takes: a quarter of the least send buffer that a stream has by default. */
const DATA_BYTES_MAX = 65_536;

interface Connected {
  readonly peer: PeerHandle;
  /** The stream that was opened with the handshake. */
  readonly early: EarlyOpened | undefined;
}

/** The attempts of a node. */
export class Dials {
  readonly #node: NodeHandle;
  readonly #initMessage: Uint8Array | undefined;
  readonly #waiting = new Map<DialId, Deferred<Connected>>();

  constructor(node: NodeHandle, initMessage: Uint8Array | undefined) {
    this.#node = node;
    this.#initMessage = initMessage;
  }

  async connect(target: ConnectTarget, options: ConnectOptions): Promise<PeerHandle> {
    return (await this.#dial(target, options)).peer;
  }

  /** Connects and opens a stream, at once where the other node lets it. */
  async openStream(target: ConnectTarget, protocols: readonly string[], options: OpenStreamOptions): Promise<Stream> {
    const { metadata = EMPTY, sendOrder = 0 } = options;
    const data = this.#beginningOf(options);
    if (!isBytes(metadata)) throw new TypeError("Cannot open stream as 'metadata' must be a Uint8Array");
    checkSendOrder(sendOrder);
    const open = { protocol: protocolOffer(protocols), metadata, priority: sendOrder };
    const { peer, early } = await this.#dial(target, options, { open, bytes: data, isFinal: false });
    if (early !== undefined) return peer.adoptStream(early, protocols[0] as string, metadata);
    const stream = await peer.open(protocols, options);
    // It fits the empty buffer of a stream or waits in it: the caller need not.
    stream.write(data).catch(() => undefined);
    return stream;
  }

  #beginningOf({ data = EMPTY, message }: OpenStreamOptions): Uint8Array {
    if (!isBytes(data)) throw new TypeError("Cannot open stream as 'data' must be a Uint8Array");
    const { codec, limits } = this.#node;
    const format = { codec, bytesMax: limits.messageBytesMax };
    const beginning = message === undefined ? data : joinBytes(data, encodeFrame(message, format));
    if (beginning.length <= DATA_BYTES_MAX) return beginning;
    throw new RangeError(`Cannot open stream with more than ${DATA_BYTES_MAX} bytes: write them to the stream`);
  }

  async #dial(target: ConnectTarget, options: ConnectOptions, early?: EarlyOpening): Promise<Connected> {
    const { isAnonymous = false, via = "auto", timeoutMs, signal } = options;
    const initMessage = this.#initMessage;
    // A node reaches itself without a socket.
    const isSelf = target.id === this.#node.id && target.addresses.length === 0;
    const reachable = isSelf ? { ...target, addresses: [SELF_ADDRESS], relays: [] } : target;
    const dial = this.#node.command((machine, now) =>
      machine.connect(
        reachable,
        {
          isAnonymous,
          via: isSelf ? "direct" : via,
          ...(initMessage === undefined ? {} : { initMessage }),
          ...(timeoutMs === undefined ? {} : { timeoutMs }),
          ...(early === undefined ? {} : { early }),
        },
        now,
      ),
    );
    const outcome = deferred<Connected>();
    this.#waiting.set(dial, outcome);
    const wait = signal === undefined ? undefined : { signal };
    const connected = await waitFor(outcome.promise, wait, this.#node.runtime, () => {
      this.#waiting.delete(dial);
      this.#node.command((machine, now) => machine.cancelConnect(dial, now));
    });
    // Refused right after the handshake, by a ban list or an `accept` that says no.
    if (connected.peer.error !== undefined) throw connected.peer.error;
    return connected;
  }

  onEnd(
    event: Extract<NodeEvent, { type: "connected" | "connectFailed" }>,
    peerOf: (session: SessionId) => PeerHandle | undefined,
  ): void {
    const outcome = this.#waiting.get(event.dial);
    this.#waiting.delete(event.dial);
    if (event.type === "connectFailed") {
      outcome?.reject(new ViaductError(event.code, event.detail === "" ? {} : { detail: event.detail }));
      return;
    }
    const peer = peerOf(event.session);
    if (peer === undefined) outcome?.reject(new ViaductError("closed", { detail: "The session ended at once" }));
    else outcome?.resolve({ peer, early: event.early });
  }

  /** The node ended. */
  fail(error: ViaductError): void {
    for (const outcome of this.#waiting.values()) outcome.reject(error);
    this.#waiting.clear();
  }
}
