/**
 * Where a datagram belongs: to a session by the connection id of its packages, to a handshake under way, or to nobody.
 * PROTOCOL §3.12.
 *
 * The invariants to hold: an address may be spoofed and a datagram repeated or made up, so nothing here ends a session,
 * a path or a handshake that is under way; what makes no sense is counted and forgotten.
 *
 * @module
 */

import { connectionIdOf, pathOf } from "../connection/package_protection.ts";
import type { Environment, Instant } from "../machine.ts";
import { PackageDecoder } from "../wire/decoder.ts";
import type { Package } from "../wire/package.ts";
import { CLEAR_VERSION, encodeClearPackage, PROTECTED_VERSION } from "../wire/package.ts";
import type { ClearMessage } from "./clear_messages.ts";
import { decodeClearMessage, encodeClearMessage } from "./clear_messages.ts";
import type { FlowInput } from "./endpoint_types.ts";
import type { Flow, FlowTable } from "./flow_table.ts";
import type { HandshakeMessage, Handshakes } from "./handshakes.ts";
import type { PipeState, PipeTable } from "./pipe_table.ts";
import { AddressTokens } from "./retry_token.ts";
import type { SessionEntry } from "./session_entry.ts";
import type { SessionTable } from "./session_table.ts";
import type { ResetMessage, StatelessReset } from "./stateless_reset.ts";

/** RFC 9000 §10.3.3: an answer is smaller than its cause, so that two nodes that forgot never answer each other. */
const RESET_DATAGRAM_BYTES = 40;
const VERSIONS_DATAGRAM_BYTES = 24;

/** What the demultiplexer needs around it. */
export interface DatagramDemuxOptions {
  readonly flows: FlowTable;
  readonly pipes: PipeTable;
  readonly sessions: SessionTable;
  readonly handshakes: Handshakes;
  readonly resets: StatelessReset;
  readonly env: Environment;
  /** Handshakes of strangers under way above which addresses must be proved. */
  readonly retryAbove: number;
  /** What the parts of the endpoint must learn of one another, between two packages. */
  readonly settle: (now: Instant) => void;
  readonly setWritable: (pipe: PipeState, isWritable: boolean) => void;
  readonly onClosed: (pipe: PipeState, now: Instant) => void;
  readonly count: (cause: string) => void;
}

/** Gives datagrams to those they are for. */
export class DatagramDemux {
  readonly #options: DatagramDemuxOptions;
  readonly #decoder: PackageDecoder;
  /** Made when they are first needed. */
  #tokens: AddressTokens | undefined;

  constructor(options: DatagramDemuxOptions) {
    this.#options = options;
    this.#decoder = new PackageDecoder(options.env.checksum);
  }

  /** Takes what happened to a flow; `isOpen` says whether anybody new is let in. */
  handleInput(input: FlowInput, isOpen: boolean, now: Instant): void {
    const { flows, setWritable, onClosed } = this.#options;
    if (input.type === "flowOpened") {
      flows.open(input.flow, input);
    } else if (input.type === "flowClosed") {
      for (const pipe of flows.remove(input.flow)) onClosed(pipe, now);
    } else {
      const flow = flows.get(input.flow);
      if (flow === undefined) return;
      if (input.type === "flowData") this.#onDatagram(flow, input.bytes, isOpen, now);
      else for (const pipe of flow.pipes) setWritable(pipe, input.type === "flowWritable");
    }
  }

