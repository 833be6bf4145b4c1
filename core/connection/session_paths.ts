/**
 * The paths of a session: which there are, which numbers they may have, and what those carried that are gone.
 *
 * The invariant to hold: a number that was used is never taken again; figures of a session never fall.
 *
 * @module
 */

import type { Instant } from "../machine.ts";
import type { Path } from "./path.ts";
import { choosePath } from "./path_choice.ts";
import { makePath } from "./path_factory.ts";
import { PathNumbers } from "./path_numbers.ts";
import type { SessionOptions } from "./session_options.ts";
import type { GonePaths } from "./session_stats.ts";
import type { SessionTrace } from "./session_trace.ts";
import type { PathFacts, PathId, SessionConfig } from "./session_types.ts";

/** The paths of one session. */
export class SessionPaths {
  readonly #config: SessionConfig;
  readonly #max: number;
  readonly #trace: SessionTrace | undefined;
  readonly numbers: PathNumbers;
  readonly byId: Map<PathId, Path> = new Map();
  /** What was carried by paths that are gone. */
  readonly gone: GonePaths = { bytesSent: 0, bytesReceived: 0 };

  constructor({ role, config, remote }: SessionOptions, trace: SessionTrace | undefined) {
    this.#config = config;
    this.#max = Math.min(config.pathsMax, remote.pathsMax);
    this.#trace = trace;
    this.numbers = new PathNumbers(role);
  }

  get isFull(): boolean {
    return this.byId.size >= this.#max;
  }

  /** Whether one carries data. */
  get hasActive(): boolean {
    return [...this.byId.values()].some(({ state }) => state === "active");
  }

  /** The one in use, or the one that would be if it had room. */
  get best(): Path | undefined {
    return choosePath(this.byId.values());
  }

  /** One that carries data as well and has room, for a copy of what went by `best`. */
  besides(best: Path | undefined): Path | undefined {
    for (const path of this.byId.values()) {
      if (path !== best && path.state === "active" && path.isWritable && path.hasRoom) return path;
    }
    return undefined;
  }

  add(id: PathId, facts: PathFacts, state: "opening" | "active", now: Instant): Path {
    const path = makePath({ id, facts, state, config: this.#config, trace: this.#trace }, now);
    this.byId.set(id, path);
    return path;
  }

  remove(path: Path): void {
    path.state = "closed";
    this.byId.delete(path.id);
    this.gone.bytesSent += path.bytesSent;
    this.gone.bytesReceived += path.bytesReceived;
  }
}
