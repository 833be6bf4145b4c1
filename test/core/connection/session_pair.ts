/**
 * Two sessions wired back to back in memory, with pipes that can be cut, blocked and delayed by the test.
 *
 * @module
 */

import { Session } from "../../../core/connection/session.ts";
import { DEFAULT_SESSION_CONFIG, transportParametersOf } from "../../../core/connection/session_defaults.ts";
import type { SessionOptions } from "../../../core/connection/session_options.ts";
import { SessionTrace } from "../../../core/connection/session_trace.ts";
import type { PathId, PathKind, SessionConfig, SessionEvent } from "../../../core/connection/session_types.ts";
import type { TraceOpener } from "../../../core/connection/trace.ts";
import type { Environment } from "../../../core/machine.ts";
import { decodePackage } from "../../../core/wire/package.ts";
import { testEnvironment } from "../test_environment.ts";

/** One end of the pair. */
export interface End {
  readonly name: "left" | "right";
  readonly session: Session;
  readonly events: SessionEvent[];
}

/** A pipe between the ends: which path it is on each side, and what is under way. */
export interface Pipe {
  readonly kind: PathKind;
  path: { left: PathId | undefined; right: PathId | undefined };
  isCut: boolean;
  readonly underWay: { to: "left" | "right"; bytes: Uint8Array }[];
}

function tracing(open: TraceOpener | undefined): SessionOptions["trace"] {
  return open && ((facts, now) => new SessionTrace(open, facts, now));
}

/** Two sessions that share keys. */
export class SessionPair {
  readonly env: Environment;
  readonly left: End;
  readonly right: End;
  readonly pipes: Pipe[] = [];
  now = 1_000;
  packages = 0;

  constructor(
    options: {
      seed?: number;
      config?: Partial<SessionConfig>;
      rightConfig?: Partial<SessionConfig>;
      kind?: PathKind;
      leftTrace?: TraceOpener;
      rightTrace?: TraceOpener;
    } = {},
  ) {
    this.env = testEnvironment(options.seed ?? 1);
    const config = { ...DEFAULT_SESSION_CONFIG, ...options.config };
    const rightConfig = { ...DEFAULT_SESSION_CONFIG, ...options.config, ...options.rightConfig };
    const one = new Uint8Array(32).fill(1);
    const two = new Uint8Array(32).fill(2);
    const kind = options.kind ?? "bytes";
    const firstPath = { kind, remote: "test" } as const;
    this.left = end(
      "left",
      new Session(
        {
          role: "initiator",
          secrets: {
            cipher: "chacha20-poly1305",
            sendKey: one,
            receiveKey: two,
            localConnectionId: 11,
            remoteConnectionId: 22,
          },
          config,
          remote: transportParametersOf(rightConfig),
          firstPath,
          trace: tracing(options.leftTrace),
        },
        this.env,
        this.now,
      ),
    );
    this.right = end(
      "right",
      new Session(
        {
          role: "responder",
          secrets: {
            cipher: "chacha20-poly1305",
            sendKey: two,
            receiveKey: one,
            localConnectionId: 22,
            remoteConnectionId: 11,
          },
          config: rightConfig,
          remote: transportParametersOf(config),
          firstPath,
          trace: tracing(options.rightTrace),
        },
        this.env,
        this.now,
      ),
    );
    this.pipes.push({ kind, path: { left: 0, right: 0 }, isCut: false, underWay: [] });
  }

  other(name: "left" | "right"): End {
    return name === "left" ? this.right : this.left;
  }

  /** Opens one more pipe from an end. */
  attach(from: End, kind: PathKind = "bytes"): Pipe {
    const path = from.session.openPath({ kind, remote: "test" }, this.now);
    const pipe: Pipe = { kind, path: { left: undefined, right: undefined }, isCut: false, underWay: [] };
    pipe.path[from.name] = path;
    this.pipes.push(pipe);
    return pipe;
  }

  /** Cuts a pipe: what is under way is lost; each side that is told closes its path. */
  cut(pipe: Pipe, told: readonly End[] = [this.left, this.right]): void {
    pipe.isCut = true;
    pipe.underWay.length = 0;
    for (const side of told) {
      const path = pipe.path[side.name];
      if (path !== undefined) side.session.closePath(path, this.now);
    }
  }

  /** Takes what a side wants to send and puts it on its pipes. Returns how many packages. */
  collect(side: End): number {
    let count = 0;
    for (;;) {
      const output = side.session.pollTransmit(this.now);
      if (output === undefined) break;
      count++;
      this.packages++;
      const pipe = this.pipes.find((candidate) => candidate.path[side.name] === output.path);
      if (pipe !== undefined && !pipe.isCut) {
        pipe.underWay.push({ to: this.other(side.name).name, bytes: output.bytes });
      }
      if (count > 10_000) throw new Error("A session never stops sending");
    }
    this.drain(side);
    return count;
  }

  /** Hands over what is under way on a pipe. */
  deliver(pipe: Pipe): void {
    for (const { to, bytes } of pipe.underWay.splice(0)) {
      const side = to === "left" ? this.left : this.right;
      const outcome = decodePackage(bytes, 0, this.env.checksum);
      if (outcome.type !== "package") throw new Error(`A session sent what is no package: ${outcome.type}`);
      const facts = { kind: pipe.kind, remote: "test" };
      const path = side.session.handlePackage({ package: outcome, facts }, this.now);
      if (path !== undefined) pipe.path[side.name] = path;
      this.drain(side);
    }
  }

  /** Lets both sides talk until neither has anything to say. */
  settle(): void {
    for (let round = 0; round < 10_000; round++) {
      const sent = this.collect(this.left) + this.collect(this.right);
      for (const pipe of this.pipes) this.deliver(pipe);
      if (sent === 0) return;
    }
    throw new Error("The pair never comes to rest");
  }

  /** Moves time on, firing timers as they come due, and settles after each. */
  advance(ms: number): void {
    const until = this.now + ms;
    this.settle();
    for (;;) {
      const at = Math.min(this.left.session.pollTimeout(), this.right.session.pollTimeout());
      if (at > until) break;
      this.now = Math.max(this.now, at);
      this.left.session.handleTimeout(this.now);
      this.right.session.handleTimeout(this.now);
      this.settle();
      if (Math.min(this.left.session.pollTimeout(), this.right.session.pollTimeout()) <= this.now) {
        throw new Error("A deadline stays in the past: a driver would spin");
      }
    }
    this.now = until;
  }

  drain(side: End): void {
    for (;;) {
      const event = side.session.pollEvent();
      if (event === undefined) return;
      if (side.events.some((earlier) => earlier.type === "closed")) throw new Error("An event came after closed");
      side.events.push(event);
    }
  }
}

/** Everything that can be read from a stream now. */
export function readAll(side: End, stream: number): { bytes: Uint8Array; end: "open" | "end" | "reset" } {
  const parts: Uint8Array[] = [];
  let end: "open" | "end" | "reset" = "open";
  for (;;) {
    const result = side.session.read(stream);
    if (result === undefined) break;
    if (result.type === "data") parts.push(result.bytes);
    else {
      end = result.type;
      break;
    }
  }
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return { bytes, end };
}

function end(name: "left" | "right", session: Session): End {
  return { name, session, events: [] };
}