  #onDatagram(flow: Flow, bytes: Uint8Array, isOpen: boolean, now: Instant): void {
    const { flows, count } = this.#options;
    flow.bytesReceived += bytes.length;
    const decoder = this.#decoder;
    decoder.restart();
    decoder.push(bytes);
    for (;;) {
      const outcome = decoder.next();
      if (outcome.type === "needsMore") break;
      if (outcome.type === "package") {
        if (outcome.version === CLEAR_VERSION) this.#onClear(flow, outcome, isOpen, now);
        else this.#onProtected(flow, outcome, bytes.length, isOpen, now);
        continue;
      }
      count(outcome.type);
      if (outcome.type === "unknownVersion" && bytes.length > VERSIONS_DATAGRAM_BYTES && flow.pipes.size === 0) {
        this.#sendClear(flow, { type: "versions", versions: [CLEAR_VERSION, PROTECTED_VERSION] });
      }
      break;
    }
    flows.release(flow);
  }

  // Packages of sessions.

  #onProtected(flow: Flow, input: Package, datagramBytes: number, isOpen: boolean, now: Instant): void {
    const { sessions, handshakes, count, settle } = this.#options;
    const connectionId = connectionIdOf(input) ?? 0;
    const entry = sessions.ofConnectionId(connectionId);
    if (entry !== undefined) {
      this.#onSessionPackage(flow, entry, input, now);
      return;
    }
    const pipe = pendingOf(flow, connectionId);
    if (pipe !== undefined) {
      if (handshakes.onProtected(pipe, input, now)) flow.isProven = true;
      settle(now); // The package behind it is for the session that it made.
      return;
    }
    if (isOpen && handshakes.awaitsAttach(connectionId)) {
      const fresh = this.#openPipe(flow, now);
      if (fresh === undefined) return;
      if (handshakes.onAttach(fresh, connectionId, input, now)) flow.isProven = true;
      else this.#dropUseless(fresh);
      settle(now);
      return;
    }
    count("unknownSession");
    if (datagramBytes <= RESET_DATAGRAM_BYTES) return;
    const answer = this.#options.resets.answerTo(connectionId, now);
    if (answer !== undefined) this.#sendClear(flow, answer);
  }

  #onSessionPackage(flow: Flow, entry: SessionEntry, input: Package, now: Instant): void {
    const { sessions, pipes, count } = this.#options;
    const path = pathOf(input);
    const known = pipes.get(entry.pipes.get(path) ?? 0);
    if (known !== undefined && known.flow === flow) {
      if (!sessions.onPackage(entry, known, input, now)) count("unauthentic");
      else if (!flow.isProven && entry.session.path(path)?.challenge === undefined) flow.isProven = true;
      return;
    }
    if (known !== undefined && known.flow !== undefined) {
      if (!sessions.onMovedPackage(entry, known, flow, input, now)) count("unauthentic");
      return;
    }
    // A path that the peer opens, or one that is gone.
    const fresh = this.#openPipe(flow, now);
    if (fresh === undefined) return;
    if (!sessions.onPackage(entry, fresh, input, now)) count("unauthentic");
    this.#dropUseless(fresh);
  }

  // Clear messages.

  #onClear(flow: Flow, input: Package, isOpen: boolean, now: Instant): void {
    const { handshakes, pipes, count, settle } = this.#options;
    const message = decodeClearMessage(input.message);
    if (message === undefined) {
      count("malformed");
    } else if (message.type === "handshake") {
      if (message.step === 1) this.#onFirst(flow, message, isOpen, now);
      else {
        const pipe = pendingOf(flow, message.targetConnectionId);
        if (pipe !== undefined) handshakes.onMessage(pipe, message, now);
        else this.#onLateMessage(flow, message);
      }
      settle(now); // The package behind it may be of the session that it made.
    } else if (message.type === "retry") {
      const pipe = pendingOf(flow, message.targetConnectionId);
      if (pipe !== undefined) handshakes.onRetry(pipe, message.targetConnectionId, message.token, now);
    } else if (message.type === "reset") {
      this.#onReset(flow, message, now);
    } else {
      for (const pipe of [...flow.pipes]) {
        if (pipes.get(pipe.id) === pipe) handshakes.onRefusal(pipe, message, now);
      }
      settle(now);
    }
  }

  /** The first message of a handshake, or the same once more because our answer was lost. */
  #onFirst(flow: Flow, message: HandshakeMessage, isOpen: boolean, now: Instant): void {
    const { handshakes, count } = this.#options;
    for (const { pending, binding, lastMessage } of flow.pipes) {
      if (pending?.isInitiator === false && pending.handshake.remoteConnectionId === message.sourceConnectionId) {
        handshakes.resend(pending, now);
        return;
      }
      if (binding?.entry.isInitiator === false && binding.entry.remoteConnectionId === message.sourceConnectionId) {
        // Its early data made the session at once: our answer may be what was lost.
        if (!binding.entry.isConfirmed && lastMessage !== undefined) this.#options.flows.send(flow, lastMessage);
        else count("late");
        return;
      }
    }
    if (!isOpen || !this.#hasProvenAddress(flow, message, now)) return;
    const pipe = this.#openPipe(flow, now);
    if (pipe === undefined) return;
    handshakes.onMessage(pipe, message, now);
    this.#options.settle(now); // Early data made a session of it already.
    this.#dropUseless(pipe);
  }

  /** Whether a first message may cost a computation; else its sender is asked for a proof. RFC 9000 §8.1.2. */
  #hasProvenAddress(flow: Flow, message: HandshakeMessage, now: Instant): boolean {
    const { pipes, retryAbove, count } = this.#options;
    if (flow.isProven || (message.token === undefined && pipes.unprovenAccepted < retryAbove)) return true;
    const binding = {
      host: flow.remoteHost ?? "",
      port: Number(flow.remote.slice(flow.remote.lastIndexOf(":") + 1)),
      initiator: Uint8Array.of(
        message.sourceConnectionId,
        message.sourceConnectionId >>> 8,
        message.sourceConnectionId >>> 16,
        message.sourceConnectionId >>> 24,
      ),
    };
    this.#tokens ??= new AddressTokens({}, this.#options.env, now);
    if (message.token !== undefined && this.#tokens.check(message.token, binding, now) !== undefined) {
      flow.isProven = true;
      return true;
    }
    if (message.token !== undefined && pipes.unprovenAccepted < retryAbove) return true; // As if it were not there.
    count("retries");
    const token = this.#tokens.makeRetry(binding, now);
    this.#sendClear(flow, { type: "retry", targetConnectionId: message.sourceConnectionId, token });
    return false;
  }

  /** The peer sends its message again although we went on: ours behind it was lost. */
  #onLateMessage(flow: Flow, message: HandshakeMessage): void {
    for (const pipe of flow.pipes) {
      const entry = pipe.binding?.entry;
      if (entry?.localConnectionId !== message.targetConnectionId) continue;
      if (pipe.lastMessage !== undefined && !entry.isConfirmed) this.#options.flows.send(flow, pipe.lastMessage);
      return;
    }
    this.#options.count("late");
  }

  #onReset(flow: Flow, message: ResetMessage, now: Instant): void {
    const { resets, sessions, count } = this.#options;
    for (const { binding } of [...flow.pipes]) {
      if (binding === undefined || !resets.isProven(message, binding.entry)) continue;
      binding.entry.session.drop("session_lost", now);
      sessions.touch(binding.entry, now);
      return;
    }
    count("forgedReset");
  }

  #sendClear(flow: Flow, message: ClearMessage): void {
    this.#options.flows.send(flow, encodeClearPackage(encodeClearMessage(message), this.#options.env.checksum));
  }

  #openPipe(flow: Flow, now: Instant): PipeState | undefined {
    const { pipes, count } = this.#options;
    const { remote, remoteHost } = flow;
    const pipe = pipes.allocate();
    const opened = pipes.open({ pipe, kind: "datagrams", remote, remoteHost, isDialled: false, flow }, now);
    if (opened === undefined) count("pipes");
    return opened;
  }

  /** A pipe that came to nothing costs nothing from here on. */
  #dropUseless(pipe: PipeState): void {
    const { pipes } = this.#options;
    if (pipe.pending !== undefined || pipe.binding !== undefined || pipes.get(pipe.id) !== pipe) return;
    pipes.drop(pipe.id, "destroy");
  }
}

/** The pipe of a flow with the handshake that calls itself so. */
function pendingOf(flow: Flow, localConnectionId: number): PipeState | undefined {
  for (const pipe of flow.pipes) {
    if (pipe.pending?.handshake.localConnectionId === localConnectionId) return pipe;
  }
  return undefined;
}
